#include "negotiation.h"

#include <optional>

#include <fmt/format.h>

namespace cloudlet::kube::server {

namespace {

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

std::string_view take_until(std::string_view& text, char separator) {
    const size_t at = text.find(separator);
    const std::string_view head = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
    return trim(head);
}

struct MediaRange {
    std::string_view type, as, version, group;
};

MediaRange read_range(std::string_view text) {
    MediaRange range;
    range.type = take_until(text, ';');
    while (!text.empty()) {
        std::string_view parameter = take_until(text, ';');
        const std::string_view key = take_until(parameter, '=');
        if (key == "as")
            range.as = trim(parameter);
        else if (key == "v")
            range.version = trim(parameter);
        else if (key == "g")
            range.group = trim(parameter);
    }
    return range;
}

std::optional<Representation> accept_range(const MediaRange& range) {
    Representation chosen;
    if (range.type == "application/yaml" || range.type == "text/yaml")
        chosen.yaml = true;
    else if (range.type != "application/json" && range.type != "*/*" &&
             range.type != "application/*")
        return std::nullopt;
    if (range.as.empty()) return chosen;
    if (range.group != "meta.k8s.io" || (range.version != "v1" && range.version != "v1beta1"))
        return std::nullopt;
    chosen.version = range.version;
    if (range.as == "Table")
        chosen.form = Representation::Form::table;
    else if (range.as == "PartialObjectMetadata" || range.as == "PartialObjectMetadataList")
        chosen.form = Representation::Form::partial;
    else
        return std::nullopt;
    return chosen;
}

} // namespace

std::string Representation::content_type() const {
    return yaml ? "application/yaml" : "application/json";
}

Outcome<Representation> negotiate(std::string_view accept) {
    if (trim(accept).empty()) return Representation{};
    while (!accept.empty())
        if (auto chosen = accept_range(read_range(take_until(accept, ',')))) return *chosen;
    return refuse(not_acceptable(
        "only the following media types are accepted: application/json, application/yaml"));
}

std::string_view negotiate_discovery(std::string_view accept) {
    while (!accept.empty()) {
        const MediaRange range = read_range(take_until(accept, ','));
        if (range.type == "application/json" && range.as.empty()) return "";
        if (range.type != "application/json" || range.group != "apidiscovery.k8s.io") continue;
        if (range.as != "APIGroupDiscoveryList") continue;
        if (range.version == "v2") return "v2";
        if (range.version == "v2beta1") return "v2beta1";
    }
    return "";
}

Outcome<BodyType> body_type(std::string_view content_type, std::string_view body, bool is_patch) {
    const std::string_view type = take_until(content_type, ';');
    if (is_patch) {
        if (type == "application/merge-patch+json") return BodyType::merge_patch;
        if (type == "application/strategic-merge-patch+json") return BodyType::strategic_patch;
        if (type == "application/json-patch+json") return BodyType::json_patch;
        if (type.starts_with("application/apply-patch"))
            return refuse(
                unsupported_media_type("this server does not do server-side apply: use \"kubectl "
                                       "apply -f FILE\" without --server-side"));
        return refuse(unsupported_media_type(
            fmt::format("the body of the request was in an unknown format (\"{}\") - accepted "
                        "media types include: "
                        "application/json-patch+json, application/merge-patch+json, "
                        "application/strategic-merge-patch+json",
                        type)));
    }
    const bool protobuf = type == "application/vnd.kubernetes.protobuf" ||
                          body.starts_with(std::string_view("k8s\0", 4));
    if (protobuf)
        return refuse(
            unsupported_media_type("this server reads JSON and YAML, not the protobuf that this "
                                   "command sends: put the object in a file and "
                                   "send JSON: kubectl create -f FILE (the same command with "
                                   "--dry-run=client -o yaml writes the file)"));
    if (type.empty() || type == "application/json" || type == "*/*") return BodyType::json;
    if (type == "application/yaml" || type == "text/yaml" || type == "application/x-yaml")
        return BodyType::yaml;
    return refuse(unsupported_media_type(fmt::format(
        "the body of the request was in an unknown format (\"{}\") - accepted media types include: "
        "application/json, application/yaml",
        type)));
}

} // namespace cloudlet::kube::server
