// How images come in: staged (blobs in the store), unpacked (layers in the store), recorded. Only
// the last step makes an image visible, after everything before it is on disk.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/codec/compression.h"
#include "cloudlet/image/name.h"
#include "registry.h"
#include "store.h"

namespace cloudlet::image {

namespace {

constexpr size_t piece = 256 * 1024;

// One flush for the thousands of files of a load, where each its own fsync would take minutes.
Result<void> sync_file_system(const std::string& path) {
    auto directory = TRY(io::open_file(path, O_RDONLY | O_DIRECTORY));
    if (syncfs(directory.get())) return fail_errno("flush " + path);
    return {};
}

Result<std::string> uncompressed_digest(const std::string& path, uint64_t limit) {
    auto file = TRY(io::open_file(path, O_RDONLY));
    codec::Decompressor plain(codec::source_of_descriptor(file.get(), path), limit);
    codec::Sha256 digest;
    std::string buffer(piece, '\0');
    while (size_t count = TRY(plain.read(buffer))) digest.update({buffer.data(), count});
    return "sha256:" + digest.finish_hex();
}

} // namespace

Result<ImageStore::Impl::Unpacked> ImageStore::Impl::unpack(const StagedImage& staged,
                                                            Lease& lease) {
    const Manifest& manifest = staged.manifest;
    auto file = TRY(parse_config(TRY(blobs.read(manifest.config.digest, limits.manifest_bytes))));
    if (file.diff_ids.size() != manifest.layers.size())
        return fail(
            Code::invalid,
            fmt::format("the image is damaged: its manifest lists {} layers, its configuration {}",
                        manifest.layers.size(), file.diff_ids.size()));
    if (manifest.layers.size() > limits.layers)
        return fail(Code::too_large,
                    fmt::format("the image has {} layers; at most {} can be mounted",
                                manifest.layers.size(), limits.layers));
    Unpacked unpacked;
    Image& image = unpacked.image;
    image.id = manifest.config.digest;
    image.digest = staged.manifest_digest;
    image.names = staged.names;
    image.config = std::move(file.config);
    image.created = file.created;
    image.architecture = std::move(file.architecture);
    image.os = std::move(file.os);
    unpacked.blobs = {manifest.config.digest, staged.manifest_digest};
    std::string parent;
    for (size_t i = 0; i < manifest.layers.size(); ++i) {
        lease.pin(chain_id(parent, file.diff_ids[i]));
        auto layer = TRY(layers.ensure(blobs, manifest.layers[i].digest, parent, file.diff_ids[i]));
        image.size += layer.bytes;
        image.layers.push_back(layer.chain_id);
        unpacked.blobs.push_back(manifest.layers[i].digest);
        parent = layer.chain_id;
    }
    return unpacked;
}

Result<std::vector<Image>> ImageStore::Impl::install(const std::vector<StagedImage>& staged,
                                                     Lease& lease) {
    std::vector<Unpacked> unpacked;
    for (const auto& image : staged) unpacked.push_back(TRY(unpack(image, lease)));
    TRY(sync_file_system(root));
    std::vector<Image> images;
    std::lock_guard guard(mutex);
    for (const auto& [image, needed] : unpacked) {
        TRY(records.add(image, needed));
        for (const auto& name : image.names) TRY(records.set_name(name, image.id));
    }
    for (const auto& one : unpacked) images.push_back(records.images().at(one.image.id));
    return images;
}

Result<std::vector<Image>> ImageStore::load(const std::string& archive_path) {
    auto run = [&]() -> Result<std::vector<Image>> {
        Impl::Lease lease(*impl_);
        auto staged = TRY(stage_archive(archive_path, impl_->blobs, impl_->limits,
                                        [&](const std::string& digest) { lease.pin(digest); }));
        return impl_->install(staged, lease);
    };
    return impl_->settle(run(), "load " + archive_path);
}

Result<StagedImage> ImageStore::Impl::stage_root(const std::string& tar_path,
                                                 const std::string& name, const ImageConfig& config,
                                                 Lease& lease) {
    auto pin = [&](const std::string& digest) { lease.pin(digest); };
    auto put = [&](std::string_view type, std::string_view bytes) -> Result<Descriptor> {
        auto writer = TRY(blobs.begin());
        TRY(writer.write(bytes));
        return Descriptor{.media_type = std::string(type),
                          .digest = TRY(writer.commit({}, pin)),
                          .size = bytes.size()};
    };
    StagedImage staged;
    if (!name.empty()) staged.names.push_back(TRY(normalize_name(name)));
    ConfigFile file{config,
                    {TRY(uncompressed_digest(tar_path, limits.layer_bytes * 2))},
                    system_clock().wall(),
                    std::string(this_architecture()),
                    "linux"};
    auto tar = TRY(io::open_file(tar_path, O_RDONLY));
    auto writer = TRY(blobs.begin());
    auto source = codec::source_of_descriptor(tar.get(), tar_path);
    std::string buffer(piece, '\0');
    while (size_t count = TRY(source(buffer))) TRY(writer.write({buffer.data(), count}));
    uint64_t size = writer.size();
    std::string digest = TRY(writer.commit({}, pin));
    std::string_view type = digest == file.diff_ids[0]
                                ? "application/vnd.oci.image.layer.v1.tar"
                                : "application/vnd.oci.image.layer.v1.tar+gzip";
    staged.manifest.layers.push_back(
        {.media_type = std::string(type), .digest = digest, .size = size});
    staged.manifest.config =
        TRY(put("application/vnd.oci.image.config.v1+json", write_config(file)));
    staged.manifest_digest =
        TRY(put("application/vnd.oci.image.manifest.v1+json", write_manifest(staged.manifest)))
            .digest;
    return staged;
}

Result<Image> ImageStore::import(const std::string& tar_path, const std::string& name,
                                 const ImageConfig& config) {
    auto run = [&]() -> Result<Image> {
        Impl::Lease lease(*impl_);
        auto staged = TRY(impl_->stage_root(tar_path, name, config, lease));
        return TRY(impl_->install({staged}, lease)).front();
    };
    return impl_->settle(run(), "import " + tar_path);
}

Result<Image> ImageStore::pull(const std::string& reference, const PullProgress& progress) {
    auto run = [&]() -> Result<Image> {
        Impl::Lease lease(*impl_);
        auto name = TRY(parse_name(reference));
        if (!name.digest.empty()) name.tag.clear(); // the digest decides
        auto pin = [&](const std::string& digest) { lease.pin(digest); };
        auto staged = TRY(stage_from_registry(name, impl_->blobs, impl_->limits, pin, progress));
        return TRY(impl_->install({staged}, lease)).front();
    };
    return impl_->settle(run(), "pull " + reference);
}

} // namespace cloudlet::image
