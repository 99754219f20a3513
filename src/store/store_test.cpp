#include <fstream>
#include <future>
#include <thread>

#include <sqlite3.h>

#include "test_world.h"

namespace cloudlet::store {
namespace {

using std::chrono::seconds;

struct World {
    Folder folder;
    SharedClock clock;
    std::unique_ptr<Store> store = open();

    std::unique_ptr<Store> open() {
        auto opened = open_sqlite_store(
            {.path = folder.file("store/store.db"), .clock = &clock, .wal_bytes = 1 << 20});
        EXPECT_TRUE(opened) << opened.error().to_string();
        return std::move(*opened);
    }
    void reopen() {
        store.reset();
        store = open();
    }
    TransactionResult commit(Transaction transaction) {
        auto result = store->commit_and_wait(std::move(transaction));
        EXPECT_TRUE(result) << result.error().to_string();
        return result.value_or(TransactionResult{});
    }
};

TEST(PrefixEnd, IsTheFirstKeyAfterThePrefix) {
    EXPECT_EQ(*prefix_end("/a/"), "/a0");
    EXPECT_EQ(*prefix_end("a\xff"), "b");
    EXPECT_EQ(prefix_end("\xff").error().code, Code::invalid);
    EXPECT_EQ(prefix_end("").error().code, Code::invalid);
}

TEST(Store, GivesEachChangingTransactionItsOwnRevision) {
    World world;
    EXPECT_EQ(world.commit(put("a", "1")).revision, 1);
    EXPECT_EQ(world.commit(put("a", "2")).revision, 2);
    EXPECT_EQ(world.commit(remove("nothing")).revision, 2);
    auto a = world.store->range({.key = "a"})->values.at(0);
    EXPECT_EQ(a.create_revision, 1);
    EXPECT_EQ(a.mod_revision, 2);
    EXPECT_EQ(a.version, 2);
    world.commit(remove("a"));
    world.commit(put("a", "3"));
    a = world.store->range({.key = "a"})->values.at(0);
    EXPECT_EQ(a.create_revision, 4);
    EXPECT_EQ(a.version, 1);
}

TEST(Store, CarriesOutThenOrOtherwiseByTheCompares) {
    World world;
    auto create = [](const char* value) {
        return Transaction{{{"a", Compare::Target::exists, Compare::Op::equal, 0}},
                           {Put{"a", share(value)}},
                           {Put{"lost", share(value)}}};
    };
    EXPECT_TRUE(world.commit(create("1")).succeeded);
    EXPECT_FALSE(world.commit(create("2")).succeeded);
    EXPECT_EQ(all_at(*world.store), "a=1 lost=2");
    Transaction swap{
        {{"a", Compare::Target::mod_revision, Compare::Op::equal, 1}}, {Put{"a", share("3")}}, {}};
    EXPECT_TRUE(world.commit(swap).succeeded);
    EXPECT_FALSE(world.commit(swap).succeeded);
    EXPECT_EQ(world.store->revision(), 3);
}

TEST(Store, RefusesWhatHasNoMeaningAndChangesNothing) {
    World world;
    Transaction twice{{}, {Put{"a", share("1")}, Put{"b", share("1")}, Put{"a", share("2")}}, {}};
    EXPECT_EQ(world.store->commit_and_wait(twice).error().message,
              "transaction changes key \"a\" twice; change it once");
    EXPECT_EQ(world.store->commit_and_wait(put("", "1")).error().code, Code::invalid);
    EXPECT_EQ(world.store->commit_and_wait(put("a", "1", 77)).error().code, Code::not_found);
    EXPECT_EQ(world.store->commit_and_wait(put("a", std::string(17 << 20, 'x'))).error().code,
              Code::too_large);
    EXPECT_EQ(world.store->range({.key = "a", .revision = 1}).error().code, Code::invalid);
    EXPECT_EQ(all_at(*world.store), "");
    EXPECT_EQ(world.store->revision(), 0);
}

TEST(Store, RangesByKeyPrefixLimitAndCount) {
    World world;
    for (const char* key : {"/b/1", "/a/2", "/a/1", "/a/3", "/c"}) world.commit(put(key, key + 1));
    auto range = [&](RangeRequest request) { return *world.store->range(request); };
    EXPECT_EQ(line_of(range({.key = "/a/", .range_end = *prefix_end("/a/")})),
              "/a/1=a/1 /a/2=a/2 /a/3=a/3");
    auto two = range({.key = "/a/", .range_end = "/a0", .limit = 2});
    EXPECT_EQ(line_of(two), "/a/1=a/1 /a/2=a/2");
    EXPECT_EQ(two.count, 3);
    EXPECT_TRUE(two.more);
    EXPECT_EQ(line_of(range({.key = "/b", .range_end = to_the_end, .keys_only = true})),
              "/b/1=- /c=-");
    EXPECT_EQ(range({.key = "/a", .range_end = "/b", .count_only = true}).count, 3);
    EXPECT_EQ(line_of(range({.key = "/z", .range_end = "/a"})), "");
    EXPECT_EQ(line_of(range({.key = "/nothing"})), "");
}

TEST(Store, ReadsOldRevisionsUntilTheyAreCompacted) {
    World world;
    world.commit(put("a", "1"));
    world.commit(put("b", "1"));
    world.commit(put("a", "2"));
    world.commit(remove("b"));
    world.commit(put("b", "2"));
    for (int pass = 0; pass < 2; ++pass) {
        EXPECT_EQ(all_at(*world.store, 1), "a=1");
        EXPECT_EQ(all_at(*world.store, 2), "a=1 b=1");
        EXPECT_EQ(all_at(*world.store, 4), "a=2");
        EXPECT_EQ(all_at(*world.store), "a=2 b=2");
        world.reopen();
    }
    ASSERT_TRUE(world.store->compact(3));
    EXPECT_EQ(world.store->compact(3).error().code, Code::expired);
    EXPECT_EQ(world.store->compact(9).error().code, Code::invalid);
    for (int pass = 0; pass < 2; ++pass) {
        EXPECT_EQ(world.store->range({.key = "a", .revision = 2}).error().code, Code::expired);
        EXPECT_EQ(all_at(*world.store, 3), "a=2 b=1");
        EXPECT_EQ(all_at(*world.store, 4), "a=2");
        EXPECT_EQ(world.store->compacted_revision(), 3);
        world.reopen();
    }
}

TEST(Store, NeverHandsOutTheRevisionOfACompactedRemovalAgain) {
    World world;
    world.commit(put("a", "1"));
    world.commit(remove("a"));
    ASSERT_TRUE(world.store->compact(2));
    world.reopen();
    EXPECT_EQ(world.store->revision(), 2);
    EXPECT_EQ(world.commit(put("a", "2")).revision, 3);
}

TEST(Store, WatchesReplayThenFollowWithThePreviousValues) {
    World world;
    world.commit(put("/a/1", "x"));
    world.commit(put("/b/1", "x"));
    world.commit({{}, {Put{"/a/2", share("y")}, Delete{"/a/1"}, Put{"/b/1", share("z")}}, {}});
    Collector all;
    Collector under_a;
    Collector from_now;
    auto first = *world.store->watch("", 1, all.callback());
    auto second = *world.store->watch("/a/", 2, under_a.callback());
    auto third = *world.store->watch("/a/", 0, from_now.callback());
    world.commit(put("/a/2", "w"));
    EXPECT_EQ(line_of(all.up_to(4)),
              "1:+/a/1=x 2:+/b/1=x 3:+/a/2=y-/a/1(x)+/b/1=z(x) 4:+/a/2=w(y)");
    EXPECT_EQ(line_of(under_a.up_to(4)), "3:+/a/2=y-/a/1(x) 4:+/a/2=w(y)");
    EXPECT_EQ(line_of(from_now.up_to(4)), "4:+/a/2=w(y)");
}

TEST(Store, RefusesToWatchFromCompactedHistory) {
    World world;
    for (int i = 0; i < 3; ++i) world.commit(put("a", "x"));
    ASSERT_TRUE(world.store->compact(2));
    Collector collector;
    EXPECT_EQ(world.store->watch("", 2, collector.callback()).error().code, Code::expired);
    auto watch = *world.store->watch("", 3, collector.callback());
    EXPECT_EQ(line_of(collector.up_to(3)).substr(0, 6), "3:+a=x");
}

TEST(Store, AWatchMayEndItselfInItsOwnCallback) {
    World world;
    std::unique_ptr<Watch> watch;
    std::atomic<int> calls{0};
    watch = *world.store->watch("", 0, [&](const WatchBatch&) {
        calls++;
        watch.reset();
    });
    world.commit(put("a", "1"));
    world.commit(put("a", "2"));
    EXPECT_EQ(calls, 1);
}

TEST(Store, LeasesRemoveTheirKeysTogetherWhenTheyEnd) {
    World world;
    const int64_t lease = *world.store->grant(seconds{10});
    world.commit(put("a", "1", lease));
    world.commit(put("b", "1", lease));
    world.commit(put("c", "1", lease));
    world.commit(put("c", "2")); // c no longer hangs on it
    world.clock.advance(seconds{9});
    ASSERT_TRUE(world.store->keep_alive(lease));
    world.clock.advance(seconds{9});
    world.commit(put("d", "1"));
    EXPECT_EQ(all_at(*world.store), "a=1 b=1 c=2 d=1");
    world.reopen(); // the full time again
    world.clock.advance(seconds{9});
    world.commit(put("d", "2"));
    EXPECT_EQ(all_at(*world.store), "a=1 b=1 c=2 d=2");
    Collector collector;
    auto watch = *world.store->watch("", 0, collector.callback());
    world.clock.advance(seconds{2});
    world.commit(put("d", "3"));
    EXPECT_EQ(line_of(collector.up_to(8)), "7:+d=3(2) 8:-a(1)-b(1)");
    EXPECT_EQ(world.store->keep_alive(lease).error().code, Code::not_found);
    EXPECT_EQ(world.store->revoke(lease).error().code, Code::not_found);
}

TEST(Store, RevokesALeaseAtOnce) {
    World world;
    const int64_t lease = *world.store->grant(seconds{10});
    world.commit(put("a", "1", lease));
    ASSERT_TRUE(world.store->revoke(lease));
    EXPECT_EQ(all_at(*world.store), "");
    EXPECT_EQ(world.store->commit_and_wait(put("b", "1", lease)).error().code, Code::not_found);
}

TEST(Store, BacksUpIntoAFileThatOpensAsAStore) {
    World world;
    for (int i = 0; i < 500; ++i)
        world.store->commit(put("k" + std::to_string(i), std::string(500, 'x')), [](auto) {});
    world.commit(put("last", "1"));
    const std::string copy = world.folder.file("backup.db");
    ASSERT_TRUE(world.store->backup(copy));
    EXPECT_EQ(world.store->backup(copy).error().code, Code::already_exists);
    world.commit(put("later", "1"));
    auto restored = *open_sqlite_store({.path = copy});
    EXPECT_EQ(restored->revision(), 501);
    EXPECT_EQ(restored->range({.key = "k", .range_end = "m", .count_only = true})->count, 501);
    EXPECT_TRUE(restored->commit_and_wait(put("x", "y")));
}

TEST(Store, RefusesASecondOpener) {
    World world;
    auto second = open_sqlite_store({.path = world.folder.file("store/store.db")});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::conflict);
    EXPECT_THAT(second.error().to_string(),
                testing::HasSubstr("in use by another process; stop that one first"));
}

TEST(Store, NamesFilesItCannotUse) {
    Folder folder;
    std::ofstream(folder.file("text")) << std::string(8192, 'x');
    auto text = open_sqlite_store({.path = folder.file("text")});
    ASSERT_FALSE(text);
    EXPECT_THAT(text.error().to_string(), testing::HasSubstr("damaged or not a database"));
    sqlite3* other = nullptr;
    sqlite3_open(folder.file("newer").c_str(), &other);
    sqlite3_exec(other, "PRAGMA user_version=999", nullptr, nullptr, nullptr);
    sqlite3_close(other);
    auto newer = open_sqlite_store({.path = folder.file("newer")});
    ASSERT_FALSE(newer);
    EXPECT_EQ(newer.error().code, Code::unsupported);
    EXPECT_EQ(open_sqlite_store({.path = folder.file("no/such/folder/db")}).error().code,
              Code::not_found);
}

TEST(Store, RefusesMoreThanItsQueueHolds) {
    SharedClock clock;
    Folder folder;
    auto store = *open_sqlite_store({.path = folder.file("db"), .clock = &clock, .queue_limit = 4});
    std::promise<void> release;
    std::promise<void> entered;
    auto released = release.get_future().share();
    store->commit(put("a", "1"), [&, released](auto) {
        entered.set_value();
        released.wait(); // holds the store's thread, as no real caller may
    });
    entered.get_future().wait();
    std::vector<Code> refused; // by this thread; the others are answered by the store's
    std::promise<void> four_done;
    int accepted = 0;
    for (int i = 0; i < 6; ++i)
        store->commit(put("b", "1"), [&](auto result) {
            if (!result)
                refused.push_back(result.error().code);
            else if (++accepted == 4)
                four_done.set_value();
        });
    release.set_value();
    four_done.get_future().wait();
    EXPECT_TRUE(store->commit_and_wait(put("c", "1")));
    EXPECT_EQ(refused, (std::vector<Code>{Code::unavailable, Code::unavailable}));
}

TEST(Store, ReclaimsTheSpaceOfCompactedHistory) {
    World world;
    for (int round = 0; round < 6; ++round) {
        for (int i = 0; i < 500; ++i)
            world.store->commit(put("key", std::string(4000, 'x')), [](auto) {});
        world.commit(put("other", "1"));
        ASSERT_TRUE(world.store->compact(world.store->revision()));
    }
    world.reopen();
    EXPECT_EQ(world.store->range({.key = "key"})->count, 1);
    // Six rounds of 2 MB; one round of slack, because space is reclaimed behind the writes.
    EXPECT_LT(std::filesystem::file_size(world.folder.file("store/store.db")), 8u << 20);
    EXPECT_LE(std::filesystem::file_size(world.folder.file("store/store.db-wal")), 6u << 20);
}

} // namespace
} // namespace cloudlet::store
