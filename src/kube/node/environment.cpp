#include "environment.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/api/quantity.h"
#include "cloudlet/base/bytes.h"
#include "pod_spec.h"

namespace cloudlet::kube::node {

using codec::Json;

namespace {

using Values = std::map<std::string, std::string>;

/// Variables in the order they were first named; a later value replaces an earlier one.
struct Environment {
    std::vector<std::string> order;
    Values values;
    void set(const std::string& name, std::string value) {
        auto [place, fresh] = values.insert_or_assign(name, std::move(value));
        if (fresh) order.push_back(name);
    }
};

std::string variable_name(std::string_view name) {
    std::string out(name);
    for (char& c : out)
        c = c == '-' ? '_' : static_cast<char>(toupper(static_cast<unsigned char>(c)));
    return out;
}

/// Docker-link style variables of one Service (kubelet pkg/kubelet/envvars).
void add_service(const api::Object& service, Environment& env) {
    const std::string ip(service.spec()["clusterIP"].as_string());
    const auto& ports = service.spec()["ports"].items();
    if (ip.empty() || ip == "None" || ports.empty()) return;
    const std::string prefix = variable_name(service.name());
    env.set(prefix + "_SERVICE_HOST", ip);
    env.set(prefix + "_SERVICE_PORT", std::to_string(ports[0]["port"].as_int()));
    for (const auto& port : ports)
        if (auto name = port["name"].as_string(); !name.empty())
            env.set(prefix + "_SERVICE_PORT_" + variable_name(name),
                    std::to_string(port["port"].as_int()));
    bool first = true;
    for (const auto& port : ports) {
        const std::string protocol(port["protocol"].as_string("TCP"));
        std::string lower = protocol;
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](unsigned char c) { return tolower(c); });
        const std::string number = std::to_string(port["port"].as_int());
        const std::string url = lower + "://" + ip + ":" + number;
        if (std::exchange(first, false)) env.set(prefix + "_PORT", url);
        const std::string base = prefix + "_PORT_" + number + "_" + protocol;
        env.set(base, url);
        env.set(base + "_PROTO", lower);
        env.set(base + "_PORT", number);
        env.set(base + "_ADDR", ip);
    }
}

/// The text under a key of a ConfigMap (data) or Secret (data in base64).
Result<std::string> value_of(const api::Object& source, std::string_view key, bool secret,
                             const char* kind) {
    const Json* value = source["data"].find(key);
    if (!value)
        return fail(Code::not_found, fmt::format("couldn't find key {} in {} {}/{}", key, kind,
                                                 source.ns(), source.name()));
    if (!secret) return std::string(value->as_string());
    return from_base64(value->as_string());
}

struct Builder {
    const api::Object& pod;
    const Json& container;
    const PodFacts& facts;
    const EnvironmentSources& sources;
    Environment env;

    Result<> add_from(const Json& entry) {
        const std::string prefix(entry["prefix"].as_string());
        const bool secret = entry.contains("secretRef");
        const Json& ref = entry[secret ? "secretRef" : "configMapRef"];
        if (!ref.is_object()) return {};
        const std::string name(ref["name"].as_string());
        auto source = secret ? sources.secret(name) : sources.config_map(name);
        if (!source) {
            if (source.error().code == Code::not_found && ref["optional"].as_bool()) return {};
            return tl::unexpected(source.error());
        }
        for (const auto& [key, value] : (*source)["data"].members())
            env.set(prefix + key,
                    secret ? TRY(from_base64(value.as_string())) : std::string(value.as_string()));
        return {};
    }

    Result<> add_key(const std::string& name, const Json& ref, bool secret) {
        const std::string object(ref["name"].as_string());
        auto source = secret ? sources.secret(object) : sources.config_map(object);
        Result<std::string> value = source ? value_of(*source, ref["key"].as_string(), secret,
                                                      secret ? "Secret" : "ConfigMap")
                                           : tl::unexpected(source.error());
        if (value) {
            env.set(name, std::move(*value));
        } else if (value.error().code != Code::not_found || !ref["optional"].as_bool()) {
            return tl::unexpected(value.error());
        }
        return {};
    }

    Result<> add(const Json& entry, const Values& services) {
        const std::string name(entry["name"].as_string());
        const Json& from = entry["valueFrom"];
        if (!from.is_object()) {
            Values known = services;
            for (const auto& [key, value] : env.values) known[key] = value;
            env.set(name, expand(entry["value"].as_string(), known));
            return {};
        }
        if (const Json* ref = from.find("fieldRef")) {
            env.set(name, TRY(field_value(pod, (*ref)["fieldPath"].as_string(), facts)));
        } else if (const Json* resource = from.find("resourceFieldRef")) {
            env.set(name, TRY(resource_value(pod.spec(), container, *resource, facts)));
        } else if (const Json* map = from.find("configMapKeyRef")) {
            return add_key(name, *map, false);
        } else if (const Json* secret = from.find("secretKeyRef")) {
            return add_key(name, *secret, true);
        }
        return {};
    }
};

} // namespace

std::string expand(std::string_view text, const Values& values) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '$' || i + 1 == text.size()) {
            out += text[i];
        } else if (text[i + 1] == '$') {
            out += text[++i];
        } else if (text[i + 1] != '(') {
            out += text[i];
        } else {
            const size_t end = text.find(')', i + 2);
            if (end == std::string_view::npos) return out.append(text.substr(i));
            const auto found = values.find(std::string(text.substr(i + 2, end - i - 2)));
            out += found != values.end() ? std::string_view(found->second)
                                         : text.substr(i, end - i + 1);
            i = end;
        }
    }
    return out;
}

Result<std::string> field_value(const api::Object& pod, std::string_view path,
                                const PodFacts& facts) {
    if (path == "metadata.name") return std::string(pod.name());
    if (path == "metadata.namespace") return std::string(pod.ns());
    if (path == "metadata.uid") return std::string(pod.uid());
    if (path == "spec.nodeName") return facts.node_name;
    if (path == "spec.serviceAccountName")
        return std::string(pod.spec()["serviceAccountName"].as_string("default"));
    if (path == "status.podIP" || path == "status.podIPs") return facts.pod_ip;
    if (path == "status.hostIP" || path == "status.hostIPs") return facts.host_ip;
    for (auto map : {"labels", "annotations"}) {
        const std::string base = std::string("metadata.") + map;
        if (path == base) { // as a file: one quoted line for each
            std::vector<std::string> lines;
            for (const auto& [key, value] : pod.metadata()[map].members())
                lines.push_back(key + "=" + Json(value.as_string()).dump());
            std::sort(lines.begin(), lines.end());
            return fmt::format("{}", fmt::join(lines, "\n"));
        }
        if (path.starts_with(base + "['") && path.ends_with("']"))
            return std::string(
                pod.metadata()[map][path.substr(base.size() + 2, path.size() - base.size() - 4)]
                    .as_string());
    }
    return fail(Code::invalid, fmt::format("fieldPath \"{}\" cannot be referenced", path));
}

Result<std::string> resource_value(const Json& pod_spec, const Json& container, const Json& ref,
                                   const PodFacts& facts) {
    const auto name = ref["containerName"].as_string();
    const Json& target = name.empty() ? container : container_spec(pod_spec, name);
    const auto resource = ref["resource"].as_string();
    const size_t dot = resource.find('.');
    const auto list = resource.substr(0, dot),
               what = dot == std::string_view::npos ? "" : resource.substr(dot + 1);
    if ((list != "limits" && list != "requests") ||
        (what != "cpu" && what != "memory" && what != "ephemeral-storage"))
        return fail(Code::invalid, fmt::format("resource \"{}\" cannot be referenced", resource));
    const Json& resources = target["resources"];
    const Json* quantity = resources[list].find(what);
    if (!quantity && list == "requests") quantity = resources["limits"].find(what);
    const bool cpu = what == "cpu";
    int64_t milli = 0;
    if (quantity) {
        milli = cpu ? milli_cpu(*quantity) : bytes_of(*quantity) * 1000;
    } else if (list == "limits") {
        milli = cpu ? facts.machine_milli_cpu : facts.machine_memory * 1000;
    }
    const Json& divisor = ref["divisor"];
    int64_t unit = milli_cpu(divisor);
    if (unit <= 0) unit = 1000;
    return std::to_string((milli + unit - 1) / unit);
}

Result<std::vector<std::string>> build_environment(const api::Object& pod, const Json& container,
                                                   const PodFacts& facts,
                                                   const EnvironmentSources& sources) {
    Environment links;
    const bool enabled = pod.spec()["enableServiceLinks"].as_bool(true);
    for (const auto& service : sources.services) {
        const bool api_server = service.ns() == "default" && service.name() == "kubernetes";
        if (api_server || (enabled && service.ns() == pod.ns())) add_service(service, links);
    }
    Builder builder{pod, container, facts, sources, {}};
    for (const auto& entry : container["envFrom"].items()) TRY(builder.add_from(entry));
    for (const auto& entry : container["env"].items()) TRY(builder.add(entry, links.values));
    std::vector<std::string> list;
    for (const auto& name : builder.env.order)
        list.push_back(name + "=" + builder.env.values[name]);
    for (const auto& name : links.order)
        if (!builder.env.values.contains(name)) list.push_back(name + "=" + links.values[name]);
    for (const auto& entry : list) // the kernel would end the value there, in silence
        if (entry.find('\0') != std::string::npos)
            return fail(Code::invalid,
                        fmt::format("the environment variable {} holds a NUL byte, which none can: "
                                    "mount its source as a volume instead",
                                    entry.substr(0, entry.find('='))));
    return list;
}

std::vector<std::string> expand_all(const Json& words,
                                    const std::vector<std::string>& environment) {
    Values values;
    for (const auto& entry : environment)
        values[entry.substr(0, entry.find('='))] = entry.substr(entry.find('=') + 1);
    std::vector<std::string> out;
    for (const auto& word : words.items()) out.push_back(expand(word.as_string(), values));
    return out;
}

} // namespace cloudlet::kube::node
