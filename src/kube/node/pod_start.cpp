// Starting one container: image, environment, mounts, security context, engine.

#include <csignal>

#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "cloudlet/io/file.h"
#include "environment.h"
#include "log_reader.h"
#include "pod_spec.h"
#include "pod_worker.h"

namespace cloudlet::kube::node {

using codec::Json;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> words(const Json& list) {
    std::vector<std::string> out;
    for (const auto& item : list.items()) out.emplace_back(item.as_string());
    return out;
}

/// runAsUser and runAsGroup of the container over the pod's over the image's user.
std::string user_of(const Json& pod_context, const Json& context, const std::string& image_user) {
    const Json& uid =
        context["runAsUser"].is_int() ? context["runAsUser"] : pod_context["runAsUser"];
    const Json& gid =
        context["runAsGroup"].is_int() ? context["runAsGroup"] : pod_context["runAsGroup"];
    std::string user = uid.is_int() ? std::to_string(uid.as_int()) : "";
    if (!gid.is_int()) return user;
    if (user.empty()) user = image_user.empty() ? "0" : image_user.substr(0, image_user.find(':'));
    return user + ":" + std::to_string(gid.as_int());
}

Result<> check_non_root(const Json& pod_context, const Json& context, const std::string& user) {
    const Json& wanted =
        context["runAsNonRoot"].is_bool() ? context["runAsNonRoot"] : pod_context["runAsNonRoot"];
    if (!wanted.as_bool()) return {};
    const std::string name = user.substr(0, user.find(':'));
    if (name.empty() || name == "0" || name == "root")
        return fail(Code::invalid, "container has runAsNonRoot and image will run as root");
    if (name.find_first_not_of("0123456789") != std::string::npos)
        return fail(Code::invalid, "container has runAsNonRoot and image has non-numeric user (" +
                                       name + "), cannot verify user is non-root");
    return {};
}

/// The kernel would end an argument at it, in silence.
Result<> check_no_nul(const std::vector<std::string>& arguments) {
    for (const auto& argument : arguments)
        if (argument.find('\0') != std::string::npos)
            return fail(Code::invalid, "the command holds a NUL byte, which no argument can");
    return {};
}

void set_security(engine::ContainerConfig& config, const Json& pod_spec, const Json& container) {
    const Json& pod_context = pod_spec["securityContext"];
    const Json& context = container["securityContext"];
    for (const auto& group : pod_context["supplementalGroups"].items())
        config.supplementary_groups.push_back(group.as_int());
    if (pod_context["fsGroup"].is_int())
        config.supplementary_groups.push_back(pod_context["fsGroup"].as_int());
    config.privileged = context["privileged"].as_bool();
    config.read_only_rootfs = context["readOnlyRootFilesystem"].as_bool();
    config.no_new_privileges = !context["allowPrivilegeEscalation"].as_bool(true);
    config.capabilities_add = words(context["capabilities"]["add"]);
    config.capabilities_drop = words(context["capabilities"]["drop"]);
    const Json& own = context["seccompProfile"]["type"];
    const auto profile =
        (own.is_string() ? own : pod_context["seccompProfile"]["type"]).as_string();
    config.seccomp = profile != "Unconfined";
    config.mask_paths = context["procMount"].as_string() != "Unmasked";
}

/// What default/kubernetes will say, for pods that start before it is there.
api::Object api_service(const NodeAgentOptions& options) {
    Json port = Json::object(
        {{"name", "https"}, {"port", atoi(options.api_port.c_str())}, {"protocol", "TCP"}});
    Json spec =
        Json::object({{"clusterIP", options.api_host}, {"ports", Json::array({std::move(port)})}});
    Json metadata = Json::object({{"name", "kubernetes"}, {"namespace", "default"}});
    return api::Object(
        Json::object({{"metadata", std::move(metadata)}, {"spec", std::move(spec)}}));
}

/// The last lines of a log, at most 80 and 2 KiB (terminationMessagePolicy FallbackToLogsOnError).
std::string end_of_log(const std::string& path) {
    auto reader = LogReader::open(path, {.tail_lines = 80, .limit_bytes = {}, .since = {}});
    std::string text;
    while (reader) {
        auto more = reader->read(text, 1 << 20);
        if (!more || !*more) break;
    }
    if (text.size() > 2048) text.erase(0, text.size() - 2048);
    return text;
}

} // namespace

Attempt PodWorker::attempt_of(const engine::ContainerInfo& info) const {
    Attempt attempt;
    attempt.id = info.id;
    const auto label = info.config.labels.find("attempt");
    attempt.number = label == info.config.labels.end() ? 0 : atoi(label->second.c_str());
    attempt.state = info.state == engine::ContainerState::running  ? Attempt::State::running
                    : info.state == engine::ContainerState::exited ? Attempt::State::exited
                                                                   : Attempt::State::created;
    attempt.started_at = info.started_at;
    attempt.finished_at = info.finished_at;
    attempt.exit_code = info.exit_code;
    attempt.signal = info.signal;
    attempt.oom_killed = info.oom_killed;
    attempt.lost = info.lost;
    attempt.error = info.error;
    attempt.image_id = info.image_id;
    const auto image = info.config.labels.find("image");
    if (image != info.config.labels.end()) attempt.image = image->second;
    if (attempt.state == Attempt::State::exited) attempt.message = termination_message(info);
    return attempt;
}

std::string PodWorker::termination_message(const engine::ContainerInfo& info) const {
    const auto policy = info.config.labels.find("messagePolicy");
    const auto attempt = info.config.labels.find("attempt");
    const auto name = info.config.labels.find("container");
    if (attempt == info.config.labels.end() || name == info.config.labels.end()) return {};
    const std::string file =
        context_.volumes.message_file(uid_, name->second, atoi(attempt->second.c_str()));
    std::string message = io::read_file(file, 1 << 20).value_or("");
    if (message.size() > 4096) message.resize(4096);
    const bool from_log =
        policy != info.config.labels.end() && policy->second == "FallbackToLogsOnError";
    if (message.empty() && from_log && info.exit_code != 0) message = end_of_log(info.log_path);
    return message;
}

void PodWorker::start_failed(const Action& action, const std::string& reason, const Error& error,
                             bool backs_off) {
    const std::string message = error.to_string();
    record(true, "Failed", "Error: " + (reason == "ErrImagePull" ? reason : message),
           action.container);
    complete({.kind = ActionKind::start,
              .container = action.container,
              .ok = false,
              .backs_off = backs_off,
              .reason = reason,
              .message = message});
}

void PodWorker::start(const Action& action) {
    const Json container = container_spec(pod().spec(), action.container);
    const std::string name(container["image"].as_string());
    const std::string policy = pull_policy(container);
    auto image = context_.parts.images.find(name);
    if (!image && image.error().code == Code::invalid)
        return start_failed(action, "InvalidImageName", image.error(), true);
    if (image && policy != "Always") {
        record(false, "Pulled",
               fmt::format("Container image \"{}\" already present on machine", name),
               action.container);
        return start_with(action, *image);
    }
    if (policy == "Never") {
        const Error missing{
            .code = Code::not_found,
            .message = fmt::format(
                "Container image \"{}\" is not present with pull policy of Never", name),
            .context = {}};
        return start_failed(action, "ErrImageNeverPull", missing, true);
    }
    const bool queued = context_.pulls.submit(
        [self = shared_from_this(), action] { self->pull_and_start(action); });
    if (!queued)
        start_failed(action, "ErrImagePull",
                     {.code = Code::unavailable, .message = "too many pulls wait", .context = {}},
                     true);
}

void PodWorker::pull_and_start(const Action& action) {
    const std::string name(container_spec(pod().spec(), action.container)["image"].as_string());
    const MonotonicTime began = system_clock().monotonic();
    auto present = context_.parts.images.find(name);
    if (!present)
        record(false, "Pulling", fmt::format("Pulling image \"{}\"", name), action.container);
    auto image = context_.parts.images.pull(name);
    if (image) {
        const Duration took = system_clock().monotonic() - began;
        record(false, "Pulled",
               fmt::format("Successfully pulled image \"{}\" in {}ms", name, took / 1ms),
               action.container);
    } else if (present && image.error().code == Code::unsupported) {
        // No registry that we can reach has it: what was loaded by hand is all there is to have.
        record(false, "Pulled",
               fmt::format("Container image \"{}\" already present on machine", name),
               action.container);
        image = present;
    } else {
        record(true, "Failed",
               fmt::format("Failed to pull image \"{}\": {}", name, image.error().to_string()),
               action.container);
        return start_failed(action, "ErrImagePull", image.error(), true);
    }
    const bool queued = context_.pool.submit(
        [self = shared_from_this(), action, image = *image] { self->start_with(action, image); });
    if (!queued)
        complete({.kind = action.kind,
                  .container = action.container,
                  .ok = false,
                  .message = "stopping"});
}

Result<engine::ContainerConfig> PodWorker::container_config(const Action& action,
                                                            const image::Image& image) {
    const api::Object object = pod();
    const Json& spec = object.spec();
    const Json& container = container_spec(spec, action.container);
    EnvironmentSources sources;
    sources.config_map = [&](const std::string& name) {
        return context_.fetch(api::resources::config_maps, ns_, name);
    };
    sources.secret = [&](const std::string& name) {
        return context_.fetch(api::resources::secrets, ns_, name);
    };
    auto& services = context_.parts.informers.of(api::resources::services);
    sources.services = services.list(ns_);
    const api::Object api_server = services.get({"default", "kubernetes"});
    if (!api_server) {
        sources.services.push_back(api_service(context_.options));
    } else if (ns_ != "default") {
        sources.services.push_back(api_server);
    }
    const PodFacts known = facts();
    engine::ContainerConfig config;
    config.name = fmt::format("{}-{}", action.container, action.number);
    config.sandbox = uid_;
    config.image = image.id;
    config.env = TRY(build_environment(object, container, known, sources));
    config.command = expand_all(container["command"], config.env);
    config.args = expand_all(container["args"], config.env);
    TRY(check_no_nul(config.command));
    TRY(check_no_nul(config.args));
    config.working_dir = container["workingDir"].as_string();
    config.user = user_of(spec["securityContext"], container["securityContext"], image.config.user);
    TRY(check_non_root(spec["securityContext"], container["securityContext"],
                       config.user.empty() ? image.config.user : config.user));
    set_security(config, spec, container);
    {
        std::lock_guard lock(volumes_mutex_);
        config.mounts = TRY(context_.volumes.mounts(object, container, action.number, config.env));
    }
    config.limits = container_limits(container["resources"]);
    config.oom_score_adj = oom_score_adj(spec, container, context_.machine.memory_bytes);
    config.terminal = container["tty"].as_bool();
    config.stdin_open = container["stdin"].as_bool();
    config.log_path = fmt::format("{}/{}/{}.log", context_.log_folder(ns_, name_, uid_),
                                  action.container, action.number);
    config.labels = {
        {"container", action.container},
        {"attempt", std::to_string(action.number)},
        {"pod", name_},
        {"namespace", ns_},
        {"image", std::string(container["image"].as_string())},
        {"messagePolicy", std::string(container["terminationMessagePolicy"].as_string("File"))}};
    return config;
}

void PodWorker::start_with(const Action& action, const image::Image& image) {
    auto config = container_config(action, image);
    if (!config) return start_failed(action, "CreateContainerConfigError", config.error());
    auto created = context_.parts.engine.create(*config);
    if (!created) return start_failed(action, "CreateContainerError", created.error());
    const std::string id = created->id;
    record(false, "Created", "Created container: " + action.container, action.container);
    auto started = context_.parts.engine.start(id);
    if (!started) {
        record(true, "Failed", "Error: " + started.error().to_string(), action.container);
        if (auto info = context_.parts.engine.inspect(id))
            observe(action.container, attempt_of(*info));
        return complete({.kind = action.kind,
                         .container = action.container,
                         .attempt = id,
                         .ok = false,
                         .message = started.error().to_string()});
    }
    observe(action.container, attempt_of(*started));
    record(false, "Started", "Started container " + action.container, action.container);
    if (context_.pod_changed) context_.pod_changed(uid_);
    const Json hook = container_spec(pod().spec(), action.container)["lifecycle"]["postStart"];
    Completion done{.kind = action.kind, .container = action.container, .attempt = id};
    if (!hook.is_object()) return complete(std::move(done));
    post_start(action, id,
               [self = shared_from_this(), done = std::move(done), action](Result<> ran) mutable {
                   if (!ran) {
                       done.ok = false;
                       done.message = "FailedPostStartHook";
                       self->record(true, "FailedPostStartHook",
                                    "PostStartHook failed: " + ran.error().to_string(),
                                    action.container);
                   }
                   self->complete_later(std::move(done));
               });
}

} // namespace cloudlet::kube::node
