// A copy that is not its PG's primary: what it takes from it, and in which order.

#include <gtest/gtest.h>

#include <cerrno>

#include "pg/test_host.h"

namespace cloudlet::rados {
namespace {

/// osd.1 under the primary osd.0.
struct Replica : testing::Test {
    Replica() {
        host.create();
        pg.receive(0, activation());
        host.sync();
        host.sent.clear();
    }
    message::Activate activation() const {
        PgInfo info = pg.copy().record.info;
        info.last_epoch_started = info.last_interval_started = host.map()->epoch();
        return {.info = info, .log = std::make_shared<PgLog>(), .past = {}};
    }
    message::Replicate change(uint64_t counter, const std::string& name = "o") const {
        const PgObject object{.name = name};
        const LogVersion version{host.map()->epoch(), counter};
        const ObjectPlace place = pg.copy().place(object);
        auto execution = execute_ops(place, {op::WriteFull{share("x")}}, {version, counter, {}});
        return {.pg = host.id,
                .entry = {.object = object, .version = version, .request = {1, 1, counter}},
                .change = std::make_shared<Transaction>(execution.change),
                .trim_to = {}};
    }
    /// Needs the object, and what is in it.
    message::Replicate change_in_the_middle(uint64_t counter, const std::string& name) const {
        message::Replicate replicate = change(counter, name);
        const ObjectPlace place = pg.copy().place({.name = name});
        auto part = std::make_shared<Transaction>();
        part->add(place.collection, place.id, change::Truncate{1});
        part->write(place.collection, place.id, 1, "y");
        replicate.change = std::move(part);
        return replicate;
    }
    void damage(const std::string& name) {
        Random random(1);
        const ObjectPlace place = pg.copy().place({.name = name});
        check(host.disk.damage({place.collection, place.id, ObjectPart::data}, random).has_value(),
              "there is something to damage");
    }
    message::Push push(const std::string& name, LogVersion version,
                       std::shared_ptr<const change::Replace> content) const {
        return {.pg = host.id,
                .object = {.name = name},
                .version = version,
                .content = std::move(content)};
    }
    std::vector<uint64_t> acknowledged() {
        std::vector<uint64_t> counters;
        for (const auto& one : host.take<message::Replicated>(0))
            counters.push_back(one.version.counter);
        return counters;
    }
    using Counters = std::vector<uint64_t>;
    using Activateds = std::vector<message::Activated>;

    TestHost host{1};
    PlacementGroup& pg = *host.pg;
};

TEST_F(Replica, takes_part_when_its_record_was_ahead_of_its_osd_in_a_crash) {
    const MapEpochPtr before = host.map();
    host.step([&](auto& s) { s.new_pg_upmap[host.id] = {0, 1, 3}; });
    PlacementGroup again(host, host.id);
    ASSERT_TRUE(again.copy().load());
    ASSERT_EQ(again.copy().epoch, host.map()->epoch());
    again.advance(before, host.map());
    again.settle();
    EXPECT_EQ(again.stage(), PgStage::waiting);
    EXPECT_EQ(again.view().acting.osds, (std::vector<int32_t>{0, 1, 3}));
}

TEST_F(Replica, tells_its_primary_what_it_has_and_waits) {
    TestHost other(1);
    other.create();
    EXPECT_EQ(other.pg->stage(), PgStage::waiting);
    EXPECT_EQ(other.take<message::Notify>(0).size(), 1u);
}

TEST_F(Replica, says_that_it_activated_when_that_is_on_its_disk) {
    TestHost other(1);
    other.create();
    other.sync();
    other.pg->receive(2, activation());
    EXPECT_EQ(other.pg->stage(), PgStage::waiting) << "osd.2 is not the primary";
    other.pg->receive(0, activation());
    EXPECT_TRUE(other.take<message::Activated>(0).empty());
    other.sync();
    EXPECT_EQ(other.take<message::Activated>(0).size(), 1u);
    EXPECT_TRUE(other.confirmed.contains(0)) << "the primary may read from now on";
}

TEST_F(Replica, says_that_it_cannot_follow_a_log_that_does_not_meet_its_own) {
    pg.receive(0, change(1));
    host.step([&](auto& s) { s.new_pg_upmap[host.id] = {0, 1, 3}; });
    host.sent.clear();
    PgLog other;
    other.reset({99, 7});
    message::Activate foreign = activation();
    foreign.log = std::make_shared<PgLog>(other);
    const PgInfo before = pg.copy().record.info;
    pg.receive(0, foreign);
    host.sync();
    const auto answers = host.take<message::Activated>(0);
    ASSERT_EQ(answers.size(), 1u) << "the primary waits";
    EXPECT_TRUE(answers[0].refused);
    EXPECT_EQ(pg.copy().record.info.last_update, before.last_update);
    EXPECT_EQ(pg.copy().record.info.history, before.history);
    EXPECT_EQ(pg.copy().record.info.damaged_until, pg.interval())
        << "so it is not asked again, nor relied on";
    foreign.from_nothing = true;
    pg.receive(0, foreign);
    host.sync();
    EXPECT_EQ(host.take<message::Activated>(0), (Activateds{{host.id, false}}));
    EXPECT_EQ(pg.copy().record.info.damaged_until, 0u);
}

TEST_F(Replica, acknowledges_a_change_when_it_is_on_its_disk) {
    pg.receive(0, change(1));
    pg.receive(0, change(2, "p"));
    EXPECT_EQ(acknowledged(), Counters{});
    EXPECT_TRUE(host.has("o"));
    host.sync();
    EXPECT_EQ(acknowledged(), (Counters{1, 2}));
    EXPECT_EQ(pg.copy().objects, 2u);
}

TEST_F(Replica, leaves_a_change_alone_that_is_not_its_primarys_or_does_not_follow) {
    pg.receive(2, change(1));
    pg.receive(0, change(2));
    pg.receive(0, change(1, "late"));
    pg.receive(0, change(2));
    host.sync();
    EXPECT_EQ(acknowledged(), Counters{2});
    EXPECT_FALSE(host.has("late"));
}

TEST_F(Replica, takes_no_change_before_it_was_told_to_serve) {
    host.flip_up(2);
    EXPECT_EQ(pg.stage(), PgStage::waiting);
    pg.receive(0, change(1));
    host.sync();
    EXPECT_EQ(acknowledged(), Counters{});
    EXPECT_FALSE(host.has("o"));
}

TEST_F(Replica, says_nothing_in_a_new_interval_before_all_that_it_submitted_is_on_disk) {
    pg.receive(0, change(1));
    host.enter([](auto& s) { s.new_pg_upmap[TestHost::id] = {0, 1, 3}; });
    pg.settle();
    pg.receive(0, message::Query{TestHost::id, true});
    EXPECT_TRUE(host.take<message::Notify>(0).empty());
    EXPECT_TRUE(host.take<message::FullRecord>(0).empty()) << "a crash may still take it away";
    host.sync();
    const auto told = host.take<message::Notify>(0);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].info.last_update.counter, 1u);
    EXPECT_EQ(host.take<message::FullRecord>(0).size(), 1u) << "the question was not forgotten";
}

TEST_F(Replica, logs_nothing_from_a_change_on_that_a_damaged_object_cannot_take_until_it_has_come) {
    pg.receive(0, change(1));
    damage("o");
    pg.receive(0, change_in_the_middle(2, "o"));
    pg.receive(0, change(3, "p"));
    host.sync();
    const auto told = host.take<message::Replicated>(0);
    ASSERT_EQ(told.size(), 2u) << "at once that it lacks the second, later that the first is safe";
    EXPECT_TRUE(told[0].lacks_object);
    EXPECT_EQ(pg.copy().record.info.last_update.counter, 1u) << "the third waits behind it";

    change::Replace whole;
    whole.data = share("xy");
    pg.receive(0, push("o", told[0].version, std::make_shared<const change::Replace>(whole)));
    host.sync();
    EXPECT_EQ(acknowledged(), (Counters{2, 3}));
    EXPECT_EQ(pg.copy().record.info.last_update.counter, 3u);
    EXPECT_TRUE(pg.copy().record.missing.empty());
    EXPECT_TRUE(host.has("p"));
}

TEST_F(Replica, counts_an_object_that_is_reverted_as_one_that_is_there) {
    pg.receive(0, change(1));
    message::Replicate revert = change(2);
    revert.entry.kind = LogEntry::Kind::lost_revert;
    pg.receive(0, revert);
    EXPECT_EQ(pg.copy().objects, 1u);
}

/// The third change waits for "o", which comes with the fifth in it; the fourth, of "p", lies in
/// between and cannot be made; the sixth could.
struct ReplicaBehind : Replica {
    ReplicaBehind() {
        pg.receive(0, change(1));
        pg.receive(0, change(2, "p"));
        damage("o");
        damage("p");
        for (auto [counter, name] : {std::pair(3, "o"), {4, "p"}, {5, "o"}, {6, "q"}})
            pg.receive(0, change_in_the_middle(static_cast<uint64_t>(counter), name));
        host.sync();
        host.sent.clear();
    }
    void come(const std::string& name, uint64_t counter) {
        change::Replace whole;
        whole.data = share("xy");
        ObjectInfo info{.version = version(counter)};
        whole.xattrs[std::string(info_xattr)] = encode_object_info(info);
        pg.receive(0, push(name, version(counter),
                           std::make_shared<const change::Replace>(std::move(whole))));
    }
    LogVersion version(uint64_t counter) const { return {host.map()->epoch(), counter}; }
    uint64_t logged() const { return pg.copy().record.info.last_update.counter; }
};

TEST_F(ReplicaBehind, takes_no_object_ahead_of_what_its_log_can_name) {
    come("o", 5);
    host.sync();
    EXPECT_EQ(logged(), 2u) << "or it had the fifth change, and a log that ends before";
    EXPECT_TRUE(host.take<message::Pushed>(0).empty());
    auto told = host.take<message::Replicated>(0);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_TRUE(told[0].lacks_object && told[0].version == version(4));
    come("o", 5);
    host.sync();
    EXPECT_TRUE(host.take<message::Replicated>(0).empty()) << "it has said so";

    come("p", 4);
    host.sync();
    EXPECT_EQ(host.take<message::Pushed>(0).size(), 3u) << "each that came is answered";
    EXPECT_EQ(acknowledged(), (Counters{3, 4, 5, 6})) << "the sixth waited behind them";
    EXPECT_EQ(pg.copy().objects, 3u);
    EXPECT_TRUE(pg.copy().record.missing.empty());
}

TEST_F(ReplicaBehind, is_as_before_when_it_could_not_make_them) {
    pg.receive(0, push("o", version(5), nullptr)); // removed by then
    EXPECT_EQ(logged(), 2u);
    EXPECT_EQ(pg.copy().objects, 2u);
    EXPECT_TRUE(host.has("o"));
    come("p", 4);
    EXPECT_EQ(logged(), 6u);
    EXPECT_EQ(pg.copy().objects, 2u) << "o went, and q came";
    EXPECT_FALSE(host.has("o"));
}

TEST_F(ReplicaBehind, refuses_objects_for_which_its_disk_has_no_room_and_takes_them_later) {
    come("o", 5);
    host.disk.set_capacity(host.disk.used_bytes());
    come("p", 4);
    host.sync();
    EXPECT_EQ(logged(), 2u);
    const auto refused = host.take<message::Pushed>(0);
    ASSERT_EQ(refused.size(), 2u);
    for (const message::Pushed& pushed : refused) EXPECT_EQ(pushed.result, -ENOSPC);
    EXPECT_EQ(pg.copy().objects, 2u);

    host.disk.set_capacity(uint64_t{1} << 30);
    come("p", 4);
    EXPECT_EQ(logged(), 2u);
    come("o", 5);
    host.sync();
    EXPECT_EQ(logged(), 6u);
}

TEST_F(Replica, makes_no_change_anew_of_an_object_that_came_without_it) {
    pg.receive(0, change(1));
    damage("o");
    pg.receive(0, change_in_the_middle(2, "o"));
    message::Replicate removal = change(3);
    removal.entry.kind = LogEntry::Kind::remove;
    removal.change = nullptr;
    pg.receive(0, removal);
    host.sync();
    host.sent.clear();
    pg.receive(0, push("o", removal.entry.version, nullptr));
    host.sync();
    EXPECT_EQ(acknowledged(), (Counters{2, 3}));
    EXPECT_FALSE(host.has("o"));
}

TEST_F(Replica, gives_an_object_only_in_the_version_that_is_asked_for) {
    pg.receive(0, change(1));
    const PgObject object{.name = "o"};
    const LogVersion version{host.map()->epoch(), 1}, newer{version.epoch, 2};
    auto pulled = [&](const PgObject& wanted, LogVersion in) {
        pg.receive(0, message::Pull{host.id, wanted, in});
        return host.take<message::Push>(0).at(0);
    };
    EXPECT_EQ(pulled(object, newer).result, -ENOENT) << "ours is stale";
    EXPECT_EQ(pulled({.name = "other"}, version).result, -ENOENT);
    const message::Push push = pulled(object, version);
    EXPECT_EQ(push.result, 0);
    EXPECT_EQ(*push.content->data, "x");
    Random random(1);
    ASSERT_TRUE(host.disk.damage({host.id, pg.copy().place(object).id, ObjectPart::data}, random));
    EXPECT_EQ(pulled(object, version).result, -EIO);
}

TEST_F(Replica, does_not_answer_clients) {
    host.write(1, "o");
    host.read(2, "o");
    host.sync();
    EXPECT_TRUE(host.told().empty());
}

TEST_F(Replica, goes_when_it_is_no_member_and_its_primary_says_so) {
    pg.receive(0, message::Drop{host.id});
    EXPECT_FALSE(host.removed);
    host.step([&](auto& s) { s.new_pg_upmap[host.id] = {0, 2, 3}; });
    pg.receive(2, message::Drop{host.id});
    EXPECT_FALSE(host.removed);
    pg.receive(0, message::Drop{host.id});
    EXPECT_TRUE(host.removed);
}

TEST(Restart, finds_a_record_that_is_ahead_of_the_map_and_speaks_when_it_is_reached) {
    TestHost host(1);
    host.create();
    const MapEpochPtr before = host.map();
    host.step([&](auto& s) { s.new_pg_upmap[host.id] = {0, 2, 1}; });
    host.pg = std::make_unique<PlacementGroup>(host, host.id);
    ASSERT_TRUE(host.pg->copy().load());
    host.sent.clear();
    host.pg->advance(before, host.map());
    host.pg->settle();
    EXPECT_EQ(host.take<message::Notify>(0).size(), 1u);
}

} // namespace
} // namespace cloudlet::rados
