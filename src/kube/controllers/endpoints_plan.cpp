#include "endpoints_plan.h"

#include <algorithm>
#include <map>

#include "controller.h"
#include "pods.h"

namespace cloudlet::kube::controllers {

using api::Object;

namespace {

constexpr size_t kEndpointsPerSlice = 100;

/// The number that a Service port leads to in this pod; 0 when the pod has no port of that name.
int64_t target_of(const Json& port, const Object& pod) {
    const Json& target = port["targetPort"];
    if (target.is_int()) return target.as_int();
    if (!target.is_string()) return port["port"].as_int();
    const auto protocol = port["protocol"].as_string("TCP");
    for (std::string_view list : {"containers", "initContainers"})
        for (const Json& container : pod.spec()[list].items()) {
            // Of the init containers only those that run on beside the others serve.
            if (list == "initContainers" && container["restartPolicy"].as_string() != "Always")
                continue;
            for (const Json& one : container["ports"].items())
                if (one["name"] == target && one["protocol"].as_string("TCP") == protocol)
                    return one["containerPort"].as_int();
        }
    return 0;
}

/// The ports as EndpointSlice and Endpoints both spell them, as this pod has them.
Json ports_of(const Object& service, const Object& pod) {
    Json ports = Json::array();
    for (const Json& port : service.spec()["ports"].items()) {
        const int64_t number = target_of(port, pod);
        if (number == 0) continue;
        auto one = Json::object({{"name", port["name"].as_string()},
                                 {"port", number},
                                 {"protocol", port["protocol"].as_string("TCP")}});
        if (port["appProtocol"].is_string()) one.set("appProtocol", port["appProtocol"]);
        ports.push_back(std::move(one));
    }
    return ports;
}

bool is_headless(const Object& service) {
    return service.spec()["clusterIP"].as_string() == "None";
}

bool publishes_unready(const Object& service) {
    return service.spec()["publishNotReadyAddresses"].as_bool();
}

/// A pod can be led to once it has an address, until it has ended.
bool has_address(const Object& pod) {
    return !pod.status()["podIP"].as_string().empty() && !has_ended(pod);
}

/// A pod that serves no port of the Service is left out, unless the Service has none.
bool serves(const Object& service, const Json& ports) {
    return !ports.empty() || service.spec()["ports"].empty();
}

Json reference_to(const Object& pod) {
    return Json::object(
        {{"kind", "Pod"}, {"namespace", pod.ns()}, {"name", pod.name()}, {"uid", pod.uid()}});
}

void set_hostname(const Object& service, const Object& pod, Json& to) {
    const auto hostname = pod.spec()["hostname"].as_string();
    if (!hostname.empty() && pod.spec()["subdomain"].as_string() == service.name())
        to.set("hostname", hostname);
}

std::vector<Object> by_name(std::vector<Object> pods) {
    std::sort(pods.begin(), pods.end(),
              [](const Object& a, const Object& b) { return a.name() < b.name(); });
    return pods;
}

Json endpoint_of(const Object& service, const Object& pod) {
    const bool serving = is_ready(pod);
    const bool terminating = pod.is_being_deleted();
    auto conditions =
        Json::object({{"ready", publishes_unready(service) || (serving && !terminating)},
                      {"serving", serving},
                      {"terminating", terminating}});
    auto endpoint = Json::object({{"addresses", Json::array({pod.status()["podIP"]})},
                                  {"conditions", std::move(conditions)},
                                  {"targetRef", reference_to(pod)}});
    if (const auto node = pod.spec()["nodeName"].as_string(); !node.empty())
        endpoint.set("nodeName", node);
    set_hostname(service, pod, endpoint);
    return endpoint;
}

Json address_of(const Object& service, const Object& pod) {
    auto address = Json::object({{"ip", pod.status()["podIP"]}, {"targetRef", reference_to(pod)}});
    if (const auto node = pod.spec()["nodeName"].as_string(); !node.empty())
        address.set("nodeName", node);
    set_hostname(service, pod, address);
    return address;
}

} // namespace

bool is_managed(const Object& service) {
    return service && !service.spec()["selector"].empty() &&
           service.spec()["type"].as_string() != "ExternalName";
}

Json endpoint_subsets(const Object& service, const std::vector<Object>& pods) {
    std::map<std::string, Json>
        by_ports; // pods with other numbers for a named port make another subset
    for (const Object& pod : by_name(pods)) {
        if (!has_address(pod)) continue;
        const bool unready_too = publishes_unready(service);
        if (pod.is_being_deleted() && !unready_too) continue;
        Json ports = ports_of(service, pod);
        if (!serves(service, ports)) continue;
        Json& subset = by_ports[ports.dump()];
        subset.ensure(is_ready(pod) || unready_too ? "addresses" : "notReadyAddresses")
            .push_back(address_of(service, pod));
        if (!ports.empty()) subset.set("ports", std::move(ports));
    }
    Json subsets = Json::array();
    for (auto& [ports, subset] : by_ports) {
        // Endpoints leave the name of an only, unnamed port out.
        if (Json* list = subset.find_mutable("ports"))
            for (Json& port : list->mutable_items())
                if (port["name"].as_string().empty()) port.erase("name");
        subsets.push_back(std::move(subset));
    }
    return subsets;
}

Json endpoints_labels(const Object& service) {
    Json labels = Json::object();
    for (const auto& [key, value] : service.metadata()["labels"].members()) labels.set(key, value);
    if (is_headless(service)) labels.set("service.kubernetes.io/headless", "");
    return labels;
}

std::vector<SliceContent> slice_contents(const Object& service, const std::vector<Object>& pods) {
    std::map<std::string, SliceContent> by_ports;
    std::vector<SliceContent> full;
    for (const Object& pod : by_name(pods)) {
        if (!has_address(pod)) continue;
        Json ports = ports_of(service, pod);
        if (!serves(service, ports)) continue;
        SliceContent& slice = by_ports[ports.dump()];
        slice.endpoints.push_back(endpoint_of(service, pod));
        slice.ports = std::move(ports);
        if (slice.endpoints.size() < kEndpointsPerSlice) continue;
        full.push_back(std::move(slice));
        slice = {};
    }
    for (auto& [ports, slice] : by_ports)
        if (!slice.endpoints.empty()) full.push_back(std::move(slice));
    if (full.empty()) full.push_back({Json::array(), Json::array()});
    return full;
}

SlicePlan plan_slices(std::vector<SliceContent> wanted, std::vector<Object> existing) {
    std::sort(existing.begin(), existing.end(), [](const Object& a, const Object& b) {
        return std::pair(a.creation_time(), a.name()) < std::pair(b.creation_time(), b.name());
    });
    SlicePlan plan;
    auto take = [&](auto&& fits) {
        auto it = std::find_if(existing.begin(), existing.end(), fits);
        Object found;
        if (it == existing.end()) return found;
        found = *it;
        existing.erase(it);
        return found;
    };
    std::vector<SliceContent> open;
    for (SliceContent& content : wanted) {
        auto same = [&](const Object& slice) {
            return slice["ports"].items() == content.ports.items() &&
                   slice["endpoints"].items() == content.endpoints.items();
        };
        if (!take(same)) open.push_back(std::move(content));
    }
    for (SliceContent& content : open) {
        if (Object slice = take([](const Object&) { return true; }))
            plan.update.push_back({slice, std::move(content)});
        else
            plan.create.push_back(std::move(content));
    }
    plan.remove = std::move(existing);
    return plan;
}

Json make_slice(const Object& service, SliceContent content) {
    Json labels = endpoints_labels(service);
    labels.set(slice_service_label, service.name()).set(slice_manager_label, slice_manager);
    auto metadata =
        Json::object({{"generateName", std::string(service.name()) + "-"},
                      {"namespace", service.ns()},
                      {"labels", std::move(labels)},
                      {"ownerReferences", Json::array({controller_reference(service)})}});
    return Json::object({{"apiVersion", "discovery.k8s.io/v1"},
                         {"kind", "EndpointSlice"},
                         {"metadata", std::move(metadata)},
                         {"addressType", "IPv4"},
                         {"endpoints", std::move(content.endpoints)},
                         {"ports", std::move(content.ports)}});
}

} // namespace cloudlet::kube::controllers
