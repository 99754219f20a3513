#include "deployment_plan.h"

#include <cstdlib>

#include <fmt/format.h>

#include "cloudlet/base/random.h"
#include "pods.h"
#include "test_objects.h"

namespace cloudlet::kube::controllers {
namespace {

api::Object deployment(int replicas, std::string more = "", std::string image = "v1",
                       std::string status = "{}") {
    return api::Object(json(fmt::format(
        "{{'apiVersion':'apps/"
        "v1','kind':'Deployment','metadata':{{'name':'web','namespace':'default','uid':'dep',"
        "'generation':2,'annotations':{{'note':'x'}}}},'spec':{{'replicas':{},'selector':{{'"
        "matchLabels':{{'app':'web'}}}},"
        "'progressDeadlineSeconds':600,'template':{{'metadata':{{'labels':{{'app':'web'}}}},'spec':"
        "{{'containers':"
        "[{{'name':'c','image':'{}'}}]}}}}{}}},'status':{}}}",
        replicas, image, more, status)));
}

struct SetFacts {
    std::string name;
    std::string image = "v1";
    int64_t replicas = 0;
    int64_t available = 0;
    int64_t revision = 1;
    int64_t age = 100;
    int64_t desired = -1; // noted at the last scaling
    int64_t most = 0;
};

api::Object replica_set(const SetFacts& facts) {
    auto annotations =
        Json::object({{revision_annotation, std::to_string(facts.revision)}, {"note", "x"}});
    if (facts.desired >= 0) annotations.set(desired_annotation, std::to_string(facts.desired));
    if (facts.most > 0) annotations.set(most_annotation, std::to_string(facts.most));
    auto spec = json("{'template':{'metadata':{'labels':{'app':'web','pod-template-hash':'h'}},'"
                     "spec':{'containers':"
                     "[{'name':'c','image':'" +
                     facts.image + "'}]}}}");
    spec.set("replicas", facts.replicas);
    auto metadata = Json::object(
        {{"name", facts.name},
         {"namespace", "default"},
         {"uid", "uid-" + facts.name},
         {"generation", 1},
         {"annotations", std::move(annotations)},
         {"creationTimestamp", format_time(test_start - std::chrono::seconds(facts.age))}});
    auto status = Json::object({{"replicas", facts.replicas},
                                {"readyReplicas", facts.available},
                                {"availableReplicas", facts.available},
                                {"observedGeneration", 1}});
    return api::Object(Json::object({{"metadata", std::move(metadata)},
                                     {"spec", std::move(spec)},
                                     {"status", std::move(status)}}));
}

std::string line_of(const DeploymentPlan& plan) {
    std::string line;
    if (!plan.create.is_null())
        line += fmt::format("create {} ", plan.create.at({"spec", "replicas"}).as_int());
    for (const SetChange& change : plan.changes)
        if (change.replicas) line += fmt::format("{}={} ", change.set.name(), *change.replicas);
    for (const auto& set : plan.remove) line += fmt::format("-{} ", set.name());
    if (!line.empty()) line.pop_back();
    return line;
}

DeploymentPlan plan(const api::Object& wanted, std::vector<api::Object> sets,
                    bool old_pods_running = false) {
    return plan_deployment({wanted, std::move(sets), old_pods_running, test_start});
}

std::string reason_of(const DeploymentPlan& plan, std::string_view type = "Progressing") {
    return std::string(find_condition(plan.status["conditions"], type)["reason"].as_string());
}

TEST(RolloutLimits, RoundSurgeUpAndUnavailableDown) {
    auto limits = [](int replicas, std::string surge, std::string unavailable) {
        const auto found = rollout_limits(
            deployment(replicas, ",'strategy':{'rollingUpdate':{'maxSurge':" + surge +
                                     ",'maxUnavailable':" + unavailable + "}}"));
        return fmt::format("{} {}", found.surge, found.unavailable);
    };
    EXPECT_EQ(limits(10, "'25%'", "'25%'"), "3 2");
    EXPECT_EQ(limits(3, "'25%'", "'25%'"), "1 0");
    EXPECT_EQ(limits(3, "0", "0"), "0 1");
    EXPECT_EQ(limits(3, "0", "'10%'"), "0 1");
    EXPECT_EQ(limits(2, "5", "9"), "5 2");
    EXPECT_EQ(rollout_limits(deployment(4)).surge, 1);
    EXPECT_EQ(rollout_limits(deployment(4, ",'strategy':{'type':'Recreate'}")).surge, 0);
}

TEST(PlanDeployment, MakesTheFirstSetWithAllReplicasAndRevisionOne) {
    const auto made = plan(deployment(3), {});
    EXPECT_EQ(line_of(made), "create 3");
    EXPECT_EQ(made.revision, "1");
    const Json& set = made.create;
    EXPECT_EQ(set.at({"metadata", "annotations", "deployment.kubernetes.io/desired-replicas"})
                  .as_string(),
              "3");
    EXPECT_EQ(
        set.at({"metadata", "annotations", "deployment.kubernetes.io/max-replicas"}).as_string(),
        "4");
    EXPECT_EQ(set.at({"metadata", "annotations", "note"}).as_string(), "x");
    const auto hash = set.at({"spec", "selector", "matchLabels", "pod-template-hash"}).as_string();
    EXPECT_EQ(set.at({"metadata", "name"}).as_string(), "web-" + std::string(hash));
    EXPECT_EQ(set.at({"spec", "template", "metadata", "labels", "pod-template-hash"}).as_string(),
              hash);
    EXPECT_EQ(reason_of(made), "NewReplicaSetCreated");
}

TEST(PlanDeployment, ChoosesAnotherNameAfterACollision) {
    const auto first = plan(deployment(1), {}).create.at({"metadata", "name"});
    const auto second =
        plan(deployment(1, "", "v1", "{'collisionCount':1}"), {}).create.at({"metadata", "name"});
    EXPECT_NE(first.as_string(), second.as_string());
}

TEST(PlanDeployment, RollsWithinSurgeThenShrinksTheOld) {
    const auto old_set = replica_set(
        {.name = "old", .image = "v0", .replicas = 4, .available = 4, .desired = 4, .most = 5});
    EXPECT_EQ(line_of(plan(deployment(4), {old_set})), "create 1");
    const SetFacts fresh{.name = "new",
                         .replicas = 1,
                         .available = 0,
                         .revision = 2,
                         .age = 1,
                         .desired = 4,
                         .most = 5};
    // One may be unavailable: 4 wanted, 25 % rounds down to 1.
    EXPECT_EQ(line_of(plan(deployment(4), {old_set, replica_set(fresh)})), "old=3");
    SetFacts ready = fresh;
    ready.available = 1;
    EXPECT_EQ(line_of(plan(deployment(4), {old_set, replica_set(ready)})), "old=2");
    const auto shrunk = replica_set(
        {.name = "old", .image = "v0", .replicas = 2, .available = 2, .desired = 4, .most = 5});
    EXPECT_EQ(line_of(plan(deployment(4), {shrunk, replica_set(ready)})), "new=3");
}

TEST(PlanDeployment, RemovesPodsThatAreBrokenAnywayFirst) {
    const auto broken = replica_set(
        {.name = "old", .image = "v0", .replicas = 3, .available = 1, .desired = 3, .most = 4});
    const auto fresh = replica_set({.name = "new",
                                    .replicas = 1,
                                    .available = 1,
                                    .revision = 2,
                                    .age = 1,
                                    .desired = 3,
                                    .most = 4});
    EXPECT_EQ(line_of(plan(deployment(3), {broken, fresh})), "old=2");
}

TEST(PlanDeployment, RecreateWaitsForTheEndOfOldPods) {
    const auto wanted = deployment(3, ",'strategy':{'type':'Recreate'}");
    EXPECT_EQ(
        line_of(plan(wanted,
                     {replica_set({.name = "old", .image = "v0", .replicas = 3, .available = 3})})),
        "old=0");
    const auto empty = replica_set({.name = "old", .image = "v0"});
    EXPECT_EQ(line_of(plan(wanted, {empty}, true)), "");
    EXPECT_EQ(line_of(plan(wanted, {empty}, false)), "create 3");
}

TEST(PlanDeployment, GoesBackToAnOlderSetUnderANewRevision) {
    const auto first =
        replica_set({.name = "one", .image = "v1", .revision = 1, .desired = 2, .most = 3});
    const auto second = replica_set({.name = "two",
                                     .image = "v2",
                                     .replicas = 2,
                                     .available = 2,
                                     .revision = 2,
                                     .desired = 2,
                                     .most = 3});
    const auto back = plan(deployment(2), {first, second});
    EXPECT_EQ(back.revision, "3");
    EXPECT_EQ(line_of(back), "one=1");
    EXPECT_EQ(back.changes[0].annotations[history_annotation].as_string(), "1");
}

TEST(PlanDeployment, ScalesInProportionDuringARollout) {
    const auto old_set = replica_set(
        {.name = "old", .image = "v0", .replicas = 8, .available = 8, .desired = 10, .most = 13});
    const auto fresh = replica_set({.name = "new",
                                    .replicas = 5,
                                    .available = 2,
                                    .revision = 2,
                                    .age = 1,
                                    .desired = 10,
                                    .most = 13});
    EXPECT_EQ(line_of(plan(deployment(20), {old_set, fresh})),
              "new=10 old=15"); // 20 and a surge of 5: 25
    const auto alone = replica_set(
        {.name = "new", .replicas = 3, .available = 3, .revision = 1, .desired = 3, .most = 4});
    EXPECT_EQ(line_of(plan(deployment(10), {alone})), "new=10");
    EXPECT_EQ(line_of(plan(deployment(0), {alone})), "new=0");
}

TEST(PlanDeployment, HoldsBackWhilePausedButScales) {
    const auto paused = deployment(5, ",'paused':true", "v9");
    const auto set =
        replica_set({.name = "old", .replicas = 3, .available = 3, .desired = 3, .most = 4});
    const auto held = plan(paused, {set});
    EXPECT_EQ(line_of(held), "old=5");
    EXPECT_EQ(reason_of(held), "DeploymentPaused");
}

TEST(PlanDeployment, KeepsAsMuchHistoryAsAsked) {
    std::vector<api::Object> sets{replica_set(
        {.name = "now", .replicas = 1, .available = 1, .revision = 9, .desired = 1, .most = 2})};
    for (int i = 1; i <= 4; ++i)
        sets.push_back(replica_set(
            {.name = fmt::format("r{}", i), .image = fmt::format("old{}", i), .revision = i}));
    EXPECT_EQ(line_of(plan(deployment(1, ",'revisionHistoryLimit':2"), sets)), "-r1 -r2");
}

TEST(PlanDeployment, TellsProgressCompletionAndTheDeadline) {
    const auto set = replica_set(
        {.name = "new", .replicas = 2, .available = 2, .revision = 1, .desired = 2, .most = 3});
    const auto done = plan(deployment(2), {set});
    EXPECT_EQ(reason_of(done), "NewReplicaSetAvailable");
    EXPECT_EQ(reason_of(done, "Available"), "MinimumReplicasAvailable");
    EXPECT_EQ(done.look_again, Duration::zero());
    auto at = [](int seconds_ago) {
        return fmt::format("{{'replicas':2,'updatedReplicas':2,'conditions':[{{'type':'Progressing'"
                           ",'status':'True','reason':"
                           "'ReplicaSetUpdated','lastUpdateTime':'{}'}}]}}",
                           format_time(test_start - std::chrono::seconds(seconds_ago)));
    };
    const auto stuck = replica_set(
        {.name = "new", .replicas = 2, .available = 0, .revision = 1, .desired = 2, .most = 3});
    const auto waiting = plan(deployment(2, "", "v1", at(100)), {stuck});
    EXPECT_EQ(reason_of(waiting), "ReplicaSetUpdated");
    EXPECT_EQ(reason_of(waiting, "Available"), "MinimumReplicasUnavailable");
    EXPECT_EQ(waiting.look_again, Duration{std::chrono::seconds{501}});
    EXPECT_EQ(reason_of(plan(deployment(2, "", "v1", at(601)), {stuck})),
              "ProgressDeadlineExceeded");
}

// ---- a seeded simulation: pods come up, fail, and go, while a rollout is under way

class Simulation {
public:
    explicit Simulation(uint64_t seed) : random_(seed) {
        replicas_ = static_cast<int>(1 + random_.below(12));
        const auto amount = [&] {
            return random_.chance(0.5) ? std::to_string(random_.below(4))
                                       : fmt::format("'{}%'", random_.below(101));
        };
        strategy_ =
            fmt::format(",'strategy':{{'rollingUpdate':{{'maxSurge':{},'maxUnavailable':{}}}}}",
                        amount(), amount());
        limits_ = rollout_limits(deployment(replicas_, strategy_));
        sets_.push_back({.name = "old",
                         .image = "v0",
                         .replicas = replicas_,
                         .available = replicas_,
                         .revision = 1,
                         .desired = replicas_,
                         .most = replicas_ + limits_.surge});
    }

    /// `failing`: pods also become unready, for a while.
    void run(bool failing) {
        for (int step = 0; step < 400; ++step) {
            const bool stable = step > 200 || !failing;
            act();
            if (testing::Test::HasFailure()) return;
            live(stable);
            const SetFacts& last = sets_.back();
            if (stable && last.image == "v1" && last.available == replicas_ && total() == replicas_)
                return;
        }
        ADD_FAILURE() << "the rollout did not end: " << picture();
    }
    std::string picture() const {
        std::string line = fmt::format("wanted {} surge {} unavailable {}:", replicas_,
                                       limits_.surge, limits_.unavailable);
        for (const SetFacts& set : sets_)
            line += fmt::format(" {}={}/{}", set.name, set.available, set.replicas);
        return line;
    }

private:
    Random random_;
    int replicas_ = 0;
    std::string strategy_;
    RolloutLimits limits_;
    std::vector<SetFacts> sets_;

    int64_t total() const {
        int64_t sum = 0;
        for (const SetFacts& set : sets_) sum += set.replicas;
        return sum;
    }
    int64_t available() const {
        int64_t sum = 0;
        for (const SetFacts& set : sets_) sum += set.available;
        return sum;
    }
    void act() {
        std::vector<api::Object> objects;
        for (const SetFacts& set : sets_) objects.push_back(replica_set(set));
        const auto step = plan(deployment(replicas_, strategy_), objects);
        const int64_t before = available();
        const std::string was = picture();
        for (const SetChange& change : step.changes)
            for (SetFacts& set : sets_)
                if (change.replicas && set.name == change.set.name()) {
                    set.replicas = *change.replicas;
                    set.available = std::min(set.available, set.replicas); // unready ones go first
                }
        if (!step.create.is_null())
            sets_.push_back({.name = "new",
                             .replicas = step.create.at({"spec", "replicas"}).as_int(),
                             .revision = 2,
                             .age = 1,
                             .desired = replicas_,
                             .most = replicas_ + limits_.surge});
        ASSERT_LE(total(), std::max<int64_t>(replicas_ + limits_.surge, replicas_))
            << was << " -> " << picture();
        const int64_t least = replicas_ - limits_.unavailable;
        ASSERT_GE(available(), std::min(before, least)) << was << " -> " << picture();
    }
    void live(bool stable) {
        for (SetFacts& set : sets_) {
            if (set.available < set.replicas && random_.chance(0.5)) set.available++;
            if (!stable && set.available > 0 && random_.chance(0.3)) set.available--;
        }
    }
};

TEST(PlanDeployment, KeepsSurgeAndAvailabilityInEveryRandomRollout) {
    const char* many = std::getenv("CLOUDLET_SEEDS");
    const uint64_t seeds = many ? std::strtoull(many, nullptr, 10) : 150;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Simulation(seed).run(seed % 2 == 0);
        if (HasFailure()) return;
    }
}

} // namespace
} // namespace cloudlet::kube::controllers
