// Volumes of a pod: one source each, and paths that stay inside.

#include "cloudlet/api/names.h"
#include "cloudlet/api/quantity.h"
#include "kind_hooks.h"

namespace cloudlet::api {

namespace {

bool has_parent_step(std::string_view path) {
    while (!path.empty()) {
        size_t slash = std::min(path.find('/'), path.size());
        if (path.substr(0, slash) == "..") return true;
        path.remove_prefix(std::min(slash + 1, path.size()));
    }
    return false;
}

void validate_items(const Json& items, const std::string& path, FieldErrors& errors) {
    size_t index = 0;
    for (const Json& item : items.items())
        validate_volume_path(item["path"], at(path, index++) + ".path", errors);
}

void require_name(const Json& source, std::string_view key, const std::string& path,
                  FieldErrors& errors) {
    if (source[key].as_string().empty()) errors.push_back(FieldError::required(join(path, key)));
}

void validate_downward(const Json& source, const std::string& path, FieldErrors& errors) {
    size_t index = 0;
    for (const Json& item : source["items"].items()) {
        std::string here = at(path + ".items", index++);
        validate_volume_path(item["path"], here + ".path", errors);
        bool field = item["fieldRef"].is_object();
        bool resource = item["resourceFieldRef"].is_object();
        if (field && resource)
            errors.push_back(
                FieldError::invalid(here, "resource",
                                    "fieldRef and resourceFieldRef can not be specified "
                                    "simultaneously"));
        if (!field && !resource)
            errors.push_back(
                FieldError::required(here, "one of fieldRef and resourceFieldRef is required"));
    }
}

void validate_projected(const Json& projected, const std::string& path, FieldErrors& errors) {
    size_t index = 0;
    for (const Json& source : projected["sources"].items()) {
        std::string here = at(path + ".sources", index++);
        size_t kinds = 0;
        for (const auto& member : source.members()) kinds += member.value.is_null() ? 0 : 1;
        if (kinds == 0) errors.push_back(FieldError::required(here, "must specify a volume type"));
        if (kinds > 1)
            errors.push_back(
                FieldError::forbidden(here, "may not specify more than 1 volume type"));
        for (std::string_view kind : {"secret", "configMap"}) {
            if (!source[kind].is_object()) continue;
            require_name(source[kind], "name", join(here, kind), errors);
            validate_items(source[kind]["items"], join(here, kind) + ".items", errors);
        }
        if (source["downwardAPI"].is_object())
            validate_downward(source["downwardAPI"], here + ".downwardAPI", errors);
        const Json& token = source["serviceAccountToken"];
        if (!token.is_object()) continue;
        validate_volume_path(token["path"], here + ".serviceAccountToken.path", errors);
        const Json& seconds = token["expirationSeconds"];
        if (seconds.is_int() && seconds.as_int() < 600)
            errors.push_back(
                FieldError::invalid(here + ".serviceAccountToken.expirationSeconds", seconds,
                                    "may not specify a duration less than 10 minutes"));
    }
}

void validate_empty_dir(const Json& source, const std::string& path, FieldErrors& errors) {
    const Json& limit = source["sizeLimit"];
    if (limit.is_null()) return;
    auto amount =
        Quantity::parse(limit.is_string() ? std::string(limit.as_string()) : limit.dump());
    if (amount && amount->is_negative())
        errors.push_back(FieldError::forbidden(
            path + ".sizeLimit", "SizeLimit field must be a valid resource quantity"));
}

} // namespace

void validate_volume_path(const Json& value, const std::string& path, FieldErrors& errors) {
    std::string_view text = value.as_string();
    if (text.starts_with('/'))
        errors.push_back(FieldError::invalid(path, value, "must be a relative path"));
    if (has_parent_step(text))
        errors.push_back(FieldError::invalid(path, value, "must not contain '..'"));
    if (text.starts_with("..") && !text.starts_with("../"))
        errors.push_back(FieldError::invalid(path, value, "must not start with '..'"));
}

void validate_volume(const Json& volume, const std::string& path, FieldErrors& errors) {
    size_t kinds = 0;
    for (const auto& member : volume.members()) {
        if (member.key == "name" || member.value.is_null()) continue;
        if (++kinds > 1)
            errors.push_back(FieldError::forbidden(join(path, member.key),
                                                   "may not specify more than 1 volume type"));
    }
    if (kinds == 0) errors.push_back(FieldError::required(path, "must specify a volume type"));
    if (volume["hostPath"].is_object() && has_parent_step(volume["hostPath"]["path"].as_string()))
        errors.push_back(FieldError::invalid(path + ".hostPath.path", volume["hostPath"]["path"],
                                             "must not contain '..'"));
    if (volume["configMap"].is_object()) {
        require_name(volume["configMap"], "name", path + ".configMap", errors);
        validate_items(volume["configMap"]["items"], path + ".configMap.items", errors);
    }
    if (volume["secret"].is_object()) {
        require_name(volume["secret"], "secretName", path + ".secret", errors);
        validate_items(volume["secret"]["items"], path + ".secret.items", errors);
    }
    if (volume["emptyDir"].is_object())
        validate_empty_dir(volume["emptyDir"], path + ".emptyDir", errors);
    if (volume["downwardAPI"].is_object())
        validate_downward(volume["downwardAPI"], path + ".downwardAPI", errors);
    if (volume["projected"].is_object())
        validate_projected(volume["projected"], path + ".projected", errors);
}

} // namespace cloudlet::api
