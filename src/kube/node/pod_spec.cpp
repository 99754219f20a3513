#include "pod_spec.h"

#include <algorithm>
#include <sstream>

#include "cloudlet/api/quantity.h"

namespace cloudlet::kube::node {

using codec::Json;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view container_lists[] = {"initContainers", "containers"};

std::string scalar(const Json& json) {
    return json.is_number() ? json.dump() : std::string(json.as_string());
}

std::optional<ProbeSpec> probe_spec(const Json& json) {
    if (!json.is_object()) return std::nullopt;
    ProbeSpec probe;
    probe.initial_delay = std::chrono::seconds(json["initialDelaySeconds"].as_int(0));
    probe.period = std::chrono::seconds(std::max<int64_t>(json["periodSeconds"].as_int(10), 1));
    probe.success_threshold =
        static_cast<int>(std::max<int64_t>(json["successThreshold"].as_int(1), 1));
    probe.failure_threshold =
        static_cast<int>(std::max<int64_t>(json["failureThreshold"].as_int(3), 1));
    if (const Json* grace = json.find("terminationGracePeriodSeconds"); grace && grace->is_int())
        probe.grace = std::chrono::seconds(grace->as_int());
    probe.cheap = !json.contains("exec");
    return probe;
}

CoreContainer core_container(const Json& json, bool init) {
    CoreContainer container;
    container.name = json["name"].as_string();
    container.image = json["image"].as_string();
    container.kind = ContainerKind::app;
    if (init)
        container.kind = json["restartPolicy"].as_string() == "Always" ? ContainerKind::sidecar
                                                                       : ContainerKind::init;
    container.probes[size_t(ProbeKind::startup)] = probe_spec(json["startupProbe"]);
    container.probes[size_t(ProbeKind::liveness)] = probe_spec(json["livenessProbe"]);
    container.probes[size_t(ProbeKind::readiness)] = probe_spec(json["readinessProbe"]);
    container.pre_stop = json["lifecycle"]["preStop"].is_object();
    return container;
}

/// What is left of a deletion's grace: all of it when it has just been asked for.
Duration grace_left(const api::Object& pod, Now now) {
    const Duration grace = std::chrono::seconds(
        std::max<int64_t>(pod.metadata()["deletionGracePeriodSeconds"].as_int(
                              pod.spec()["terminationGracePeriodSeconds"].as_int(30)),
                          0));
    const auto deadline = pod.deletion_time();
    if (!deadline) return grace;
    // The time stamp has whole seconds: what is cut off is given back.
    return std::clamp<Duration>(*deadline + 1s - now.wall, std::min<Duration>(grace, 1s), grace);
}

} // namespace

const Json& container_spec(const Json& pod_spec, std::string_view name) {
    static const Json none;
    for (auto list : container_lists)
        for (const auto& container : pod_spec[list].items())
            if (container["name"].as_string() == name) return container;
    return none;
}

CorePod core_pod(const api::Object& pod, const std::string& host_ip, Now now, bool gone) {
    const Json& spec = pod.spec();
    CorePod core;
    for (const auto& container : spec["initContainers"].items())
        core.containers.push_back(core_container(container, true));
    for (const auto& container : spec["containers"].items())
        core.containers.push_back(core_container(container, false));
    const auto policy = spec["restartPolicy"].as_string("Always");
    if (policy == "OnFailure") core.restart_policy = RestartPolicy::on_failure;
    if (policy == "Never") core.restart_policy = RestartPolicy::never;
    core.grace = std::chrono::seconds(
        std::max<int64_t>(spec["terminationGracePeriodSeconds"].as_int(30), 0));
    if (spec["activeDeadlineSeconds"].is_int())
        core.active_deadline = std::chrono::seconds(spec["activeDeadlineSeconds"].as_int());
    core.host_network = spec["hostNetwork"].as_bool();
    core.deleted = gone || pod.is_being_deleted();
    core.object_gone = gone;
    if (pod.is_being_deleted()) core.deletion_grace = grace_left(pod, now);
    core.host_ip = host_ip;
    core.qos_class = qos_class(spec);
    for (const auto& gate : spec["readinessGates"].items()) {
        core.readiness_gates.emplace_back(gate["conditionType"].as_string());
        if (pod.condition_is(core.readiness_gates.back(), "True"))
            core.open_gates.insert(core.readiness_gates.back());
    }
    return core;
}

int64_t milli_cpu(const Json& quantity) {
    auto parsed = api::Quantity::parse(scalar(quantity));
    return parsed ? std::max<int64_t>(parsed->milli_value(), 0) : 0;
}

int64_t bytes_of(const Json& quantity) {
    auto parsed = api::Quantity::parse(scalar(quantity));
    return parsed ? std::max<int64_t>(parsed->value(), 0) : 0;
}

std::string qos_class(const Json& pod_spec) {
    bool any = false, guaranteed = true;
    for (auto list : container_lists) {
        for (const auto& container : pod_spec[list].items()) {
            const Json& limits = container["resources"]["limits"];
            const Json& requests = container["resources"]["requests"];
            for (auto name : {"cpu", "memory"}) {
                any = any || limits.contains(name) || requests.contains(name);
                const bool equal =
                    limits.contains(name) && (!requests.contains(name) ||
                                              milli_cpu(requests[name]) == milli_cpu(limits[name]));
                guaranteed = guaranteed && equal;
            }
        }
    }
    if (!any) return "BestEffort";
    return guaranteed ? "Guaranteed" : "Burstable";
}

engine::Limits container_limits(const Json& resources) {
    engine::Limits limits;
    const Json& maximum = resources["limits"];
    const Json& requests = resources["requests"];
    limits.memory_bytes = bytes_of(maximum["memory"]);
    if (const int64_t milli = milli_cpu(maximum["cpu"]); milli > 0) {
        limits.cpu_period_us = 100'000;
        limits.cpu_quota_us = std::max<int64_t>(milli * 100, 1000);
    }
    const int64_t wanted = milli_cpu(requests.contains("cpu") ? requests["cpu"] : maximum["cpu"]);
    limits.cpu_shares = std::clamp<int64_t>(wanted * 1024 / 1000, 2, 262'144);
    return limits;
}

engine::Limits pod_limits(const Json& pod_spec) {
    engine::Limits sum;
    bool all_memory = true, all_cpu = true;
    for (const auto& container : pod_spec["containers"].items()) {
        const engine::Limits one = container_limits(container["resources"]);
        sum.cpu_shares += one.cpu_shares;
        sum.cpu_quota_us += one.cpu_quota_us;
        sum.memory_bytes += one.memory_bytes;
        all_memory = all_memory && one.memory_bytes > 0;
        all_cpu = all_cpu && one.cpu_quota_us > 0;
    }
    // Init containers run before, with their own limits: the pod's must not be below theirs.
    for (const auto& container : pod_spec["initContainers"].items()) {
        const engine::Limits one = container_limits(container["resources"]);
        all_memory = all_memory && one.memory_bytes > 0;
        all_cpu = all_cpu && one.cpu_quota_us > 0;
        sum.memory_bytes = std::max(sum.memory_bytes, one.memory_bytes);
        sum.cpu_quota_us = std::max(sum.cpu_quota_us, one.cpu_quota_us);
    }
    if (!all_memory) sum.memory_bytes = 0;
    if (!all_cpu) sum.cpu_quota_us = 0;
    sum.cpu_period_us = sum.cpu_quota_us > 0 ? 100'000 : 0;
    sum.cpu_shares = std::clamp<int64_t>(sum.cpu_shares, 2, 262'144);
    return sum;
}

int64_t oom_score_adj(const Json& pod_spec, const Json& container, int64_t machine_memory) {
    const std::string qos = qos_class(pod_spec);
    if (qos == "Guaranteed") return -997;
    if (qos == "BestEffort" || machine_memory <= 0) return 1000;
    const int64_t request = bytes_of(container["resources"]["requests"]["memory"]);
    return std::clamp<int64_t>(1000 - 1000 * request / machine_memory, 3, 999);
}

std::string pull_policy(const Json& container) {
    if (auto policy = container["imagePullPolicy"].as_string(); !policy.empty())
        return std::string(policy);
    const auto image = container["image"].as_string();
    const size_t colon = image.rfind(':');
    const bool tagged =
        colon != std::string_view::npos && image.find('/', colon) == std::string_view::npos;
    return !tagged || image.substr(colon + 1) == "latest" ? "Always" : "IfNotPresent";
}

std::string pod_hostname(const api::Object& pod) {
    std::string name(pod.spec()["hostname"].as_string(pod.name()));
    name.resize(std::min<size_t>(name.size(), 63));
    while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
    return name;
}

std::string pod_fqdn(const api::Object& pod, const std::string& domain) {
    const auto subdomain = pod.spec()["subdomain"].as_string();
    if (subdomain.empty()) return {};
    return pod_hostname(pod) + "." + std::string(subdomain) + "." + std::string(pod.ns()) +
           ".svc." + domain;
}

std::string resolver_file(const api::Object& pod, const ResolverFacts& facts) {
    const Json& spec = pod.spec();
    std::string policy(spec["dnsPolicy"].as_string("ClusterFirst"));
    if (policy == "ClusterFirst" && spec["hostNetwork"].as_bool()) policy = "Default";
    const bool cluster = (policy == "ClusterFirst" || policy == "ClusterFirstWithHostNet") &&
                         !facts.cluster_dns.empty();
    std::vector<std::string> servers, searches;
    std::vector<std::string> options;
    if (policy != "None") {
        std::istringstream lines(facts.host_resolv_conf);
        for (std::string line; std::getline(lines, line);) {
            std::istringstream words(line);
            std::string key, word;
            words >> key;
            auto* target = key == "search"                   ? &searches
                           : key == "nameserver" && !cluster ? &servers
                                                             : nullptr;
            if (key == "options" && !cluster) target = &options;
            while (target && words >> word) target->push_back(word);
        }
    }
    if (cluster) {
        servers = {facts.cluster_dns};
        const std::string& domain = facts.cluster_domain;
        searches.insert(searches.begin(),
                        {std::string(pod.ns()) + ".svc." + domain, "svc." + domain, domain});
        options = {"ndots:5"};
    }
    const Json& extra = spec["dnsConfig"];
    for (const auto& server : extra["nameservers"].items())
        servers.emplace_back(server.as_string());
    for (const auto& search : extra["searches"].items()) searches.emplace_back(search.as_string());
    for (const auto& option : extra["options"].items()) {
        const std::string name(option["name"].as_string());
        std::erase_if(options,
                      [&](const std::string& o) { return o == name || o.starts_with(name + ":"); });
        const auto value = option["value"].as_string();
        options.push_back(value.empty() ? name : name + ":" + std::string(value));
    }
    std::string text;
    for (const auto& server : servers) text += "nameserver " + server + "\n";
    auto line = [&](const char* key, const std::vector<std::string>& words) {
        if (words.empty()) return;
        text += key;
        for (const auto& word : words) text += " " + word;
        text += "\n";
    };
    line("search", searches);
    line("options", options);
    return text;
}

std::string host_alias_lines(const Json& pod_spec) {
    std::string text;
    for (const auto& alias : pod_spec["hostAliases"].items()) {
        text += alias["ip"].as_string();
        for (const auto& name : alias["hostnames"].items())
            text += "\t" + std::string(name.as_string());
        text += "\n";
    }
    return text;
}

} // namespace cloudlet::kube::node
