#include "cloudlet/rados/memory_store.h"

#include <malloc.h>

#include <functional>
#include <set>

#include <gmock/gmock.h>

#include "object_store/store_contents.h"

namespace cloudlet::rados {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const CollectionId pg(PgId{1, 0x1f});
const ObjectId apple{10, "apple"}, pear{20, "pear"};

/// A store with a collection, and what its listener heard.
struct Disk : StoreListener {
    explicit Disk(MemoryStoreOptions options = {}) : store(*this, options) {
        EXPECT_TRUE(store.submit(Transaction().create_collection(pg), 0));
        store.sync();
        tokens.clear();
    }

    void committed(uint64_t token) override {
        tokens.push_back(token);
        if (on_commit) on_commit(token);
    }
    void failed(const Error& error) override { failures.push_back(error.to_string()); }

    Result<void> submit(const Transaction& transaction) {
        return store.submit(transaction, next_token++);
    }
    Result<void> submit(ObjectId object, StoreChange change) {
        return submit(Transaction().add(pg, std::move(object), std::move(change)));
    }
    void write(const ObjectId& object, uint64_t offset, std::string data) {
        auto done = submit(Transaction().write(pg, object, offset, std::move(data)));
        EXPECT_TRUE(done) << done.error().to_string();
    }
    std::string read(const ObjectId& object) const {
        auto data = store.read(pg, object, 0, StoreLimits::object_bytes);
        return data ? *data : data.error().to_string();
    }
    StoreContents contents() const { return read_everything(store).value(); }

    std::vector<uint64_t> tokens;
    std::vector<std::string> failures;
    std::function<void(uint64_t)> on_commit;
    uint64_t next_token = 1;
    MemoryStore store;
};

Code code_of(const Result<void>& result) { return result ? Code::internal : result.error().code; }

TEST(MemoryStore, shows_a_change_at_once_and_commits_it_when_the_disk_has_synced) {
    Disk disk;
    disk.write(apple, 0, "red");
    disk.write(apple, 3, " and green");
    EXPECT_EQ(disk.read(apple), "red and green");
    EXPECT_THAT(disk.tokens, IsEmpty());
    disk.store.sync();
    EXPECT_THAT(disk.tokens, ElementsAre(1, 2));
    EXPECT_EQ(disk.store.pending(), 0u);
}

TEST(MemoryStore, commits_only_what_was_there_when_the_sync_began) {
    Disk disk;
    for (int i = 0; i < 3; ++i) disk.write(apple, 0, "red");
    disk.store.sync(2);
    EXPECT_THAT(disk.tokens, ElementsAre(1, 2));
    EXPECT_EQ(disk.store.pending(), 1u);
}

TEST(MemoryStore, lets_the_listener_submit_more_and_commits_that_with_the_next_sync) {
    Disk disk;
    disk.on_commit = [&](uint64_t token) {
        if (token == 1) disk.write(pear, 0, "yellow");
    };
    disk.write(apple, 0, "red");
    disk.store.sync();
    EXPECT_THAT(disk.tokens, ElementsAre(1));
    disk.store.sync();
    EXPECT_THAT(disk.tokens, ElementsAre(1, 2));
}

TEST(MemoryStore, reports_nothing_more_when_the_power_fails_while_the_listener_is_called) {
    Disk disk;
    Random random(1);
    disk.on_commit = [&](uint64_t /*token*/) { disk.store.crash(random); };
    disk.write(apple, 0, "red");
    disk.write(apple, 0, "dim");
    disk.store.sync();
    EXPECT_THAT(disk.tokens, ElementsAre(1));
    EXPECT_EQ(disk.read(apple), "dim"); // it was on the disk, though nobody heard so
}

TEST(MemoryStore, refuses_a_transaction_as_a_whole) {
    Disk disk;
    disk.write(apple, 0, std::string(9000, 'r'));
    EXPECT_TRUE(disk.submit(apple, change::SetOmap{{{"k", "v"}}}));
    disk.store.sync();
    disk.tokens.clear();
    const StoreContents before = disk.contents();
    const uint64_t used = disk.store.used_bytes();

    Transaction transaction;
    transaction.create_collection(PgId{2, 0});
    transaction.write(pg, apple, 4000, "over the edge of a block");
    transaction.add(pg, apple, change::Truncate{100});
    transaction.add(pg, apple, change::ClearOmap{});
    transaction.add(pg, apple, change::Clone{{30, "plum"}});
    transaction.add(pg, apple, change::Remove{});
    transaction.add(pg, apple, change::Touch{});
    transaction.add(pg, pear, change::Remove{}); // is not there
    auto done = disk.submit(transaction);
    ASSERT_EQ(code_of(done), Code::not_found);
    EXPECT_THAT(done.error().to_string(), HasSubstr("operation 7"));
    EXPECT_THAT(done.error().to_string(), HasSubstr("pear"));
    EXPECT_EQ(disk.contents(), before);
    EXPECT_EQ(disk.store.used_bytes(), used);
    disk.store.sync();
    EXPECT_THAT(disk.tokens, IsEmpty());
}

TEST(MemoryStore, says_why_a_transaction_is_refused) {
    Disk disk;
    disk.write(apple, 0, "red");
    const CollectionId none(PgId{9, 9});
    EXPECT_EQ(code_of(disk.submit(Transaction().write(none, apple, 0, "x"))), Code::not_found);
    EXPECT_EQ(code_of(disk.submit(Transaction().remove_collection(none))), Code::not_found);
    EXPECT_EQ(code_of(disk.submit(Transaction().create_collection(pg))), Code::already_exists);
    EXPECT_EQ(code_of(disk.submit(Transaction().remove_collection(pg))), Code::conflict);
    EXPECT_EQ(code_of(disk.submit(pear, change::Clone{apple})), Code::not_found);
    EXPECT_EQ(code_of(disk.submit(pear, change::ClearOmap{})), Code::not_found);
    EXPECT_EQ(code_of(disk.submit(ObjectId{1, ""}, change::Touch{})), Code::invalid);
    EXPECT_EQ(code_of(disk.submit(apple, change::CreateCollection{})), Code::invalid);
    const uint64_t most = StoreLimits::object_bytes;
    EXPECT_EQ(code_of(disk.submit(apple, change::Write{most, share("x")})), Code::too_large);
    EXPECT_EQ(code_of(disk.submit(apple, change::Zero{UINT64_MAX, 2})), Code::too_large);
    EXPECT_EQ(code_of(disk.submit(apple, change::Truncate{most + 1})), Code::too_large);
    EXPECT_EQ(disk.read(apple), "red");
}

TEST(MemoryStore, does_not_clone_without_end_for_a_few_bytes) {
    Disk disk;
    disk.write(apple, 0, std::string(8 << 20, 'r'));
    Transaction transaction;
    for (int i = 0; i < 100; ++i) {
        transaction.add(pg, apple, change::Clone{pear});
        transaction.add(pg, pear, change::Remove{});
    }
    EXPECT_EQ(code_of(disk.submit(transaction)), Code::too_large);
}

TEST(MemoryStore, reads_holes_and_what_was_zeroed_or_cut_off_as_zeros) {
    Disk disk;
    disk.write(apple, 10000, "end");
    EXPECT_EQ(disk.read(apple), std::string(10000, '\0') + "end");
    disk.write(apple, 4090, "across the edge");
    EXPECT_TRUE(disk.submit(apple, change::Zero{4092, 8}));
    EXPECT_EQ(disk.store.read(pg, apple, 4088, 20).value(),
              std::string("\0\0ac\0\0\0\0\0\0\0\0 edge\0\0\0", 20));
    EXPECT_TRUE(disk.submit(apple, change::Truncate{4091}));
    EXPECT_TRUE(disk.submit(apple, change::Truncate{4094}));
    EXPECT_EQ(disk.read(apple), std::string(4090, '\0') + std::string("a\0\0\0", 4));
    EXPECT_EQ(disk.store.read(pg, apple, 4094, 10).value(), "");
}

TEST(MemoryStore, lists_objects_by_hash_then_name_and_goes_on_behind_a_cursor) {
    Disk disk;
    const ObjectId a{1, "z"}, b{2, "a"}, c{2, "b"}, d{0x80000000, "a"};
    for (const ObjectId& id : {d, b, a, c}) disk.write(id, 0, "x");
    auto page = disk.store.list(pg, std::nullopt, 2).value();
    EXPECT_THAT(page.objects, ElementsAre(a, b));
    EXPECT_TRUE(page.more);
    page = disk.store.list(pg, b, 2).value();
    EXPECT_THAT(page.objects, ElementsAre(c, d));
    EXPECT_FALSE(page.more);
    EXPECT_THAT(disk.store.list(pg, ObjectId{2, "aa"}, 1).value().objects, ElementsAre(c));
}

TEST(MemoryStore, reads_and_removes_ranges_of_an_omap) {
    Disk disk;
    EXPECT_TRUE(
        disk.submit(apple, change::SetOmap{{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}}}));
    auto page = disk.store.omap(pg, apple, "b", "d", 10).value();
    EXPECT_THAT(page.entries, ElementsAre(testing::Pair("b", "2"), testing::Pair("c", "3")));
    EXPECT_FALSE(page.more);
    EXPECT_TRUE(disk.store.omap(pg, apple, "", "", 3).value().more);
    EXPECT_TRUE(disk.submit(apple, change::RemoveOmapRange{"b", "d"}));
    EXPECT_EQ(disk.store.omap_values(pg, apple, {"a", "b", "d", "x"}).value(),
              (Attributes{{"a", "1"}, {"d", "4"}}));
}

TEST(MemoryStore, keeps_a_clone_apart_from_its_origin) {
    Disk disk;
    disk.write(apple, 0, std::string(5000, 'r'));
    EXPECT_TRUE(disk.submit(apple, change::SetXattrs{{{"_", "info"}}}));
    EXPECT_TRUE(disk.submit(apple, change::Clone{pear}));
    disk.write(apple, 1, "ed");
    EXPECT_EQ(disk.read(pear), std::string(5000, 'r'));
    EXPECT_EQ(disk.store.xattr(pg, pear, "_").value(), "info");
    EXPECT_EQ(disk.read(apple).substr(0, 4), "redr");
}

TEST(MemoryStore, keeps_some_of_the_oldest_in_a_crash_and_nothing_of_the_rest) {
    std::set<size_t> kept;
    std::set<bool> torn;
    for (uint64_t seed = 0; seed < 64; ++seed) {
        Random random(seed);
        Disk disk;
        std::vector<StoreContents> after = {disk.contents()};
        for (const char* text : {"one", "two", "three"}) {
            Transaction transaction;
            transaction.write(pg, apple, 0, text);
            transaction.add(pg, apple, change::SetOmap{{{text, text}}});
            ASSERT_TRUE(disk.submit(transaction));
            after.push_back(disk.contents());
        }
        CrashReport report = disk.store.crash(random);
        EXPECT_EQ(report.kept + report.lost, 3u);
        EXPECT_EQ(disk.contents(), after.at(report.kept));
        EXPECT_EQ(disk.store.pending(), 0u);
        disk.store.crash(random); // what a restart found stays
        EXPECT_EQ(disk.contents(), after.at(report.kept));
        disk.store.sync();
        EXPECT_THAT(disk.tokens, IsEmpty());
        kept.insert(report.kept);
        if (report.lost > 0) torn.insert(report.torn);
        EXPECT_FALSE(report.torn && report.lost == 0);
    }
    EXPECT_THAT(kept, ElementsAre(0, 1, 2, 3));
    EXPECT_THAT(torn, ElementsAre(false, true));
}

TEST(MemoryStore, never_loses_what_was_committed) {
    for (uint64_t seed = 0; seed < 32; ++seed) {
        Random random(seed);
        Disk disk;
        disk.write(apple, 0, "safe");
        disk.store.sync();
        EXPECT_TRUE(disk.submit(apple, change::Remove{}));
        if (disk.store.crash(random).kept == 0)
            EXPECT_EQ(disk.read(apple), "safe");
        else
            EXPECT_THAT(disk.read(apple), HasSubstr("does not exist"));
    }
}

TEST(MemoryStore, refuses_everything_once_a_sync_failed_and_says_so_once) {
    Disk disk;
    Random random(3);
    disk.write(apple, 0, "red");
    disk.store.fail_next_sync();
    disk.store.sync();
    disk.store.sync();
    EXPECT_EQ(disk.failures.size(), 1u);
    EXPECT_THAT(disk.tokens, IsEmpty());
    EXPECT_EQ(code_of(disk.submit(apple, change::Touch{})), Code::io);
    EXPECT_EQ(disk.store.read(pg, apple, 0, 1).error().code, Code::io);
    EXPECT_EQ(disk.store.stat(pg, apple).error().code, Code::io);
    EXPECT_EQ(disk.store.xattrs(pg, apple).error().code, Code::io);
    EXPECT_EQ(disk.store.omap(pg, apple, "", "", 1).error().code, Code::io);
    EXPECT_EQ(disk.store.list(pg, std::nullopt, 1).error().code, Code::io);
    EXPECT_EQ(disk.store.collections().error().code, Code::io);
    EXPECT_EQ(disk.store.space().error().code, Code::io);

    bool kept = disk.store.crash(random).kept > 0; // and the OSD starts again
    EXPECT_EQ(disk.store.stat(pg, apple).has_value(), kept);
    EXPECT_TRUE(disk.submit(apple, change::Touch{}));
    disk.store.sync();
    EXPECT_THAT(disk.tokens, ElementsAre(disk.next_token - 1));
}

/// Apple has two blocks, an xattr and an omap key; pear is its clone.
struct RottenDisk : Disk {
    RottenDisk() {
        write(apple, 0, std::string(6000, 'r'));
        EXPECT_TRUE(submit(apple, change::SetXattrs{{{"colour", "red"}}}));
        EXPECT_TRUE(submit(apple, change::SetOmap{{{"empty", ""}}}));
        EXPECT_TRUE(submit(apple, change::Clone{pear}));
    }
    Random random{7};
};

TEST(RottenStore, says_which_data_is_damaged_until_it_is_replaced) {
    RottenDisk disk;
    ASSERT_TRUE(disk.store.damage({pg, apple, ObjectPart::data}, disk.random));
    auto read = disk.store.read(pg, apple, 0, 6000);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Code::io);
    EXPECT_THAT(read.error().to_string(), HasSubstr("object \"apple\" (0000000a) of PG 1.1f"));
    EXPECT_EQ(disk.read(pear), std::string(6000, 'r'));
    EXPECT_TRUE(disk.store.xattrs(pg, apple));

    bool first = !disk.store.read(pg, apple, 0, 1).has_value();
    uint64_t block = first ? 0 : 4096;
    auto part = disk.submit(Transaction().write(pg, apple, block + 1, "x"));
    EXPECT_EQ(code_of(part), Code::io); // the rest of the block would get a right checksum
    EXPECT_EQ(code_of(disk.submit(apple, change::Truncate{block + 5})), Code::io);
    EXPECT_EQ(code_of(disk.submit(apple, change::Zero{block + 5, 5})), Code::io);
    disk.write(apple, block, std::string(4096, 'g'));
    EXPECT_TRUE(disk.store.read(pg, apple, 0, 6000));
}

TEST(RottenStore, says_which_attribute_is_damaged) {
    RottenDisk disk;
    ASSERT_TRUE(disk.store.damage({pg, apple, ObjectPart::xattrs}, disk.random));
    EXPECT_EQ(disk.store.xattr(pg, apple, "colour").error().code, Code::io);
    EXPECT_THAT(disk.store.xattrs(pg, apple).error().to_string(), HasSubstr("xattr \"colour\""));
    EXPECT_TRUE(disk.store.omap(pg, apple, "", "", 9));
    ASSERT_TRUE(disk.store.damage({pg, apple, ObjectPart::omap}, disk.random)); // has no bytes
    EXPECT_THAT(disk.store.omap(pg, apple, "", "", 9).error().to_string(), HasSubstr("\"empty\""));
    EXPECT_EQ(disk.store.omap_values(pg, apple, {"empty"}).error().code, Code::io);
    EXPECT_EQ(disk.read(apple), std::string(6000, 'r'));
}

TEST(RottenStore, takes_back_a_change_of_a_damaged_object_and_keeps_the_damage) {
    size_t taken_back = 0;
    for (uint64_t seed = 0; seed < 16; ++seed) {
        RottenDisk disk;
        Random random(seed);
        disk.store.sync();
        ASSERT_TRUE(disk.store.damage({pg, apple, ObjectPart::xattrs}, random));
        EXPECT_TRUE(disk.submit(apple, change::Remove{}));
        if (disk.store.crash(random).kept > 0) continue; // gone, and the damage with it
        EXPECT_EQ(disk.store.xattrs(pg, apple).error().code, Code::io);
        ++taken_back;
    }
    EXPECT_GT(taken_back, 0u);
}

TEST(RottenStore, rots_wherever_something_is_stored) {
    std::set<std::pair<std::string, ObjectPart>> hit;
    for (uint64_t seed = 0; seed < 64; ++seed) {
        RottenDisk disk;
        Random random(seed);
        auto damage = disk.store.rot(random);
        ASSERT_TRUE(damage);
        hit.emplace(damage->object.name, damage->part);
        EXPECT_FALSE(read_everything(disk.store));
    }
    EXPECT_EQ(hit.size(), 6u);
    Disk empty;
    Random random(1);
    EXPECT_FALSE(empty.store.rot(random));
    EXPECT_EQ(code_of(empty.store.damage({pg, apple, ObjectPart::data}, random)), Code::not_found);
}

TEST(FullStore, takes_removals_and_their_log_entries_but_nothing_else) {
    Disk disk({.capacity = 64 << 10});
    const ObjectId log{0, "log"};
    ASSERT_TRUE(disk.submit(Transaction().create_collection({})));
    disk.write(apple, 0, std::string(40 << 10, 'r'));
    const StoreContents before = disk.contents();
    EXPECT_EQ(code_of(disk.submit(Transaction().write(pg, pear, 0, std::string(32 << 10, 'p')))),
              Code::exhausted);
    EXPECT_EQ(disk.contents(), before);
    int small = 0;
    while (disk.submit({100, std::to_string(small)}, change::Touch{})) ++small;
    EXPECT_GT(small, 10);
    EXPECT_LE(disk.store.used_bytes(), disk.store.space()->capacity);

    Transaction removal;
    removal.add(pg, {100, "0"}, change::Remove{});
    removal.add({}, log, change::SetOmap{{{"1.1", std::string(1000, 'e')}}});
    EXPECT_TRUE(disk.submit(removal));
    EXPECT_TRUE(disk.submit(apple, change::Remove{}));
    EXPECT_TRUE(disk.submit(Transaction().write(pg, pear, 0, std::string(32 << 10, 'p'))));
}

TEST(StoreMemory, shares_the_data_of_clones) {
    Disk disk;
    disk.write(apple, 0, std::string(4 << 20, 'r'));
    const size_t before = mallinfo2().uordblks;
    if (before == 0) GTEST_SKIP() << "this allocator does not count";
    for (uint32_t i = 0; i < 20; ++i) ASSERT_TRUE(disk.submit(apple, change::Clone{{i, "clone"}}));
    disk.store.sync();
    EXPECT_LT(mallinfo2().uordblks - before, 20u * (4 << 20) / 20);
}

/// What an OSD keeps of a PG without objects: its record with history and statistics, and the
/// bounds of its log.
Transaction resting_pg(PgId id) {
    Transaction transaction;
    const ObjectId meta{0, "pg"};
    transaction.create_collection(id);
    transaction.add(id, meta,
                    change::SetOmap{{{"info", std::string(700, 'i')},
                                     {"intervals", std::string(200, 'p')},
                                     {"log", std::string(64, 'l')}}});
    return transaction;
}

TEST(StoreMemory, holds_a_resting_placement_group_in_two_kilobytes) {
    constexpr uint32_t pgs = 1000;
    Disk disk;
    const size_t before = mallinfo2().uordblks;
    for (uint32_t i = 0; i < pgs; ++i) ASSERT_TRUE(disk.submit(resting_pg({7, i})));
    disk.store.sync();
    const size_t counted = disk.store.memory_bytes(PgId{7, 0});
    EXPECT_LE(counted, 2048u);
    const size_t taken = (mallinfo2().uordblks - before) / pgs;
    if (before == 0) GTEST_SKIP() << "this allocator does not count";
    EXPECT_LE(taken, 2048u);
    EXPECT_NEAR(static_cast<double>(counted), static_cast<double>(taken), 100);
}

} // namespace
} // namespace cloudlet::rados
