#include "cloudlet/rados/client_machine.h"

#include <cerrno>
#include <functional>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "client/recording_world.h"
#include "cloudlet/rados/osd_map_create.h"
#include "cloudlet/rados/planted_bug.h"

namespace cloudlet::rados {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

constexpr PoolId pool = 1;
using Words = std::vector<std::string>;

ObjectOps write(std::string data) { return {op::WriteFull{share(std::move(data))}}; }
ObjectOps read() { return {op::Read{}}; }

/// A client of three monitors and three OSDs, which serve all PGs of one pool in turn.
struct Client final : ClientListener {
    explicit Client(ClientOptions options = {.monitors = {0, 1, 2}})
        : machine(7, 2, world, cache, *this, std::move(options)) {
        OsdMap made = *create_simple_map({.osds = 3, .with_default_pool = true, .pg_bits = 0});
        made.resize_osds(3);
        for (size_t osd = 0; osd < 3; ++osd) {
            made.osd_state[osd] = osd_exists | osd_up;
            made.osd_weight[osd] = 0x10000;
        }
        for (uint32_t seed = 0; seed < 3; ++seed) made.pg_temp[{pool, seed}] = {0, 1, 2};
        first = std::make_shared<const OsdMap>(std::move(made));
        newest = first->epoch;
    }

    void done(uint64_t number, const message::ClientReply& reply) override {
        answers.push_back(fmt::format("{}: {}", number, reply.result));
        if (on_done) on_done();
    }
    void receive(const Entity& from, MessageBody body) {
        machine.receive(from, make_message(newest, std::move(body)));
    }
    Client& begin() {
        machine.start();
        receive(Entity::monitor(0), message::Maps{.full = first});
        world.sent.clear();
        return *this;
    }

    // Steps of the map, made one by one and given together.
    OsdMapIncremental step() const {
        OsdMapIncremental made;
        made.fsid = first->fsid;
        made.epoch = newest + 1;
        return made;
    }
    void add(OsdMapIncremental step) {
        newest = step.epoch;
        steps.push_back(std::make_shared<const OsdMapIncremental>(std::move(step)));
    }
    void add_flags(uint32_t wanted) {
        auto made = step();
        made.new_flags = static_cast<int32_t>(first->flags | wanted);
        add(std::move(made));
    }
    void add_acting(std::vector<int32_t> osds) {
        auto made = step();
        for (uint32_t seed = 0; seed < 3; ++seed) made.new_pg_temp[{pool, seed}] = osds;
        add(std::move(made));
    }
    void add_states(uint32_t changed) {
        auto made = step();
        for (int32_t osd = 0; osd < 3; ++osd) made.new_state[osd] = changed;
        add(std::move(made));
    }
    void add_pool_flags(uint64_t pool_flags) {
        auto made = step();
        made.new_pools[pool] = first->pools.at(pool);
        made.new_pools[pool].flags |= pool_flags;
        add(std::move(made));
    }
    void give_steps(Entity from = Entity::monitor(0)) {
        receive(from, message::Maps{.full = {}, .steps = std::exchange(steps, {})});
    }
    void set_flags(uint32_t wanted) {
        add_flags(wanted);
        give_steps();
    }
    void set_acting(std::vector<int32_t> osds) {
        add_acting(std::move(osds));
        give_steps();
    }

    uint64_t submit(std::string name, ObjectOps ops) {
        return machine.submit({.pool = pool, .name = std::move(name), .ops = std::move(ops)});
    }
    /// To the newest sending.
    void answer(uint64_t number, int32_t osd = 0, int32_t result = 0) {
        note_attempts();
        answer_attempt(number, attempts[number], osd, result);
    }
    void answer_attempt(uint64_t number, uint32_t attempt, int32_t osd = 0, int32_t result = 0) {
        receive(
            Entity::osd(osd),
            message::ClientReply{.request = {7, 2, number}, .result = result, .attempt = attempt});
    }
    void note_attempts() {
        for (const auto& [to, message] : world.sent)
            if (const auto* op = std::get_if<message::ClientOp>(&message->body))
                attempts[op->request.number] = op->attempt;
    }
    /// What was sent since this was asked last, but questions for the next map: "osd.0 17 e3",
    /// "mon.1 all after 0".
    Words sent() {
        Words lines;
        note_attempts();
        for (const auto& [to, message] : std::exchange(world.sent, {})) {
            if (const auto* op = std::get_if<message::ClientOp>(&message->body))
                lines.push_back(
                    fmt::format("{} {} e{}", to.to_string(), op->request.number, message->epoch));
            if (const auto* maps = std::get_if<message::GetMaps>(&message->body))
                (maps->full ? lines : asked)
                    .push_back(fmt::format("{} {} after {}", to.to_string(),
                                           maps->full ? "all" : "next", maps->have));
        }
        return lines;
    }
    /// Questions for the next map since this was asked last: "mon.1 next after 3".
    Words sent_for_maps() {
        sent();
        return std::exchange(asked, {});
    }
    message::ClientOp last_op() const {
        for (auto it = world.sent.rbegin(); it != world.sent.rend(); ++it)
            if (const auto* op = std::get_if<message::ClientOp>(&it->second->body)) return *op;
        return {};
    }
    Words told() { return std::exchange(answers, {}); }

    RecordingWorld world;
    MapCache cache;
    std::shared_ptr<const OsdMap> first;
    Epoch newest = 0;
    std::vector<MapStep> steps;
    std::map<uint64_t, uint32_t> attempts; // by number, of what was sent
    Words answers, asked;
    std::function<void()> on_done;
    ClientMachine machine;
};

TEST(ClientMachine, SendsARequestToThePrimaryOfItsObjectsPg) {
    Client client;
    client.begin();
    EXPECT_EQ(client.machine.submit({pool, "apple", "key", "space", write("a")}), 1u);
    auto op = client.last_op();
    const Pool& in = client.first->pools.at(pool);
    const uint32_t hash = object_hash(in, {"apple", "key", "space"});
    EXPECT_EQ(op.request, (RequestId{7, 2, 1}));
    EXPECT_EQ(op.object, (PgObject{hash, "apple", std::string("key"), std::string("space")}));
    EXPECT_EQ(op.pg, pg_of_raw(in, {pool, hash}));
    EXPECT_EQ(op.ops, write("a"));
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e1"));
    client.answer(1, 0, -ENOENT);
    EXPECT_THAT(client.told(), ElementsAre("1: -2"));
    EXPECT_EQ(client.machine.pending(), 0u);
}

TEST(ClientMachine, WaitsForItsFirstMap) {
    Client client;
    client.machine.start();
    client.submit("a", write("1"));
    client.submit("b", read());
    EXPECT_THAT(client.sent(), testing::SizeIs(1)) << "the question for maps alone";
    client.receive(Entity::monitor(0), message::Maps{.full = client.first});
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e1", "osd.0 2 e1"));
}

TEST(ClientMachine, SendsNothingAgainByTimeAlone) {
    Client client;
    client.begin();
    client.submit("a", write("1"));
    client.sent();
    client.world.pass(client.machine, 1h);
    for (const std::string& line : client.sent()) EXPECT_THAT(line, testing::StartsWith("mon."));
    EXPECT_EQ(client.machine.pending(), 1u);
}

TEST(ClientMachine, SendsAgainInOrderWhenThePgsIntervalChanges) {
    Client client;
    client.begin();
    for (const char* name : {"a", "b", "a"}) client.submit(name, write("1"));
    client.sent();
    client.set_flags(map_noout);
    EXPECT_THAT(client.sent(), IsEmpty()) << "a map that does not concern the PG";
    client.set_acting({0, 2, 1});
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e3", "osd.0 2 e3", "osd.0 3 e3"));
    client.set_acting({2, 1, 0});
    EXPECT_THAT(client.sent(), ElementsAre("osd.2 1 e4", "osd.2 2 e4", "osd.2 3 e4"));
    EXPECT_EQ(client.machine.epoch(), 4u);
}

TEST(ClientMachine, SeesAnIntervalThatCameAndWentBetweenTwoMessages) {
    Client client;
    client.begin();
    client.submit("a", write("1"));
    client.sent();
    client.add_acting({1, 0, 2});
    client.add_acting({0, 1, 2});
    client.give_steps(Entity::osd(1)); // an OSD's word is as good as a monitor's
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e3"));
}

TEST(ClientMachine, SendsAgainAfterALeap) {
    Client client;
    client.begin();
    client.submit("a", write("1"));
    client.sent();
    auto later = std::make_shared<OsdMap>(*client.first);
    later->epoch = 9;
    client.receive(Entity::monitor(0), message::Maps{.full = later});
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e9"));
}

TEST(ClientMachine, AsksForTheWholeMapWhenStepsAreMissing) {
    Client client;
    client.begin();
    client.add_flags(map_noout);
    client.steps.clear();
    client.set_flags(map_noin);
    EXPECT_THAT(client.sent(), ElementsAre(testing::EndsWith("all after 0")));
    EXPECT_EQ(client.machine.epoch(), 1u);
}

TEST(ClientMachine, WaitsWhileThePgHasNoPrimary) {
    Client client;
    client.begin();
    client.submit("a", write("1"));
    client.sent();
    client.add_states(osd_up); // XORed: all go down
    client.give_steps();
    client.submit("a", write("2"));
    EXPECT_THAT(client.sent(), IsEmpty());
    client.answer(1);
    EXPECT_THAT(client.told(), IsEmpty()) << "an answer from the interval that ended";
    client.add_states(osd_up);
    client.give_steps();
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e3", "osd.0 2 e3"));
}

TEST(ClientMachine, SendsAgainInOrderWhenAnOsdLostItsMemory) {
    Client client;
    client.begin();
    client.submit("a", write("1"));
    client.submit("b", read());
    client.submit("c", read());
    client.answer(2);
    client.sent();
    client.machine.reset(Entity::osd(1));
    EXPECT_THAT(client.sent(), IsEmpty());
    client.machine.reset(Entity::osd(0));
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e1", "osd.0 3 e1"));
}

TEST(ClientMachine, EndsTheRequestsOfAPoolThatIsGone) {
    Client client;
    client.begin();
    client.submit("a", write("1"));
    auto step = client.step();
    step.old_pools.insert(pool);
    client.add(std::move(step));
    client.give_steps();
    EXPECT_THAT(client.told(), ElementsAre("1: -2"));
    client.submit("a", read());
    EXPECT_THAT(client.told(), IsEmpty()) << "not from within submit()";
    client.world.pass(client.machine, 0s);
    EXPECT_THAT(client.told(), ElementsAre("2: -2"));
}

TEST(ClientMachine, RefusesAnObjectWithoutAName) {
    Client client;
    client.begin();
    client.submit("", write("1"));
    client.world.pass(client.machine, 0s);
    EXPECT_THAT(client.told(), ElementsAre(fmt::format("1: {}", -EINVAL)));
    EXPECT_THAT(client.sent(), IsEmpty());
}

TEST(ClientMachine, HoldsReadsOrChangesWhileTheyArePaused) {
    Client client;
    client.begin().set_flags(map_pauserd);
    client.submit("a", read());
    client.submit("b", write("1"));
    client.submit("c", {op::AssertExists{}, op::Remove{}});
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 2 e2")) << "a guard reads";
    client.set_flags(map_pausewr);
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e3"));
    client.set_flags(0);
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 2 e4", "osd.0 3 e4"))
        << "what was sent before the pause may have been dropped";
}

TEST(ClientMachine, HoldsWhatFillsAFullClusterOrPool) {
    Client client;
    client.begin().set_flags(map_full);
    client.submit("a", write("1"));
    client.submit("b", {op::Remove{}});
    client.submit("c", read());
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 2 e2", "osd.0 3 e2"));
    client.add_flags(0);
    client.add_pool_flags(pool_full);
    client.give_steps();
    EXPECT_THAT(client.sent(), IsEmpty());
    client.add_pool_flags(pool_full_quota);
    client.give_steps();
    EXPECT_THAT(client.sent(), IsEmpty());
    client.add_pool_flags(0);
    client.give_steps();
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e6"));
}

TEST(ClientMachine, SendsToAFullClusterWhatIsToBeRefusedOrMadeThere) {
    Client client;
    client.begin().set_flags(map_full);
    for (uint8_t flag : {message::ClientOp::full_try, message::ClientOp::full_force}) {
        client.machine.submit({.pool = pool, .name = "a", .ops = write("1"), .flags = flag});
        EXPECT_EQ(client.last_op().flags, flag);
    }
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e2", "osd.0 2 e2"));
    client.set_flags(map_pausewr);
    client.machine.submit(
        {.pool = pool, .name = "b", .ops = write("1"), .flags = message::ClientOp::full_force});
    EXPECT_THAT(client.sent(), IsEmpty()) << "a pause is another matter";
}

TEST(ClientMachine, TakesTheAnswerToTheNewestSendingOnly) {
    Client client;
    client.begin();
    client.submit("a", read());
    EXPECT_EQ(client.last_op().attempt, 0u);
    client.set_acting({1, 0, 2});
    client.set_acting({0, 1, 2});
    EXPECT_EQ(client.last_op().attempt, 2u);
    client.answer_attempt(1, 0);
    client.answer_attempt(1, 1);
    EXPECT_THAT(client.told(), IsEmpty()) << "of an interval that is over";
    client.answer_attempt(1, 2);
    EXPECT_THAT(client.told(), ElementsAre("1: 0"));
}

TEST(ClientMachine, SendsAgainAfterAPauseThatCameAndWentBetweenTwoMessages) {
    Client client;
    client.begin();
    client.submit("a", write("1"));
    client.submit("b", read());
    client.sent();
    client.add_flags(map_pausewr);
    client.add_flags(0);
    client.give_steps();
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e3"));
}

TEST(ClientMachine, TakesTheAnswerToARequestThatIsHeldBack) {
    Client client;
    client.begin();
    client.submit("a", write("1"));
    client.set_flags(map_pausewr);
    client.submit("a", read());
    client.sent();
    client.answer(1);
    EXPECT_THAT(client.told(), ElementsAre("1: 0"));
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 2 e2")) << "nothing is before it any more";
}

TEST(ClientMachine, KeepsTheOrderOfAnObjectsRequestsWhenOneIsHeld) {
    Client client;
    client.begin().set_flags(map_pausewr);
    client.submit("a", read());
    client.submit("a", write("1"));
    client.submit("a", read());
    client.submit("b", read());
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e2", "osd.0 4 e2"));
    client.answer(1);
    EXPECT_THAT(client.sent(), IsEmpty());
    client.set_flags(0);
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 2 e3", "osd.0 3 e3"));
}

TEST(ClientMachine, SendsNoMoreAtOnceThanItsLimits) {
    Client client({.monitors = {0}, .most_in_flight = 2, .most_bytes = 10});
    client.begin();
    client.submit("a", write("1234567"));
    client.submit("b", write("1234567"));
    client.submit("c", read());
    client.submit("d", read());
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 1 e1")) << "no overtaking";
    EXPECT_EQ(client.machine.in_flight(), 1u);
    EXPECT_EQ(client.machine.pending(), 4u);
    client.answer(1);
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 2 e1", "osd.0 3 e1"));
    client.answer(3);
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 4 e1"));
    client.answer(2);
    client.answer(4);
    client.submit("a", write("more than the limit goes alone"));
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 5 e1"));
}

TEST(ClientMachine, LetsItsListenerSubmit) {
    Client client({.monitors = {0}, .most_in_flight = 1});
    client.begin();
    client.on_done = [&] {
        if (client.machine.pending() < 2) client.submit("c", read());
    };
    client.submit("a", read());
    client.submit("b", read());
    client.sent();
    client.answer(1);
    client.answer(2);
    EXPECT_THAT(client.sent(), ElementsAre("osd.0 2 e1", "osd.0 3 e1"));
}

TEST(ClientMachine, HearsOneAnswerFromWhomItAskedLast) {
    Client client;
    client.begin();
    client.submit("a", read());
    client.answer(1, 1);
    client.receive(Entity::osd(0), message::ClientReply{.request = {7, 1, 1}});
    client.receive(Entity::osd(0), message::ClientReply{.request = {8, 2, 1}});
    EXPECT_THAT(client.told(), IsEmpty()) << "another OSD, life, client";
    client.answer(1);
    client.answer(1);
    EXPECT_THAT(client.told(), ElementsAre("1: 0"));
}

TEST(ClientMachine, AsksTheNextMonitorUntilItHasAMap) {
    Client client;
    client.machine.start();
    Words asked = client.sent();
    client.world.pass(client.machine, 10s);
    for (const std::string& line : client.sent()) asked.push_back(line);
    client.machine.reset(Entity::monitor(asked[2][4] - '0'));
    for (const std::string& line : client.sent()) asked.push_back(line);
    ASSERT_EQ(asked.size(), 4u);
    EXPECT_EQ(
        std::set<std::string>(asked.begin(), asked.begin() + 3),
        (std::set<std::string>{"mon.0 all after 0", "mon.1 all after 0", "mon.2 all after 0"}));
    EXPECT_EQ(asked[3], asked[0]);
}

TEST(ClientMachine, AsksAnotherMonitorWithWhatItHasWhenOneStaysSilent) {
    Client client;
    client.begin();
    client.world.pass(client.machine, 1h);
    EXPECT_THAT(client.sent(), IsEmpty()) << "nothing is pending";
    client.submit("a", read());
    client.sent_for_maps();
    client.world.pass(client.machine, 29s);
    client.set_flags(map_noout);
    client.sent_for_maps();
    client.world.pass(client.machine, 29s);
    EXPECT_THAT(client.sent_for_maps(), IsEmpty());
    client.world.pass(client.machine, 1s);
    EXPECT_THAT(client.sent_for_maps(), ElementsAre(testing::EndsWith("next after 2")));
}

TEST(ClientMachine, WaitsForTheNextMapWhileItHasSomethingToDo) {
    Client client;
    client.begin();
    client.set_flags(map_noout);
    EXPECT_THAT(client.sent_for_maps(), IsEmpty()) << "it has nothing to do";
    client.submit("a", read());
    EXPECT_THAT(client.sent_for_maps(), ElementsAre(testing::EndsWith("next after 2")));
    client.receive(Entity::monitor(0), message::Maps{});
    client.answer(1);
    client.submit("b", read());
    EXPECT_THAT(client.sent_for_maps(), IsEmpty()) << "there was none since";
    client.set_flags(map_noin);
    EXPECT_THAT(client.sent_for_maps(), ElementsAre(testing::EndsWith("next after 3")));
    client.answer(2);
    client.set_flags(map_noup);
    EXPECT_THAT(client.sent_for_maps(), IsEmpty());
}

TEST(ClientMachine, SaysWhatItWaitsFor) {
    Client client;
    client.begin().set_flags(map_pausewr);
    client.submit("a", read());
    client.submit("b", write("1"));
    const std::string pg = client.last_op().pg.to_string();
    EXPECT_THAT(client.machine.describe(),
                ElementsAre("1 1/a pg " + pg + " osd.0 e2", "2 1/b waits"));
}

TEST(ClientMachine, KeepsARequestsIdentityUnlessABugIsPlanted) {
    for (bool bug : {false, true}) {
        std::optional<PlantBug> planted;
        if (bug) planted.emplace(PlantedBug::client_new_identity);
        Client client;
        client.begin();
        client.submit("a", write("1"));
        client.machine.reset(Entity::osd(0));
        const uint64_t number = client.last_op().request.number;
        EXPECT_EQ(number == 1, !bug);
        client.answer(number);
        EXPECT_THAT(client.told(), ElementsAre("1: 0"));
    }
}

TEST(ClientMachine, IgnoresIntervalsWhenThatBugIsPlanted) {
    PlantBug bug(PlantedBug::client_ignores_interval);
    Client client;
    client.begin();
    client.submit("a", write("1"));
    client.sent();
    client.set_acting({2, 1, 0});
    EXPECT_THAT(client.sent(), IsEmpty());
}

} // namespace
} // namespace cloudlet::rados
