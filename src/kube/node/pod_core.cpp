#include "pod_core.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/base/check.h"

namespace cloudlet::kube::node {

using namespace std::chrono_literals;

namespace {

constexpr Duration longest_pause = 300s;
constexpr Duration good_run = 600s;     // a run this long forgives earlier crashes
constexpr Duration shortest_grace = 2s; // between SIGTERM and SIGKILL after a long preStop
constexpr Duration longest_drain = 10s; // wait for Service rules to let go
constexpr Duration settle = 100ms;      // for connections that the old rules let through
constexpr Duration gone_grace = 30s;    // a pod whose object vanished is still ended politely

/// base, 2*base, 4*base ... up to the longest pause, for failure 1, 2, 3 ...
Duration doubling(Duration base, int failures, Duration longest = longest_pause) {
    Duration pause = base;
    for (int i = 1; i < failures && pause < longest; ++i) pause *= 2;
    return std::min(pause, longest);
}

MonotonicTime::duration steps(Duration span) {
    return std::chrono::duration_cast<MonotonicTime::duration>(span);
}

} // namespace

Duration restart_pause(int failures) {
    return failures <= 0 ? Duration{0} : doubling(10s, failures);
}

PodCore::PodCore(std::string name, CorePod pod, const codec::Json& status, Now now)
    : name_(std::move(name)), began_(now.mono) {
    for (const auto& spec : pod.containers) {
        Track track;
        track.spec = spec;
        tracks_.push_back(std::move(track));
    }
    restore(status);
    if (!start_time_) start_time_ = now.wall;
    began_ -= steps(std::max<Duration>(now.wall - *start_time_, 0ns));
    desired(std::move(pod), now);
}

void PodCore::restore(const codec::Json& status) {
    if (auto time = parse_time(status["startTime"].as_string())) start_time_ = *time;
    for (const auto& condition : status["conditions"].items()) {
        transitions_[std::string(condition["type"].as_string())] = {
            std::string(condition["status"].as_string()),
            std::string(condition["lastTransitionTime"].as_string())};
    }
    const auto phase = status["phase"].as_string();
    if (phase == "Succeeded" || phase == "Failed") {
        terminal_ = restored_terminal_ = true;
        restored_status_ = status;
    }
    for (auto list : {"initContainerStatuses", "containerStatuses"}) {
        for (const auto& entry : status[list].items()) {
            Track* track = find(std::string(entry["name"].as_string()));
            if (!track) continue;
            const bool ran = !entry["containerID"].as_string().empty();
            track->restored_count = ran ? static_cast<int>(entry["restartCount"].as_int()) : -1;
            track->restored_last = entry["lastState"];
            track->started = entry["started"].as_bool();
            track->ready = entry["ready"].as_bool();
        }
    }
}

void PodCore::desired(CorePod pod, Now now) {
    for (const auto& spec : pod.containers)
        if (Track* track = find(spec.name)) track->spec.image = spec.image;
    const bool newly_deleted = pod.deleted && !pod_.deleted;
    const bool newly_gone = pod.object_gone && !pod_.object_gone;
    pod_ = std::move(pod);
    if (!pod_.deleted) return;
    if (newly_gone && !newly_deleted && stopping_)
        return; // the clock of an earlier deletion goes on
    const Duration grace = pod_.object_gone && pod_.deletion_grace <= Duration{0}
                               ? std::min<Duration>(pod_.grace, gone_grace)
                               : pod_.deletion_grace;
    const auto deadline = now.mono + steps(grace);
    if (newly_deleted && !stopping_) {
        stop_deadline_ = deadline;
        return;
    }
    if (deadline >= stop_deadline_) return;
    stop_deadline_ = deadline; // a second deletion with less patience
    for (auto& track : tracks_)
        if (track.stop != Stop::none) track.kill_at = std::min(track.kill_at, deadline);
}

void PodCore::adopt_sandbox(bool ready, std::string ip) {
    sandbox_ = true;
    sandbox_broken_ = !ready;
    if (ready) ip_ = std::move(ip);
}

void PodCore::sandbox_made(std::string ip) { ip_ = std::move(ip); }

void PodCore::observed(const std::string& container, const Attempt& attempt, Now now) {
    Track* track = find(container);
    if (!track) return;
    if (track->current && track->current->id != attempt.id) {
        if (attempt.number < track->current->number) {
            if (track->previous && track->previous->number >= attempt.number) return;
            track->previous = attempt;
            track->previous_recorded = true;
            return;
        }
        track->previous = std::move(track->current);
        track->previous_recorded = true;
        track->current.reset();
    }
    if (track->current && track->current->state == Attempt::State::exited)
        return; // nothing follows an exit
    const bool was_running = track->running();
    track->current = attempt;
    if (attempt.state == Attempt::State::running && !was_running) begin_run(*track, now);
    if (attempt.state == Attempt::State::exited) note_exit(*track, now);
}

void PodCore::begin_run(Track& track, Now now) {
    const bool adopted = track.restored_count == track.current->number;
    if (!adopted) {
        track.started = !track.spec.probes[size_t(ProbeKind::startup)];
        track.ready = false;
    }
    if (track.started && !track.spec.probes[size_t(ProbeKind::readiness)]) track.ready = true;
    track.restored_count = -1;
    track.redefined = false;
    track.stop = Stop::none;
    track.waiting_reason.clear();
    track.waiting_message.clear();
    for (size_t kind = 0; kind < probe_kinds; ++kind) {
        ProbeTrack fresh;
        if (const auto& spec = track.spec.probes[kind]) {
            fresh.next = fresh.next_counted = now.mono + steps(spec->initial_delay);
            const bool liveness = ProbeKind(kind) == ProbeKind::liveness;
            if (spec->cheap && spec->success_threshold == 1 && !liveness) fresh.eager = 50ms;
        }
        track.probes[kind] = fresh;
    }
}

void PodCore::note_exit(Track& track, Now now) {
    const Attempt& run = *track.current;
    if (track.restored_count >= run.number) track.restored_count = -1;
    track.started = track.ready = false;
    track.stop = Stop::none;
    const bool long_run =
        run.started_at != WallTime{} && run.finished_at - run.started_at >= good_run;
    if (long_run || track.redefined) track.failures = 0;
    const Duration pause = restart_pause(track.failures);
    const Duration since = std::clamp<Duration>(now.wall - run.finished_at, 0ns, pause);
    track.not_before = now.mono + steps(pause - since);
    if (!track.redefined) track.failures += 1;
}

void PodCore::retry_now(Now now) {
    sandbox_not_before_ = now.mono;
    for (auto& track : tracks_)
        if (track.start_failures > 0 && !track.pull_backs_off)
            track.not_before = std::min(track.not_before, now.mono);
}

bool PodCore::set_routed(bool routed, Now now) {
    if (routed_ && !routed) {
        for (auto& track : tracks_)
            if (track.stop == Stop::drain || track.stop == Stop::pre_stop)
                track.settle_until = now.mono + steps(settle);
    }
    return std::exchange(routed_, routed) != routed;
}

const Attempt* PodCore::current(const std::string& container) const {
    const Track* track = find(container);
    return track && track->current ? &*track->current : nullptr;
}

PodCore::Track* PodCore::find(const std::string& name) {
    return const_cast<Track*>(std::as_const(*this).find(name));
}

const PodCore::Track* PodCore::find(const std::string& name) const {
    for (const auto& track : tracks_)
        if (track.spec.name == name) return &track;
    return nullptr;
}

void PodCore::wake_at(MonotonicTime time) {
    if (!wake_ || time < *wake_) wake_ = time;
}

bool PodCore::any_busy() const {
    return sandbox_busy_ || finish_busy_ ||
           std::any_of(tracks_.begin(), tracks_.end(),
                       [](const Track& t) { return t.busy || t.stopping_busy; });
}

bool PodCore::starting() const {
    if (terminal_ || pod_.deleted) return false;
    return sandbox_busy_ ||
           (sandbox_ && std::any_of(tracks_.begin(), tracks_.end(), [](const Track& t) {
                return t.busy && t.waiting_reason.empty();
            }));
}

std::vector<CoreEvent> PodCore::take_events() { return std::exchange(events_, {}); }

std::vector<Action> PodCore::step(Now now) {
    std::vector<Action> actions;
    wake_.reset();
    if (done_) return actions;
    if (!terminal_) check_terminal(now);
    if (pod_.deleted || terminal_) {
        stop_all(now, actions);
    } else {
        run(now, actions);
    }
    for (auto& track : tracks_) {
        drive_stop(track, now, actions);
        run_probes(track, now, actions);
    }
    collect_old(actions);
    return actions;
}

void PodCore::run(Now now, std::vector<Action>& actions) {
    if (pod_.active_deadline && now.mono < began_ + steps(*pod_.active_deadline))
        wake_at(began_ + steps(*pod_.active_deadline));
    if (!sandbox_ || sandbox_broken_) {
        if (sandbox_busy_) return;
        if (now.mono < sandbox_not_before_) return wake_at(sandbox_not_before_);
        sandbox_busy_ = true;
        actions.push_back(
            {.kind = sandbox_broken_ ? ActionKind::drop_sandbox : ActionKind::make_sandbox});
        return;
    }
    restart_redefined(now);
    if (!run_inits(now, actions)) return;
    for (auto& track : tracks_)
        if (track.spec.kind == ContainerKind::app) maybe_start(track, now, actions);
}

/// Starts what must run before the apps; true when the apps may start.
bool PodCore::run_inits(Now now, std::vector<Action>& actions) {
    const bool apps_began = std::any_of(tracks_.begin(), tracks_.end(), [](const Track& t) {
        return t.spec.kind == ContainerKind::app && t.current;
    });
    for (auto& track : tracks_) {
        if (track.spec.kind == ContainerKind::app) break;
        if (track.spec.kind == ContainerKind::sidecar) {
            maybe_start(track, now, actions);
            if (!apps_began && !(track.running() && track.started)) return false;
        } else if (!apps_began) {
            if (track.exited() && track.current->exit_code == 0) continue;
            maybe_start(track, now, actions);
            return false;
        }
    }
    return true;
}

bool PodCore::inits_done() const {
    const bool apps_began = std::any_of(tracks_.begin(), tracks_.end(), [](const Track& t) {
        return t.spec.kind == ContainerKind::app && t.current;
    });
    if (apps_began) return true;
    for (const auto& track : tracks_) {
        if (track.spec.kind == ContainerKind::init &&
            !(track.exited() && track.current->exit_code == 0))
            return false;
        if (track.spec.kind == ContainerKind::sidecar && !(track.running() && track.started))
            return false;
    }
    return true;
}

/// A running container whose image is another by now is ended, and started anew whatever the policy
/// says (kubelet's computePodActions).
void PodCore::restart_redefined(Now now) {
    for (auto& track : tracks_) {
        if (track.spec.kind == ContainerKind::init || !track.running() || track.stop != Stop::none)
            continue;
        if (track.current->image.empty() || track.current->image == track.spec.image) continue;
        track.redefined = true;
        begin_stop(
            track, now, pod_.grace,
            fmt::format("Container {} definition changed, will be restarted", track.spec.name));
    }
}

bool PodCore::will_restart(const Track& track) const {
    if (track.redefined) return true;
    if (track.spec.kind == ContainerKind::sidecar) return true;
    const bool failed = track.exited() && track.current->exit_code != 0;
    if (track.spec.kind == ContainerKind::init)
        return failed && pod_.restart_policy != RestartPolicy::never;
    switch (pod_.restart_policy) {
    case RestartPolicy::always: return true;
    case RestartPolicy::on_failure: return failed;
    case RestartPolicy::never: return false;
    }
    return false;
}

void PodCore::maybe_start(Track& track, Now now, std::vector<Action>& actions) {
    if (track.busy || track.running()) return;
    if (track.exited() && !will_restart(track)) return;
    if (now.mono < track.not_before) {
        if (track.exited() && track.waiting_reason.empty()) {
            track.waiting_reason = "CrashLoopBackOff";
            track.waiting_message =
                fmt::format("back-off {}s restarting failed container={} pod={}",
                            restart_pause(track.failures - 1) / 1s, track.spec.name, name_);
            events_.push_back({true, "BackOff",
                               fmt::format("Back-off restarting failed container {} in pod {}",
                                           track.spec.name, name_),
                               track.spec.name});
        }
        if (track.pull_backs_off && track.waiting_reason == "ErrImagePull") {
            if (now.mono < track.rename_at) return wake_at(track.rename_at);
            track.waiting_reason = "ImagePullBackOff";
            track.waiting_message = fmt::format("Back-off pulling image \"{}\": {}",
                                                track.spec.image, track.waiting_message);
            events_.push_back({false, "BackOff",
                               fmt::format("Back-off pulling image \"{}\"", track.spec.image),
                               track.spec.name});
        }
        return wake_at(track.not_before);
    }
    const int last = std::max(track.current ? track.current->number : -1, track.restored_count);
    track.busy = true;
    actions.push_back(
        {.kind = ActionKind::start, .container = track.spec.name, .number = last + 1});
}

void PodCore::check_terminal(Now now) {
    if (pod_.active_deadline && now.mono >= began_ + steps(*pod_.active_deadline)) {
        terminal_ = failed_ = true;
        failed_reason_ = "DeadlineExceeded";
        failed_message_ = "Pod was active on the node longer than the specified deadline";
        return;
    }
    if (!sandbox_ || sandbox_broken_ || pod_.restart_policy == RestartPolicy::always) return;
    bool all_over = true;
    for (const auto& track : tracks_) {
        const bool over = track.exited() && !track.busy && !will_restart(track);
        if (track.spec.kind == ContainerKind::init && over && track.current->exit_code != 0) {
            terminal_ = true;
            return;
        }
        if (track.spec.kind == ContainerKind::app && !over) all_over = false;
    }
    if (all_over) terminal_ = true;
}

// --- stopping ---

void PodCore::stop_all(Now now, std::vector<Action>& actions) {
    if (!stopping_) {
        stopping_ = true;
        if (!pod_.deleted) stop_deadline_ = now.mono + steps(pod_.grace);
    }
    const Duration grace = std::max<Duration>(stop_deadline_ - now.mono, 0ns);
    bool later_alive = false; // sidecars end after everything that was started after them
    for (auto it = tracks_.rbegin(); it != tracks_.rend(); ++it) {
        const bool alive = it->running() || it->busy;
        if (it->spec.kind == ContainerKind::app || !later_alive) {
            if (it->running() && it->stop == Stop::none)
                begin_stop(*it, now, grace, "Stopping container " + it->spec.name);
        }
        later_alive = later_alive || alive;
    }
    if (later_alive || any_busy()) return;
    const bool wanted = pod_.deleted ? !done_ : !finished_terminal_;
    if (!wanted) return;
    if (now.mono < finish_not_before_) return wake_at(finish_not_before_);
    finish_busy_ = true;
    finish_deletes_ = pod_.deleted;
    actions.push_back({.kind = ActionKind::finish});
}

void PodCore::begin_stop(Track& track, Now now, Duration grace, std::string why) {
    track.stop_began = now.mono;
    track.kill_at = now.mono + steps(grace);
    track.drain_until = now.mono + steps(std::min<Duration>(longest_drain, grace / 2));
    track.stop_why = std::move(why);
    track.was_routed = routed_ && stopping_;
    track.settle_until = {};
    track.stop = track.spec.pre_stop && grace > 0ns ? Stop::pre_stop : Stop::drain;
    events_.push_back({false, "Killing", track.stop_why, track.spec.name});
}

void PodCore::drive_stop(Track& track, Now now, std::vector<Action>& actions) {
    if (track.stop == Stop::none || !track.running()) return;
    const std::string& id = track.current->id;
    if (track.stop == Stop::pre_stop && !track.stopping_busy) {
        track.stopping_busy = true;
        actions.push_back({.kind = ActionKind::pre_stop,
                           .container = track.spec.name,
                           .attempt = id,
                           .budget = track.kill_at - now.mono});
    }
    if (track.stop == Stop::pre_stop && now.mono >= track.kill_at)
        track.stop = Stop::drain; // the hook took it all
    if (track.stop == Stop::drain) {
        const bool held = routed_ || now.mono < track.settle_until;
        if (track.was_routed && held && now.mono < track.drain_until)
            return wake_at(routed_ ? track.drain_until
                                   : std::min(track.settle_until, track.drain_until));
        track.stop = Stop::term;
        // A deadline that has passed, or that a long hook ate up, still leaves a moment to end
        // politely.
        if (track.spec.pre_stop)
            track.kill_at = std::max(track.kill_at, now.mono + steps(shortest_grace));
        actions.push_back({.kind = ActionKind::terminate,
                           .container = track.spec.name,
                           .attempt = id,
                           .why = track.stop_why});
    }
    if (track.stop == Stop::term || track.stop == Stop::killed) {
        if (now.mono < track.kill_at) return wake_at(track.kill_at);
        track.stop = Stop::killed;
        track.kill_at = now.mono + 10s; // again, should the first one have been lost
        actions.push_back({.kind = ActionKind::kill,
                           .container = track.spec.name,
                           .attempt = id,
                           .why = track.stop_why});
        wake_at(track.kill_at);
    } else {
        wake_at(track.kill_at);
    }
}

void PodCore::collect_old(std::vector<Action>& actions) {
    for (auto& track : tracks_) {
        if (!track.previous || !track.previous_recorded || !track.running()) continue;
        track.previous_recorded = false; // lastState keeps what the record said
        actions.push_back({.kind = ActionKind::remove_attempt,
                           .container = track.spec.name,
                           .attempt = track.previous->id,
                           .number = track.previous->number});
    }
}

// --- completions ---

void PodCore::finished(const Completion& done, Now now) {
    Track* track = done.container.empty() ? nullptr : find(done.container);
    switch (done.kind) {
    case ActionKind::make_sandbox:
    case ActionKind::drop_sandbox:
        sandbox_busy_ = false;
        sandbox_error_ = done.ok ? "" : done.message;
        if (done.ok) {
            sandbox_ = done.kind == ActionKind::make_sandbox;
            sandbox_broken_ = false;
        }
        sandbox_failures_ = done.ok ? 0 : sandbox_failures_ + 1;
        if (!done.ok)
            sandbox_not_before_ = now.mono + steps(doubling(500ms, sandbox_failures_, 30s));
        return;
    case ActionKind::finish:
        finish_busy_ = false;
        if (done.ok) {
            // A deletion that came meanwhile is still to be carried out.
            (finish_deletes_ ? done_ : finished_terminal_) = true;
            sandbox_ = false;
        } else {
            finish_failures_ += 1;
            finish_not_before_ = now.mono + steps(doubling(500ms, finish_failures_, 30s));
        }
        return;
    case ActionKind::start:
        if (track) start_finished(*track, done, now);
        return;
    case ActionKind::pre_stop:
        if (!track) return;
        track->stopping_busy = false;
        if (track->stop == Stop::pre_stop) track->stop = Stop::drain;
        return;
    case ActionKind::probe:
        if (track) probe_finished(*track, done, now);
        return;
    case ActionKind::remove_attempt: // what stays goes with the sandbox
    case ActionKind::terminate:
    case ActionKind::kill: return;
    }
}

void PodCore::start_finished(Track& track, const Completion& done, Now now) {
    track.busy = false;
    if (done.ok) {
        track.start_failures = 0;
        track.pull_backs_off = false;
        return;
    }
    if (track.current && track.current->id == done.attempt) {
        // It was made: its exit is told by observed(). A failed postStart hook ends it.
        if (track.running() && track.stop == Stop::none)
            begin_stop(track, now, pod_.grace, done.message);
        return;
    }
    track.start_failures += 1;
    track.waiting_reason = done.reason;
    track.waiting_message = done.message;
    track.pull_backs_off = done.backs_off;
    const Duration pause = done.backs_off ? doubling(10s, track.start_failures)
                                          : doubling(500ms, track.start_failures, 10s);
    track.not_before = now.mono + steps(pause);
    track.rename_at = now.mono + steps(2s);
}

// --- probes ---

void PodCore::run_probes(Track& track, Now now, std::vector<Action>& actions) {
    if (!track.running() || track.stop != Stop::none || stopping_) return;
    for (size_t kind = 0; kind < probe_kinds; ++kind) {
        const auto& spec = track.spec.probes[kind];
        ProbeTrack& probe = track.probes[kind];
        if (!spec || probe.in_flight) continue;
        const bool is_startup = ProbeKind(kind) == ProbeKind::startup;
        if (is_startup ? track.started : !track.started) continue;
        if (now.mono < probe.next) {
            wake_at(probe.next);
            continue;
        }
        probe.in_flight = true;
        actions.push_back({.kind = ActionKind::probe,
                           .container = track.spec.name,
                           .attempt = track.current->id,
                           .probe = ProbeKind(kind)});
    }
}

void PodCore::probe_finished(Track& track, const Completion& done, Now now) {
    const auto& spec = track.spec.probes[size_t(done.probe)];
    ProbeTrack& probe = track.probes[size_t(done.probe)];
    if (!spec || !track.running() || track.current->id != done.attempt) return;
    probe.in_flight = false;
    const bool counted = now.mono >= probe.next_counted;
    while (probe.next_counted <= now.mono) probe.next_counted += steps(spec->period);
    probe.next = probe.next_counted;
    if (!done.ok && probe.eager > 0ns && probe.failures <= 1 && !track.ready) {
        // Not yet up: look again soon, so that a quick start is seen quickly; such tries count no
        // failure.
        probe.next = std::min(probe.next, now.mono + steps(probe.eager));
        probe.eager = std::min<Duration>(probe.eager * 2, 2s);
    }
    if (done.ok) {
        probe.failures = 0;
        probe.successes = std::min(probe.successes + 1, spec->success_threshold);
        if (probe.successes < spec->success_threshold) return;
        probe.eager = 0ns;
        if (done.probe == ProbeKind::startup && !track.started) {
            track.started = true;
            track.ready = track.ready || !track.spec.probes[size_t(ProbeKind::readiness)];
            for (auto later : {ProbeKind::liveness, ProbeKind::readiness})
                track.probes[size_t(later)].next = now.mono;
        }
        if (done.probe == ProbeKind::readiness) track.ready = true;
        return;
    }
    static constexpr std::string_view names[] = {"Startup", "Liveness", "Readiness"};
    if (!counted) return;
    probe.successes = 0;
    probe.failures += 1;
    events_.push_back({true, "Unhealthy",
                       fmt::format("{} probe failed: {}", names[size_t(done.probe)], done.message),
                       track.spec.name});
    if (probe.failures < spec->failure_threshold) return;
    if (done.probe == ProbeKind::readiness) {
        track.ready = false;
        return;
    }
    if (track.stop == Stop::none && !stopping_)
        begin_stop(track, now, spec->grace.value_or(pod_.grace),
                   fmt::format("Container {} failed {} probe, will be restarted", track.spec.name,
                               done.probe == ProbeKind::startup ? "startup" : "liveness"));
}

} // namespace cloudlet::kube::node
