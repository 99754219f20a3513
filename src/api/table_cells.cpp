#include "table_cells.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

namespace cloudlet::api {

namespace {

const Json& follow(const Json& object, std::string_view path) {
    const Json* value = &object;
    while (!path.empty()) {
        size_t dot = std::min(path.find('.'), path.size());
        value = &(*value)[path.substr(0, dot)];
        path.remove_prefix(std::min(dot + 1, path.size()));
    }
    return *value;
}

Json text_or(const Json& value, std::string_view otherwise) {
    return value.as_string().empty() ? Json(otherwise) : value;
}

std::string joined(const Json& list, std::string_view key) {
    std::string text;
    for (const Json& item : list.items())
        text += (text.empty() ? "" : ",") + std::string(item[key].as_string());
    return text;
}

/// "a=b,c=d" with sorted keys; "<none>" when there are none.
std::string labels_text(const Json& labels) {
    std::set<std::string> pairs;
    for (const auto& label : labels.members())
        pairs.insert(label.key + "=" + std::string(label.value.as_string()));
    std::string text;
    for (const std::string& pair : pairs) text += (text.empty() ? "" : ",") + pair;
    return text.empty() ? "<none>" : text;
}

/// A label selector as FormatLabelSelector prints it: "app=web,tier in (a,b),!old".
std::string selector_text(const Json& selector) {
    std::set<std::pair<std::string, std::string>> terms; // by key, as labels.Selector sorts them
    for (const auto& label : selector["matchLabels"].members())
        terms.insert({label.key, label.key + "=" + std::string(label.value.as_string())});
    for (const Json& term : selector["matchExpressions"].items()) {
        std::string key(term["key"].as_string());
        std::string_view op = term["operator"].as_string();
        std::set<std::string> sorted;
        for (const Json& value : term["values"].items())
            sorted.insert(std::string(value.as_string()));
        std::string values;
        for (const std::string& value : sorted) values += (values.empty() ? "" : ",") + value;
        if (op == "In") terms.insert({key, key + " in (" + values + ")"});
        if (op == "NotIn") terms.insert({key, key + " notin (" + values + ")"});
        if (op == "Exists") terms.insert({key, key});
        if (op == "DoesNotExist") terms.insert({key, "!" + key});
    }
    std::string text;
    for (const auto& [key, term] : terms) text += (text.empty() ? "" : ",") + term;
    return text.empty() ? "<none>" : text;
}

// --- nodes, deployments and events -------------------------------------------------------------

Json node_status_cell(const Json& node, WallTime) {
    std::string text = "Unknown";
    for (const Json& condition : node["status"]["conditions"].items())
        if (condition["type"].as_string() == "Ready")
            text = condition["status"].as_string() == "True" ? "Ready" : "NotReady";
    if (node["spec"]["unschedulable"].as_bool()) text += ",SchedulingDisabled";
    return text;
}

Json node_roles_cell(const Json& node, WallTime) {
    constexpr std::string_view prefix = "node-role.kubernetes.io/";
    std::set<std::string> roles;
    for (const auto& label : node["metadata"]["labels"].members()) {
        if (label.key.size() > prefix.size() && label.key.starts_with(prefix))
            roles.insert(label.key.substr(prefix.size()));
        if (label.key == "kubernetes.io/role" && !label.value.as_string().empty())
            roles.insert(std::string(label.value.as_string()));
    }
    std::string text;
    for (const std::string& role : roles) text += (text.empty() ? "" : ",") + role;
    return text.empty() ? "<none>" : text;
}

Json node_address(const Json& node, std::string_view type) {
    for (const Json& address : node["status"]["addresses"].items())
        if (address["type"].as_string() == type) return address["address"];
    return "<none>";
}
Json node_internal_ip_cell(const Json& node, WallTime) { return node_address(node, "InternalIP"); }
Json node_external_ip_cell(const Json& node, WallTime) { return node_address(node, "ExternalIP"); }

Json deployment_ready_cell(const Json& deployment, WallTime) {
    return fmt::format("{}/{}", deployment["status"]["readyReplicas"].as_int(),
                       deployment["spec"]["replicas"].as_int());
}

std::string event_first_seen(const Json& event, WallTime now) {
    const Json& first = event["firstTimestamp"];
    return age_of(first.is_string() ? first : event["eventTime"], now);
}
Json event_first_seen_cell(const Json& event, WallTime now) { return event_first_seen(event, now); }

Json event_last_seen_cell(const Json& event, WallTime now) {
    if (event["series"].is_object()) return age_of(event["series"]["lastObservedTime"], now);
    if (event["lastTimestamp"].is_string()) return age_of(event["lastTimestamp"], now);
    return event_first_seen(event, now);
}

Json event_count_cell(const Json& event, WallTime) {
    if (event["series"].is_object()) return event["series"]["count"].as_int();
    return std::max<int64_t>(event["count"].as_int(), 1);
}

Json event_object_cell(const Json& event, WallTime) {
    std::string text(event["involvedObject"]["kind"].as_string());
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; });
    std::string_view name = event["involvedObject"]["name"].as_string();
    return name.empty() ? text : text + "/" + std::string(name);
}

Json event_source_cell(const Json& event, WallTime) {
    bool legacy = event["source"].size() > 0;
    std::string text(legacy ? event["source"]["component"].as_string()
                            : event["reportingComponent"].as_string());
    std::string_view place =
        legacy ? event["source"]["host"].as_string() : event["reportingInstance"].as_string();
    return place.empty() ? text : text + ", " + std::string(place);
}

Json event_message_cell(const Json& event, WallTime) {
    std::string_view text = event["message"].as_string();
    constexpr std::string_view blank = " \t\r\n";
    size_t first = text.find_first_not_of(blank);
    if (first == text.npos) return "";
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

using Hook = Json (*)(const Json&, WallTime);
struct NamedHook {
    std::string_view name;
    Hook hook;
};
constexpr std::array hooks{
    NamedHook{"pod_ready", pod_ready_cell},
    NamedHook{"pod_status", pod_status_cell},
    NamedHook{"pod_restarts", pod_restarts_cell},
    NamedHook{"pod_ip", pod_ip_cell},
    NamedHook{"pod_readiness_gates", pod_readiness_gates_cell},
    NamedHook{"node_status", node_status_cell},
    NamedHook{"node_roles", node_roles_cell},
    NamedHook{"node_internal_ip", node_internal_ip_cell},
    NamedHook{"node_external_ip", node_external_ip_cell},
    NamedHook{"deployment_ready", deployment_ready_cell},
    NamedHook{"service_cluster_ip", service_cluster_ip_cell},
    NamedHook{"service_external_ip", service_external_ip_cell},
    NamedHook{"service_ports", service_ports_cell},
    NamedHook{"endpoints_addresses", endpoints_cell},
    NamedHook{"slice_ports", slice_ports_cell},
    NamedHook{"slice_endpoints", slice_endpoints_cell},
    NamedHook{"event_last_seen", event_last_seen_cell},
    NamedHook{"event_first_seen", event_first_seen_cell},
    NamedHook{"event_count", event_count_cell},
    NamedHook{"event_object", event_object_cell},
    NamedHook{"event_source", event_source_cell},
    NamedHook{"event_message", event_message_cell},
};

const NamedHook* find_hook(std::string_view name) {
    auto found = std::ranges::find(hooks, name, &NamedHook::name);
    return found == hooks.end() ? nullptr : &*found;
}

constexpr std::array<std::string_view, 8> calls{"age",    "count",    "number", "names",
                                                "labels", "selector", "known",  "none"};

Json call(std::string_view function, std::string_view argument, const Json& object, WallTime now) {
    if (function == "age") return age_of(follow(object, argument), now);
    if (function == "number") return follow(object, argument).as_int();
    if (function == "labels") return labels_text(follow(object, argument));
    if (function == "selector") return selector_text(follow(object, argument));
    if (function == "known") return text_or(follow(object, argument), "<unknown>");
    if (function == "none") return text_or(follow(object, argument), "<none>");
    size_t comma = argument.find(',');
    std::string_view first = argument.substr(0, comma);
    std::string_view second =
        comma == argument.npos ? std::string_view() : argument.substr(comma + 1);
    if (function == "names") return joined(follow(object, first), second);
    size_t count =
        follow(object, first).size() + (second.empty() ? 0 : follow(object, second).size());
    return static_cast<int64_t>(count); // count(a) and count(a,b)
}

} // namespace

std::string age_of(const Json& time, WallTime now) {
    auto parsed = parse_time(time.as_string());
    return parsed ? format_age(now - *parsed) : "<unknown>";
}

Json table_cell(std::string_view source, const Json& object, WallTime now) {
    size_t open = source.find('(');
    if (open == source.npos) {
        const Json& value = follow(object, source);
        return value.is_null() ? Json("") : value;
    }
    std::string_view function = source.substr(0, open);
    std::string_view argument = source.substr(open + 1, source.size() - open - 2);
    if (function != "hook") return call(function, argument, object, now);
    const NamedHook* hook = find_hook(argument);
    return hook ? hook->hook(object, now) : Json("");
}

bool is_cell_source(std::string_view source) {
    size_t open = source.find('(');
    if (open == source.npos) return !source.empty();
    if (!source.ends_with(')')) return false;
    std::string_view function = source.substr(0, open);
    std::string_view argument = source.substr(open + 1, source.size() - open - 2);
    if (function == "hook") return find_hook(argument) != nullptr;
    return std::ranges::find(calls, function) != calls.end() && !argument.empty();
}

} // namespace cloudlet::api
