#include "pod_needs.h"

#include <algorithm>

#include "cloudlet/api/quantity.h"

namespace cloudlet::kube::scheduler {
namespace {

using codec::Json;

/// Init containers run one after the other, before the others: the largest counts. One that
/// restarts always (a sidecar) stays, so it adds to all that come after it (KEP-753).
Amounts container_amounts(const Json& spec) {
    Amounts running, peak;
    for (const auto& container : spec["initContainers"].items()) {
        Amounts own = amounts_of(container["resources"]["requests"]);
        if (container["restartPolicy"].as_string() == "Always") {
            running.add(own);
            peak.raise_to(running);
        } else {
            own.add(running);
            peak.raise_to(own);
        }
    }
    for (const auto& container : spec["containers"].items())
        running.add(amounts_of(container["resources"]["requests"]));
    running.raise_to(peak);
    running.add(amounts_of(spec["overhead"]));
    return running;
}

std::vector<HostPortNeed> host_ports(const Json& spec) {
    std::vector<HostPortNeed> ports;
    for (const auto& container : spec["containers"].items())
        for (const auto& port : container["ports"].items())
            if (port["hostPort"].as_int())
                ports.push_back({std::string(port["protocol"].as_string("TCP")),
                                 std::string(port["hostIP"].as_string()),
                                 port["hostPort"].as_int()});
    return ports;
}

Result<AffinityTerm> affinity_term(const Json& json) {
    AffinityTerm term;
    term.labels = TRY(api::LabelSelector::from_json(
        Json::object({{"matchExpressions", json["matchExpressions"]}})));
    for (const auto& field : json["matchFields"].items()) {
        auto op = field["operator"].as_string();
        if (op != "In" && op != "NotIn")
            return fail(Code::invalid,
                        "node affinity: matchFields knows the operators In and NotIn");
        for (const auto& value : field["values"].items())
            term.fields.push_back({std::string(field["key"].as_string()),
                                   std::string(value.as_string()), op == "In"});
    }
    return term;
}

} // namespace

void Amounts::add(const Amounts& more) {
    milli_cpu += more.milli_cpu;
    memory += more.memory;
    for (const auto& [name, amount] : more.others) others[name] += amount;
}

void Amounts::subtract(const Amounts& less) {
    milli_cpu -= less.milli_cpu;
    memory -= less.memory;
    for (const auto& [name, amount] : less.others) others[name] -= amount;
}

void Amounts::raise_to(const Amounts& other) {
    milli_cpu = std::max(milli_cpu, other.milli_cpu);
    memory = std::max(memory, other.memory);
    for (const auto& [name, amount] : other.others) others[name] = std::max(others[name], amount);
}

Amounts amounts_of(const Json& resource_list) {
    Amounts amounts;
    for (const auto& [name, text] : resource_list.members()) {
        auto quantity = api::Quantity::parse(text.is_string() ? text.as_string()
                                                              : std::string_view(text.dump()));
        if (!quantity || name == "pods") continue;
        if (name == "cpu")
            amounts.milli_cpu = quantity->milli_value();
        else if (name == "memory")
            amounts.memory = quantity->value();
        else
            amounts.others[name] = quantity->value();
    }
    return amounts;
}

bool HostPortNeed::conflicts_with(const HostPortNeed& other) const {
    auto everywhere = [](const std::string& ip) { return ip.empty() || ip == "0.0.0.0"; };
    return port == other.port && protocol == other.protocol &&
           (address == other.address || everywhere(address) || everywhere(other.address));
}

Result<PodNeeds> needs_of(const api::Object& pod) {
    const Json& spec = pod.spec();
    PodNeeds needs;
    needs.amounts = container_amounts(spec);
    needs.ports = host_ports(spec);
    needs.node_selector = api::LabelSelector::from_map(spec["nodeSelector"]);
    const Json& required =
        spec.at({"affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"});
    needs.has_affinity = required.is_object();
    for (const auto& term : required["nodeSelectorTerms"].items())
        needs.affinity.push_back(TRY(affinity_term(term)));
    for (const auto& t : spec["tolerations"].items())
        needs.tolerations.push_back(
            {std::string(t["key"].as_string()), std::string(t["operator"].as_string("Equal")),
             std::string(t["value"].as_string()), std::string(t["effect"].as_string())});
    return needs;
}

} // namespace cloudlet::kube::scheduler
