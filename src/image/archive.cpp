#include "archive.h"

#include <fcntl.h>

#include <fmt/format.h>

#include "beneath.h"
#include "cloudlet/codec/compression.h"
#include "cloudlet/codec/tar.h"
#include "cloudlet/image/name.h"
#include "cloudlet/io/file.h"

namespace cloudlet::image {

using codec::Json;

namespace {

using Type = codec::TarEntry::Type;

constexpr size_t most_entries = 100'000;
constexpr int most_link_steps = 8;

std::string joined(const std::vector<std::string>& parts) {
    return fmt::format("{}", fmt::join(parts, "/"));
}

class ArchiveStager {
public:
    ArchiveStager(const BlobStore& blobs, const ImageLimits& limits, const PinBlob& pin)
        : blobs_(blobs), limits_(limits), pin_(pin) {}

    Result<void> read(codec::TarReader& reader);
    Result<std::vector<StagedImage>> images();

private:
    Result<void> take(const codec::TarEntry& entry, codec::TarReader& reader);
    Result<void> take_blob(const std::string& path, std::string_view expected,
                           codec::TarReader& reader);
    Result<std::string> blob_at(const std::string& path) const;
    Result<StagedImage> saved_image(const SavedImage& saved);
    Result<void> add_from_index(const Descriptor& descriptor, int depth,
                                std::vector<StagedImage>& images);
    Result<std::string> blob_text(const std::string& digest) const {
        return blobs_.read(digest, limits_.manifest_bytes);
    }

    const BlobStore& blobs_;
    const ImageLimits& limits_;
    const PinBlob& pin_;
    std::string saved_json_, index_json_;
    std::map<std::string, std::pair<std::string, uint64_t>> files_; // path -> digest and size
    std::map<std::string, std::string> links_;                      // path -> path
};

Result<void> ArchiveStager::read(codec::TarReader& reader) {
    for (size_t count = 0;; ++count) {
        auto entry = TRY(reader.next());
        if (!entry) return {};
        if (count > most_entries)
            return fail(
                Code::too_large,
                fmt::format("it has more than {} entries; an image archive has few", most_entries));
        TRY(with_context(take(*entry, reader), fmt::format("\"{}\"", entry->path)));
    }
}

Result<void> ArchiveStager::take(const codec::TarEntry& entry, codec::TarReader& reader) {
    auto parts = TRY(clean_path(entry.path));
    std::string path = joined(parts);
    if (entry.type == Type::symlink || entry.type == Type::hard_link) {
        if (!parts.empty()) parts.pop_back();
        std::string base =
            entry.type == Type::symlink ? joined(parts) + "/" : ""; // hard links name from the root
        links_[path] = joined(TRY(clean_path(base + entry.link_target)));
        return {};
    }
    if (entry.type != Type::file) return {};
    constexpr std::string_view blob_folder = "blobs/sha256/";
    if (path == "manifest.json" || path == "index.json") {
        (path == "index.json" ? index_json_ : saved_json_) =
            TRY(reader.read_content(limits_.manifest_bytes));
        return {};
    }
    if (path.starts_with(blob_folder)) {
        std::string digest = "sha256:" + path.substr(blob_folder.size());
        TRY(check_digest(digest));
        return take_blob(path, digest, reader);
    }
    if (path.ends_with(".tar") || path.ends_with(".json")) return take_blob(path, {}, reader);
    return {};
}

Result<void> ArchiveStager::take_blob(const std::string& path, std::string_view expected,
                                      codec::TarReader& reader) {
    auto writer = TRY(blobs_.begin());
    for (;;) {
        auto block = TRY(reader.next_block());
        if (!block) break;
        if (block->offset != writer.size())
            return fail(Code::invalid, "it is a sparse file; no image archive has those");
        TRY(writer.write(block->bytes));
    }
    uint64_t size = writer.size();
    auto digest = TRY(writer.commit(expected, pin_));
    files_[path] = {digest, size};
    return {};
}

Result<std::string> ArchiveStager::blob_at(const std::string& path) const {
    std::string here = joined(TRY(clean_path(path)));
    for (int steps = 0; steps < most_link_steps; ++steps) {
        if (auto file = files_.find(here); file != files_.end()) return file->second.first;
        auto link = links_.find(here);
        if (link == links_.end()) break;
        here = link->second;
    }
    return fail(Code::invalid,
                fmt::format("the archive lacks \"{}\", which its manifest.json names", path));
}

// A saved image has no manifest of its own; one is made from what it lists.
Result<StagedImage> ArchiveStager::saved_image(const SavedImage& saved) {
    StagedImage image;
    auto describe = [&](std::string_view type, const std::string& digest) -> Result<Descriptor> {
        auto file = TRY(blobs_.open(digest));
        struct stat status {};
        if (fstat(file.get(), &status)) return fail_errno("stat a blob");
        return Descriptor{.media_type = std::string(type),
                          .digest = digest,
                          .size = static_cast<uint64_t>(status.st_size)};
    };
    image.manifest.config =
        TRY(describe("application/vnd.oci.image.config.v1+json", TRY(blob_at(saved.config))));
    for (const auto& layer : saved.layers)
        image.manifest.layers.push_back(
            TRY(describe("application/vnd.oci.image.layer.v1.tar", TRY(blob_at(layer)))));
    std::string text = write_manifest(image.manifest);
    auto writer = TRY(blobs_.begin());
    TRY(writer.write(text));
    image.manifest_digest = TRY(writer.commit({}, pin_));
    for (const auto& name : saved.names) image.names.push_back(TRY(normalize_name(name)));
    return image;
}

Result<void> ArchiveStager::add_from_index(const Descriptor& descriptor, int depth,
                                           std::vector<StagedImage>& images) {
    if (!files_.contains("blobs/sha256/" + descriptor.digest.substr(7)))
        return fail(
            Code::invalid,
            fmt::format("the archive lacks the blob {}, which its index names", descriptor.digest));
    std::string text = TRY(blob_text(descriptor.digest));
    Json document = TRY(with_context(codec::parse_json(text), "blob " + descriptor.digest));
    if (is_index(document)) {
        if (depth > 3) return fail(Code::invalid, "its index is nested too deep");
        for (auto inner : fitting_this_machine(TRY(parse_index(document)))) {
            if (inner.name.empty()) inner.name = descriptor.name;
            TRY(add_from_index(inner, depth + 1, images));
        }
        return {};
    }
    StagedImage image;
    image.manifest_digest = descriptor.digest;
    image.manifest = TRY(parse_manifest(document));
    if (!descriptor.name.empty()) image.names.push_back(TRY(normalize_name(descriptor.name)));
    images.push_back(std::move(image));
    return {};
}

Result<std::vector<StagedImage>> ArchiveStager::images() {
    std::vector<StagedImage> images;
    if (!saved_json_.empty()) {
        for (const auto& saved : TRY(parse_saved_images(saved_json_)))
            images.push_back(TRY(saved_image(saved)));
        return images;
    }
    if (index_json_.empty())
        return fail(Code::invalid,
                    "it holds neither manifest.json (docker save) nor index.json (OCI layout); "
                    "a root file system is imported with `cloudlet image import FILE NAME`");
    Json index = TRY(with_context(codec::parse_json(index_json_), "index.json"));
    for (const auto& descriptor : fitting_this_machine(TRY(parse_index(index))))
        TRY(add_from_index(descriptor, 0, images));
    if (images.empty())
        return fail(Code::invalid,
                    fmt::format("it holds no image for linux/{}", this_architecture()));
    return images;
}

} // namespace

Result<std::vector<StagedImage>> stage_archive(const std::string& path, const BlobStore& blobs,
                                               const ImageLimits& limits, const PinBlob& pin) {
    auto file = TRY(io::open_file(path, O_RDONLY));
    codec::Decompressor plain(codec::source_of_descriptor(file.get(), path),
                              limits.layer_bytes * 4);
    codec::TarReader reader([&](std::span<char> buffer) { return plain.read(buffer); });
    ArchiveStager stager(blobs, limits, pin);
    TRY(stager.read(reader));
    return stager.images();
}

} // namespace cloudlet::image
