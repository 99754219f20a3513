#include "watch_event.h"

namespace cloudlet::kube::server {

std::string_view name_of(EventType type) {
    switch (type) {
    case EventType::added: return "ADDED";
    case EventType::modified: return "MODIFIED";
    case EventType::deleted: return "DELETED";
    case EventType::bookmark: return "BOOKMARK";
    case EventType::error: break;
    }
    return "ERROR";
}

std::string encode_event(EventType type, std::string_view object) {
    std::string line;
    line.reserve(object.size() + 40);
    line.append("{\"type\":\"")
        .append(name_of(type))
        .append("\",\"object\":")
        .append(object)
        .append("}\n");
    return line;
}

std::string encode_object(const api::Kind& kind, const EventStyle& style, std::string_view json,
                          WallTime now, bool with_columns) {
    const Representation& representation = style.representation;
    if (representation.form == Representation::Form::object) return std::string(json);
    auto object = codec::parse_json(json);
    if (!object) return std::string(json);
    if (representation.form == Representation::Form::partial)
        return api::partial_metadata(*object, representation.version).dump();
    const api::TableOptions options{style.include, representation.version, now};
    Json metadata =
        Json::object({{"resourceVersion", object->at({"metadata", "resourceVersion"})}});
    return api::make_table(kind, std::span(&*object, 1), metadata, options, with_columns).dump();
}

std::string encode_bookmark(const api::Kind& kind, const EventStyle& style, int64_t revision,
                            BookmarkKind which) {
    Json metadata = Json::object(
        {{"resourceVersion", std::to_string(revision)}, {"creationTimestamp", nullptr}});
    if (which == BookmarkKind::initial_events_end)
        metadata.set("annotations", Json::object({{"k8s.io/initial-events-end", "true"}}));
    if (style.representation.form == Representation::Form::table) {
        const api::TableOptions options{style.include, style.representation.version, {}};
        return encode_event(EventType::bookmark,
                            api::make_table(kind, {}, metadata, options, false).dump());
    }
    Json object = Json::object({{"kind", kind.kind}, {"apiVersion", kind.group_version()}});
    if (style.representation.form == Representation::Form::partial)
        object = Json::object({{"kind", "PartialObjectMetadata"},
                               {"apiVersion", "meta.k8s.io/" + style.representation.version}});
    return encode_event(EventType::bookmark, object.set("metadata", std::move(metadata)).dump());
}

std::string encode_error_event(const Failure& failure) {
    return encode_event(EventType::error, failure.to_status().dump());
}

const std::string& ChangeEncoder::shown(EventType type) {
    if (type != EventType::deleted) return *change_.current->json();
    if (last_state_.empty()) last_state_ = change_.previous->json_at(change_.revision);
    return last_state_;
}

SharedBytes ChangeEncoder::line(EventType type, const EventStyle& style, bool with_columns) {
    const bool table = style.representation.form == Representation::Form::table;
    SharedBytes& line = lines_[{type, style.representation.form, style.representation.version,
                                style.include, table && with_columns}];
    if (!line)
        line =
            share(encode_event(type, encode_object(kind_, style, shown(type), now_, with_columns)));
    return line;
}

api::Object ChangeEncoder::object(EventType type) {
    if (type != EventType::deleted) {
        if (!current_) current_ = change_.current->object();
        return current_;
    }
    if (!removed_) {
        auto parsed = codec::parse_json(shown(type));
        removed_ = api::Object(parsed ? std::move(*parsed) : Json());
    }
    return removed_;
}

} // namespace cloudlet::kube::server
