#include "manifest.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/codec/digest.h"
#include "cloudlet/image/name.h"

namespace cloudlet::image {

using codec::Json;

namespace {

constexpr size_t most_items = 1000; // layers of a manifest, manifests of an index

tl::unexpected<Error> wrong(std::string_view document, std::string_view member,
                            std::string_view want) {
    return fail(Code::invalid,
                fmt::format("the {} is damaged: {} is not {}", document, member, want));
}

Result<std::vector<std::string>> strings(const Json& value, std::string_view document,
                                         std::string_view member) {
    std::vector<std::string> list;
    if (!value.is_null() && !value.is_array()) return wrong(document, member, "a list of texts");
    for (const Json& item : value.items()) {
        if (!item.is_string()) return wrong(document, member, "a list of texts");
        list.emplace_back(item.as_string());
    }
    return list;
}

Result<std::vector<std::string>> sorted_keys(const Json& value, std::string_view document,
                                             std::string_view member) {
    if (!value.is_null() && !value.is_object()) return wrong(document, member, "an object");
    std::vector<std::string> keys;
    for (const auto& item : value.members()) keys.push_back(item.key);
    std::sort(keys.begin(), keys.end());
    return keys;
}

Result<std::string> text(const Json& value, std::string_view document, std::string_view member) {
    if (!value.is_null() && !value.is_string()) return wrong(document, member, "a text");
    return std::string(value.as_string());
}

// containerd writes the whole name in its own annotation; OCI's may also be a bare tag, which names
// nothing.
std::string annotated_name(const Json& annotations) {
    std::string_view name = annotations["io.containerd.image.name"].as_string();
    if (!name.empty()) return std::string(name);
    name = annotations["org.opencontainers.image.ref.name"].as_string();
    return std::string(name.find_first_of(":/") == name.npos ? "" : name);
}

Result<Descriptor> parse_descriptor(const Json& value, std::string_view document,
                                    std::string_view member) {
    if (!value.is_object()) return wrong(document, member, "a descriptor");
    Descriptor descriptor;
    descriptor.media_type = value["mediaType"].as_string();
    descriptor.digest = value["digest"].as_string();
    TRY(with_context(check_digest(descriptor.digest),
                     fmt::format("the {} is damaged: {}", document, member)));
    if (value["size"].as_int(-1) < 0)
        return wrong(document, fmt::format("the size of {}", member), "a number");
    descriptor.size = static_cast<uint64_t>(value["size"].as_int());
    descriptor.os = value.at({"platform", "os"}).as_string();
    descriptor.architecture = value.at({"platform", "architecture"}).as_string();
    descriptor.name = annotated_name(value["annotations"]);
    return descriptor;
}

Json to_json(const Descriptor& descriptor) {
    return Json::object({{"mediaType", descriptor.media_type},
                         {"digest", descriptor.digest},
                         {"size", descriptor.size}});
}

Json to_json(const std::vector<std::string>& texts) {
    Json list = Json::array();
    for (const auto& item : texts) list.push_back(item);
    return list;
}

Result<ImageConfig> parse_run_config(const Json& value) {
    constexpr std::string_view document = "image configuration";
    if (!value.is_null() && !value.is_object()) return wrong(document, "config", "an object");
    ImageConfig config;
    config.entrypoint = TRY(strings(value["Entrypoint"], document, "config.Entrypoint"));
    config.command = TRY(strings(value["Cmd"], document, "config.Cmd"));
    config.env = TRY(strings(value["Env"], document, "config.Env"));
    config.working_dir = TRY(text(value["WorkingDir"], document, "config.WorkingDir"));
    config.user = TRY(text(value["User"], document, "config.User"));
    config.stop_signal = TRY(text(value["StopSignal"], document, "config.StopSignal"));
    config.exposed_ports = TRY(sorted_keys(value["ExposedPorts"], document, "config.ExposedPorts"));
    config.volumes = TRY(sorted_keys(value["Volumes"], document, "config.Volumes"));
    TRY(sorted_keys(value["Labels"], document, "config.Labels"));
    for (const auto& [key, label] : value["Labels"].members())
        config.labels[key] = TRY(text(label, document, "a label"));
    return config;
}

} // namespace

Result<void> check_digest(std::string_view digest) {
    bool hex = digest.starts_with("sha256:") && is_full_id(digest);
    if (hex) return {};
    return fail(Code::invalid,
                fmt::format("\"{}\" is no digest that is supported (sha256: and 64 hex digits)",
                            digest.substr(0, 140)));
}

bool is_index(const Json& document) { return document["manifests"].is_array(); }

Result<std::vector<Descriptor>> parse_index(const Json& document) {
    const Json& list = document["manifests"];
    if (!list.is_array() || list.size() > most_items)
        return wrong("image index", "manifests", "a list of up to 1000 descriptors");
    std::vector<Descriptor> manifests;
    for (size_t i = 0; i < list.size(); ++i)
        manifests.push_back(
            TRY(parse_descriptor(list[i], "image index", fmt::format("manifests[{}]", i))));
    return manifests;
}

Result<Manifest> parse_manifest(const Json& document) {
    if (!document.is_object()) return wrong("image manifest", "it", "an object");
    if (document["schemaVersion"].as_int(2) != 2)
        return fail(Code::unsupported, "the image manifest has an old schema version; push the "
                                       "image again with a present-day client");
    Manifest manifest;
    manifest.config = TRY(parse_descriptor(document["config"], "image manifest", "config"));
    const Json& layers = document["layers"];
    if (!layers.is_array() || layers.size() > most_items)
        return wrong("image manifest", "layers", "a list of up to 1000 descriptors");
    for (size_t i = 0; i < layers.size(); ++i) {
        manifest.layers.push_back(
            TRY(parse_descriptor(layers[i], "image manifest", fmt::format("layers[{}]", i))));
        const auto& type = manifest.layers.back().media_type;
        if (type.find("encrypted") != type.npos)
            return fail(Code::unsupported, fmt::format("layer {} of the image is encrypted", i));
    }
    return manifest;
}

Result<ConfigFile> parse_config(std::string_view bytes) {
    constexpr std::string_view document = "image configuration";
    Json json = TRY(with_context(codec::parse_json(bytes), document));
    if (!json.is_object()) return wrong(document, "it", "an object");
    ConfigFile file;
    file.config = TRY(parse_run_config(json["config"]));
    file.diff_ids = TRY(strings(json.at({"rootfs", "diff_ids"}), document, "rootfs.diff_ids"));
    for (const auto& id : file.diff_ids) TRY(with_context(check_digest(id), document));
    file.architecture = TRY(text(json["architecture"], document, "architecture"));
    file.os = TRY(text(json["os"], document, "os"));
    if (auto created = parse_time(json["created"].as_string())) file.created = *created;
    return file;
}

Result<std::vector<SavedImage>> parse_saved_images(std::string_view bytes) {
    constexpr std::string_view document = "manifest.json of the archive";
    Json json = TRY(with_context(codec::parse_json(bytes), document));
    if (!json.is_array() || json.empty()) return wrong(document, "it", "a list of images");
    std::vector<SavedImage> images;
    for (const Json& item : json.items()) {
        SavedImage image;
        image.config = TRY(text(item["Config"], document, "Config"));
        image.names = TRY(strings(item["RepoTags"], document, "RepoTags"));
        image.layers = TRY(strings(item["Layers"], document, "Layers"));
        if (image.config.empty()) return wrong(document, "Config", "a path");
        images.push_back(std::move(image));
    }
    return images;
}

std::string_view this_architecture() {
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#elif defined(__riscv)
    return "riscv64";
#else
#error "name this processor as Go does"
#endif
}

std::vector<Descriptor> fitting_this_machine(const std::vector<Descriptor>& index) {
    std::vector<Descriptor> fitting;
    for (const auto& manifest : index) {
        bool os = manifest.os.empty() || manifest.os == "linux";
        bool architecture =
            manifest.architecture.empty() || manifest.architecture == this_architecture();
        if (os && architecture) fitting.push_back(manifest);
    }
    return fitting;
}

std::string chain_id(std::string_view parent, std::string_view diff_id) {
    if (parent.empty()) return std::string(diff_id);
    return "sha256:" + codec::sha256_hex(fmt::format("{} {}", parent, diff_id));
}

std::string write_manifest(const Manifest& manifest) {
    Json layers = Json::array();
    for (const auto& layer : manifest.layers) layers.push_back(to_json(layer));
    return Json::object({{"schemaVersion", 2},
                         {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                         {"config", to_json(manifest.config)},
                         {"layers", layers}})
        .dump();
}

std::string write_config(const ConfigFile& file) {
    const ImageConfig& config = file.config;
    Json run = Json::object();
    auto set_list = [&](std::string_view key, const std::vector<std::string>& list) {
        if (!list.empty()) run.set(key, to_json(list));
    };
    auto set_text = [&](std::string_view key, const std::string& value) {
        if (!value.empty()) run.set(key, value);
    };
    auto set_keys = [&](std::string_view key, const std::vector<std::string>& list) {
        for (const auto& item : list) run.ensure(key).set(item, Json::object());
    };
    set_list("Entrypoint", config.entrypoint);
    set_list("Cmd", config.command);
    set_list("Env", config.env);
    set_text("WorkingDir", config.working_dir);
    set_text("User", config.user);
    set_text("StopSignal", config.stop_signal);
    set_keys("ExposedPorts", config.exposed_ports);
    set_keys("Volumes", config.volumes);
    for (const auto& [key, value] : config.labels) run.ensure("Labels").set(key, value);
    return Json::object({{"created", format_nano_time(file.created)},
                         {"architecture", file.architecture},
                         {"os", file.os},
                         {"config", run},
                         {"rootfs", Json::object({{"type", "layers"},
                                                  {"diff_ids", to_json(file.diff_ids)}})}})
        .dump();
}

} // namespace cloudlet::image
