#include "records.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "cloudlet/codec/digest.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/io/file.h"
#include "manifest.h"

namespace cloudlet::image {

using codec::Json;

namespace {

constexpr size_t record_limit = 1 << 20;

Json list_of(const std::vector<std::string>& texts) {
    Json list = Json::array();
    for (const auto& text : texts) list.push_back(text);
    return list;
}

std::string write_record(const Image& image, const std::vector<std::string>& blobs) {
    return Json::object({{"id", image.id},
                         {"digest", image.digest},
                         {"layers", list_of(image.layers)},
                         {"blobs", list_of(blobs)},
                         {"size", image.size}})
        .dump();
}

} // namespace

std::string Records::image_path(const std::string& id) const {
    return fmt::format("{}/{}.json", images_directory_, id.substr(7));
}

std::string Records::name_path(const std::string& name) const {
    return fmt::format("{}/{}.json", names_directory_,
                       codec::sha256_hex(name)); // a name may be longer than a file's
}

Result<void> Records::read_image(const std::string& path, const BlobStore& blobs,
                                 size_t config_limit) {
    Json json = TRY(codec::parse_json(TRY(io::read_file(path, record_limit))));
    Image image;
    image.id = json["id"].as_string();
    image.digest = json["digest"].as_string();
    image.size = json["size"].as_int();
    TRY(check_digest(image.id));
    for (const Json& layer : json["layers"].items()) image.layers.emplace_back(layer.as_string());
    auto file = TRY(parse_config(TRY(blobs.read(image.id, config_limit))));
    image.config = std::move(file.config);
    image.created = file.created;
    image.architecture = std::move(file.architecture);
    image.os = std::move(file.os);
    auto& needed = blobs_[image.id];
    for (const Json& blob : json["blobs"].items()) needed.emplace_back(blob.as_string());
    std::string id = image.id;
    images_.emplace(std::move(id), std::move(image));
    return {};
}

Result<void> Records::read_name(const std::string& path) {
    Json json = TRY(codec::parse_json(TRY(io::read_file(path, record_limit))));
    std::string name(json["name"].as_string()), id(json["image"].as_string());
    auto image = images_.find(id);
    if (image == images_.end() || path != name_path(name))
        return io::remove_file(path); // a crash between two removals
    names_[name] = id;
    image->second.names.push_back(name);
    return {};
}

Result<void> Records::load(const BlobStore& blobs, size_t config_limit) {
    for (const auto& file : TRY(io::list_directory(images_directory_))) {
        std::string path = images_directory_ + "/" + file;
        auto read = read_image(path, blobs, config_limit);
        if (read) continue;
        log_warning("image", "dropped the image record {}: {}; load the image again", file,
                    read.error().to_string());
        TRY(io::remove_file(path));
    }
    for (const auto& file : TRY(io::list_directory(names_directory_))) {
        std::string path = names_directory_ + "/" + file;
        auto read = read_name(path);
        if (read) continue;
        log_warning("image", "dropped the image name {}: {}; tag the image again", file,
                    read.error().to_string());
        TRY(io::remove_file(path));
    }
    for (auto& [id, image] : images_) std::sort(image.names.begin(), image.names.end());
    return {};
}

Result<void> Records::add(const Image& image, const std::vector<std::string>& blobs) {
    auto there = images_.find(image.id);
    if (there != images_.end() && there->second.digest == image.digest) return {};
    TRY(io::write_file_atomic(image_path(image.id), write_record(image, blobs)));
    blobs_[image.id] = blobs;
    if (there != images_.end()) {
        there->second.digest = image.digest;
        return {};
    }
    images_.emplace(image.id, image).first->second.names.clear();
    return {};
}

Result<void> Records::set_name(const std::string& name, const std::string& id) {
    auto before = names_.find(name);
    if (before != names_.end() && before->second == id) return {};
    TRY(io::write_file_atomic(name_path(name),
                              Json::object({{"name", name}, {"image", id}}).dump()));
    if (before != names_.end()) std::erase(images_.at(before->second).names, name);
    names_[name] = id;
    auto& names = images_.at(id).names;
    names.insert(std::lower_bound(names.begin(), names.end(), name), name);
    return {};
}

Result<void> Records::drop_name(const std::string& name) {
    auto found = names_.find(name);
    if (found == names_.end()) return {};
    TRY(io::remove_file(name_path(name)));
    std::erase(images_.at(found->second).names, name);
    names_.erase(found);
    return {};
}

Result<void> Records::remove(const std::string& id) {
    auto image = images_.find(id);
    if (image == images_.end()) return {};
    TRY(io::remove_file(image_path(id))); // first: names of no image are swept at the next start
    auto names = image->second.names;
    for (const auto& name : names) TRY(drop_name(name));
    images_.erase(id);
    blobs_.erase(id);
    return {};
}

std::string Records::id_of(const std::string& name) const {
    auto found = names_.find(name);
    return found == names_.end() ? "" : found->second;
}

} // namespace cloudlet::image
