#pragma once
// The pure part of the service proxy: which elements and chains a service port needs. No kernel
// here.

#include <string>
#include <utility>
#include <vector>

#include "cloudlet/linux/nftables.h"
#include "cloudlet/network/service_proxy.h"
#include "ruleset.h"

namespace cloudlet::network {

/// One element of one map of the table. `value` is a value's bytes or the name of the chain.
struct ServiceElement {
    const char* map = nullptr; // one of service_maps
    std::string key;
    std::string value;

    bool is_verdict() const;
    auto identity() const { return std::pair(std::string_view(map), std::string_view(key)); }
};

/// The maps that hold services; endpoints first.
inline constexpr const char* service_maps[] = {names::endpoints, names::node_endpoints,
                                               names::services, names::node_ports};

/// The ready endpoints, sorted and without repetitions.
std::vector<Endpoint> ready_endpoints(const ServicePort& service);

/// Where the service is reached: cluster IP, external IPs, node port.
std::vector<Front> fronts_of(const ServicePort& service);

/// What stands at the numbers 0, 1, ... of the service's endpoint map. Without client affinity:
/// every ready endpoint once. With it: 64, 256 or 1024 places, and each goes to the endpoint that
/// scores highest for it (rendezvous hashing, Thaler and Ravishankar 1998), so that a change of one
/// endpoint moves only the clients that it concerns.
std::vector<Endpoint> places_of(const ServicePort& service);

/// Every element of the service, sorted by identity; none when no endpoint is ready.
std::vector<ServiceElement> elements_of(const ServicePort& service);

struct ElementChanges {
    std::vector<ServiceElement> removed; // leave, or come back with another value
    std::vector<ServiceElement> added;
};
/// Both lists are sorted by identity.
ElementChanges difference(const std::vector<ServiceElement>& old_elements,
                          const std::vector<ServiceElement>& new_elements);

/// Names of the chains that spread connections over N places: "c<N>" for a cluster or external IP,
/// "n<N>" for a node port; with an "s" at the end when a client's address decides and not chance.
std::string chain_name(bool of_node, size_t places, bool sticky);
/// True for the names above.
bool is_service_chain(std::string_view name);
/// Adds the chain with its rules.
void add_service_chain(linux::nft::Batch& batch, const std::string& name);

} // namespace cloudlet::network
