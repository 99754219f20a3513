// Services: cluster IPs and node ports.

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "admission.h"

namespace cloudlet::kube::server {

namespace {

bool wants_cluster_ip(const Json& spec) { return spec["type"].as_string() != "ExternalName"; }

bool wants_node_ports(const Json& spec) {
    const std::string_view type = spec["type"].as_string();
    return type == "NodePort" ||
           (type == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"].as_bool(true));
}

std::optional<uint32_t> cluster_ip_of(const Json& spec) {
    if (!wants_cluster_ip(spec)) return std::nullopt;
    return parse_ipv4(spec["clusterIP"].as_string());
}

std::set<uint32_t> node_ports_of(const Json& service) {
    std::set<uint32_t> ports;
    for (const Json& port : service.at({"spec", "ports"}).items())
        if (const int64_t number = port["nodePort"].as_int(); number > 0 && number < 65536)
            ports.insert(static_cast<uint32_t>(number));
    return ports;
}

std::string owner_of(const Json& service) {
    return object_path(service.at({"metadata", "namespace"}).as_string(),
                       service.at({"metadata", "name"}).as_string());
}

Failure refuse_field(Core& core, const Json& service, api::FieldError error) {
    return invalid(core.kind_of(api::resources::services),
                   service.at({"metadata", "name"}).as_string(), {std::move(error)});
}

void claim(Allocator& allocator, std::shared_ptr<Allocator::Reservation> got, Decision& decision) {
    allocator.add_claim(decision.also, got->number(), owner_of(decision.object));
    decision.holds.push_back(std::move(got));
}

Outcome<> admit_cluster_ip(Core& core, const Json& old, Decision& decision) {
    Json& service = decision.object;
    Json& spec = *service.find_mutable("spec");
    const auto before = cluster_ip_of(old["spec"]);
    if (before && (!wants_cluster_ip(spec) || spec["clusterIP"].as_string() == "None"))
        core.cluster_ips.add_release(decision.also, *before);
    if (!wants_cluster_ip(spec)) {
        for (std::string_view field : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"})
            spec.erase(field);
        return {};
    }
    std::string address(spec["clusterIP"].as_string());
    if (address.empty()) address = spec["clusterIPs"][0].as_string();
    if (address.empty()) {
        auto got = core.cluster_ips.take_any();
        if (!got) return refuse(internal("failed to allocate a serviceIP: the range is full"));
        address = format_ipv4(got->number());
        claim(core.cluster_ips, std::move(got), decision);
    } else if (address != "None" && parse_ipv4(address) != before) {
        const auto number = parse_ipv4(address);
        const Json shown = Json::array({address});
        if (!number || !core.cluster_ips.contains(*number))
            return refuse(refuse_field(
                core, service,
                api::FieldError::invalid("spec.clusterIPs", shown,
                                         fmt::format("failed to allocate IP {}: the provided IP is "
                                                     "not in the valid range. The range of valid "
                                                     "IPs is {}",
                                                     address, core.options.service_cidr))));
        auto got = core.cluster_ips.take(*number);
        if (!got)
            return refuse(refuse_field(
                core, service,
                api::FieldError::invalid(
                    "spec.clusterIPs", shown,
                    fmt::format("failed to allocate IP {}: provided IP is already allocated",
                                address))));
        claim(core.cluster_ips, std::move(got), decision);
    }
    spec.set("clusterIP", address).set("clusterIPs", Json::array({address}));
    if (spec["ipFamilies"].empty()) spec.set("ipFamilies", Json::array({"IPv4"}));
    if (!spec.contains("ipFamilyPolicy")) spec.set("ipFamilyPolicy", "SingleStack");
    return {};
}

Outcome<> claim_node_port(Core& core, uint32_t number, const std::string& path,
                          Decision& decision) {
    if (!core.node_ports.contains(number))
        return refuse(refuse_field(
            core, decision.object,
            api::FieldError::invalid(
                path, Json(number),
                fmt::format(
                    "provided port is not in the valid range. The range of valid ports is {}-{}",
                    core.options.node_port_first, core.options.node_port_last))));
    auto got = core.node_ports.take(number);
    if (!got)
        return refuse(refuse_field(
            core, decision.object,
            api::FieldError::invalid(path, Json(number), "provided port is already allocated")));
    claim(core.node_ports, std::move(got), decision);
    return {};
}

/// The node port that an unnumbered port may share: same number, another protocol, same service.
int64_t shared_node_port(const Json& ports, const Json& wanted) {
    for (const Json& port : ports.items())
        if (port["port"] == wanted["port"] &&
            port["protocol"].as_string() != wanted["protocol"].as_string())
            if (port["nodePort"].as_int() > 0) return port["nodePort"].as_int();
    return 0;
}

Outcome<> admit_node_ports(Core& core, const Json& old, Decision& decision) {
    Json& spec = *decision.object.find_mutable("spec");
    const std::set<uint32_t> before = node_ports_of(old);
    if (!spec["ports"].is_array()) return {};
    Json& ports = *spec.find_mutable("ports");
    if (!wants_node_ports(spec)) {
        for (Json& port : ports.mutable_items()) port.erase("nodePort");
    } else {
        std::set<uint32_t> mine = before;
        for (size_t i = 0; i < ports.size(); ++i) {
            const auto number =
                static_cast<uint32_t>(std::clamp<int64_t>(ports[i]["nodePort"].as_int(), 0, 65536));
            if (number == 0 || !mine.insert(number).second) continue;
            NEED(
                claim_node_port(core, number, fmt::format("spec.ports[{}].nodePort", i), decision));
        }
        for (size_t i = 0; i < ports.size(); ++i) {
            if (ports[i]["nodePort"].as_int() != 0) continue;
            int64_t number = shared_node_port(ports, ports[i]);
            if (number == 0) {
                auto got = core.node_ports.take_any();
                if (!got)
                    return refuse(internal("failed to allocate a nodePort: the range is full"));
                number = got->number();
                claim(core.node_ports, std::move(got), decision);
            }
            ports.mutable_items()[i].set("nodePort", number);
        }
    }
    const std::set<uint32_t> after = node_ports_of(decision.object);
    for (uint32_t number : before)
        if (!after.contains(number)) core.node_ports.add_release(decision.also, number);
    return {};
}

} // namespace

Outcome<> admit_service(Core& core, const Json& old, Decision& decision) {
    if (!decision.object["spec"].is_object()) decision.object.set("spec", Json::object());
    NEED(admit_cluster_ip(core, old, decision));
    return admit_node_ports(core, old, decision);
}

void release_service(Core& core, const Json& old, Decision& decision) {
    if (auto address = cluster_ip_of(old["spec"]))
        core.cluster_ips.add_release(decision.also, *address);
    for (uint32_t number : node_ports_of(old)) core.node_ports.add_release(decision.also, number);
}

} // namespace cloudlet::kube::server
