#include "pg/placement_group.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "pg/test_host.h"

namespace cloudlet::rados {
namespace {

using std::chrono::seconds;
using Told = std::vector<std::string>;

/// osd.0 of acting set [0,1,2], once all is peered.
struct Primary : testing::Test {
    Primary() {
        host.create();
        host.serve();
    }
    TestHost host;
    PlacementGroup& pg = *host.pg;
};

TEST_F(Primary, is_active_and_clean_once_all_have_activated) {
    EXPECT_EQ(host.state(), "active+clean");
    EXPECT_EQ(host.stopped, "");
}

TEST_F(Primary, acknowledges_a_write_when_all_that_serve_have_it_on_disk) {
    host.write(1, "o");
    host.answer(1);
    host.sync();
    EXPECT_EQ(host.told(), Told{}) << "two of three are a majority, and not enough";
    host.answer(2);
    EXPECT_EQ(host.told(), Told{"1:0"});
    host.write(2, "o");
    host.answer(1);
    host.answer(2);
    EXPECT_EQ(host.told(), Told{}) << "our own disk counts, too";
    host.sync();
    EXPECT_EQ(host.told(), Told{"2:0"});
}

TEST_F(Primary, answers_writes_in_the_order_in_which_it_made_them) {
    host.write(1, "a");
    host.write(2, "b");
    host.sync();
    const LogVersion first{host.map()->epoch(), 1}, second{host.map()->epoch(), 2};
    for (int32_t osd : {1, 2}) pg.receive(osd, message::Replicated{host.id, second});
    EXPECT_EQ(host.told(), Told{});
    for (int32_t osd : {1, 2}) pg.receive(osd, message::Replicated{host.id, first});
    EXPECT_EQ(host.told(), (Told{"1:0", "2:0"}));
}

TEST_F(Primary, sends_changes_to_all_in_one_order) {
    host.write(1, "a");
    host.write(2, "a");
    for (int32_t osd : {1, 2}) {
        const auto sent = host.take<message::Replicate>(osd);
        ASSERT_EQ(sent.size(), 2u);
        EXPECT_LT(sent[0].entry.version, sent[1].entry.version);
        EXPECT_EQ(sent[1].entry.prior_version, sent[0].entry.version);
        EXPECT_TRUE(sent[0].change && sent[1].change);
    }
}

TEST_F(Primary, reads_an_object_only_when_its_writes_are_safe) {
    host.write(1, "o", "new");
    host.read(2, "o");
    host.read(3, "other");
    EXPECT_EQ(host.told(), Told{"3:-2"}) << "another object is no matter";
    host.settle_all();
    EXPECT_EQ(host.told(), (Told{"1:0", "2:0 new"}));
}

TEST_F(Primary, keeps_the_order_of_requests_for_one_object) {
    host.write(1, "o", "first");
    host.read(2, "o");
    host.write(3, "o", "second");
    host.read(4, "o");
    host.settle_all();
    EXPECT_EQ(host.told(), (Told{"1:0", "2:0 first", "3:0", "4:0 second"}));
}

TEST_F(Primary, answers_a_repeated_request_as_it_did_first) {
    host.write(1, "o", "once");
    host.write(1, "o", "twice");
    host.settle_all();
    ASSERT_EQ(host.replies.size(), 2u) << "both connections wait for the same write";
    EXPECT_EQ(host.replies[0].version, host.replies[1].version);
    const message::ClientReply first = host.replies[0];
    host.write(2, "o", "later");
    host.settle_all();
    host.replies.clear();
    host.write(1, "o", "thrice");
    ASSERT_EQ(host.replies.size(), 1u);
    EXPECT_EQ(host.replies[0].version, first.version);
    EXPECT_EQ(host.replies[0].user_version, first.user_version);
    host.told();
    host.read(3, "o");
    EXPECT_EQ(host.told(), Told{"3:0 later"});
}

TEST_F(Primary, remembers_a_refusal_and_changes_nothing_by_it) {
    const ObjectOps ops = {op::WriteFull{share("x")}, op::AssertExists{}};
    host.ask(1, "o", ops);
    EXPECT_EQ(host.told(), Told{}) << "also a refusal is told when all know of it";
    host.settle_all();
    EXPECT_EQ(host.told(), Told{"1:-2"});
    EXPECT_FALSE(host.has("o"));
    host.write(2, "o");
    host.settle_all();
    host.told();
    host.ask(1, "o", ops);
    EXPECT_EQ(host.told(), Told{"1:-2"}) << "though it would succeed now";
    for (int32_t osd : {1, 2}) EXPECT_EQ(host.peers[osd].record.log.entries().size(), 2u);
}

TEST_F(Primary, answers_what_an_interval_left_unanswered_when_it_is_asked_again) {
    host.write(1, "o");
    host.sync();
    host.answer(1);
    host.flip_up(2);
    EXPECT_EQ(pg.stage(), PgStage::get_info);
    pg.receive(2, message::Replicated{host.id, {host.map()->epoch(), 1}});
    EXPECT_EQ(host.told(), Told{}) << "the client sends again, since the interval is another";
    host.serve();
    EXPECT_EQ(host.told(), Told{});
    host.write(1, "o", "twice");
    EXPECT_EQ(host.told(), Told{"1:0"});
    EXPECT_EQ(pg.copy().record.log.entries().size(), 1u);
}

TEST_F(Primary, holds_requests_that_come_before_it_serves) {
    host.flip_up(2);
    host.write(1, "o");
    host.read(2, "o");
    EXPECT_EQ(host.told(), Told{});
    host.serve();
    EXPECT_EQ(host.told(), (Told{"1:0", "2:0 x"}));
}

TEST_F(Primary, serves_neither_writes_nor_reads_below_min_size) {
    host.flip_up(2);
    host.serve();
    EXPECT_EQ(host.state(), "active+undersized+degraded");
    host.flip_up(1);
    host.serve();
    EXPECT_EQ(host.state(), "undersized+degraded+peered");
    host.write(1, "o");
    host.read(2, "o");
    host.settle_all();
    EXPECT_EQ(host.told(), Told{});
    host.flip_up(1);
    host.serve();
    EXPECT_EQ(host.state(), "active+undersized+degraded");
}

TEST_F(Primary, takes_only_what_frees_space_while_the_cluster_is_full) {
    host.write(1, "o");
    host.settle_all();
    host.told();
    host.set_flags(map_full);
    host.write(2, "o");
    host.settle_all();
    EXPECT_EQ(host.told(), Told{}) << "the client holds it until the flag goes";
    EXPECT_EQ(pg.copy().record.log.entries().size(), 1u);
    host.read(3, "o");
    host.ask(4, "o", {op::Remove{}});
    host.settle_all();
    EXPECT_EQ(host.told(), (Told{"3:0 x", "4:0"}));
}

TEST_F(Primary, refuses_on_a_full_cluster_or_pool_what_would_rather_be_refused_than_wait) {
    constexpr uint8_t full_try = message::ClientOp::full_try;
    constexpr uint8_t full_force = message::ClientOp::full_force;
    host.write(1, "o");
    host.settle_all();
    host.told();
    host.set_flags(map_full);
    host.ask(1, "o", {op::WriteFull{share("x")}}, full_try);
    host.ask(2, "o", {op::WriteFull{share("y")}}, full_try);
    host.settle_all();
    EXPECT_EQ(host.told(), (Told{"1:0", "2:-28"})) << "the first one was made before";
    host.set_flags(0);
    uint64_t number = 3;
    for (auto [flag, result] : {std::pair{pool_full, -ENOSPC}, {pool_full_quota, -EDQUOT}}) {
        host.set_pool_flags(pool_hashpspool | flag);
        host.write(number, "o");
        host.ask(number + 1, "o", {op::WriteFull{share("y")}}, full_try);
        host.ask(number + 2, "o", {op::WriteFull{share("z")}}, full_force);
        host.settle_all();
        EXPECT_EQ(host.told(), (Told{fmt::format("{}:{}", number + 1, result),
                                     fmt::format("{}:0", number + 2)}));
        number += 3;
    }
    host.ask(number, "o", {op::Remove{}});
    host.settle_all();
    EXPECT_EQ(host.told(), Told{fmt::format("{}:0", number)});
}

TEST_F(Primary, answers_each_sending_under_its_number) {
    host.ask(1, "o", {op::WriteFull{share("x")}}, 0, 0);
    host.ask(1, "o", {op::WriteFull{share("x")}}, 0, 1);
    host.settle_all();
    host.ask(1, "o", {op::WriteFull{share("x")}}, 0, 2);
    host.ask(2, "o", {op::Read{}}, 0, 3);
    std::vector<uint32_t> attempts;
    for (const auto& reply : host.replies) attempts.push_back(reply.attempt);
    EXPECT_EQ(attempts, (std::vector<uint32_t>{0, 1, 2, 3}));
}

TEST_F(Primary, refuses_writes_when_its_own_disk_is_nearly_full) {
    host.write(1, "o");
    host.settle_all();
    host.used = 0.98;
    host.write(2, "p");
    host.ask(3, "o", {op::Remove{}});
    host.settle_all();
    EXPECT_EQ(host.told(), (Told{"1:0", "2:-28", "3:0"}));
}

TEST_F(Primary, refuses_what_no_copy_could_take) {
    host.write(1, std::string(2100, 'n'));
    EXPECT_EQ(host.told(), Told{fmt::format("1:{}", -ENAMETOOLONG)});
    EXPECT_TRUE(pg.copy().record.log.entries().empty());
    host.ask(1, std::string(2100, 'n'), {op::Read{}}, 0, 5);
    ASSERT_EQ(host.replies.size(), 1u);
    EXPECT_EQ(host.replies[0].attempt, 5u) << "else its client would wait for ever";
    host.told();
    host.ask(2, "o", {op::WriteFull{share("x")}, op::RemoveXattr{std::string(5000, 'x')}});
    Attributes large;
    for (int i = 0; i < 200; ++i)
        large[fmt::format("key{}", i)] = std::string(StoreLimits::omap_value_bytes, 'v');
    host.ask(3, "p", {op::SetOmap{large}});
    host.write(4, std::string(2000, 'n'));
    host.settle_all();
    EXPECT_EQ(host.told(), (Told{fmt::format("2:{}", -E2BIG), fmt::format("3:{}", -E2BIG), "4:0"}));
    EXPECT_FALSE(host.has("o"));
}

TEST_F(Primary, counts_its_objects) {
    host.write(1, "o");
    host.write(2, "p");
    host.write(3, "o");
    EXPECT_EQ(pg.report().objects, 2u);
    host.ask(4, "o", {op::Remove{}});
    host.settle_all();
    EXPECT_EQ(pg.report().objects, 1u);
}

TEST_F(Primary, is_paused_by_the_flags) {
    host.write(1, "o");
    host.settle_all();
    host.told();
    host.set_flags(map_pausewr);
    host.write(2, "o");
    host.read(3, "o");
    host.settle_all();
    EXPECT_EQ(host.told(), Told{"3:0 x"});
    host.set_flags(map_pauserd);
    host.read(4, "o");
    host.write(5, "o");
    host.ask(6, "o", {op::AssertExists{}, op::Remove{}});
    host.settle_all();
    EXPECT_EQ(host.told(), Told{"5:0"}) << "a guard reads";
}

TEST_F(Primary, reads_only_while_the_others_have_answered_lately) {
    host.write(1, "o");
    host.settle_all();
    host.told();
    const MonotonicTime start = host.world().now();
    host.pass(seconds(15));
    host.read(2, "o");
    EXPECT_EQ(host.told(), Told{"2:0 x"});
    host.pass(seconds(1));
    host.read(3, "o");
    EXPECT_EQ(host.told(), Told{}) << "others may have been told to go on without us";
    EXPECT_EQ(host.state(), "active+clean+laggy");
    host.answered[1] = start + seconds(16);
    pg.lease_renewed();
    EXPECT_EQ(host.told(), Told{}) << "all must have answered";
    host.answered[2] = start + seconds(12);
    pg.lease_renewed();
    EXPECT_EQ(host.told(), Told{"3:0 x"});
    host.pass(seconds(12));
    host.read(4, "o");
    EXPECT_EQ(host.told(), Told{}) << "the oldest answer counts";
}

TEST_F(Primary, remembers_requests_beyond_its_log) {
    TestHost small(0);
    small.settings.log = {.entries = 2, .answered = 10};
    small.pg = std::make_unique<PlacementGroup>(small, small.id);
    small.create();
    small.serve();
    for (uint64_t number = 1; number < 9; ++number) {
        small.write(number, "o");
        small.settle_all();
    }
    EXPECT_LE(small.pg->copy().record.log.entries().size(), 3u);
    small.told();
    small.write(1, "o");
    EXPECT_EQ(small.told(), Told{"1:0"});
}

} // namespace
} // namespace cloudlet::rados
