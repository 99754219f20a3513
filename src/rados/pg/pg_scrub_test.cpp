// Scrub, with three real copies.

#include <gtest/gtest.h>

#include <array>

#include "pg/test_host.h"

namespace cloudlet::rados {
namespace {

using Told = std::vector<std::string>;

struct Scrub : testing::Test {
    Scrub() {
        for (auto& host : hosts) host = std::make_unique<TestHost>(number++);
        for (auto& host : hosts) host->settings.scrub_chunk = 2;
        for (auto& host : hosts) host->create();
        talk();
        for (auto& host : hosts)
            host->step([&](auto& s) { s.new_up_thru[0] = hosts[0]->map()->epoch(); });
        talk();
        uint64_t request = 100;
        for (const char* name : {"a", "b", "c"}) primary().write(request++, name, name);
        talk();
        primary().told();
    }
    TestHost& primary() { return *hosts[0]; }
    bool deliver() {
        bool busy = false;
        for (int32_t from = 0; from < 3; ++from) {
            TestHost& host = *hosts[static_cast<size_t>(from)];
            host.sync();
            host.grant_slots();
            for (auto& [to, body] : std::exchange(host.sent, {})) {
                hosts[static_cast<size_t>(to)]->pg->receive(from, body);
                busy = true;
            }
        }
        return busy;
    }
    void talk() {
        while (deliver()) {
        }
    }
    void scrub(message::ScrubCommand command) {
        command.pg = TestHost::id;
        primary().pg->scrub_command(command);
    }
    uint64_t errors_after(message::ScrubCommand command) {
        scrub(command);
        talk();
        return primary().pg->report().scrub_errors;
    }
    ObjectPlace place(size_t at, const std::string& name) {
        return hosts[at]->pg->copy().place({.name = name});
    }
    void damage(size_t at, const std::string& name, ObjectPart part = ObjectPart::data) {
        Random random(1);
        ASSERT_TRUE(hosts[at]->disk.damage({TestHost::id, place(at, name).id, part}, random));
    }
    std::string data(size_t at, const std::string& name) {
        auto whole = read_whole_object(place(at, name));
        return whole ? *whole->data : whole.error().message;
    }
    /// Makes one copy another object, which its checksums fit.
    void swap_content(size_t at, const std::string& name, const std::string& bytes,
                      LogVersion version) {
        change::Replace other{.data = share(bytes), .xattrs = {}, .omap = {}};
        other.xattrs[std::string(info_xattr)] = encode_object_info({version, 1, {}});
        Transaction swap;
        swap.add(TestHost::id, place(at, name).id, other);
        ASSERT_TRUE(hosts[at]->disk.submit(swap, 0));
    }

    int32_t number = 0;
    std::array<std::unique_ptr<TestHost>, 3> hosts;
    const message::ScrubCommand shallow{}, deep{.pg = {}, .deep = true, .repair = false},
        repair{.pg = {}, .deep = true, .repair = true};
};

TEST_F(Scrub, finds_nothing_where_nothing_is_wrong) {
    scrub(deep);
    EXPECT_EQ(primary().state(), "active+clean+scrubbing+deep");
    talk();
    EXPECT_EQ(primary().state(), "active+clean");
    EXPECT_EQ(errors_after(shallow), 0u);
}

TEST_F(Scrub, finds_a_flipped_bit_only_when_it_is_deep) {
    damage(2, "b");
    EXPECT_EQ(errors_after(shallow), 0u);
    EXPECT_EQ(errors_after(deep), 1u);
    EXPECT_EQ(primary().state(), "active+clean+inconsistent");
    EXPECT_EQ(errors_after(shallow), 1u) << "what it does not see, it does not forget";
    EXPECT_EQ(errors_after(repair), 0u);
}

TEST_F(Scrub, sees_damaged_attributes_also_when_it_is_shallow) {
    damage(1, "c", ObjectPart::xattrs);
    EXPECT_EQ(errors_after(shallow), 1u);
}

TEST_F(Scrub, repairs_only_on_command) {
    damage(2, "b");
    errors_after(deep);
    EXPECT_NE(data(2, "b"), "b");
    EXPECT_EQ(errors_after(repair), 0u);
    EXPECT_EQ(data(2, "b"), "b");
    EXPECT_EQ(primary().state(), "active+clean");
}

TEST_F(Scrub, takes_the_copy_that_is_right_by_itself_be_it_the_only_one) {
    damage(0, "b");
    damage(1, "b");
    EXPECT_EQ(errors_after(deep), 2u);
    EXPECT_EQ(errors_after(repair), 0u);
    for (size_t at : {0, 1, 2}) EXPECT_EQ(data(at, "b"), "b");
}

TEST_F(Scrub, takes_the_version_that_the_log_names_against_all_others) {
    for (size_t at : {0, 1}) swap_content(at, "b", "stale", {1, 1});
    EXPECT_EQ(errors_after(repair), 0u);
    for (size_t at : {0, 1, 2}) EXPECT_EQ(data(at, "b"), "b");
}

TEST_F(Scrub, brings_back_an_object_that_one_copy_lost) {
    Transaction removal;
    removal.add(TestHost::id, place(1, "c").id, change::Remove{});
    ASSERT_TRUE(hosts[1]->disk.submit(removal, 0));
    EXPECT_EQ(errors_after(shallow), 1u);
    EXPECT_EQ(errors_after({.pg = {}, .deep = false, .repair = true}), 0u);
    EXPECT_EQ(data(1, "c"), "c");
}

TEST_F(Scrub, leaves_an_object_alone_of_which_no_copy_is_right) {
    for (size_t at : {0, 1, 2}) damage(at, "b");
    EXPECT_EQ(errors_after(repair), 3u);
    EXPECT_EQ(data(0, "a"), "a");
}

TEST_F(Scrub, holds_changes_of_the_chunk_but_no_others_and_no_reads) {
    scrub(deep);
    primary().write(1, "a", "new");
    primary().write(2, "c", "new");
    primary().read(3, "b");
    EXPECT_EQ(primary().told(), Told{"3:0 b"});
    const auto sent = primary().take<message::Replicate>(1);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].entry.object.name, "c") << "it is of the next chunk";
    for (const auto& one : primary().take<message::Replicate>(2)) hosts[2]->pg->receive(0, one);
    hosts[1]->pg->receive(0, sent[0]);
    talk();
    EXPECT_EQ(primary().told(), (Told{"2:0", "1:0"}));
    EXPECT_EQ(primary().pg->report().scrub_errors, 0u) << "all copies were seen at one moment";
}

TEST_F(Scrub, asks_only_when_no_change_of_the_chunk_is_in_flight) {
    primary().write(1, "a", "new");
    scrub(deep);
    EXPECT_TRUE(primary().take<message::ScrubAsk>(1).empty());
    for (int round = 0; round < 9 && primary().replies.empty(); ++round) deliver();
    EXPECT_EQ(primary().told(), Told{"1:0"});
    talk();
    EXPECT_EQ(primary().state(), "active+clean");
}

TEST_F(Scrub, believes_no_answer_to_another_question) {
    scrub(deep);
    primary().pg->receive(1, message::ScrubAnswer{TestHost::id, 99, {}});
    talk();
    EXPECT_EQ(primary().pg->report().scrub_errors, 0u);
}

TEST_F(Scrub, that_is_due_is_reserved_on_all_copies_and_known_by_all) {
    primary().pass(std::chrono::hours(7 * 24));
    primary().pg->reserve_scrub();
    EXPECT_FALSE(hosts[1]->scrub_slot_held);
    deliver();
    EXPECT_TRUE(hosts[1]->scrub_slot_held);
    talk();
    for (auto& host : hosts) {
        EXPECT_FALSE(host->scrub_slot_held);
        EXPECT_EQ(host->pg->copy().record.info.history.last_deep_scrub_stamp,
                  primary().world().wall());
    }
    EXPECT_EQ(primary().scrubs_begun, (ScrubCounts{.shallow = 0, .deep = 1}));
    EXPECT_EQ(primary().pg->report().scrub_errors, 0u);
}

TEST_F(Scrub, ends_with_its_interval) {
    scrub(deep);
    for (auto& host : hosts) host->flip_up(3);
    for (auto& host : hosts) host->step([](auto& s) { s.new_pg_upmap[TestHost::id] = {0, 2, 1}; });
    talk();
    EXPECT_FALSE(primary().pg->state().has(PgFlag::scrubbing));
}

} // namespace
} // namespace cloudlet::rados
