// What OSDs and their placement groups take of the process's memory.

#include <malloc.h>

#include <cstdlib>
#include <new>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "osd/local_cluster.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true; // another allocator
constexpr size_t in_use = 0;
#else
constexpr bool sanitized = false;
// Bytes of all chunks that are handed out on this thread. What the allocator says of itself counts
// what it keeps at hand, too.
thread_local size_t in_use = 0;

namespace {
size_t chunk_of(void* memory) { return malloc_usable_size(memory) + sizeof(size_t); }
} // namespace

void* operator new(size_t size) {
    void* memory = std::malloc(size);
    if (!memory) throw std::bad_alloc();
    in_use += chunk_of(memory);
    return memory;
}
void operator delete(void* memory) noexcept {
    if (memory) in_use -= chunk_of(memory);
    std::free(memory);
}
void operator delete(void* memory, size_t /*size*/) noexcept { operator delete(memory); }
#endif

namespace cloudlet::rados {
namespace {

constexpr size_t primary = 0, replica = 1;
constexpr uint64_t writes_to_each = 3;

/// Three OSDs with all PGs, of which the first one is the primary.
OsdMap map_with_one_primary(uint32_t pgs) {
    OsdMap map = test_map(3, 1, pgs, 3);
    map.primary_affinity = {full_affinity, 0, 0};
    return map;
}

void write_to_all(LocalCluster& cluster, uint32_t pgs) {
    const Pool& pool = *cluster.map().map().pool(1);
    std::vector<uint64_t> written(pgs);
    for (size_t i = 0, done = 0; done < pgs * writes_to_each; ++i) {
        std::string name = fmt::format("rbd_data.1234567890ab.{:016x}", i);
        uint64_t& here = written[cluster.map().pg_of(1, {name, {}, {}}).seed];
        if (here == writes_to_each) continue;
        ++here, ++done;
        cluster.request({.hash = object_hash(pool, {name, {}, {}}), .name = name},
                        {op::WriteFull{share("x")}});
    }
}

/// Bytes that one OSD gives back when it goes; maps that others hold, too, not counted.
size_t bytes_of_osd(size_t osd, uint32_t pgs) {
    LocalCluster cluster(map_with_one_primary(pgs));
    write_to_all(cluster, pgs);
    cluster.pass(std::chrono::seconds(20));
    const size_t before = in_use;
    cluster.destroy(osd);
    return before - in_use;
}

TEST(OsdMemory, of_a_placement_group_at_rest_is_two_kilobytes_at_most) {
    if (sanitized) GTEST_SKIP() << "another allocator";
    for (size_t osd : {primary, replica}) {
        const size_t bytes = (bytes_of_osd(osd, 200) - bytes_of_osd(osd, 100)) / 100;
        RecordProperty(osd == primary ? "primary" : "replica", static_cast<int>(bytes));
        EXPECT_LE(bytes, 2048u) << "osd." << osd;
    }
}

TEST(OsdMemory, of_an_idle_osd_with_a_hundred_placement_groups_is_five_megabytes_at_most) {
    if (sanitized) GTEST_SKIP() << "another allocator";
    const size_t before = in_use;
    LocalCluster cluster(map_with_one_primary(100));
    write_to_all(cluster, 100);
    cluster.pass(std::chrono::seconds(20));
    const size_t all = in_use - before; // three OSDs, their disks, a monitor, and all their maps
    RecordProperty("bytes", static_cast<int>(all));
    EXPECT_LE(all, size_t{5} << 20);
}

} // namespace
} // namespace cloudlet::rados
