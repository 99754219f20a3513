#include "request.h"

#include <charconv>

#include <fmt/format.h>

namespace cloudlet::kube::server {

namespace {

std::vector<std::string_view> split_path(std::string_view path) {
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        const size_t slash = path.find('/');
        if (slash != 0) parts.push_back(path.substr(0, slash));
        if (slash == std::string_view::npos) break;
        path.remove_prefix(slash + 1);
    }
    return parts;
}

/// The parts after the group-version: resource, name and subresource, or nothing.
struct Address {
    std::string_view ns, plural, name, subresource;
    bool namespaced = false;
};

Outcome<Address> read_address(std::vector<std::string_view> parts) {
    Address address;
    const bool scoped = parts.size() >= 3 && parts[0] == "namespaces" &&
                        !(parts.size() == 3 && (parts[2] == "status" || parts[2] == "finalize"));
    if (scoped) {
        address.ns = parts[1];
        address.namespaced = true;
        parts.erase(parts.begin(), parts.begin() + 2);
    }
    if (parts.empty() || parts.size() > 3) return refuse(no_such_path());
    address.plural = parts[0];
    if (parts.size() > 1) address.name = parts[1];
    if (parts.size() > 2) address.subresource = parts[2];
    return address;
}

Outcome<Verb> verb_of(const net::Request& request, bool named) {
    const std::string& method = request.method;
    if (method == "GET" || method == "HEAD") {
        if (request.query.get_bool("watch")) return Verb::watch;
        return named ? Verb::get : Verb::list;
    }
    if (method == "POST") return Verb::create;
    if (method == "PUT" && named) return Verb::update;
    if (method == "PATCH" && named) return Verb::patch;
    if (method == "DELETE") return named ? Verb::remove : Verb::remove_collection;
    return refuse(method_not_allowed());
}

bool has_verb(const std::vector<std::string_view>& verbs, std::string_view wanted) {
    for (std::string_view verb : verbs)
        if (verb == wanted) return true;
    return false;
}

Outcome<> check_field_selector(const api::Kind& kind, const api::FieldSelector& fields) {
    for (const api::FieldRequirement& requirement : fields.requirements())
        if (!kind.is_selectable(requirement.path))
            return refuse(
                bad_request(fmt::format("field label not supported: {}", requirement.path)));
    return {};
}

Outcome<int64_t> read_number(const net::Query& query, std::string_view name) {
    const std::string_view text = query.get(name);
    int64_t number = 0;
    if (text.empty()) return number;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size())
        return refuse(bad_request(
            fmt::format("strconv.ParseInt: parsing \"{}\": invalid syntax ({})", text, name)));
    return number;
}

/// The combinations that k8s.io/apimachinery's ValidateListOptions refuses.
Outcome<> check_combination(const ListQuery& query, bool watch, bool has_initial_events) {
    auto wrong = [](std::string_view field, std::string_view why) {
        return refuse(bad_request(fmt::format("{}: Forbidden: {}", field, why)));
    };
    if (!query.match.empty() && query.match != "Exact" && query.match != "NotOlderThan")
        return refuse(bad_request(
            fmt::format("resourceVersionMatch: Unsupported value: \"{}\": supported values: "
                        "\"Exact\", \"NotOlderThan\"",
                        query.match)));
    if (watch) {
        if (has_initial_events && query.match != "NotOlderThan")
            return wrong("resourceVersionMatch",
                         "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        if (!has_initial_events && !query.match.empty())
            return wrong("resourceVersionMatch",
                         "resourceVersionMatch is forbidden for watch unless "
                         "sendInitialEvents is provided");
        return {};
    }
    if (has_initial_events)
        return wrong("sendInitialEvents", "sendInitialEvents is forbidden for list");
    if (!query.match.empty() && query.resource_version.empty())
        return wrong("resourceVersionMatch",
                     "resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (!query.match.empty() && !query.continue_token.empty())
        return wrong("resourceVersionMatch",
                     "resourceVersionMatch is forbidden when continue is provided");
    if (query.match == "Exact" && query.resource_version == "0")
        return wrong("resourceVersionMatch",
                     "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"");
    return {};
}

} // namespace

std::string_view name_of(Verb verb) {
    switch (verb) {
    case Verb::get: return "get";
    case Verb::list: return "list";
    case Verb::watch: return "watch";
    case Verb::create: return "create";
    case Verb::update: return "update";
    case Verb::patch: return "patch";
    case Verb::remove: return "delete";
    case Verb::remove_collection: return "deletecollection";
    }
    return "";
}

bool is_resource_path(std::string_view path) {
    auto parts = split_path(path);
    if (parts.empty()) return false;
    return (parts[0] == "api" && parts.size() > 2) || (parts[0] == "apis" && parts.size() > 3);
}

Outcome<Target> resolve(const api::Kinds& kinds, const net::Request& request) {
    auto parts = split_path(request.path);
    const bool core = !parts.empty() && parts[0] == "api";
    const size_t head = core ? 2 : 3;
    if (parts.size() <= head) return refuse(no_such_path());
    const std::string_view group = core ? std::string_view() : parts[1];
    const std::string_view version = parts[head - 1];
    parts.erase(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(head));
    const Address address = NEED(read_address(std::move(parts)));

    Target target;
    target.kind = kinds.find(group, version, address.plural);
    if (!target.kind || !target.kind->stored) return refuse(no_such_path());
    if (address.namespaced && !target.kind->namespaced) return refuse(no_such_path());
    if (!address.namespaced && target.kind->namespaced && !address.name.empty())
        return refuse(no_such_path());
    target.ns = address.ns;
    target.name = address.name;
    target.verb = NEED(verb_of(request, !address.name.empty()));
    if (!address.subresource.empty()) {
        target.subresource = target.kind->subresource(address.subresource);
        if (!target.subresource) return refuse(no_such_path());
        // Streams are opened by GET or POST alike; their verb is "get" for a WebSocket.
        if (!has_verb(target.subresource->verbs, name_of(target.verb)))
            return refuse(method_not_allowed());
        return target;
    }
    if (target.verb == Verb::create && !target.name.empty()) return refuse(method_not_allowed());
    if (target.verb == Verb::create && target.kind->namespaced && !address.namespaced)
        return refuse(method_not_allowed());
    if (target.verb == Verb::remove_collection && target.kind->namespaced && !address.namespaced)
        return refuse(method_not_allowed());
    if (!target.kind->has_verb(name_of(target.verb))) return refuse(method_not_allowed());
    return target;
}

Outcome<WriteOptions> read_write_options(const net::Query& query) {
    WriteOptions options;
    for (std::string_view value : query.all("dryRun")) {
        if (value != "All")
            return refuse(bad_request(fmt::format(
                "dryRun: Unsupported value: \"{}\": supported values: \"All\"", value)));
        options.dry_run = true;
    }
    const std::string_view validation = query.get("fieldValidation");
    if (validation == "Strict")
        options.field_validation = FieldValidation::strict;
    else if (validation == "Ignore")
        options.field_validation = FieldValidation::ignore;
    else if (!validation.empty() && validation != "Warn")
        return refuse(
            bad_request(fmt::format("fieldValidation: Unsupported value: \"{}\": supported values: "
                                    "\"Ignore\", \"Strict\", \"Warn\"",
                                    validation)));
    return options;
}

Outcome<ListQuery> read_list_query(const api::Kind& kind, const net::Query& query, bool watch) {
    ListQuery result;
    auto labels = api::LabelSelector::parse(query.get("labelSelector"));
    if (!labels)
        return refuse(bad_request("unable to parse requirement: " + labels.error().to_string()));
    result.labels = std::move(*labels);
    auto fields = api::FieldSelector::parse(query.get("fieldSelector"));
    if (!fields) return refuse(bad_request(fields.error().to_string()));
    result.fields = std::move(*fields);
    NEED(check_field_selector(kind, result.fields));
    result.limit = NEED(read_number(query, "limit"));
    if (result.limit < 0) return refuse(bad_request("limit: Invalid value: must not be negative"));
    result.timeout_seconds = NEED(read_number(query, "timeoutSeconds"));
    result.continue_token = query.get("continue");
    result.resource_version = query.get("resourceVersion");
    NEED(parse_revision(result.resource_version));
    result.match = query.get("resourceVersionMatch");
    result.bookmarks = query.get_bool("allowWatchBookmarks");
    result.send_initial_events = query.get_bool("sendInitialEvents");
    NEED(check_combination(result, watch, query.has("sendInitialEvents")));
    return result;
}

Outcome<int64_t> parse_revision(std::string_view text) {
    if (text.empty()) return 0;
    int64_t revision = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), revision);
    if (error != std::errc() || end != text.data() + text.size() || revision < 0)
        return refuse(bad_request(fmt::format("resourceVersion: Invalid value: \"{}\": "
                                              "strconv.ParseUint: parsing \"{}\": invalid syntax",
                                              text, text)));
    return revision;
}

} // namespace cloudlet::kube::server
