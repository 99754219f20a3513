#pragma once
// Typed views of a Pod's spec for the node agent: what the core needs, and the resource arithmetic
// of the kubelet (QoS classes, cgroup limits, OOM scores). Pure.

#include "cloudlet/api/object.h"
#include "cloudlet/engine/types.h"
#include "pod_core.h"

namespace cloudlet::kube::node {

/// The part of a Pod that the core decides on. `gone`: the object was removed from the API.
CorePod core_pod(const api::Object& pod, const std::string& host_ip, Now now, bool gone = false);

/// The init container or container with this name, or a null Json.
const codec::Json& container_spec(const codec::Json& pod_spec, std::string_view name);

/// "Guaranteed", "Burstable" or "BestEffort" (Kubernetes, "Pod Quality of Service Classes").
std::string qos_class(const codec::Json& pod_spec);

/// The cgroup of one container, from resources.requests and .limits.
engine::Limits container_limits(const codec::Json& resources);
/// The cgroup of the whole pod: sums; a limit only when every container has one.
engine::Limits pod_limits(const codec::Json& pod_spec);
/// What /proc/<pid>/oom_score_adj gets (kubelet pkg/kubelet/qos/policy.go).
int64_t oom_score_adj(const codec::Json& pod_spec, const codec::Json& container,
                      int64_t machine_memory);

/// Thousandths of a core and bytes; 0 when absent or malformed (validation is the server's).
int64_t milli_cpu(const codec::Json& quantity);
int64_t bytes_of(const codec::Json& quantity);

/// IfNotPresent unless the spec says otherwise or the tag is :latest (the server defaults it too).
std::string pull_policy(const codec::Json& container);

/// "name" cut to 63 characters as a host name, or spec.hostname.
std::string pod_hostname(const api::Object& pod);
/// "<hostname>.<subdomain>.<ns>.svc.<domain>", or empty without a subdomain.
std::string pod_fqdn(const api::Object& pod, const std::string& domain);

struct ResolverFacts {
    std::string cluster_dns; // empty: no cluster DNS
    std::string cluster_domain;
    std::string host_resolv_conf; // text of the machine's file
};
/// /etc/resolv.conf by dnsPolicy and dnsConfig.
std::string resolver_file(const api::Object& pod, const ResolverFacts& facts);
/// Lines of spec.hostAliases for /etc/hosts.
std::string host_alias_lines(const codec::Json& pod_spec);

} // namespace cloudlet::kube::node
