// Paths that are no resources: version, health, discovery, OpenAPI.

#include <fmt/format.h>

#include "cloudlet/api/discovery.h"
#include "cloudlet/api/openapi.h"
#include "cloudlet/codec/digest.h"
#include "cloudlet/kube/version.h"
#include "http_api.h"

namespace cloudlet::kube::server {

namespace {

Json version_json() {
    return Json::object({{"major", "1"},
                         {"minor", "32"},
                         {"gitVersion", kubernetes_version},
                         {"gitCommit", ""},
                         {"gitTreeState", "clean"},
                         {"buildDate", "1970-01-01T00:00:00Z"},
                         {"goVersion", ""},
                         {"compiler", "gcc"},
                         {"platform", "linux/amd64"}});
}

Json root_paths(const api::Kinds& kinds) {
    Json paths = Json::array({"/api", "/api/v1", "/apis"});
    for (const api::Kinds::Group& group : kinds.groups()) {
        if (group.name.empty()) continue;
        paths.push_back(fmt::format("/apis/{}", group.name));
        for (std::string_view version : group.versions)
            paths.push_back(fmt::format("/apis/{}/{}", group.name, version));
    }
    for (std::string_view path :
         {"/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"})
        paths.push_back(path);
    return Json::object({{"paths", std::move(paths)}});
}

std::string upper_sha512(std::string_view text) {
    std::string hash = codec::sha512_hex(text);
    for (char& c : hash)
        if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 32);
    return hash;
}

std::string_view strip_slash(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    return path;
}

} // namespace

bool PathRoutes::answer_public(net::Exchange& exchange) {
    if (exchange.request().method != "GET") return false;
    if (strip_slash(exchange.request().path) != "/version") return answer_health(exchange);
    answer_json(exchange, 200, version_json());
    return true;
}

/// /healthz, /livez, /readyz, with "?verbose" and one check by name: /livez/ping.
bool PathRoutes::answer_health(net::Exchange& exchange) {
    const std::string_view path = strip_slash(exchange.request().path);
    const size_t slash = path.find('/', 1);
    const std::string_view name =
        path.substr(1, slash == std::string_view::npos ? slash : slash - 1);
    const std::string_view only =
        slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    const auto store = core_.options.store->health();
    const std::pair<std::string_view, bool> checks[] = {
        {"ping", true},
        {"store", store.has_value()},
        {"shutdown", name != "readyz" || !core_.stopped}};

    std::string report;
    bool good = true;
    bool known = only.empty();
    for (const auto& [check, passed] : checks) {
        if (!only.empty() && check != only) continue;
        known = true;
        good &= passed;
        report += passed ? fmt::format("[+]{} ok\n", check) : fmt::format("[-]{} failed\n", check);
    }
    if (!known) return false;
    report += fmt::format("{} check {}\n", name, good ? "passed" : "failed");
    const bool verbose = exchange.request().query.has("verbose") || !good;
    answer_text(exchange, good ? 200 : 500, verbose ? report : "ok");
    return true;
}

Outcome<> PathRoutes::answer(net::Exchange& exchange) {
    const net::Request& request = exchange.request();
    if (request.method != "GET" && request.method != "HEAD") return refuse(method_not_allowed());
    const std::string_view path = strip_slash(request.path);
    if (path == "/") {
        answer_json(exchange, 200, root_paths(core_.kinds));
        return {};
    }
    if (path == "/openapi/v2") {
        const bool binary =
            request.headers.get("Accept").find("protobuf") != std::string_view::npos;
        net::Response response;
        response.headers.add("Content-Type",
                             binary ? "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
                                    : "application/json");
        response.body = binary ? api::openapi_v2_protobuf() : api::openapi_v2_json();
        exchange.respond(std::move(response));
        return {};
    }
    if (path == "/openapi/v3" || path.starts_with("/openapi/v3/"))
        return answer_openapi(exchange, path);
    if (path == "/api" || path == "/apis") {
        const std::string_view version = negotiate_discovery(request.headers.get("Accept"));
        if (!version.empty()) {
            net::Response response{
                200, {{"Content-Type", api::aggregated_content_type(version)}}, {}, {}};
            response.shared_body = aggregated(path == "/api", version);
            exchange.respond(std::move(response));
            return {};
        }
    }
    const Json document = discovery(request, path);
    if (document.is_null()) return refuse(no_such_path());
    answer_json(exchange, 200, document);
    return {};
}

Json PathRoutes::discovery(const net::Request& request, std::string_view path) const {
    if (path == "/api") return api::api_versions(request.headers.get("Host"));
    if (path == "/apis") return api::api_group_list(core_.kinds);
    if (path.starts_with("/api/")) return api::api_resource_list(core_.kinds, "", path.substr(5));
    if (!path.starts_with("/apis/")) return {};
    const std::string_view rest = path.substr(6);
    const size_t slash = rest.find('/');
    if (slash == std::string_view::npos) return api::api_group(core_.kinds, rest);
    return api::api_resource_list(core_.kinds, rest.substr(0, slash), rest.substr(slash + 1));
}

SharedBytes PathRoutes::aggregated(bool core_group, std::string_view version) {
    const std::string key = fmt::format("{} {}", core_group ? "/api" : "/apis", version);
    std::lock_guard lock(mutex_);
    SharedBytes& document = documents_[key];
    if (!document)
        document = share(api::aggregated_discovery(core_.kinds, core_group, version).dump());
    return document;
}

SharedBytes PathRoutes::openapi_document(std::string_view path, std::string* hash) {
    std::lock_guard lock(mutex_);
    auto found = documents_.find(path);
    if (found == documents_.end()) {
        const bool index = path == "/openapi/v3";
        std::string text =
            index ? api::openapi_v3_index(core_.kinds)
                  : api::openapi_v3(core_.kinds,
                                    path.substr(std::string_view("/openapi/v3/").size()));
        if (text.empty()) return nullptr;
        hashes_.emplace(path, upper_sha512(text));
        found = documents_.emplace(path, share(std::move(text))).first;
    }
    *hash = hashes_.find(path)->second;
    return found->second;
}

/// A document named with its hash may be kept for ever; a wrong hash is sent on to the right one.
Outcome<> PathRoutes::answer_openapi(net::Exchange& exchange, std::string_view path) {
    std::string hash;
    SharedBytes document = openapi_document(path, &hash);
    if (!document) return refuse(no_such_path());
    const net::Request& request = exchange.request();
    const std::string_view asked = request.query.get("hash");
    net::Response response{200, {{"Content-Type", "application/json"}, {"Vary", "Accept"}}, {}, {}};
    response.headers.add("ETag", "\"" + hash + "\"");
    if (!asked.empty() && asked != hash) {
        response.status = 301;
        response.headers.add("Location", fmt::format("{}?hash={}", path, hash));
    } else if (request.headers.get("If-None-Match").find(hash) != std::string_view::npos) {
        response.status = 304;
    } else {
        response.shared_body = std::move(document);
    }
    response.headers.add("Cache-Control",
                         asked.empty() ? "no-cache, private" : "public, immutable");
    exchange.respond(std::move(response));
    return {};
}

} // namespace cloudlet::kube::server
