// Services and what stands behind them: defaults, what an update carries over, validation.

#include <algorithm>
#include <set>

#include "cloudlet/api/names.h"
#include "kind_hooks.h"

namespace cloudlet::api {

namespace {

bool is_external_name(const Json& spec) { return spec["type"].as_string() == "ExternalName"; }
bool has_node_ports(const Json& spec) {
    return spec["type"].as_string() == "NodePort" || spec["type"].as_string() == "LoadBalancer";
}
bool is_headless(const Json& spec) { return spec["clusterIP"].as_string() == "None"; }

void set_if_absent(Json& object, std::string_view key, Json value) {
    const Json* present = object.find(key);
    if (!present || present->is_null() || (present->is_string() && present->as_string().empty()))
        object.set(key, std::move(value));
}

void default_ports(Json& spec) {
    Json* ports = spec.find_mutable("ports");
    if (!ports || !ports->is_array()) return;
    for (Json& port : ports->mutable_items()) {
        if (!port.is_object()) continue;
        const Json& target = port["targetPort"];
        bool absent = target.is_null() || target == Json(0) ||
                      (target.is_string() && target.as_string().empty());
        if (absent && !port["port"].is_null()) port.set("targetPort", port["port"]);
    }
}

void validate_service_ports(const Json& spec, FieldErrors& errors) {
    size_t count = spec["ports"].size();
    if (count == 0 && !is_headless(spec) && !is_external_name(spec))
        errors.push_back(FieldError::required("spec.ports"));
    std::set<std::string> names, numbers, node_ports;
    size_t index = 0;
    for (const Json& port : spec["ports"].items()) {
        std::string path = at("spec.ports", index++);
        std::string name(port["name"].as_string());
        if (name.empty() && count > 1)
            errors.push_back(FieldError::required(path + ".name"));
        else if (!name.empty() && !names.insert(name).second)
            errors.push_back(FieldError::duplicate(path + ".name", port["name"]));
        std::string protocol(port["protocol"].as_string("TCP"));
        if (!numbers.insert(protocol + port["port"].dump()).second)
            errors.push_back(FieldError::duplicate(
                path, Json::object({{"port", port["port"]}, {"protocol", port["protocol"]}})));
        const Json& target = port["targetPort"];
        if (target.is_int() && (target.as_int() < 1 || target.as_int() > 65535))
            errors.push_back(FieldError::invalid(path + ".targetPort", target,
                                                 "must be between 1 and 65535, inclusive"));
        if (target.is_string())
            if (auto complaint = check_port_name(target.as_string()))
                errors.push_back(FieldError::invalid(path + ".targetPort", target, *complaint));
        if (port["nodePort"].as_int() == 0) continue;
        if (!has_node_ports(spec))
            errors.push_back(FieldError::forbidden(
                path + ".nodePort",
                "may not be used when `type` is '" + std::string(spec["type"].as_string()) + "'"));
        else if (!node_ports.insert(protocol + port["nodePort"].dump()).second)
            errors.push_back(FieldError::duplicate(path + ".nodePort", port["nodePort"]));
    }
}

void validate_addresses(const Json& spec, FieldErrors& errors) {
    const Json& ip = spec["clusterIP"];
    std::string_view text = ip.as_string();
    if (is_external_name(spec)) {
        if (!text.empty())
            errors.push_back(FieldError::forbidden("spec.clusterIP",
                                                   "may not be set when `type` is 'ExternalName'"));
        if (spec["externalName"].as_string().empty())
            errors.push_back(FieldError::required("spec.externalName"));
        else if (auto complaint = check_dns_subdomain(spec["externalName"].as_string()))
            errors.push_back(
                FieldError::invalid("spec.externalName", spec["externalName"], *complaint));
        return;
    }
    if (is_headless(spec) && has_node_ports(spec))
        errors.push_back(FieldError::invalid(
            "spec.clusterIPs[0]", ip,
            "may not be set to 'None' for " + std::string(spec["type"].as_string()) + " services"));
    if (!text.empty() && !is_headless(spec))
        if (auto complaint = check_ip(text))
            errors.push_back(FieldError::invalid("spec.clusterIPs[0]", ip, *complaint));
    const auto& all = spec["clusterIPs"].items();
    if (!all.empty() && all[0].as_string() != text)
        errors.push_back(FieldError::invalid("spec.clusterIPs", spec["clusterIPs"],
                                             "first value must match `clusterIP`"));
    size_t index = 0;
    for (const Json& external : spec["externalIPs"].items()) {
        std::string path = at("spec.externalIPs", index++);
        if (auto complaint = check_ip(external.as_string()))
            errors.push_back(FieldError::invalid(path, external, *complaint));
    }
}

} // namespace

void default_service(Json& service) {
    Json* spec = service.find_mutable("spec");
    if (!spec || !spec->is_object()) return;
    default_ports(*spec);
    if ((*spec)["sessionAffinity"].as_string() == "ClientIP") {
        if ((*spec)["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_null())
            spec->set("sessionAffinityConfig",
                      Json::object({{"clientIP", Json::object({{"timeoutSeconds", 10800}})}}));
    } else {
        spec->erase("sessionAffinityConfig");
    }
    if (is_external_name(*spec)) return;
    set_if_absent(*spec, "internalTrafficPolicy", "Cluster");
    set_if_absent(*spec, "ipFamilyPolicy", "SingleStack");
    set_if_absent(*spec, "ipFamilies", Json::array({"IPv4"}));
    if (has_node_ports(*spec) || (*spec)["externalIPs"].size() > 0)
        set_if_absent(*spec, "externalTrafficPolicy", "Cluster");
    if ((*spec)["type"].as_string() == "LoadBalancer")
        set_if_absent(*spec, "allocateLoadBalancerNodePorts", true);
}

void carry_over_service(Json& service, const Json& old) {
    Json* spec = service.find_mutable("spec");
    const Json& before = old["spec"];
    if (!spec || !spec->is_object() || is_external_name(*spec) || is_external_name(before)) return;
    if ((*spec)["clusterIP"].as_string().empty() && (*spec)["clusterIPs"].size() == 0) {
        for (std::string_view key : {"clusterIP", "clusterIPs"})
            if (!before[key].is_null()) spec->set(key, before[key]);
    } else if ((*spec)["clusterIPs"].size() == 0) {
        spec->set("clusterIPs", Json::array({(*spec)["clusterIP"]}));
    } else if ((*spec)["clusterIP"].as_string().empty()) {
        spec->set("clusterIP", (*spec)["clusterIPs"][0]);
    }
    Json* ports = spec->find_mutable("ports");
    if (!has_node_ports(*spec) || !has_node_ports(before) || !ports || !ports->is_array()) return;
    for (Json& port : ports->mutable_items()) {
        if (!port.is_object() || port["nodePort"].as_int() != 0) continue;
        for (const Json& known : before["ports"].items())
            if (known["port"] == port["port"] && known["protocol"] == port["protocol"] &&
                !known["nodePort"].is_null())
                port.set("nodePort", known["nodePort"]);
    }
}

void validate_service(const Json& service, FieldErrors& errors) {
    const Json& spec = service["spec"];
    if (!spec.is_object()) {
        errors.push_back(FieldError::required("spec.ports"));
        return;
    }
    validate_service_ports(spec, errors);
    validate_addresses(spec, errors);
    validate_labels(spec["selector"], "spec.selector", errors);
    if (is_headless(spec) && spec["sessionAffinity"].as_string() == "ClientIP" &&
        spec["ports"].size() == 0)
        errors.push_back(FieldError::required("spec.ports"));
}

void validate_service_change(const Json& service, const Json& old, FieldErrors& errors) {
    const Json& spec = service["spec"];
    const Json& before = old["spec"];
    if (is_external_name(spec) || is_external_name(before) ||
        before["clusterIP"].as_string().empty())
        return;
    if (spec["clusterIP"] != before["clusterIP"])
        errors.push_back(FieldError::invalid("spec.clusterIPs[0]", Json::array({spec["clusterIP"]}),
                                             "may not change once set"));
}

void validate_endpoints(const Json& endpoints, FieldErrors& errors) {
    size_t index = 0;
    for (const Json& subset : endpoints["subsets"].items()) {
        std::string path = at("subsets", index++);
        if (subset["addresses"].size() + subset["notReadyAddresses"].size() == 0)
            errors.push_back(
                FieldError::required(path, "must specify `addresses` or `notReadyAddresses`"));
        size_t p = 0;
        for (const Json& port : subset["ports"].items()) {
            std::string here = at(path + ".ports", p++);
            if (port["name"].as_string().empty() && subset["ports"].size() > 1)
                errors.push_back(FieldError::required(here + ".name"));
        }
    }
}

void validate_endpoint_slice(const Json& slice, FieldErrors& errors) {
    constexpr size_t max_endpoints = 1000, max_addresses = 100;
    std::string_view type = slice["addressType"].as_string();
    if (slice["endpoints"].size() > max_endpoints)
        errors.push_back({"endpoints", FieldError::Reason::too_many,
                          std::to_string(slice["endpoints"].size()),
                          "must have at most 1000 items"});
    size_t index = 0;
    for (const Json& endpoint : slice["endpoints"].items()) {
        std::string path = at("endpoints", index++) + ".addresses";
        const auto& addresses = endpoint["addresses"].items();
        if (addresses.size() > max_addresses)
            errors.push_back({path, FieldError::Reason::too_many, std::to_string(addresses.size()),
                              "must have at most 100 items"});
        for (size_t i = 0; i < addresses.size(); ++i) {
            Complaint complaint = type == "FQDN" ? check_dns_subdomain(addresses[i].as_string())
                                                 : check_ip(addresses[i].as_string());
            if (!complaint && type != "FQDN" &&
                (addresses[i].as_string().find(':') == std::string_view::npos) != (type == "IPv4"))
                complaint = "must be a valid " + std::string(type) + " address";
            if (complaint)
                errors.push_back(FieldError::invalid(at(path, i), addresses[i], *complaint));
        }
    }
    std::set<std::string_view> names;
    index = 0;
    for (const Json& port : slice["ports"].items()) {
        std::string path = at("ports", index++);
        if (!names.insert(port["name"].as_string()).second)
            errors.push_back(FieldError::duplicate(path + ".name", port["name"]));
    }
}

} // namespace cloudlet::api
