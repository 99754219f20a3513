// Objects that nobody has, and an operator who gives them up.

#include <cerrno>

#include "pg/test_whole.h"

namespace cloudlet::rados {
namespace {

using std::chrono::seconds;
using Told = std::vector<std::string>;
using Kind = LogEntry::Kind;

/// osd.0 knows that "b" was written anew, and nobody has that version.
struct Unfound : Whole {
    Unfound() { lose("b"); }

    /// All serving copies have what was written before, but for those that `have` leaves out.
    void lose(const std::string& name, const std::set<int32_t>& have = {0, 1, 2}) {
        PgRecord& record = pg.copy().record;
        const LogVersion before = record.log.newest(object(name))->version;
        const LogVersion version{record.log.head().epoch, record.log.head().counter + 1};
        const LogEntry entry{.object = object(name), .version = version, .prior_version = before};
        auto item = [&](int32_t osd) {
            return MissingSet::Item{version, have.contains(osd) ? before : LogVersion{}};
        };
        for (int32_t osd : {1, 2}) {
            host.peers[osd].record = record;
            host.peers[osd].record.append(entry);
            host.peers[osd].record.missing.set(object(name), item(osd));
            host.peers[osd].record.refresh_info();
        }
        Transaction mine;
        pg.copy().append(mine, entry, {});
        pg.copy().set_missing(mine, object(name), item(0));
        const ObjectPlace place = pg.copy().place(object(name));
        if (!have.contains(0)) mine.add(place.collection, place.id, change::Remove{});
        ASSERT_TRUE(host.submit(host.id, std::move(mine), {}));
        std::swap(others_[0], others_[1]);
        host.step([&](auto& s) { s.new_pg_upmap[host.id] = {0, others_[0], others_[1]}; });
        host.serve();
        ASSERT_EQ(host.state(), "active+recovery_unfound+degraded");
    }
    message::CommandDone give_up(bool revert) {
        const auto done = pg.mark_unfound_lost({.pg = host.id, .revert = revert, .number = 9});
        EXPECT_EQ(done.number, 9u);
        return done;
    }
    Kind newest(const PgRecord& record) { return record.log.newest(object("b"))->kind; }
    int32_t others_[2] = {1, 2};
};

TEST_F(Unfound, goes_back_to_what_it_was_before_at_all_copies) {
    host.write(1, "b", "new");
    host.read(2, "b");
    EXPECT_EQ(host.told(), Told{});
    EXPECT_EQ(give_up(true).result, 0);
    host.settle_all();
    EXPECT_EQ(host.told(), (Told{"1:0", "2:0 new"})) << "what waited goes on";
    EXPECT_EQ(host.state(), "active+clean");
    EXPECT_EQ(pg.report().unfound, 0u);
    for (int32_t osd : {1, 2}) {
        EXPECT_EQ(host.peers[osd].record.log, pg.copy().record.log) << osd;
        EXPECT_TRUE(host.peers[osd].record.missing.empty()) << osd;
    }
}

TEST_F(Unfound, reads_as_it_was_before_once_it_is_reverted) {
    const uint64_t objects = pg.copy().objects;
    give_up(true);
    host.settle_all();
    EXPECT_EQ(newest(pg.copy().record), Kind::lost_revert);
    EXPECT_EQ(newest(host.peers[1].record), Kind::lost_revert);
    host.read(1, "b");
    EXPECT_EQ(host.told(), Told{"1:0 b"});
    EXPECT_EQ(pg.copy().objects, objects);
    const ObjectInfo info = read_object_info(pg.copy().place(object("b"))).value();
    EXPECT_EQ(info.version, pg.copy().record.log.head()) << "it is a version of its own";
}

TEST_F(Unfound, is_gone_at_all_copies_once_it_is_deleted) {
    const uint64_t objects = pg.copy().objects;
    host.read(1, "b");
    EXPECT_EQ(give_up(false).result, 0);
    const auto changes = host.take<message::Replicate>(1);
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].entry.kind, Kind::lost_delete);
    ASSERT_TRUE(changes[0].change) << "what they had before goes, too";
    pg.receive(1, message::Replicated{host.id, changes[0].entry.version});
    host.settle_all();
    EXPECT_EQ(host.told(), Told{"1:-2"});
    EXPECT_FALSE(host.has("b"));
    EXPECT_EQ(pg.copy().objects, objects - 1);
    EXPECT_EQ(host.state(), "active+clean");
    EXPECT_TRUE(pg.copy().record.missing.empty());
}

TEST_F(Unfound, is_found_again_after_a_restart_only_as_what_it_became) {
    give_up(true);
    host.settle_all();
    PgCopy read(host.disk, host.id, host.settings.log);
    ASSERT_TRUE(read.load());
    EXPECT_EQ(read.record.log, pg.copy().record.log);
    EXPECT_TRUE(read.record.missing.empty());
}

TEST_F(Unfound, waits_for_the_earlier_version_that_only_another_copy_has) {
    give_up(false);
    host.settle_all();
    host.write(1, "b", "older");
    host.settle_all();
    give(1, "b", "older");
    lose("b", {1});
    EXPECT_EQ(give_up(true).result, 0);
    EXPECT_EQ(pg.report().unfound, 0u);
    host.settle_all();
    host.told();
    host.read(2, "b");
    EXPECT_EQ(host.told(), Told{"2:0 older"});
    EXPECT_EQ(newest(pg.copy().record), Kind::lost_revert);
}

TEST_F(Unfound, is_deleted_when_there_is_no_earlier_version_to_go_back_to) {
    lose("c", {});
    give_up(true);
    host.settle_all();
    EXPECT_EQ(pg.copy().record.log.newest(object("c"))->kind, Kind::lost_delete);
    EXPECT_EQ(host.state(), "active+clean");
}

TEST_F(Unfound, is_not_given_up_while_somebody_who_may_have_it_is_down) {
    host.flip_up(2);
    host.serve();
    ASSERT_EQ(host.state(), "active+recovery_unfound+undersized+degraded");
    const size_t entries = pg.copy().record.log.entries().size();
    const auto refused = give_up(true);
    EXPECT_EQ(refused.result, -EINVAL);
    EXPECT_NE(refused.text.find("osd.2"), std::string::npos) << refused.text;
    EXPECT_EQ(pg.copy().record.log.entries().size(), entries);
    host.step([&](auto& s) { s.new_lost[2] = host.map()->epoch() + 1; });
    EXPECT_EQ(give_up(true).result, 0);
}

TEST_F(Unfound, is_not_given_up_before_who_came_back_has_told_what_it_has) {
    host.step([&](auto& s) {
        s.new_state[2] = osd_up;
        s.new_pg_upmap[host.id] = {0, 1};
    });
    host.serve();
    const AddressVector back{.addresses = {{.kind = Address::Kind::msgr2, .nonce = 2}}};
    host.step([&](auto& s) { s.new_up_client[2] = s.new_up_cluster[2] = back; });
    ASSERT_EQ(pg.stage(), PgStage::active) << "it is no member, and nothing began anew";
    EXPECT_EQ(give_up(true).result, -EINVAL);
    pg.receive(2, message::Notify{.info = host.peers[2].record.info, .past = {}});
    EXPECT_EQ(give_up(true).result, 0);
}

TEST_F(Whole, has_nothing_to_give_up) {
    EXPECT_EQ(pg.mark_unfound_lost({.pg = host.id}).result, 0) << "twice is once";
    EXPECT_TRUE(host.take<message::Replicate>(1).empty());
    host.flip_up(1);
    EXPECT_EQ(pg.mark_unfound_lost({.pg = host.id}).result, -EAGAIN);
}

} // namespace
} // namespace cloudlet::rados
