// Reads: one object, or a page of many at one revision.

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/base/bytes.h"
#include "core.h"

namespace cloudlet::kube::server {

namespace {

/// Where a list goes on: the revision of its first page, and the last path it showed. Revision -1
/// means "whatever is there now" (the snapshot is gone).
struct ContinueToken {
    int64_t revision = 0;
    std::string after;
};

std::string encode_token(const ContinueToken& token) {
    Json json =
        Json::object({{"v", "meta.k8s.io/v1"}, {"rv", token.revision}, {"start", token.after}});
    return to_base64url(json.dump());
}

Outcome<ContinueToken> decode_token(std::string_view text) {
    auto bytes = from_base64(text);
    auto json = bytes ? codec::parse_json(*bytes) : fail(Code::invalid, "");
    if (!json || (*json)["v"].as_string() != "meta.k8s.io/v1" || !(*json)["rv"].is_int() ||
        (*json)["start"].as_string().empty())
        return refuse(bad_request(
            "continue key is not valid: use the value of metadata.continue as it was given"));
    return ContinueToken{(*json)["rv"].as_int(), std::string((*json)["start"].as_string())};
}

Failure snapshot_gone(const ContinueToken& token) {
    Failure failure = expired("The provided continue parameter is too old to display a consistent "
                              "list result. You can start a new list "
                              "without the continue parameter, or use the continue token in this "
                              "response to retrieve the remainder of "
                              "the results. Continuing with the provided token results in an "
                              "inconsistent list - objects that were "
                              "created, modified, or deleted between the time the first chunk was "
                              "returned and now may show up in the "
                              "list.");
    failure.continue_token = encode_token({-1, token.after});
    return failure;
}

Failure from_the_future(int64_t wanted, int64_t present) {
    Failure failure =
        timeout(fmt::format("Too large resource version: {}, current: {}", wanted, present), 1);
    failure.causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
    return failure;
}

Collection::Selection selection_of(const Target& target, const ListQuery& query,
                                   std::string after) {
    Collection::Selection selection;
    selection.ns = target.ns;
    if (const std::string* name = query.fields.required_value("metadata.name"))
        selection.name = *name;
    selection.labels = &query.labels;
    selection.fields = &query.fields;
    selection.after = std::move(after);
    selection.limit = static_cast<size_t>(query.limit);
    return selection;
}

/// The same selection out of the store's history.
Outcome<Collection::Selected> select_from_history(Core& core, const Target& target,
                                                  const ListQuery& query,
                                                  const ContinueToken& from) {
    const std::string prefix = collection_prefix(*target.kind);
    const std::string scope = target.ns.empty() ? prefix : prefix + target.ns + "/";
    store::RangeRequest request;
    request.key = from.after.empty() ? scope : std::max(scope, prefix + from.after + '\0');
    request.range_end = NEED(store::prefix_end(scope));
    request.revision = from.revision;
    request.limit = 500;
    Collection::Selected selected;
    const auto limit = static_cast<size_t>(query.limit);
    for (bool more = true; more;) {
        auto page = core.options.store->range(request);
        if (!page && page.error().code == Code::expired) {
            if (!from.after.empty()) return refuse(snapshot_gone(from));
            return refuse(expired(fmt::format(
                "The resourceVersion for the provided list is too old: {}", from.revision)));
        }
        if (!page) return refuse(from_error(page.error()));
        for (const store::KeyValue& entry : page->values) {
            auto object = CachedObject::make(*target.kind, entry.value, entry.mod_revision);
            if (!object || !(*object)->matches(query.labels, query.fields)) continue;
            if (limit && selected.objects.size() == limit) {
                selected.more = true;
                return selected;
            }
            selected.objects.push_back(std::move(*object));
        }
        more = page->more && !page->values.empty();
        if (more) request.key = page->values.back().key + '\0';
    }
    return selected;
}

bool unfiltered(const ListQuery& query) { return query.labels.empty() && query.fields.empty(); }

Listing finish_listing(const ListQuery& query, Collection::Selected selected, int64_t revision,
                       bool count) {
    Listing listing;
    listing.revision = revision;
    if (selected.more) {
        const CachedObject& last = *selected.objects.back();
        listing.continue_token = encode_token({revision, object_path(last.ns(), last.name())});
        if (count && unfiltered(query))
            listing.remaining = static_cast<int64_t>(selected.remaining);
    }
    listing.objects = std::move(selected.objects);
    return listing;
}

} // namespace

Json Listing::metadata() const {
    Json metadata = Json::object({{"resourceVersion", std::to_string(revision)}});
    if (!continue_token.empty()) metadata.set("continue", continue_token);
    if (remaining >= 0) metadata.set("remainingItemCount", remaining);
    return metadata;
}

Outcome<ObjectPointer> read_object(Core& core, const Target& target,
                                   std::string_view resource_version) {
    if (!resource_version.empty()) {
        const int64_t wanted = NEED(parse_revision(resource_version));
        if (wanted > core.cache.revision())
            return refuse(from_the_future(wanted, core.cache.revision()));
    }
    ObjectPointer object = core.cache.find(*target.kind)->get(object_path(target.ns, target.name));
    if (!object) return refuse(not_found(resource_of(*target.kind), target.name));
    return object;
}

Outcome<Listing> list_objects(Core& core, const Target& target, const ListQuery& query) {
    ContinueToken from;
    const int64_t wanted = NEED(parse_revision(query.resource_version));
    if (!query.continue_token.empty())
        from = NEED(decode_token(query.continue_token));
    else if (wanted > core.cache.revision())
        return refuse(from_the_future(wanted, core.cache.revision()));
    else if (query.match == "Exact")
        from.revision = wanted;
    // A limit with a resourceVersion and no match asks for exactly that revision (Kubernetes API
    // concepts, "Semantics for get and list").
    else if (query.match.empty() && query.limit > 0 && wanted > 0)
        from.revision = wanted;

    Collection& collection = *core.cache.find(*target.kind);
    const int64_t before = core.cache.revision();
    Collection::Selected selected = collection.select(selection_of(target, query, from.after));
    const bool current = from.revision <= 0 || selected.last_change <= from.revision;
    if (current) {
        const int64_t revision =
            from.revision > 0 ? from.revision : std::max(before, selected.last_change);
        return finish_listing(query, std::move(selected), revision, true);
    }
    return finish_listing(query, NEED(select_from_history(core, target, query, from)),
                          from.revision, false);
}

std::string encode_list(const api::Kind& kind, const Listing& listing) {
    size_t size = 256;
    for (const ObjectPointer& object : listing.objects) size += object->json()->size() + 1;
    std::string out;
    out.reserve(size);
    out = fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":)", kind.list_kind(),
                      kind.group_version());
    listing.metadata().dump_to(out);
    out += ",\"items\":[";
    for (size_t i = 0; i < listing.objects.size(); ++i) {
        if (i) out += ',';
        out += *listing.objects[i]->json();
    }
    return out += "]}";
}

} // namespace cloudlet::kube::server
