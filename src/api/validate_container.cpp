// One container: image, ports, environment, mounts, probes, resources.

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "cloudlet/api/names.h"
#include "cloudlet/api/quantity.h"
#include "kind_hooks.h"

namespace cloudlet::api {

namespace {

void validate_ports(const Json& ports, const std::string& path, const PodScope& scope,
                    FieldErrors& errors) {
    std::set<std::string_view> names;
    size_t index = 0;
    for (const Json& port : ports.items()) {
        std::string here = at(path, index++);
        std::string_view name = port["name"].as_string();
        if (!name.empty() && !names.insert(name).second)
            errors.push_back(FieldError::duplicate(here + ".name", port["name"]));
        const Json& host = port["hostPort"];
        if (scope.host_network && host.as_int() != 0 && host != port["containerPort"])
            errors.push_back(FieldError::invalid(
                here + ".hostPort", host, "must match `containerPort` when `hostNetwork` is true"));
    }
}

constexpr std::array<std::string_view, 10> env_fields{
    "metadata.annotations", "metadata.labels", "metadata.name",           "metadata.namespace",
    "metadata.uid",         "spec.nodeName",   "spec.serviceAccountName", "status.hostIP",
    "status.podIP",         "status.podIPs"};

void validate_field_ref(const Json& ref, const std::string& path, FieldErrors& errors) {
    std::string_view field = ref["fieldPath"].as_string();
    if (field.empty()) return; // required by the schema
    if (field.starts_with("metadata.labels['") || field.starts_with("metadata.annotations['"))
        return;
    bool known =
        std::ranges::find(env_fields, field) != env_fields.end() || field == "status.hostIPs";
    if (!known)
        errors.push_back(FieldError::invalid(
            join(path, "fieldPath"), ref["fieldPath"],
            "error converting fieldPath: field label not supported: " + std::string(field)));
    else if (field == "metadata.labels" || field == "metadata.annotations")
        errors.push_back(
            FieldError::not_supported(join(path, "fieldPath"), ref["fieldPath"], env_fields));
}

void validate_env(const Json& env, const std::string& path, FieldErrors& errors) {
    size_t index = 0;
    for (const Json& variable : env.items()) {
        std::string here = at(path, index++);
        const Json& from = variable["valueFrom"];
        if (!from.is_object()) continue;
        std::string place = here + ".valueFrom";
        size_t sources = 0;
        for (const auto& member : from.members()) sources += member.value.is_object() ? 1 : 0;
        if (sources == 0)
            errors.push_back(
                FieldError::invalid(place, "",
                                    "must specify one of: `fieldRef`, `resourceFieldRef`, "
                                    "`configMapKeyRef` or `secretKeyRef`"));
        else if (!variable["value"].as_string().empty())
            errors.push_back(
                FieldError::invalid(place, "", "may not be specified when `value` is not empty"));
        else if (sources > 1)
            errors.push_back(FieldError::invalid(
                place, "", "may not have more than one field specified at a time"));
        if (from["fieldRef"].is_object())
            validate_field_ref(from["fieldRef"], place + ".fieldRef", errors);
        for (std::string_view kind : {"configMapKeyRef", "secretKeyRef"})
            if (from[kind].is_object() && from[kind]["name"].as_string().empty())
                errors.push_back(FieldError::required(join(place, kind) + ".name"));
    }
}

void validate_env_from(const Json& env_from, const std::string& path, FieldErrors& errors) {
    size_t index = 0;
    for (const Json& source : env_from.items()) {
        std::string here = at(path, index++);
        size_t sources = 0;
        for (std::string_view kind : {"configMapRef", "secretRef"}) {
            if (!source[kind].is_object()) continue;
            ++sources;
            if (source[kind]["name"].as_string().empty())
                errors.push_back(FieldError::required(join(here, kind) + ".name"));
        }
        if (sources == 0)
            errors.push_back(FieldError::invalid(
                here, "", "must specify one of: `configMapRef` or `secretRef`"));
        if (sources > 1)
            errors.push_back(FieldError::invalid(
                here, "", "may not have more than one field specified at a time"));
    }
}

void validate_mounts(const Json& mounts, const std::string& path, const PodScope& scope,
                     FieldErrors& errors) {
    std::set<std::string_view> places;
    size_t index = 0;
    for (const Json& mount : mounts.items()) {
        std::string here = at(path, index++);
        std::string_view name = mount["name"].as_string();
        if (!name.empty() && !scope.volumes.contains(name))
            errors.push_back(FieldError::not_found(here + ".name", mount["name"]));
        std::string_view place = mount["mountPath"].as_string();
        if (!place.empty() && !places.insert(place).second)
            errors.push_back(
                FieldError::invalid(here + ".mountPath", mount["mountPath"], "must be unique"));
        for (std::string_view key : {"subPath", "subPathExpr"})
            if (mount[key].is_string()) validate_volume_path(mount[key], join(here, key), errors);
        if (!mount["subPath"].as_string().empty() && !mount["subPathExpr"].as_string().empty())
            errors.push_back(FieldError::invalid(here + ".subPathExpr", mount["subPathExpr"],
                                                 "subPathExpr and subPath are mutually exclusive"));
    }
}

void validate_port(const Json& port, const std::string& path, FieldErrors& errors) {
    if (port.is_string()) {
        if (auto complaint = check_port_name(port.as_string());
            complaint && !port.as_string().empty())
            errors.push_back(FieldError::invalid(path, port, *complaint));
    } else if (port.is_int() && (port.as_int() < 1 || port.as_int() > 65535)) {
        errors.push_back(FieldError::invalid(path, port, "must be between 1 and 65535, inclusive"));
    }
}

void validate_security(const Json& context, const std::string& path, FieldErrors& errors) {
    if (!context["allowPrivilegeEscalation"].is_bool() ||
        context["allowPrivilegeEscalation"].as_bool())
        return;
    if (context["privileged"].as_bool())
        errors.push_back(FieldError::invalid(
            path, context,
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"));
    for (const Json& capability : context["capabilities"]["add"].items())
        if (capability.as_string() == "CAP_SYS_ADMIN")
            errors.push_back(
                FieldError::invalid(path, context,
                                    "cannot set `allowPrivilegeEscalation` to false and "
                                    "`capabilities.Add` CAP_SYS_ADMIN"));
}

void validate_probes(const Json& container, const std::string& path, const PodScope& scope,
                     FieldErrors& errors) {
    bool sidecar = container["restartPolicy"].as_string() == "Always";
    for (std::string_view key : {"livenessProbe", "readinessProbe", "startupProbe", "lifecycle"}) {
        const Json& value = container[key];
        if (!value.is_object()) continue;
        if (scope.init && !sidecar)
            errors.push_back(FieldError::forbidden(
                join(path, key),
                "may not be set for init containers without restartPolicy=Always"));
        else if (key != "lifecycle")
            validate_probe(value, join(path, key), errors);
    }
    for (std::string_view key : {"livenessProbe", "startupProbe"}) {
        const Json& threshold = container[key]["successThreshold"];
        if (threshold.is_int() && threshold.as_int() != 1)
            errors.push_back(
                FieldError::invalid(join(path, key) + ".successThreshold", threshold, "must be 1"));
    }
    if (!container["readinessProbe"]["terminationGracePeriodSeconds"].is_null())
        errors.push_back(
            FieldError::invalid(path + ".readinessProbe.terminationGracePeriodSeconds",
                                container["readinessProbe"]["terminationGracePeriodSeconds"],
                                "must not be set for readinessProbes"));
    for (std::string_view hook : {"postStart", "preStop"})
        if (container["lifecycle"][hook].is_object())
            validate_handler(container["lifecycle"][hook], path + ".lifecycle." + std::string(hook),
                             errors);
}

void validate_amounts(const Json& amounts, const std::string& path, FieldErrors& errors) {
    for (const auto& entry : amounts.members()) {
        std::string here = path + "[" + entry.key + "]";
        bool standard = entry.key == "cpu" || entry.key == "memory" ||
                        entry.key == "ephemeral-storage" || entry.key.starts_with("hugepages-");
        if (auto complaint = check_qualified_name(entry.key))
            errors.push_back(FieldError::invalid(here, entry.key, *complaint));
        else if (!standard && entry.key.find('/') == entry.key.npos)
            errors.push_back(
                FieldError::invalid(here, entry.key, "must be a standard resource for containers"));
        auto amount = Quantity::parse(entry.value.is_string() ? std::string(entry.value.as_string())
                                                              : entry.value.dump());
        if (amount && amount->is_negative())
            errors.push_back(
                FieldError::invalid(here, entry.value, "must be greater than or equal to 0"));
    }
}

} // namespace

void validate_resources(const Json& resources, const std::string& path, FieldErrors& errors) {
    validate_amounts(resources["limits"], path + ".limits", errors);
    validate_amounts(resources["requests"], path + ".requests", errors);
    for (const auto& request : resources["requests"].members()) {
        const Json& limit = resources["limits"][request.key];
        if (limit.is_null()) continue;
        auto text = [](const Json& value) {
            return value.is_string() ? std::string(value.as_string()) : value.dump();
        };
        auto wanted = Quantity::parse(text(request.value));
        auto most = Quantity::parse(text(limit));
        if (wanted && most && *wanted > *most)
            errors.push_back(
                FieldError::invalid(path + ".requests", wanted->to_string(),
                                    fmt::format("must be less than or equal to {} limit of {}",
                                                request.key, most->to_string())));
    }
}

void validate_handler(const Json& handler, const std::string& path, FieldErrors& errors) {
    size_t kinds = 0;
    for (std::string_view kind : {"exec", "httpGet", "tcpSocket", "grpc", "sleep"}) {
        if (!handler[kind].is_object()) continue;
        if (++kinds > 1)
            errors.push_back(FieldError::forbidden(join(path, kind),
                                                   "may not specify more than 1 handler type"));
        validate_port(handler[kind]["port"], join(path, kind) + ".port", errors);
    }
    if (kinds == 0) errors.push_back(FieldError::required(path, "must specify a handler type"));
    if (handler["exec"].is_object() && handler["exec"]["command"].size() == 0)
        errors.push_back(FieldError::required(path + ".exec.command"));
}

void validate_probe(const Json& probe, const std::string& path, FieldErrors& errors) {
    validate_handler(probe, path, errors);
}

void validate_container(const Json& container, const std::string& path, const PodScope& scope,
                        FieldErrors& errors) {
    std::string_view image = container["image"].as_string();
    if (image.empty())
        errors.push_back(FieldError::required(path + ".image"));
    else if (image.front() == ' ' || image.back() == ' ')
        errors.push_back(FieldError::invalid(path + ".image", container["image"],
                                             "must not have leading or trailing whitespace"));
    validate_ports(container["ports"], path + ".ports", scope, errors);
    validate_env(container["env"], path + ".env", errors);
    validate_env_from(container["envFrom"], path + ".envFrom", errors);
    validate_mounts(container["volumeMounts"], path + ".volumeMounts", scope, errors);
    validate_probes(container, path, scope, errors);
    validate_resources(container["resources"], path + ".resources", errors);
    validate_security(container["securityContext"], path + ".securityContext", errors);
}

} // namespace cloudlet::api
