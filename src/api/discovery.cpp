#include "cloudlet/api/discovery.h"

#include <algorithm>

namespace cloudlet::api {

namespace {

Json texts(std::span<const std::string_view> list) {
    Json result = Json::array();
    for (std::string_view one : list) result.push_back(one);
    return result;
}

std::vector<const Kind*> kinds_of(const Kinds& kinds, std::string_view group,
                                  std::string_view version) {
    std::vector<const Kind*> result;
    for (const Kind& kind : kinds.all())
        if (kind.group == group && kind.version == version && !kind.internal)
            result.push_back(&kind);
    return result;
}

/// Group and version are left empty where they are those of the resource itself.
Json response_kind(const Kind& owner, std::string_view group, std::string_view version,
                   std::string_view kind) {
    bool own = owner.group == group && owner.version == version;
    return Json::object(
        {{"group", own ? "" : group}, {"version", own ? "" : version}, {"kind", kind}});
}

Json discovered_resource(const Kind& kind) {
    Json result =
        Json::object({{"resource", kind.plural},
                      {"responseKind", response_kind(kind, kind.group, kind.version, kind.kind)},
                      {"scope", kind.namespaced ? "Namespaced" : "Cluster"},
                      {"singularResource", kind.singular},
                      {"verbs", texts(kind.verbs)}});
    if (!kind.short_names.empty()) result.set("shortNames", texts(kind.short_names));
    if (!kind.categories.empty()) result.set("categories", texts(kind.categories));
    if (kind.subresources.empty()) return result;
    Json subresources = Json::array();
    for (const Subresource& sub : kind.subresources)
        subresources.push_back(
            Json::object({{"subresource", sub.name},
                          {"responseKind", response_kind(kind, sub.group, sub.version, sub.kind)},
                          {"verbs", texts(sub.verbs)}}));
    return result.set("subresources", std::move(subresources));
}

Json discovered_group(const Kinds& kinds, const Kinds::Group& group) {
    Json versions = Json::array();
    for (std::string_view version : group.versions) {
        Json resources = Json::array();
        for (const Kind* kind : kinds_of(kinds, group.name, version))
            resources.push_back(discovered_resource(*kind));
        versions.push_back(Json::object(
            {{"version", version}, {"resources", std::move(resources)}, {"freshness", "Current"}}));
    }
    Json metadata = Json::object({{"creationTimestamp", nullptr}});
    if (!group.name.empty()) metadata.set("name", group.name);
    return Json::object({{"metadata", std::move(metadata)}, {"versions", std::move(versions)}});
}

Json group_body(const Kinds::Group& group) {
    auto version_entry = [&](std::string_view version) {
        return Json::object({{"groupVersion", std::string(group.name) + "/" + std::string(version)},
                             {"version", version}});
    };
    Json versions = Json::array();
    for (std::string_view version : group.versions) versions.push_back(version_entry(version));
    return Json::object({{"name", group.name},
                         {"versions", std::move(versions)},
                         {"preferredVersion", version_entry(group.versions.front())}});
}

Json resource_entry(const Kind& kind) {
    Json entry = Json::object({{"name", kind.plural},
                               {"singularName", kind.singular},
                               {"namespaced", kind.namespaced},
                               {"kind", kind.kind},
                               {"verbs", texts(kind.verbs)}});
    if (!kind.short_names.empty()) entry.set("shortNames", texts(kind.short_names));
    if (!kind.categories.empty()) entry.set("categories", texts(kind.categories));
    return entry;
}

Json subresource_entry(const Kind& kind, const Subresource& sub) {
    Json entry = Json::object({{"name", std::string(kind.plural) + "/" + std::string(sub.name)},
                               {"singularName", ""},
                               {"namespaced", kind.namespaced}});
    if (sub.group != kind.group || sub.version != kind.version)
        entry.set("group", sub.group).set("version", sub.version);
    return entry.set("kind", sub.kind).set("verbs", texts(sub.verbs));
}

} // namespace

Json aggregated_discovery(const Kinds& kinds, bool core, std::string_view version) {
    Json items = Json::array();
    for (const Kinds::Group& group : kinds.groups())
        if (group.name.empty() == core) items.push_back(discovered_group(kinds, group));
    return Json::object({{"kind", "APIGroupDiscoveryList"},
                         {"apiVersion", "apidiscovery.k8s.io/" + std::string(version)},
                         {"metadata", Json::object()},
                         {"items", std::move(items)}});
}

std::string aggregated_content_type(std::string_view version) {
    return "application/json;g=apidiscovery.k8s.io;v=" + std::string(version) +
           ";as=APIGroupDiscoveryList";
}

Json api_versions(std::string_view server_address) {
    Json address = Json::object({{"clientCIDR", "0.0.0.0/0"}, {"serverAddress", server_address}});
    return Json::object({{"kind", "APIVersions"},
                         {"versions", Json::array({"v1"})},
                         {"serverAddressByClientCIDRs", Json::array({std::move(address)})}});
}

Json api_group_list(const Kinds& kinds) {
    Json groups = Json::array();
    for (const Kinds::Group& group : kinds.groups())
        if (!group.name.empty()) groups.push_back(group_body(group));
    return Json::object(
        {{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", std::move(groups)}});
}

Json api_group(const Kinds& kinds, std::string_view group) {
    auto found = std::ranges::find(kinds.groups(), group, &Kinds::Group::name);
    if (found == kinds.groups().end() || group.empty()) return {};
    Json result = Json::object({{"kind", "APIGroup"}, {"apiVersion", "v1"}});
    const Json body = group_body(*found);
    for (const auto& member : body.members()) result.set(member.key, member.value);
    return result;
}

Json api_resource_list(const Kinds& kinds, std::string_view group, std::string_view version) {
    auto served = kinds_of(kinds, group, version);
    if (served.empty()) return {};
    Json resources = Json::array();
    for (const Kind* kind : served) {
        resources.push_back(resource_entry(*kind));
        for (const Subresource& sub : kind->subresources)
            resources.push_back(subresource_entry(*kind, sub));
    }
    Json result = Json::object({{"kind", "APIResourceList"}});
    if (!group.empty())
        result.set("apiVersion", "v1"); // as the stock server: the core list goes without
    return result.set("groupVersion", served.front()->group_version())
        .set("resources", std::move(resources));
}

} // namespace cloudlet::api
