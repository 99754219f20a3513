#pragma once
// The way of an object to its OSDs, by one OSD map:
//
//   name (or locator key), namespace --hash--> raw PG --stable_mod pg_num--> PG
//   PG --stable_mod pgp_num, mixed with the pool--> placement seed --CRUSH--> walk
//   walk --minus OSDs that do not exist--> raw --upmap, upmap_items--> mapped
//   mapped --minus OSDs that are down, primary affinity--> up
//   up --pg_temp, primary_temp--> acting
//
// Replicated pools close ranks where an OSD is left out; erasure-coded ones leave a hole
// (osd_none). Everything is bit for bit what Ceph 16.2 computes. Pure; a Placer is thread-safe to
// read, each thread brings its own CrushWorkspace.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_mapper.h"
#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados {

/// An object as a client names it. A locator key, when given, is hashed instead of the name, so
/// that objects with one key share a PG.
struct ObjectName {
    std::string_view name;
    std::string_view locator_key = {};
    std::string_view name_space = {};
};

/// x modulo b, but stable while b grows to the next power of two. `mask` is that power minus 1.
inline uint32_t stable_mod(uint32_t x, uint32_t b, uint32_t mask) {
    return (x & mask) < b ? (x & mask) : (x & (mask >> 1));
}

/// The hash of an object's name; its raw PG's seed.
uint32_t object_hash(const Pool& pool, const ObjectName& object);
/// Folds a raw PG into the pool's pg_num.
PgId pg_of_raw(const Pool& pool, PgId raw);
/// What CRUSH is asked with. Raw and folded PGs give the same where pgp_num is at most pg_num.
uint32_t placement_seed(const Pool& pool, PgId raw);
/// The rule that serves a pool: the first one of its number, type and size, or -1.
int32_t rule_of_pool(const CrushMap& crush, const Pool& pool);

struct OsdSet {
    std::vector<int32_t> osds;
    int32_t primary = no_osd;
    bool operator==(const OsdSet&) const = default;
    /// "([1,2,0], p1)".
    std::string to_string() const;
};
/// "[1,2147483647,0]": a hole is its number, as osdmaptool prints it.
std::string osds_to_string(std::span<const int32_t> osds);

struct PgSets {
    OsdSet raw, mapped, up, acting; // mapped: raw after upmap
};

/// Rows of OSDs, one for each PG, in one array.
class OsdRows {
public:
    std::span<const int32_t> operator[](size_t row) const {
        return {items_.data() + row * width_, sizes_[row]};
    }
    size_t count() const { return sizes_.size(); }
    void resize(size_t count, size_t width);
    /// Widens all rows when this one needs it.
    void set(size_t row, std::span<const int32_t> osds);
    bool operator==(const OsdRows& other) const;

private:
    std::vector<int32_t> items_;
    std::vector<uint16_t> sizes_;
    size_t width_ = 0;
};

/// Where every PG of one pool is. Compares by content, whatever way it was computed.
struct PoolPlacement {
    PoolId pool = 0;
    OsdRows walk, up, acting;
    std::vector<int32_t> up_primary, acting_primary;
    /// What the last pass did: CRUSH walks, and PGs whose sets were derived anew.
    uint32_t walked = 0, derived = 0;

    uint32_t pg_num() const { return static_cast<uint32_t>(up_primary.size()); }
    bool operator==(const PoolPlacement& other) const;
};

class Placer {
public:
    /// Error: what CrushMapper::prepare() says of the map's hierarchy.
    static Result<Placer> prepare(std::shared_ptr<const OsdMap> map);
    /// The same for a later map; the prepared hierarchy is shared when it did not change.
    Result<Placer> prepare_next(std::shared_ptr<const OsdMap> map) const;

    const OsdMap& map() const { return *map_; }

    /// One PG, raw or folded. A pool that does not exist gives empty sets.
    PgSets place(CrushWorkspace& work, PgId pg) const;

    /// All PGs of a pool in one pass over vectorised draws. The pool must exist.
    PoolPlacement place_pool(CrushWorkspace& work, PoolId id) const;

    /// The same result as place_pool(), from the placement that `before` gave: only PGs that the
    /// difference between the maps can touch are computed. A walk is repeated where its seed, its
    /// rule's subtree or tunables changed, where a device that it holds became out, or where a
    /// device below its rule came in (for this seed: a reweight in between flips only a part).
    PoolPlacement update_pool(CrushWorkspace& work, const Placer& before, const PoolPlacement& old,
                              PoolId id) const;

private:
    Placer(std::shared_ptr<const OsdMap> map, CrushMapper mapper)
        : map_(std::move(map)), mapper_(std::move(mapper)) {}

    std::shared_ptr<const OsdMap> map_;
    CrushMapper mapper_;
};

} // namespace cloudlet::rados
