#pragma once
// The names by which the API addresses collections: group, version and plural.

#include <compare>
#include <string>

namespace cloudlet::api {

/// One collection of the API; the core group is "". Values, compared by all three parts.
struct Resource {
    std::string group;
    std::string version;
    std::string plural;
    auto operator<=>(const Resource&) const = default;

    /// "v1" or "apps/v1", as `apiVersion` is spelled.
    std::string api_version() const { return group.empty() ? version : group + "/" + version; }
    /// "pods" or "deployments.apps", as kubectl and error messages spell it.
    std::string qualified() const { return group.empty() ? plural : plural + "." + group; }
};

namespace resources {
inline const Resource namespaces{"", "v1", "namespaces"};
inline const Resource nodes{"", "v1", "nodes"};
inline const Resource pods{"", "v1", "pods"};
inline const Resource services{"", "v1", "services"};
inline const Resource endpoints{"", "v1", "endpoints"};
inline const Resource config_maps{"", "v1", "configmaps"};
inline const Resource secrets{"", "v1", "secrets"};
inline const Resource service_accounts{"", "v1", "serviceaccounts"};
inline const Resource events{"", "v1", "events"};
inline const Resource endpoint_slices{"discovery.k8s.io", "v1", "endpointslices"};
inline const Resource leases{"coordination.k8s.io", "v1", "leases"};
inline const Resource deployments{"apps", "v1", "deployments"};
inline const Resource replica_sets{"apps", "v1", "replicasets"};
} // namespace resources

} // namespace cloudlet::api
