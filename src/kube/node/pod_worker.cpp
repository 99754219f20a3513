#include "pod_worker.h"

#include <csignal>

#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/pidfd.h"
#include "pod_spec.h"

namespace cloudlet::kube::node {

using codec::Json;
using namespace std::chrono_literals;

namespace {

constexpr Duration status_patience = 300ms; // a quick start writes one status, not two

} // namespace

std::set<std::string> references_of(const Json& spec) {
    std::set<std::string> found;
    auto add = [&](const char* kind, const Json& name) {
        if (name.is_string()) found.insert(std::string(kind) + std::string(name.as_string()));
    };
    auto add_sources = [&](const Json& source) {
        add("configmap/", source["configMap"]["name"]);
        add("secret/", source["secret"]["secretName"]);
        add("secret/", source["secret"]["name"]);
    };
    for (const auto& volume : spec["volumes"].items()) {
        add_sources(volume);
        for (const auto& source : volume["projected"]["sources"].items()) add_sources(source);
    }
    for (auto list : {"initContainers", "containers"}) {
        for (const auto& container : spec[list].items()) {
            for (const auto& from : container["envFrom"].items()) {
                add("configmap/", from["configMapRef"]["name"]);
                add("secret/", from["secretRef"]["name"]);
            }
            for (const auto& env : container["env"].items()) {
                add("configmap/", env["valueFrom"]["configMapKeyRef"]["name"]);
                add("secret/", env["valueFrom"]["secretKeyRef"]["name"]);
            }
        }
    }
    return found;
}

PodWorker::PodWorker(std::shared_ptr<AgentContext> context, api::Object pod)
    : held_context_(std::move(context)), context_(*held_context_), uid_(pod.uid()), ns_(pod.ns()),
      name_(pod.name()), pod_(pod),
      core_(fmt::format("{}_{}({})", name_, ns_, uid_),
            core_pod(pod, context_.options.node_ip, context_.now()), pod.status(), context_.now()),
      references_(references_of(pod.spec())), written_status_(own_status(pod.status())) {}

void PodWorker::begin(bool gone) {
    std::vector<std::string> half_made;
    {
        std::lock_guard lock(mutex_);
        const Now now = context_.now();
        auto containers = context_.parts.engine.list(uid_);
        auto sandbox = context_.parts.engine.inspect_sandbox(uid_);
        // One without containers may lack volumes still: making it again is idempotent.
        if (sandbox && (!containers.empty() || !sandbox->ready || gone))
            core_.adopt_sandbox(sandbox->ready, sandbox->ip);
        std::sort(containers.begin(), containers.end(),
                  [](const auto& a, const auto& b) { return a.created_at < b.created_at; });
        for (const auto& info : containers) {
            if (info.state == engine::ContainerState::created) {
                half_made.push_back(info.id); // a former agent died between create and start
            } else {
                core_.observed(info.config.labels.at("container"), attempt_of(info), now);
            }
        }
        if (gone) {
            object_gone_ = true;
            core_.desired(core_pod(pod_, context_.options.node_ip, now, true), now);
        }
    }
    for (const auto& id : half_made)
        if (auto removed = context_.parts.engine.remove(id); !removed)
            log_warning("node", "pod {}/{}: {}", ns_, name_, removed.error().to_string());
    poke();
}

void PodWorker::update(const api::Object& pod) {
    bool labels_changed = false;
    {
        std::lock_guard lock(mutex_);
        const Now now = context_.now();
        labels_changed = pod_.metadata()["labels"] != pod.metadata()["labels"] ||
                         pod_.metadata()["annotations"] != pod.metadata()["annotations"];
        pod_ = pod;
        core_.desired(core_pod(pod, context_.options.node_ip, now), now);
    }
    if (labels_changed) sources_changed();
    poke();
}

void PodWorker::gone() {
    {
        std::lock_guard lock(mutex_);
        object_gone_ = true;
        core_.desired(core_pod(pod_, context_.options.node_ip, context_.now(), true),
                      context_.now());
    }
    poke();
}

void PodWorker::stop() {
    {
        std::lock_guard lock(mutex_);
        stopped_ = true;
    }
    context_.parts.loop.call([this] { handles_.clear(); });
}

void PodWorker::exited(const engine::ContainerInfo& info) {
    const Attempt attempt = attempt_of(info);
    observe(info.config.labels.at("container"), attempt);
    if (context_.pod_changed) context_.pod_changed(uid_);
    run();
}

void PodWorker::observe(const std::string& container, const Attempt& attempt) {
    std::lock_guard lock(mutex_);
    core_.observed(container, attempt, context_.now());
}

void PodWorker::routes_changed() {
    {
        std::lock_guard lock(mutex_);
        const bool routed = context_.services && context_.services->is_routed(core_.ip());
        if (!core_.set_routed(routed, context_.now())) return;
    }
    poke();
}

void PodWorker::sources_changed() {
    (void)context_.pool.submit([self = shared_from_this()] { self->refresh_volumes(); });
}

void PodWorker::refresh_volumes() {
    api::Object object = pod();
    {
        std::lock_guard lock(mutex_);
        core_.retry_now(context_.now());
    }
    const bool has_volumes = io::exists(context_.options.root + "/memory/" + uid_);
    if (has_volumes) {
        std::lock_guard lock(volumes_mutex_);
        auto refreshed = context_.volumes.refresh(object, facts());
        if (!refreshed)
            log_info("node", "pod {}/{}: volumes: {}", ns_, name_, refreshed.error().to_string());
    }
    poke();
}

api::Object PodWorker::pod() const {
    std::lock_guard lock(mutex_);
    return pod_;
}

bool PodWorker::refers_to(const std::string& reference) const {
    return references_.contains(reference);
}

std::optional<std::string> PodWorker::running_id(const std::string& container) const {
    std::lock_guard lock(mutex_);
    const Attempt* attempt = core_.current(container);
    if (!attempt || attempt->state != Attempt::State::running) return std::nullopt;
    return attempt->id;
}

bool PodWorker::is_running(const std::string& container, int number) const {
    std::lock_guard lock(mutex_);
    const Attempt* attempt = core_.current(container);
    return attempt && attempt->number == number && attempt->state == Attempt::State::running;
}

std::string PodWorker::waiting_reason(const std::string& container) const {
    std::lock_guard lock(mutex_);
    return core_.waiting_reason(container);
}

PodFacts PodWorker::facts() const {
    std::lock_guard lock(mutex_);
    const bool host = pod_.spec()["hostNetwork"].as_bool();
    return {.pod_ip = host ? context_.options.node_ip : core_.ip(),
            .host_ip = context_.options.node_ip,
            .node_name = context_.options.node_name,
            .machine_milli_cpu = context_.machine.cpus * 1000,
            .machine_memory = context_.machine.memory_bytes};
}

void PodWorker::record(bool warning, const std::string& reason, const std::string& message,
                       const std::string& container) {
    const api::Object object = pod();
    std::string path;
    if (!container.empty()) {
        bool init = false;
        for (const auto& entry : object.spec()["initContainers"].items())
            init |= entry["name"].as_string() == container;
        path = fmt::format("spec.{}{{{}}}", init ? "initContainers" : "containers", container);
    }
    Json about =
        Json::object({{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", object.metadata()}});
    using Type = api::EventRecorder::Type;
    context_.events.record(api::Object(std::move(about)), warning ? Type::warning : Type::normal,
                           reason, message, path);
}

// --- the loop of deciding and doing ---

void PodWorker::poke() {
    if (scheduled_.exchange(true)) return;
    const bool queued = context_.pool.submit([self = shared_from_this()] {
        self->scheduled_ = false;
        self->run();
    });
    if (!queued) scheduled_ = false;
}

void PodWorker::run() {
    std::vector<Action> actions;
    std::vector<CoreEvent> events;
    std::optional<MonotonicTime> wake;
    bool write = true;
    {
        std::lock_guard lock(mutex_);
        if (stopped_) return;
        const Now now = context_.now();
        core_.set_routed(context_.services && context_.services->is_routed(core_.ip()), now);
        actions = core_.step(now);
        events = core_.take_events();
        wake = core_.next_wake();
        if (core_.starting()) {
            if (!hold_status_)
                hold_status_ =
                    now.mono + std::chrono::duration_cast<MonotonicTime::duration>(status_patience);
            write = now.mono >= *hold_status_;
            if (!write && (!wake || *hold_status_ < *wake)) wake = hold_status_;
        } else {
            hold_status_.reset();
        }
        write = write && !object_gone_ && !core_.is_done();
    }
    for (const auto& event : events)
        record(event.warning, event.reason, event.message, event.container);
    arm_timer(wake);
    // What is quick goes first; of the rest all but one go to other threads, the last one is done
    // here.
    const Action* last = nullptr;
    for (const auto& action : actions) {
        if (action.kind == ActionKind::terminate || action.kind == ActionKind::kill) {
            signal(action);
        } else {
            if (last) dispatch(*last);
            last = &action;
        }
    }
    if (last && write) {
        dispatch(*last);
        last = nullptr;
    }
    if (write) write_status(false);
    if (last) perform(*last);
}

void PodWorker::arm_timer(std::optional<MonotonicTime> wake) {
    if (!wake) return;
    const MonotonicTime now = system_clock().monotonic();
    {
        std::lock_guard lock(mutex_);
        if (armed_ && *armed_ <= *wake && *armed_ > now) return; // it fires before, and looks again
        armed_ = wake;
    }
    const Duration delay = std::max<Duration>(*wake - now, 0ns);
    context_.parts.loop.post([weak = weak_from_this(), delay, &loop = context_.parts.loop] {
        loop.after(delay, [weak] {
            if (auto self = weak.lock()) self->poke();
        });
    });
}

void PodWorker::dispatch(const Action& action) {
    const bool queued =
        context_.pool.submit([self = shared_from_this(), action] { self->perform(action); });
    if (!queued)
        complete_later({.kind = action.kind,
                        .container = action.container,
                        .attempt = action.attempt,
                        .probe = action.probe,
                        .ok = false,
                        .message = "the node is busy or stopping"});
}

void PodWorker::perform(const Action& action) {
    switch (action.kind) {
    case ActionKind::make_sandbox:
    case ActionKind::drop_sandbox: return make_sandbox(action);
    case ActionKind::start: return start(action);
    case ActionKind::pre_stop: return pre_stop(action);
    case ActionKind::terminate:
    case ActionKind::kill: return signal(action);
    case ActionKind::probe: return probe(action);
    case ActionKind::finish: return finish(action);
    case ActionKind::remove_attempt: {
        auto removed = context_.parts.engine.remove(action.attempt, true);
        drop_old_logs(action);
        return complete(
            {.kind = action.kind, .container = action.container, .ok = removed.has_value()});
    }
    }
}

/// The log of the run before the present one stays for `kubectl logs --previous`; older ones go.
void PodWorker::drop_old_logs(const Action& action) {
    const std::string folder = context_.log_folder(ns_, name_, uid_) + "/" + action.container;
    for (const auto& file : io::list_directory(folder).value_or(std::vector<std::string>{}))
        if (atoi(file.c_str()) < action.number) (void)io::remove_file(folder + "/" + file);
}

void PodWorker::complete(Completion completion) {
    {
        std::lock_guard lock(mutex_);
        core_.finished(completion, context_.now());
    }
    run();
}

void PodWorker::complete_later(Completion completion) {
    {
        std::lock_guard lock(mutex_);
        core_.finished(completion, context_.now());
    }
    poke();
}

void PodWorker::signal(const Action& action) {
    int number = SIGKILL;
    if (action.kind == ActionKind::terminate) {
        number = SIGTERM;
        auto info = context_.parts.engine.inspect(action.attempt);
        if (info && !info->config.stop_signal.empty())
            number = linux::parse_signal(info->config.stop_signal).value_or(SIGTERM);
    }
    auto sent = context_.parts.engine.kill(action.attempt, number);
    if (!sent && sent.error().code != Code::conflict && sent.error().code != Code::not_found)
        log_warning("node", "pod {}/{}: signal {} to {}: {}", ns_, name_, number, action.container,
                    sent.error().to_string());
}

void PodWorker::make_sandbox(const Action& action) {
    Completion done{.kind = action.kind};
    const api::Object object = pod();
    if (action.kind == ActionKind::drop_sandbox) {
        auto removed = context_.parts.engine.remove_sandbox(uid_);
        done.ok = removed.has_value();
        if (!removed) done.message = removed.error().to_string();
        return complete(std::move(done));
    }
    const Json& spec = object.spec();
    engine::SandboxConfig config;
    config.id = uid_;
    config.name = name_;
    config.ns = ns_;
    config.hostname = pod_hostname(object);
    config.fqdn = pod_fqdn(object, context_.options.cluster_domain);
    config.host_network = spec["hostNetwork"].as_bool();
    config.host_ipc = spec["hostIPC"].as_bool();
    config.host_pid = spec["hostPID"].as_bool();
    for (const auto& container : spec["containers"].items())
        for (const auto& port : container["ports"].items())
            if (port["hostPort"].as_int() > 0 && !config.host_network)
                config.host_ports.push_back(
                    {std::string(port["protocol"].as_string("TCP")),
                     std::string(port["hostIP"].as_string()),
                     static_cast<uint16_t>(port["hostPort"].as_int()),
                     static_cast<uint16_t>(port["containerPort"].as_int())});
    config.resolv_conf =
        resolver_file(object, {context_.options.cluster_dns, context_.options.cluster_domain,
                               io::read_file("/etc/resolv.conf").value_or("")});
    config.extra_hosts = host_alias_lines(spec);
    config.limits = pod_limits(spec);
    for (const auto& sysctl : spec["securityContext"]["sysctls"].items())
        config.sysctls[std::string(sysctl["name"].as_string())] = sysctl["value"].as_string();
    config.labels["grace"] = std::to_string(spec["terminationGracePeriodSeconds"].as_int(30));
    auto sandbox = context_.parts.engine.create_sandbox(config);
    Result<> ready = sandbox ? Result<>{} : tl::unexpected(sandbox.error());
    const char* reason = "FailedCreatePodSandBox";
    if (ready) {
        {
            std::lock_guard lock(mutex_);
            core_.sandbox_made(sandbox->ip);
        }
        std::lock_guard lock(volumes_mutex_);
        ready = context_.volumes.prepare(object, facts());
        reason = "FailedMount";
    }
    if (!ready) {
        record(true, reason, ready.error().to_string());
        done.ok = false;
        done.message = ready.error().to_string();
    }
    complete(std::move(done));
}

// --- the end ---

void PodWorker::finish(const Action& action) {
    auto finished = finish_steps();
    if (!finished)
        log_warning("node", "pod {}/{}: {}; trying again", ns_, name_,
                    finished.error().to_string());
    complete({.kind = action.kind,
              .ok = finished.has_value(),
              .message = finished ? "" : finished.error().to_string()});
    bool done = false;
    {
        std::lock_guard lock(mutex_);
        done = core_.is_done();
    }
    if (done && context_.pod_finished) context_.pod_finished(uid_);
}

Result<> PodWorker::finish_steps() {
    bool object_gone = false, deleted = false;
    {
        std::lock_guard lock(mutex_);
        object_gone = object_gone_;
        deleted = object_gone_ || pod_.is_being_deleted();
    }
    if (!object_gone) write_status(true);
    TRY(context_.parts.engine.remove_sandbox(uid_));
    {
        std::lock_guard lock(volumes_mutex_);
        TRY(context_.volumes.remove(uid_));
    }
    if (!deleted) return {};
    TRY(io::remove_tree(context_.log_folder(ns_, name_, uid_)));
    if (object_gone) return {};
    auto removed = context_.client().remove(
        api::resources::pods, {ns_, name_},
        {.grace_period_seconds = 0, .propagation_policy = {}, .uid = uid_, .resource_version = {}});
    // Gone already, or another pod has the name now: either way this one is over.
    if (!removed && removed.error().code != Code::not_found &&
        removed.error().code != Code::conflict)
        return removed;
    return {};
}

void PodWorker::write_status(bool final) {
    std::lock_guard writing(status_mutex_);
    Json status;
    {
        std::lock_guard lock(mutex_);
        if (object_gone_) return;
        status = core_.status(context_.now());
    }
    if (status == written_status_) return;
    Json patch = Json::object();
    patch.set_path({"metadata", "uid"}, uid_).set("status", status_patch(status, written_status_));
    auto written = context_.client().patch(api::resources::pods, {ns_, name_},
                                           api::PatchType::strategic, patch, "status");
    if (written) {
        written_status_ = std::move(status);
    } else if (written.error().code != Code::not_found) {
        log_warning("node", "pod {}/{}: status: {}", ns_, name_, written.error().to_string());
        if (!final) arm_timer(system_clock().monotonic() + 1s); // then again
    }
}

} // namespace cloudlet::kube::node
