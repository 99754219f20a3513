#include "cloudlet/api/openapi.h"

#include <algorithm>

#include "cloudlet/codec/digest.h"
#include "openapi_schemas.h"

namespace cloudlet::api {

namespace {

std::string path_of(std::string_view group, std::string_view version) {
    return (group.empty() ? "api/" : "apis/" + std::string(group) + "/") + std::string(version);
}

Json parameter(std::string_view name, std::string_view place, std::string_view type,
               std::string_view description) {
    Json result = Json::object({{"name", name},
                                {"in", place},
                                {"description", description},
                                {"schema", Json::object({{"type", type}, {"uniqueItems", true}})}});
    if (place == "path") result.set("required", true);
    return result;
}

/// The query parameters of one verb. kubectl looks for fieldValidation among those of PATCH.
Json query_parameters(std::string_view verb) {
    Json list = Json::array();
    auto add = [&](std::string_view name, std::string_view type, std::string_view description) {
        list.push_back(parameter(name, "query", type, description));
    };
    if (verb == "create" || verb == "update" || verb == "patch" || verb == "delete")
        add("dryRun", "string", "With All, everything is checked and nothing is stored.");
    if (verb == "create" || verb == "update" || verb == "patch") {
        add("fieldManager", "string", "Name of the client that makes the change.");
        add("fieldValidation", "string",
            "What happens to unknown and duplicate fields: Ignore, Warn or Strict.");
    }
    if (verb == "patch") add("force", "boolean", "Take over fields that others manage.");
    if (verb == "delete") {
        add("gracePeriodSeconds", "integer", "Seconds to wait for a graceful end.");
        add("propagationPolicy", "string",
            "What happens to dependents: Orphan, Background or Foreground.");
    }
    if (verb == "list" || verb == "deletecollection") {
        add("labelSelector", "string", "Only objects with such labels.");
        add("fieldSelector", "string", "Only objects with such fields.");
        add("limit", "integer", "The most items in one answer.");
        add("continue", "string", "Token of the next page.");
        add("resourceVersion", "string", "The moment to show.");
        add("watch", "boolean", "Go on with events instead of a list.");
        add("allowWatchBookmarks", "boolean", "Whether bookmark events are welcome.");
        add("timeoutSeconds", "integer", "Seconds after which the answer ends.");
    }
    return list;
}

Json body_of(const Schema* schema, std::string_view verb) {
    Json media = Json::object({{"schema", schema_reference(schema->full_name())}});
    Json content = Json::object();
    if (verb == "patch") {
        media = Json::object({{"schema", schema_reference(patch_schema_name)}});
        for (std::string_view type : {"application/json-patch+json", "application/merge-patch+json",
                                      "application/strategic-merge-patch+json"})
            content.set(type, media);
    } else {
        content.set("*/*", media);
    }
    return Json::object({{"content", std::move(content)}});
}

struct Served { // what a path carries
    std::string_view group, version, kind;
    const Schema* schema;
    std::string list; // full name of the list type, for collections
};

Json operation(std::string_view verb, std::string_view action, const Served& served) {
    std::string_view answer = served.schema->full_name();
    if (verb == "list") answer = served.list;
    if (verb == "delete" || verb == "deletecollection") answer = status_schema_name;
    Json content = Json::object();
    content.set("application/json", Json::object({{"schema", schema_reference(answer)}}));
    Json ok = Json::object({{"description", "OK"}, {"content", std::move(content)}});
    Json result = Json::object(
        {{"parameters", query_parameters(verb)},
         {"responses", Json::object({{"200", std::move(ok)}})},
         {"x-kubernetes-action", action},
         {"x-kubernetes-group-version-kind",
          Json::object(
              {{"group", served.group}, {"kind", served.kind}, {"version", served.version}})}});
    if (verb == "create" || verb == "update" || verb == "patch")
        result.set("requestBody", body_of(served.schema, verb));
    return result;
}

struct Method {
    std::string_view verb, method, action;
    bool on_collection;
};
constexpr Method methods[] = {
    {"list", "get", "list", true},
    {"create", "post", "post", true},
    {"deletecollection", "delete", "deletecollection", true},
    {"get", "get", "get", false},
    {"update", "put", "put", false},
    {"patch", "patch", "patch", false},
    {"delete", "delete", "delete", false},
};

Json path_item(std::span<const std::string_view> verbs, bool collection, const Served& served,
               const Json& parameters) {
    Json item = Json::object();
    for (const Method& method : methods)
        if (method.on_collection == collection &&
            std::ranges::find(verbs, method.verb) != verbs.end())
            item.set(method.method, operation(method.verb, method.action, served));
    if (!parameters.empty()) item.set("parameters", parameters);
    return item;
}

void add_paths(const Kind& kind, Json& paths) {
    std::string base = "/" + path_of(kind.group, kind.version) + "/";
    Json parameters = Json::array();
    if (kind.namespaced) {
        base += "namespaces/{namespace}/";
        parameters.push_back(parameter("namespace", "path", "string", "Name of the namespace."));
    }
    base += kind.plural;
    Served own{kind.group, kind.version, kind.kind, kind.schema, list_schema_name(kind)};
    paths.set(base, path_item(kind.verbs, true, own, parameters));
    if (!kind.stored) return;
    if (kind.namespaced && kind.has_verb("list")) {
        constexpr std::string_view only_list[] = {"list"};
        paths.set("/" + path_of(kind.group, kind.version) + "/" + std::string(kind.plural),
                  path_item(only_list, true, own, Json::array()));
    }
    parameters.push_back(parameter("name", "path", "string", "Name of the object."));
    paths.set(base + "/{name}", path_item(kind.verbs, false, own, parameters));
    for (const Subresource& sub : kind.subresources) {
        if (!sub.schema) continue; // streams are no JSON
        Served served{sub.group, sub.version, sub.kind, sub.schema, {}};
        Json item = path_item(sub.verbs, false, served, parameters);
        if (std::ranges::find(sub.verbs, "create") != sub.verbs.end())
            item.set("post", operation("create", "post", served));
        paths.set(base + "/{name}/" + std::string(sub.name), std::move(item));
    }
}

} // namespace

std::string openapi_v3(const Kinds& kinds, std::string_view path) {
    Json paths = Json::object();
    SchemaPublisher publisher;
    for (const Kind& kind : kinds.all()) {
        if (kind.internal || path_of(kind.group, kind.version) != path) continue;
        add_paths(kind, paths);
        publisher.add_kind(kind);
        for (const Subresource& sub : kind.subresources)
            if (const Kind* body = kinds.find_kind(sub.group, sub.version, sub.kind);
                body && sub.schema)
                publisher.add_kind(*body);
    }
    if (paths.empty()) return {};
    Json info = Json::object({{"title", "Kubernetes"}, {"version", "v1.32.0"}});
    return Json::object({{"openapi", "3.0.0"},
                         {"info", std::move(info)},
                         {"paths", std::move(paths)},
                         {"components", Json::object({{"schemas", publisher.take()}})}})
        .dump();
}

std::string openapi_v3_index(const Kinds& kinds) {
    Json paths = Json::object();
    for (const Kinds::Group& group : kinds.groups())
        for (std::string_view version : group.versions) {
            std::string path = path_of(group.name, version);
            std::string hash = codec::sha512_hex(openapi_v3(kinds, path));
            std::ranges::transform(hash, hash.begin(),
                                   [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
            paths.set(path, Json::object(
                                {{"serverRelativeURL", "/openapi/v3/" + path + "?hash=" + hash}}));
        }
    return Json::object({{"paths", std::move(paths)}}).dump();
}

} // namespace cloudlet::api
