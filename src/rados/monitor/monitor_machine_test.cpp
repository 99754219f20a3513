// A monitor among others: its lease, its steps, and who gets the maps.

#include <algorithm>
#include <cerrno>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "cloudlet/rados/osd_map_codec.h"
#include "cloudlet/rados/planted_bug.h"
#include "monitor/monitor_cluster.h"
#include "test_seeds.h"

namespace cloudlet::rados {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Entity client = Entity::client(1);

message::DoCommand ask(uint64_t number, Command command) { return {number, std::move(command)}; }

/// (full map's epoch or 0, first step, last step) of each message.
using Span = std::tuple<Epoch, Epoch, Epoch>;
std::vector<Span> spans(const std::vector<message::Maps>& all) {
    std::vector<Span> spans;
    for (const auto& maps : all)
        spans.emplace_back(maps.full ? maps.full->epoch : 0,
                           maps.steps.empty() ? 0 : maps.steps.front()->epoch,
                           maps.steps.empty() ? 0 : maps.steps.back()->epoch);
    return spans;
}

void make_steps(MonitorCluster& cluster, int count) {
    for (int i = 0; i < count; ++i) cluster.command(command::In{0});
}

TEST(MonitorMachine, brings_every_monitor_to_the_same_map) {
    MonitorCluster cluster(test_map(4, 1, 8, 3), 3);
    cluster.command(command::Down{1});
    cluster.elect(2);
    cluster.command(command::Out{1});
    for (size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(cluster.monitor(i).newest()->epoch(), 9u);
        EXPECT_EQ(encode_osd_map(cluster.monitor(i).newest()->map()),
                  encode_osd_map(cluster.map()));
    }
}

TEST(MonitorMachine, begins_with_what_the_store_holds) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    make_steps(cluster, 3);
    TestWorld world;
    MapCache cache;
    struct NoStore final : MapStore {
        void append(uint64_t, MapStep) override { FAIL() << "it follows only"; }
    } store;
    MonitorMachine late(5, world, store, cache);
    late.receive(client, make_message(0, message::GetMaps{}));
    EXPECT_TRUE(world.sent.empty()) << "it has none yet";
    late.start(std::make_shared<const OsdMap>(test_map(4, 1, 8, 3)), cluster.steps());
    EXPECT_EQ(late.newest()->epoch(), 10u);
    EXPECT_THAT(spans(world.take<message::Maps>(client)), ElementsAre(Span(7, 8, 10)));
    late.committed(cluster.steps()[1]);
    EXPECT_EQ(late.newest()->epoch(), 10u) << "known already";
}

TEST(MonitorMachine, appends_one_step_at_a_time_and_batches_what_comes_meanwhile) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    for (int32_t osd = 0; osd < 4; ++osd) cluster.send(Entity::osd(osd), message::Alive{7}, 7);
    EXPECT_EQ(cluster.steps().size(), 1u);
    cluster.deliver();
    ASSERT_EQ(cluster.steps().size(), 2u);
    EXPECT_EQ(cluster.steps()[0]->new_up_thru.size(), 1u);
    EXPECT_EQ(cluster.steps()[1]->new_up_thru.size(), 3u);
}

TEST(MonitorMachine, appends_nothing_when_there_is_nothing_to_say) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.beacons();
    cluster.pass(seconds(30));
    EXPECT_TRUE(cluster.steps().empty());
}

TEST(MonitorMachine, never_stamps_a_map_before_the_last_one) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    make_steps(cluster, 1);
    Timestamp first = cluster.map().modified;
    EXPECT_EQ(first.seconds, 1'700'000'000u);
    cluster.world().jump_wall(-hours(1));
    make_steps(cluster, 1);
    EXPECT_EQ(cluster.map().modified, first);
    cluster.world().jump_wall(hours(2));
    make_steps(cluster, 1);
    EXPECT_EQ(cluster.map().modified.seconds, 1'700'003'600u);
}

TEST(MonitorLease, sends_to_the_leader_what_it_alone_can_do) {
    MonitorCluster cluster(test_map(4, 1, 8, 3), 3);
    cluster.elect(2);
    MessageBody bodies[] = {message::Boot{},     message::Failure{},  message::Beacon{},
                            message::Alive{},    message::WantTemp{}, message::Reports{},
                            message::DoCommand{}};
    for (const auto& body : bodies)
        cluster.monitor(0).receive(Entity::osd(1),
                                   std::make_shared<const Message>(Message{7, body}));
    auto told = cluster.world(0).take<message::AskOther>(Entity::osd(1));
    EXPECT_EQ(told, std::vector(7, message::AskOther{2}));
    EXPECT_TRUE(cluster.steps().empty());
    cluster.monitor(0).follow(-1);
    cluster.monitor(0).receive(Entity::osd(1), make_message(7, message::Alive{7}));
    EXPECT_THAT(cluster.world(0).take<message::AskOther>(Entity::osd(1)),
                ElementsAre(message::AskOther{-1}));
}

TEST(MonitorLease, ends_by_the_clock_alone) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.world().pass(seconds(9));
    EXPECT_TRUE(cluster.monitor().leads());
    cluster.world().pass(seconds(1));
    EXPECT_FALSE(cluster.monitor().leads());
    cluster.send(client, ask(1, command::Out{0}), 7);
    EXPECT_THAT(cluster.heard<message::AskOther>(client), ElementsAre(message::AskOther{-1}));
    EXPECT_TRUE(cluster.steps().empty());
}

TEST(MonitorLease, goes_on_when_it_is_renewed_in_time) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.report(0, {1, 2});
    for (int i = 0; i < 3; ++i) {
        cluster.world().pass(seconds(7));
        cluster.renew();
    }
    cluster.monitor().wake();
    cluster.deliver();
    EXPECT_FALSE(cluster.map().is_up(0)) << "it knows what it heard";
}

TEST(MonitorLease, forgets_what_it_heard_when_it_ended_in_between) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.report(0, {1, 2});
    cluster.world().pass(seconds(21));
    cluster.renew();
    cluster.monitor().wake();
    cluster.deliver();
    EXPECT_TRUE(cluster.map().is_up(0)) << "a report may have been taken back meanwhile";
}

TEST(MonitorLease, tells_those_whose_commands_wait_when_it_is_lost) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.send(client, ask(1, command::Out{0}), 7); // is being appended
    cluster.send(client, ask(2, command::Out{1}), 7);
    cluster.elect(1);
    std::vector<std::pair<uint64_t, int32_t>> results;
    for (auto& done : cluster.world(0).take<message::CommandDone>(client))
        results.emplace_back(done.number, done.result);
    EXPECT_THAT(results, ElementsAre(std::pair(2, -EAGAIN), std::pair(1, 0)));
    EXPECT_TRUE(cluster.map().is_out(0));
    EXPECT_FALSE(cluster.map().is_out(1));
}

TEST(MonitorLease, of_a_stale_leader_changes_nothing_and_its_client_is_told) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.cut(0);
    cluster.elect(1);
    cluster.command(command::Down{3});
    ASSERT_TRUE(cluster.monitor(0).leads());
    cluster.monitor(0).receive(client, make_message(7, ask(1, command::Out{0})));
    EXPECT_EQ(cluster.steps().size(), 1u) << "the store compares terms";
    cluster.heal(0);
    cluster.deliver();
    auto done = cluster.world(0).take<message::CommandDone>(client);
    ASSERT_EQ(done.size(), 1u);
    EXPECT_EQ(done[0].result, -EAGAIN);
    EXPECT_EQ(cluster.monitor(0).newest()->epoch(), 8u);
    EXPECT_FALSE(cluster.map().is_out(0));
}

TEST(MonitorMachine, forgets_what_a_peer_asked_that_lost_its_memory) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.send(client, ask(1, command::Out{0}), 7); // is being appended
    cluster.send(client, ask(2, command::Out{1}), 7);
    cluster.send(Entity::osd(2), message::Alive{7}, 7);
    cluster.leader().reset(client);
    cluster.leader().reset(Entity::osd(2));
    cluster.deliver();
    EXPECT_THAT(cluster.heard<message::CommandDone>(client), IsEmpty());
    EXPECT_TRUE(cluster.map().is_out(0));
    EXPECT_FALSE(cluster.map().is_out(1));
    EXPECT_EQ(cluster.map().osd_info[2].up_thru, 0u);
}

TEST(MonitorLease, can_be_ignored_by_a_planted_bug) {
    PlantBug bug(PlantedBug::stale_leader_writes);
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.world().pass(seconds(60));
    cluster.send(client, ask(1, command::Out{0}), 7);
    EXPECT_EQ(cluster.steps().size(), 1u);
}

TEST(MonitorLease, tries_again_what_the_store_refused_but_not_at_once) {
    TestWorld world;
    MapCache cache;
    struct Store final : MapStore {
        void append(uint64_t, MapStep step) override { steps.push_back(std::move(step)); }
        std::vector<MapStep> steps;
    } store;
    MonitorMachine monitor(0, world, store, cache);
    monitor.start(std::make_shared<const OsdMap>(test_map(4, 1, 8, 3)), {});
    monitor.lead(1, world.now() + seconds(60));
    monitor.receive(Entity::osd(0), make_message(7, message::Alive{7}));
    ASSERT_EQ(store.steps.size(), 1u);
    monitor.refused(1, 8);
    EXPECT_EQ(store.steps.size(), 1u) << "the map that was faster is on its way";
    OsdMapIncremental other;
    other.epoch = 8;
    other.new_flags = map_sortbitwise;
    monitor.committed(std::make_shared<const OsdMapIncremental>(other));
    ASSERT_EQ(store.steps.size(), 2u);
    EXPECT_EQ(store.steps[1]->epoch, 9u);
    EXPECT_EQ(store.steps[1]->new_up_thru.at(0), 7u);
    monitor.refused(1, 9);
    world.pass(seconds(1));
    monitor.wake();
    EXPECT_EQ(store.steps.size(), 3u) << "no map came: perhaps there is none";
}

TEST(MonitorLease, knows_its_own_step_by_its_content) {
    TestWorld world;
    MapCache cache;
    struct Store final : MapStore {
        void append(uint64_t, MapStep step) override { steps.push_back(std::move(step)); }
        std::vector<MapStep> steps;
    } store;
    for (bool own : {true, false}) {
        MonitorMachine monitor(0, world, store, cache);
        monitor.start(std::make_shared<const OsdMap>(test_map(4, 1, 8, 3)), {});
        monitor.lead(1, world.now() + seconds(60));
        monitor.receive(client, make_message(7, ask(1, command::Out{0})));
        OsdMapIncremental copy = *store.steps.back();
        if (!own) copy.new_weight = {{1, 0}};
        monitor.committed(std::make_shared<const OsdMapIncremental>(copy));
        auto done = world.take<message::CommandDone>(client);
        ASSERT_EQ(done.size(), 1u);
        EXPECT_EQ(done[0].result, own ? 0 : -EAGAIN);
    }
}

TEST(MonitorMaps, serve_what_is_missing_and_what_comes_next) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    make_steps(cluster, 3); // 8, 9, 10
    auto get = [&](int32_t peer, message::GetMaps wanted) {
        wanted.next = true;
        cluster.send(Entity::client(peer), wanted, 0);
    };
    get(10, {.have = 8});
    get(11, {.have = 0, .full = true});
    get(12, {.have = 8, .full = true});
    get(13, {.have = 10});
    get(14, {.have = 3});
    get(15, {.have = 0});
    get(16, {.have = 10});
    auto heard = [&](int32_t peer) {
        return spans(cluster.heard<message::Maps>(Entity::client(peer)));
    };
    EXPECT_THAT(heard(10), ElementsAre(Span(0, 9, 10)));
    EXPECT_THAT(heard(11), ElementsAre(Span(10, 0, 0)));
    EXPECT_THAT(heard(12), ElementsAre(Span(8, 9, 10)));
    EXPECT_THAT(heard(13), ElementsAre(Span(0, 0, 0))) << "there is none yet, but it was heard";
    EXPECT_THAT(heard(14), ElementsAre(Span(7, 8, 10))) << "older than what is kept";
    EXPECT_THAT(heard(15), ElementsAre(Span(7, 8, 10)));
    heard(16);
    cluster.leader().reset(Entity::client(16));
    make_steps(cluster, 2);
    EXPECT_THAT(heard(13), ElementsAre(Span(0, 11, 11))) << "the next one, and no more";
    EXPECT_THAT(heard(10), IsEmpty()) << "it was answered";
    EXPECT_THAT(heard(16), IsEmpty()) << "its session is over";
    get(13, {.have = 12});
    heard(13);
    cluster.send(Entity::client(13), message::GetMaps{.have = 12}, 0);
    heard(13);
    make_steps(cluster, 1);
    EXPECT_THAT(heard(13), IsEmpty()) << "it waits no more";
}

/// Four OSDs of many have the newest map and follow at the leader.
struct Followers {
    explicit Followers(size_t count = 4) {
        for (size_t osd = 0; osd < count; ++osd) follow(static_cast<int32_t>(osd));
    }
    void follow(int32_t osd) {
        cluster.send(Entity::osd(osd), message::GetMaps{.have = cluster.epoch()}, 0);
        cluster.heard<message::Maps>(Entity::osd(osd));
    }
    /// Those who were told something since they were asked last.
    std::vector<int32_t> told() {
        std::vector<int32_t> osds;
        for (int32_t osd = 0; osd < 10; ++osd)
            if (!cluster.heard<message::Maps>(Entity::osd(osd)).empty()) osds.push_back(osd);
        return osds;
    }
    MonitorCluster cluster{test_map(10, 1, 8, 3)};
};

TEST(MonitorMaps, tell_of_a_step_those_whom_it_concerns_at_once) {
    Followers followers(10);
    MonitorCluster& cluster = followers.cluster;
    cluster.command(command::Down{6});
    EXPECT_THAT(followers.told(), Contains(6)) << "who goes down";
    cluster.command(command::Out{5});
    EXPECT_THAT(followers.told(), Contains(5)) << "who goes out";
    cluster.say(6, message::Boot{test_disk(1), test_address(1)});
    EXPECT_THAT(followers.told(), Contains(6)) << "who comes up";
    cluster.say(3, message::Alive{cluster.epoch()});
    EXPECT_THAT(followers.told(), Contains(3)) << "who wanted it";
    const PgId pg{1, 0};
    const OsdSet acting = cluster.leader().newest()->acting(pg);
    const int32_t primary = acting.primary;
    cluster.say(primary, message::WantTemp{{{pg, {acting.osds[1], acting.osds[0]}}}});
    EXPECT_THAT(followers.told(), Contains(primary));
}

TEST(MonitorMaps, tell_of_a_step_one_osd_of_four_each_time_others) {
    Followers followers(10);
    std::set<int32_t> ever;
    for (int i = 0; i < 4; ++i) {
        followers.cluster.command(command::SetFlags{.set = 1u << (i + 4)});
        const auto told = followers.told();
        EXPECT_GE(told.size(), 2u);
        EXPECT_LE(told.size(), 3u);
        ever.insert(told.begin(), told.end());
    }
    EXPECT_EQ(ever.size(), 10u) << "nobody is left out for ever";
}

TEST(MonitorMaps, are_told_to_somebody_even_where_few_follow) {
    Followers followers(2);
    for (int i = 0; i < 4; ++i) {
        followers.cluster.command(command::SetFlags{.set = 1u << (i + 4)});
        EXPECT_EQ(followers.told().size(), 1u);
    }
}

TEST(MonitorMaps, go_to_no_osd_that_has_asked_elsewhere_since) {
    Followers followers(2);
    followers.cluster.pass(seconds(29));
    followers.follow(0);
    followers.cluster.pass(seconds(1));
    for (int i = 0; i < 2; ++i) {
        followers.cluster.command(command::SetFlags{.set = 1u << (i + 4)});
        EXPECT_THAT(followers.told(), ElementsAre(0));
    }
    followers.cluster.command(command::Down{1});
    EXPECT_THAT(followers.told(), ElementsAre(0));
}

TEST(MonitorMaps, go_once_to_who_wishes_something_by_an_old_map) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    make_steps(cluster, 3); // 8, 9, 10
    cluster.send(Entity::osd(2), message::Alive{7}, 8);
    auto heard = [&] { return spans(cluster.heard<message::Maps>(Entity::osd(2))); };
    EXPECT_THAT(heard(), ElementsAre(Span(0, 9, 10)));
    cluster.send(Entity::osd(2), message::Alive{7}, 8);
    EXPECT_THAT(heard(), IsEmpty()) << "they are on their way";
    cluster.leader().reset(Entity::osd(2));
    cluster.send(Entity::osd(2), message::Alive{7}, 8);
    EXPECT_THAT(heard(), ElementsAre(Span(0, 9, 10))) << "they were lost";
}

TEST(MonitorMaps, come_in_batches_from_followers_as_well) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    make_steps(cluster, 250); // 8 .. 257
    cluster.monitor(1).receive(client, make_message(0, message::GetMaps{.have = 8}));
    EXPECT_THAT(spans(cluster.world(1).take<message::Maps>(client)),
                ElementsAre(Span(0, 9, 108), Span(0, 109, 208), Span(0, 209, 257)));
}

TEST(MonitorMaps, of_a_monitor_that_is_behind_wait_for_who_is_ahead) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.cut(1);
    make_steps(cluster, 3);
    cluster.monitor(1).receive(client, make_message(9, message::GetMaps{.have = 9, .next = true}));
    EXPECT_THAT(spans(cluster.world(1).take<message::Maps>(client)), ElementsAre(Span(0, 0, 0)));
    cluster.heal(1);
    cluster.deliver();
    EXPECT_THAT(spans(cluster.world(1).take<message::Maps>(client)), ElementsAre(Span(0, 10, 10)));
}

/// Steps that set this weight, which one command alone asked for.
int64_t steps_with(const MonitorCluster& cluster, uint32_t weight) {
    return std::ranges::count_if(cluster.steps(), [&](const MapStep& step) {
        auto found = step->new_weight.find(0);
        return found != step->new_weight.end() && found->second == weight;
    });
}

TEST(MonitorMachine, answers_each_command_once_and_truly_whoever_leads) {
    uint64_t first = first_seed();
    for (uint64_t seed = first; seed < first + seeds_to_run(30); ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Random random(seed);
        MonitorCluster cluster(test_map(4, 1, 8, 3), 3);
        std::vector<size_t> asked; // the monitor that was asked with weight i
        for (int step = 0; step < 200; ++step) {
            size_t i = random.below(3);
            switch (random.below(8)) {
            case 0: cluster.elect(static_cast<int32_t>(i)); break;
            case 1: cluster.cut(i); break;
            case 2: cluster.heal(i); break;
            case 3: cluster.pass(seconds(random.below(4))); break;
            case 4: cluster.deliver(); break;
            default: {
                auto weight = static_cast<uint32_t>(asked.size());
                cluster.monitor(i).receive(
                    client, make_message(7, ask(weight, command::Reweight{0, weight})));
                asked.push_back(i);
            }
            }
        }
        for (size_t i = 0; i < 3; ++i) cluster.heal(i);
        cluster.elect(0);
        size_t answers = 0;
        for (size_t i = 0; i < 3; ++i) {
            answers += cluster.world(i).take<message::AskOther>(client).size();
            for (auto& done : cluster.world(i).take<message::CommandDone>(client)) {
                ++answers;
                EXPECT_EQ(asked[done.number], i);
                EXPECT_EQ(steps_with(cluster, static_cast<uint32_t>(done.number)),
                          done.result == 0 ? 1 : 0);
            }
            EXPECT_EQ(cluster.monitor(i).newest()->epoch(), cluster.epoch());
        }
        EXPECT_EQ(answers, asked.size());
    }
}

TEST(MonitorMachine, says_what_it_decides) {
    MonitorCluster cluster(test_map(4, 1, 8, 3));
    cluster.command(command::Down{1});
    EXPECT_THAT(cluster.world().told, Contains(HasSubstr("makes epoch 8: osd.1 down")));
}

} // namespace
} // namespace cloudlet::rados
