#pragma once
// What a pod asks of a node, read once from its spec.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cloudlet/api/object.h"
#include "cloudlet/api/selector.h"
#include "cloudlet/base/result.h"

namespace cloudlet::kube::scheduler {

/// Amounts of countable things. Extended resources count whole units.
struct Amounts {
    int64_t milli_cpu = 0;
    int64_t memory = 0; // bytes
    std::map<std::string, int64_t> others;

    void add(const Amounts& more);
    void subtract(const Amounts& less);
    /// The larger of each.
    void raise_to(const Amounts& other);
};

/// Reads a ResourceList ({"cpu": "100m", ...}); an entry that does not parse counts as zero, since
/// the API refused it long before. "pods" is not an amount that pods ask for and is left out.
Amounts amounts_of(const codec::Json& resource_list);

struct HostPortNeed {
    std::string protocol, address; // address "" or "0.0.0.0": every one
    int64_t port = 0;
    auto operator<=>(const HostPortNeed&) const = default;
    bool conflicts_with(const HostPortNeed& other) const;
};

struct Toleration {
    std::string key, op, value, effect;
};

/// One term of required node affinity; terms are alternatives, what a term holds must all match.
struct AffinityTerm {
    api::LabelSelector labels;
    std::vector<api::FieldRequirement> fields; // only metadata.name is allowed by the API
};

struct PodNeeds {
    Amounts amounts;
    std::vector<HostPortNeed> ports;
    api::LabelSelector node_selector;
    std::vector<AffinityTerm> affinity; // empty: none required
    bool has_affinity = false;          // required affinity with no term matches nothing
    std::vector<Toleration> tolerations;
};

/// Error: invalid for a node affinity that does not parse.
Result<PodNeeds> needs_of(const api::Object& pod);

} // namespace cloudlet::kube::scheduler
