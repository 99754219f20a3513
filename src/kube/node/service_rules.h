#pragma once
// From Services and EndpointSlices to what the kernel and the name server are told. Pure.

#include <set>
#include <vector>

#include "cloudlet/api/object.h"
#include "cloudlet/network/dns_server.h"
#include "cloudlet/network/service_proxy.h"

namespace cloudlet::kube::node {

/// The rules of one Service: a ServicePort for each of its ports; empty for headless, ExternalName
/// and address-less Services. `slices` are its EndpointSlices.
///
/// Endpoints that are not ready get no new connection; when none is ready, those that still serve
/// while they terminate do (Kubernetes, KEP-1669).
std::vector<network::ServicePort> service_ports(const api::Object& service,
                                                const std::vector<api::Object>& slices);

/// The addresses of endpoints that are ready: those a rule may lead to for as long as they live.
std::set<linux::Ipv4> routed_addresses(const std::vector<network::ServicePort>& ports,
                                       const std::vector<api::Object>& slices);

/// The name server's record of one Service; nothing for a Service without address, name and
/// endpoints.
std::optional<network::DnsService> dns_service(const api::Object& service,
                                               const std::vector<api::Object>& slices);

} // namespace cloudlet::kube::node
