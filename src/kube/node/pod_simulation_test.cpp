// Thousands of pod lives from seeds: actions finish late and out of order, fail, containers crash,
// probes flap, the agent restarts, the pod is deleted at any moment. Whatever happens, the rules
// hold.

#include <gtest/gtest.h>

#include "cloudlet/base/random.h"
#include "pod_core.h"

namespace cloudlet::kube::node {
namespace {

using namespace std::chrono_literals;

struct Running {
    Attempt attempt;
    std::string container;
    bool told = false; // SIGTERM was sent
};

struct Pending {
    Action action;
    MonotonicTime due;
};

class Simulation {
public:
    explicit Simulation(uint64_t seed) : random_(seed), pod_(make_pod()) { boot(); }

    /// Lives until the pod is gone; what broke, or an empty text.
    std::string run() {
        for (int i = 0; i < 4000 && problem_.empty(); ++i) {
            disturb(i);
            act();
            if (core_->is_done()) {
                if (!machine_.empty()) return "done while containers run";
                return problem_;
            }
            clock_.advance(std::chrono::milliseconds(1 + random_.below(400)));
            finish_due();
        }
        return problem_.empty() ? "the pod did not end" : problem_;
    }

private:
    Now now() const { return {clock_.monotonic(), clock_.wall()}; }

    CorePod make_pod() {
        CorePod pod;
        pod.restart_policy = RestartPolicy(random_.below(3));
        pod.grace = std::chrono::seconds(1 + random_.below(20));
        for (uint64_t i = 0, n = random_.below(3); i < n; ++i)
            pod.containers.push_back(
                {.name = "init" + std::to_string(i),
                 .image = "i",
                 .kind = random_.chance(0.3) ? ContainerKind::sidecar : ContainerKind::init,
                 .probes = {}});
        for (uint64_t i = 0, n = 1 + random_.below(3); i < n; ++i)
            pod.containers.push_back(
                {.name = "app" + std::to_string(i), .image = "i", .probes = {}});
        for (auto& container : pod.containers) {
            container.pre_stop = random_.chance(0.3);
            for (auto& probe : container.probes)
                if (random_.chance(0.3))
                    probe = ProbeSpec{
                        .period = 1s, .failure_threshold = 3, .cheap = random_.chance(0.5)};
        }
        return pod;
    }

    /// A (re)started agent: a new core that learns what the machine has.
    void boot() {
        pending_.clear();
        core_.emplace("sim", pod_, status_, now());
        if (sandbox_) core_->adopt_sandbox(true, "10.0.0.1");
        for (const auto& attempt : ended_) core_->observed(attempt.first, attempt.second, now());
        for (const auto& [id, running] : machine_)
            core_->observed(running.container, running.attempt, now());
    }

    void disturb(int round) {
        if (random_.chance(0.01)) {
            status_ = core_->status(now());
            boot();
        }
        if (!machine_.empty() && random_.chance(0.02)) {
            auto victim = std::next(machine_.begin(), long(random_.below(machine_.size())));
            end(victim->first, random_.chance(0.5) ? 0 : 1);
        }
        if (random_.chance(0.05)) core_->set_routed(random_.chance(0.5), now());
        if (!pod_.deleted && (round > 1500 || random_.chance(0.002))) {
            pod_.deleted = true;
            pod_.deletion_grace = pod_.grace;
            core_->desired(pod_, now());
        }
    }

    void end(const std::string& id, int code) {
        Running running = machine_.at(id);
        machine_.erase(id);
        running.attempt.state = Attempt::State::exited;
        running.attempt.exit_code = code;
        running.attempt.finished_at = clock_.wall();
        ended_[running.container] = running.attempt;
        core_->observed(running.container, running.attempt, now());
    }

    void act() {
        for (const auto& action : core_->step(now())) {
            check_action(action);
            pending_.push_back(
                {action, clock_.monotonic() + std::chrono::milliseconds(random_.below(800))});
        }
    }

    void finish_due() {
        std::vector<Pending> due;
        std::erase_if(pending_, [&](const Pending& p) {
            if (p.due > clock_.monotonic()) return false;
            due.push_back(p);
            return true;
        });
        for (const auto& p : due) carry_out(p.action);
    }

    bool succeeded_once(const std::string& container) const {
        auto found = ended_.find(container);
        return found != ended_.end() && found->second.exit_code == 0;
    }

    void check_action(const Action& action) {
        const CoreContainer* spec = nullptr;
        for (const auto& container : pod_.containers)
            if (container.name == action.container) spec = &container;
        for (const auto& p : pending_)
            if (p.action.kind == action.kind && p.action.container == action.container &&
                p.action.probe == action.probe && action.kind != ActionKind::kill &&
                action.kind != ActionKind::terminate && action.kind != ActionKind::remove_attempt &&
                p.action.attempt == action.attempt)
                problem_ = "the same action twice at once: " + action.container;
        if (action.kind == ActionKind::start) check_start(action, *spec);
        if (action.kind == ActionKind::finish && !machine_.empty())
            problem_ = "finish while containers run";
        if (action.kind == ActionKind::probe && !machine_.contains(action.attempt))
            problem_ = "probe of a dead container";
    }

    void check_start(const Action& action, const CoreContainer& spec) {
        if (!sandbox_) problem_ = "start without a sandbox";
        if (pod_.deleted) problem_ = "start of a deleted pod's container";
        for (const auto& [id, running] : machine_)
            if (running.container == action.container)
                problem_ = "start while it runs: " + action.container;
        if (auto last = ended_.find(action.container); last != ended_.end()) {
            if (last->second.number >= action.number) problem_ = "an attempt's number came twice";
            const bool failed = last->second.exit_code != 0;
            const bool again = spec.kind == ContainerKind::sidecar ||
                               (spec.kind == ContainerKind::init && failed) ||
                               pod_.restart_policy == RestartPolicy::always ||
                               (pod_.restart_policy == RestartPolicy::on_failure && failed);
            if (!again ||
                (spec.kind == ContainerKind::init && pod_.restart_policy == RestartPolicy::never))
                problem_ = "restart against the policy: " + action.container;
        }
        if (spec.kind == ContainerKind::sidecar) return;
        for (const auto& earlier : pod_.containers) {
            if (earlier.name == action.container) break;
            if (earlier.kind == ContainerKind::init && !succeeded_once(earlier.name))
                problem_ = action.container + " started before " + earlier.name + " had succeeded";
        }
    }

    void carry_out(const Action& action) {
        Completion done{.kind = action.kind,
                        .container = action.container,
                        .attempt = action.attempt,
                        .probe = action.probe};
        done.ok = !random_.chance(0.1);
        switch (action.kind) {
        case ActionKind::make_sandbox:
            sandbox_ = done.ok || sandbox_;
            core_->sandbox_made("10.0.0.1");
            break;
        case ActionKind::drop_sandbox: sandbox_ = false; break;
        case ActionKind::start: carry_out_start(action, done); break;
        case ActionKind::terminate:
            if (auto found = machine_.find(action.attempt);
                found != machine_.end() && random_.chance(0.7))
                end(action.attempt, 143);
            break;
        case ActionKind::kill:
            if (machine_.contains(action.attempt)) end(action.attempt, 137);
            break;
        case ActionKind::finish:
            if (done.ok) sandbox_ = false;
            break;
        case ActionKind::pre_stop:
        case ActionKind::remove_attempt:
        case ActionKind::probe: break;
        }
        core_->finished(done, now());
    }

    void carry_out_start(const Action& action, Completion& done) {
        if (!done.ok) {
            done.reason = "CreateContainerError";
            return;
        }
        Running running;
        running.container = action.container;
        running.attempt = {.id = action.container + "-" + std::to_string(action.number),
                           .number = action.number,
                           .state = Attempt::State::running,
                           .started_at = clock_.wall(),
                           .error = {},
                           .message = {},
                           .image_id = {}};
        done.attempt = running.attempt.id;
        machine_[running.attempt.id] = running;
        core_->observed(action.container, running.attempt, now());
        if (random_.chance(0.2)) end(running.attempt.id, int(random_.below(2)));
    }

    Random random_;
    ManualClock clock_;
    CorePod pod_;
    codec::Json status_;
    std::optional<PodCore> core_;
    bool sandbox_ = false;
    std::map<std::string, Running> machine_;
    std::map<std::string, Attempt> ended_;
    std::vector<Pending> pending_;
    std::string problem_;
};

TEST(PodSimulation, TheRulesHoldInEveryLife) {
    for (uint64_t seed = 1; seed <= 1500; ++seed) {
        const std::string problem = Simulation(seed).run();
        ASSERT_EQ(problem, "") << "seed " << seed;
    }
}

} // namespace
} // namespace cloudlet::kube::node
