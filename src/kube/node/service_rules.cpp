#include "service_rules.h"

#include <fmt/format.h>

namespace cloudlet::kube::node {

using codec::Json;

namespace {

network::Protocol protocol_of(const Json& port) {
    const auto name = port["protocol"].as_string("TCP");
    if (name == "UDP") return network::Protocol::udp;
    return name == "SCTP" ? network::Protocol::sctp : network::Protocol::tcp;
}

bool is_ready(const Json& endpoint) { return endpoint["conditions"]["ready"].as_bool(true); }

bool serves_to_the_end(const Json& endpoint) {
    const Json& conditions = endpoint["conditions"];
    return conditions["serving"].as_bool(is_ready(endpoint)) && conditions["terminating"].as_bool();
}

/// The number that a slice gives to the service port of this name; 0 when it does not have it.
uint16_t target_port(const Json& slice, const Json& service_port) {
    for (const auto& port : slice["ports"].items())
        if (port["name"].as_string() == service_port["name"].as_string() &&
            port["protocol"].as_string("TCP") == service_port["protocol"].as_string("TCP"))
            return static_cast<uint16_t>(port["port"].as_int());
    return 0;
}

std::vector<network::Endpoint> endpoints_of(const Json& service_port,
                                            const std::vector<api::Object>& slices) {
    std::vector<network::Endpoint> ready, ending;
    for (const auto& slice : slices) {
        const uint16_t port = target_port(slice.json(), service_port);
        if (port == 0 || slice["addressType"].as_string("IPv4") != "IPv4") continue;
        for (const auto& endpoint : slice["endpoints"].items()) {
            auto address = linux::parse_ipv4(endpoint["addresses"][0].as_string());
            if (!address) continue;
            if (is_ready(endpoint)) ready.push_back({.address = *address, .port = port});
            if (!is_ready(endpoint) && serves_to_the_end(endpoint))
                ending.push_back({.address = *address, .port = port});
        }
    }
    return ready.empty() ? ending : ready;
}

std::vector<linux::Ipv4> external_addresses(const api::Object& service) {
    std::vector<linux::Ipv4> list;
    for (const auto& ip : service.spec()["externalIPs"].items())
        if (auto address = linux::parse_ipv4(ip.as_string())) list.push_back(*address);
    for (const auto& ingress : service.status()["loadBalancer"]["ingress"].items())
        if (auto address = linux::parse_ipv4(ingress["ip"].as_string())) list.push_back(*address);
    return list;
}

} // namespace

std::vector<network::ServicePort> service_ports(const api::Object& service,
                                                const std::vector<api::Object>& slices) {
    std::vector<network::ServicePort> list;
    auto cluster_ip = linux::parse_ipv4(service.spec()["clusterIP"].as_string());
    if (!cluster_ip || service.spec()["type"].as_string() == "ExternalName") return list;
    const bool sticky = service.spec()["sessionAffinity"].as_string() == "ClientIP";
    const int64_t seconds =
        service.spec()["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].as_int(10'800);
    for (const auto& port : service.spec()["ports"].items()) {
        network::ServicePort entry;
        entry.name =
            fmt::format("{}/{}:{}", service.ns(), service.name(), port["name"].as_string());
        entry.cluster_ip = *cluster_ip;
        entry.protocol = protocol_of(port);
        entry.port = static_cast<uint16_t>(port["port"].as_int());
        entry.node_port = static_cast<uint16_t>(port["nodePort"].as_int());
        entry.external_ips = external_addresses(service);
        entry.endpoints = endpoints_of(port, slices);
        if (sticky) entry.affinity = std::chrono::seconds(seconds);
        list.push_back(std::move(entry));
    }
    return list;
}

std::set<linux::Ipv4> routed_addresses(const std::vector<network::ServicePort>& ports,
                                       const std::vector<api::Object>& slices) {
    std::set<linux::Ipv4> in_rules, routed;
    for (const auto& port : ports)
        for (const auto& endpoint : port.endpoints) in_rules.insert(endpoint.address);
    for (const auto& slice : slices)
        for (const auto& endpoint : slice["endpoints"].items())
            if (auto address = linux::parse_ipv4(endpoint["addresses"][0].as_string()))
                if (is_ready(endpoint) && in_rules.contains(*address)) routed.insert(*address);
    return routed;
}

std::optional<network::DnsService> dns_service(const api::Object& service,
                                               const std::vector<api::Object>& slices) {
    network::DnsService record;
    record.name = service.name();
    record.ns = service.ns();
    if (service.spec()["type"].as_string() == "ExternalName") {
        record.external_name = service.spec()["externalName"].as_string();
        return record;
    }
    const auto ip = service.spec()["clusterIP"].as_string();
    const bool headless = ip == "None";
    if (!headless) {
        auto address = linux::parse_ipv4(ip);
        if (!address) return std::nullopt;
        record.cluster_ip = *address;
    }
    for (const auto& port : service.spec()["ports"].items()) {
        network::DnsPort entry{std::string(port["name"].as_string()), protocol_of(port),
                               static_cast<uint16_t>(port["port"].as_int())};
        if (headless && !slices.empty())
            if (const uint16_t target = target_port(slices.front().json(), port))
                entry.port = target;
        record.ports.push_back(std::move(entry));
    }
    if (!headless) return record;
    const bool unready_too = service.spec()["publishNotReadyAddresses"].as_bool();
    for (const auto& slice : slices)
        for (const auto& endpoint : slice["endpoints"].items())
            if (auto address = linux::parse_ipv4(endpoint["addresses"][0].as_string()))
                if (is_ready(endpoint) || unready_too)
                    record.endpoints.push_back(
                        {*address, std::string(endpoint["hostname"].as_string())});
    return record;
}

} // namespace cloudlet::kube::node
