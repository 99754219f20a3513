#pragma once
// The pure core of a pod's worker: desired pod + what is observed + time -> actions and status. It
// performs nothing and knows no clock, so a seeded simulation drives thousands of lives through it.
//
// The shell tells it facts (desired(), sandbox_made(), observed(), finished(), set_routed()), then
// calls step(), carries out the returned actions in any order and side by side, and reports each
// with finished(). next_wake() says when step() must be called even if nothing is told.

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/codec/json.h"

namespace cloudlet::kube::node {

enum class RestartPolicy { always, on_failure, never };
enum class ContainerKind { init, sidecar, app };
enum class ProbeKind { startup, liveness, readiness };
constexpr size_t probe_kinds = 3;

/// The two clocks of one instant: deadlines by the monotonic one, records by the wall.
struct Now {
    MonotonicTime mono{};
    WallTime wall{};
};

struct ProbeSpec {
    Duration initial_delay{0};
    Duration period = std::chrono::seconds(10);
    int success_threshold = 1;
    int failure_threshold = 3;
    std::optional<Duration> grace{}; // probe-level terminationGracePeriodSeconds
    bool cheap = false;              // may be tried between periods until it first succeeds
};

struct CoreContainer {
    std::string name;
    std::string image;
    ContainerKind kind = ContainerKind::app;
    std::array<std::optional<ProbeSpec>, probe_kinds> probes;
    bool pre_stop = false;
};

/// What the core needs of a Pod. Init containers and sidecars come first, in their order.
struct CorePod {
    std::vector<CoreContainer> containers;
    RestartPolicy restart_policy = RestartPolicy::always;
    Duration grace = std::chrono::seconds(30); // terminationGracePeriodSeconds
    std::optional<Duration> active_deadline;
    bool host_network = false;
    bool deleted = false;       // deletionTimestamp is set, or the object is gone
    Duration deletion_grace{0}; // what is left of it when `deleted` is first told
    bool object_gone = false;   // nothing to write to any more
    std::string host_ip;
    std::string qos_class;
    std::vector<std::string> readiness_gates; // condition types that others must set to True
    std::set<std::string> open_gates;         // those that are
    int64_t generation = 0;
};

/// One run of a container, as the engine knows it.
struct Attempt {
    enum class State { created, running, exited };
    std::string id;
    int number = 0; // the restart count at its start
    State state = State::created;
    WallTime started_at{}, finished_at{};
    int exit_code = 0;
    int signal = 0;
    bool oom_killed = false;
    bool lost = false;    // nobody saw its end
    std::string error;    // why it could not be started
    std::string message;  // termination message
    std::string image_id; // as status shows it
    std::string image{};  // the name that it was started with
};

enum class ActionKind {
    make_sandbox,   // namespaces, network, volumes
    drop_sandbox,   // it is broken (the machine restarted): remove it and its containers
    start,          // image, environment, create, start, postStart
    pre_stop,       // run the hook
    terminate,      // send the stop signal
    kill,           // send SIGKILL
    remove_attempt, // an old run's record
    probe,
    finish, // all is dead: last status, remove the sandbox; when deleted, the object too
};

struct Action {
    ActionKind kind = ActionKind::start;
    std::string container{};
    std::string attempt{}; // id, where one is meant
    int number = 0;        // of the attempt to start
    ProbeKind probe = ProbeKind::readiness;
    Duration budget{0}; // pre_stop: how long it may take
    std::string why{};  // kill, terminate: for the event
};

/// How an action ended. For start: `reason`/`message` are what status.waiting shows on failure.
struct Completion {
    ActionKind kind = ActionKind::start;
    std::string container{};
    std::string attempt{};
    ProbeKind probe = ProbeKind::readiness;
    bool ok = true;
    bool backs_off = false; // start: a pull failed, wait longer and longer
    std::string reason{}, message{};
};

/// One fact for the event recorder that only the core knows.
struct CoreEvent {
    bool warning = false;
    std::string reason, message, container;
};

class PodCore {
public:
    /// `name` is "ns/name(uid)" for messages. `status` is what the API holds (restart counts, start
    /// time, conditions survive an agent's restart), or null.
    PodCore(std::string name, CorePod pod, const codec::Json& status, Now now);

    // Facts.
    void desired(CorePod pod, Now now);
    /// The pod's address, as soon as it is known (make_sandbox goes on with the volumes).
    void sandbox_made(std::string ip);
    /// A run of a container appeared or changed; older facts about an id are ignored.
    void observed(const std::string& container, const Attempt& attempt, Now now);
    /// Something that a failed start was missing may be there now: do not wait for the back-off.
    void retry_now(Now now);
    void finished(const Completion& completion, Now now);
    /// Whether a Service's rules lead to the pod's address right now.
    /// True when that is news.
    bool set_routed(bool routed, Now now);
    /// The sandbox that a restarted agent found; `ready` false after a reboot of the machine.
    void adopt_sandbox(bool ready, std::string ip);

    std::vector<Action> step(Now now);
    std::optional<MonotonicTime> next_wake() const { return wake_; }
    std::vector<CoreEvent> take_events();

    /// The complete `status` of the pod, conditions with their transition times. Other writers'
    /// conditions are not in it.
    codec::Json status(Now now);
    /// True when an action that will soon change the status is under way: a write may wait for it.
    bool starting() const;
    bool is_done() const { return done_; } // finish was carried out on a deleted pod
    bool is_terminal() const { return terminal_; }
    const std::string& ip() const { return ip_; }
    /// The newest run of a container, or nullptr.
    const Attempt* current(const std::string& container) const;
    /// status.state.waiting.reason of a container, or empty.
    std::string waiting_reason(const std::string& container) const;

private:
    enum class Stop { none, pre_stop, drain, term, killed };
    struct ProbeTrack {
        bool in_flight = false;
        MonotonicTime next{}, next_counted{};
        int successes = 0, failures = 0;
        Duration eager{0}; // pause to the next uncounted try; 0: none
    };
    struct Track {
        CoreContainer spec;
        std::optional<Attempt> current, previous;
        int restored_count = -1; // restartCount known from the API alone
        codec::Json restored_last;
        std::string waiting_reason, waiting_message;
        MonotonicTime not_before{}; // back-off
        int failures = 0;           // crashes in a row, for the back-off
        int start_failures = 0;     // failed start actions in a row
        bool busy = false;          // a start is under way
        bool stopping_busy = false; // a pre_stop hook is under way
        bool redefined = false;     // ended because its image is another by now
        bool pull_backs_off = false;
        MonotonicTime rename_at{};      // when ErrImagePull becomes ImagePullBackOff
        bool previous_recorded = false; // the engine still has a record of `previous`
        Stop stop = Stop::none;
        MonotonicTime stop_began{}, kill_at{}, drain_until{}, settle_until{};
        std::string stop_why;
        bool was_routed = false;
        bool started = false, ready = false;
        std::array<ProbeTrack, probe_kinds> probes;
        bool running() const { return current && current->state == Attempt::State::running; }
        bool exited() const { return current && current->state == Attempt::State::exited; }
    };

    Track* find(const std::string& name);
    const Track* find(const std::string& name) const;
    void restore(const codec::Json& status);
    void run(Now now, std::vector<Action>& actions);
    bool run_inits(Now now, std::vector<Action>& actions);
    void maybe_start(Track& track, Now now, std::vector<Action>& actions);
    void collect_old(std::vector<Action>& actions);
    bool will_restart(const Track& track) const;
    void restart_redefined(Now now);
    bool inits_done() const;
    void check_terminal(Now now);
    void stop_all(Now now, std::vector<Action>& actions);
    void begin_stop(Track& track, Now now, Duration grace, std::string why);
    void drive_stop(Track& track, Now now, std::vector<Action>& actions);
    void begin_run(Track& track, Now now);
    void note_exit(Track& track, Now now);
    void run_probes(Track& track, Now now, std::vector<Action>& actions);
    void probe_finished(Track& track, const Completion& completion, Now now);
    void start_finished(Track& track, const Completion& completion, Now now);
    void wake_at(MonotonicTime time);
    bool any_busy() const;

    // Status (pod_status.cpp).
    codec::Json container_status(const Track& track) const;
    codec::Json container_state(const Track& track) const;
    std::string phase() const;
    codec::Json conditions(Now now);
    bool all_ready(std::string* unready) const;

    std::string name_;
    CorePod pod_;
    std::vector<Track> tracks_;
    bool sandbox_ = false, sandbox_broken_ = false, sandbox_busy_ = false;
    MonotonicTime sandbox_not_before_{};
    int sandbox_failures_ = 0;
    std::string sandbox_error_;
    std::string ip_;
    bool routed_ = false;
    bool terminal_ = false; // the pod's work is over (Succeeded or Failed)
    bool failed_ = false;   // terminal for a reason of the pod: deadline
    std::string failed_reason_, failed_message_;
    bool restored_terminal_ = false;
    codec::Json restored_status_;
    bool stopping_ = false;
    MonotonicTime stop_deadline_{};
    bool finish_busy_ = false, finished_terminal_ = false, done_ = false;
    bool finish_deletes_ = false; // the finish under way is also for the object, not the pod alone
    MonotonicTime finish_not_before_{};
    int finish_failures_ = 0;
    std::optional<WallTime> start_time_;
    MonotonicTime began_{};
    std::map<std::string, std::pair<std::string, std::string>> transitions_; // type -> status, time
    std::vector<CoreEvent> events_;
    std::optional<MonotonicTime> wake_;
};

/// The part of a pod's status that the node agent writes, in the order in which PodCore::status()
/// has it.
codec::Json own_status(const codec::Json& status);

/// The strategic patch that turns the node's half of a stored status, `before`, into `status`: what
/// is gone must be named, because a merge keeps what it is not told about.
codec::Json status_patch(const codec::Json& status, const codec::Json& before);

/// 0, 10 s, 20 s ... 300 s: the pause before restart number `failures` (0 the first time).
Duration restart_pause(int failures);

} // namespace cloudlet::kube::node
