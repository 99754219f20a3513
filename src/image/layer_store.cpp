#include "layer_store.h"

#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include "cloudlet/base/id.h"
#include "cloudlet/codec/compression.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/io/file.h"
#include "manifest.h"

namespace cloudlet::image {

using codec::Json;

namespace {

constexpr size_t record_limit = 64 * 1024;
constexpr uint64_t header_room = 1ull << 30; // tar headers and padding beside the files' own bytes

Result<io::UniqueFd> open_directory(const std::string& path) {
    return io::open_file(path, O_PATH | O_DIRECTORY);
}

std::string write_record(const Layer& layer) {
    return Json::object({{"parent", layer.parent},
                         {"diffId", layer.diff_id},
                         {"bytes", layer.bytes},
                         {"opaqueRoot", layer.opaque_root},
                         {"blob", layer.blob}})
        .dump();
}

// Pulls an archive through decompressor and digest.
class HashedArchive {
public:
    HashedArchive(int file, uint64_t limit)
        : plain_(codec::source_of_descriptor(file, "a layer"), limit) {}

    codec::ByteSource source() {
        return [this](std::span<char> buffer) -> Result<size_t> {
            size_t count = TRY(plain_.read(buffer));
            digest_.update({buffer.data(), count});
            return count;
        };
    }
    // What follows the end of the archive counts for its digest too.
    Result<std::string> finish() {
        std::string rest(64 * 1024, '\0');
        while (TRY(source()(rest))) continue;
        return "sha256:" + digest_.finish_hex();
    }

private:
    codec::Decompressor plain_;
    codec::Sha256 digest_;
};

Result<void> check_digest_of(HashedArchive& archive, const std::string& diff_id) {
    std::string digest = TRY(archive.finish());
    if (digest == diff_id) return {};
    return fail(
        Code::invalid,
        fmt::format("the layer unpacks to {}, but the image says {}: it is corrupt; fetch it "
                    "again",
                    digest, diff_id));
}

} // namespace

std::string LayerStore::path_of(std::string_view id) const {
    return fmt::format("{}/{}", directory_, id.substr(id.find(':') + 1));
}

Result<std::optional<Layer>> LayerStore::find(const std::string& id) const {
    std::lock_guard guard(mutex_);
    if (auto known = known_.find(id); known != known_.end()) return known->second;
    auto bytes = io::read_file(path_of(id) + "/layer.json", record_limit);
    if (!bytes && bytes.error().code == Code::not_found) return std::nullopt;
    if (!bytes) return tl::unexpected<Error>(bytes.error());
    Json json = TRY(with_context(codec::parse_json(*bytes), "layer record " + id));
    Layer layer{id,
                std::string(json["parent"].as_string()),
                std::string(json["diffId"].as_string()),
                json["bytes"].as_int(),
                json["opaqueRoot"].as_bool(),
                std::string(json["blob"].as_string())};
    return known_.emplace(id, std::move(layer)).first->second;
}

Result<void> LayerStore::take_away(const std::string& id, const std::string& trash) {
    std::lock_guard guard(mutex_);
    known_.erase(id);
    if (rename(path_of(id).c_str(), trash.c_str())) return fail_errno("remove the layer " + id);
    return {};
}

Result<std::vector<std::string>> LayerStore::chain(const std::string& top) const {
    std::vector<std::string> ids;
    for (std::string id = top; !id.empty();) {
        auto layer = TRY(find(id));
        if (!layer || ids.size() > limits_.layers)
            return fail(Code::not_found,
                        fmt::format("layer {} is missing; remove the image and load it again", id));
        ids.push_back(id);
        id = layer->parent;
    }
    return ids;
}

Result<std::vector<std::string>> LayerStore::directories(const std::string& top) const {
    std::vector<std::string> paths;
    for (const auto& id : TRY(chain(top))) {
        paths.push_back(path_of(id) + "/fs");
        if (TRY(find(id))->opaque_root) break;
    }
    return paths;
}

Result<std::vector<std::string>> LayerStore::list() const {
    auto names = TRY(io::list_directory(directory_));
    for (auto& name : names) name.insert(0, "sha256:");
    return names;
}

Result<Layer> LayerStore::unpack(const BlobStore& blobs, const std::string& blob, Layer layer,
                                 const std::string& into) const {
    TRY(io::make_directories(into + "/fs"));
    std::vector<io::UniqueFd> below;
    if (!layer.parent.empty())
        for (const auto& path : TRY(directories(layer.parent)))
            below.push_back(TRY(open_directory(path)));
    auto file = TRY(blobs.open(blob));
    HashedArchive archive(file.get(), limits_.layer_bytes + header_room);
    codec::TarReader reader(archive.source());
    LayerWriter writer(TRY(open_directory(into + "/fs")), LowerLayers(std::move(below)),
                       {limits_.layer_bytes, limits_.layer_entries});
    layer.bytes = static_cast<int64_t>(TRY(unpack_layer(reader, writer)));
    TRY(check_digest_of(archive, layer.diff_id));
    layer.opaque_root = is_opaque(TRY(open_directory(into + "/fs")).get());
    auto record = TRY(io::open_file(into + "/layer.json", O_WRONLY | O_CREAT | O_EXCL));
    TRY(io::write_all(record.get(), write_record(layer)));
    return layer;
}

// A layer that is there needs no unpacking, but the blob that comes with it becomes part of an
// image: it must be this layer too.
Result<void> LayerStore::check_blob(const BlobStore& blobs, const std::string& blob,
                                    const Layer& layer) const {
    if (blob == layer.diff_id || blob == layer.blob) return {};
    auto file = TRY(blobs.open(blob));
    HashedArchive archive(file.get(), limits_.layer_bytes + header_room);
    return check_digest_of(archive, layer.diff_id);
}

Result<Layer> LayerStore::ensure(const BlobStore& blobs, const std::string& blob,
                                 const std::string& parent, const std::string& diff_id) {
    std::string id = chain_id(parent, diff_id);
    KeyedLock::Held held(unpacking_, id);
    if (auto there = TRY(find(id))) {
        TRY(with_context(check_blob(blobs, blob, *there), fmt::format("layer {}", diff_id)));
        return *there;
    }
    std::string into = fmt::format("{}/layer-{}", temporary_, new_hex_id(16));
    auto layer = unpack(blobs, blob, {id, parent, diff_id, 0, false, blob}, into);
    if (layer && rename(into.c_str(), path_of(id).c_str())) layer = fail_errno("rename " + into);
    if (!layer) (void)io::remove_tree(into);
    return with_context(std::move(layer), fmt::format("layer {}", diff_id));
}

} // namespace cloudlet::image
