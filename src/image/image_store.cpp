#include "cloudlet/image/image_store.h"

#include <algorithm>

#include <fmt/format.h>

#include "cloudlet/base/log.h"
#include "cloudlet/image/name.h"
#include "store.h"

namespace cloudlet::image {

ImageStore::Impl::Impl(std::string directory, const ImageLimits& bounds)
    : root(std::move(directory)), limits(bounds), blobs(root + "/blobs/sha256", root + "/tmp"),
      layers(root + "/layers", root + "/tmp", bounds),
      snapshots({root + "/snapshots", root + "/l", root + "/empty", root + "/tmp"}, layers),
      records(root + "/images", root + "/names") {}

ImageStore::ImageStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ImageStore::~ImageStore() = default;

Result<void> ImageStore::Impl::recover() {
    for (auto part :
         {"/blobs/sha256", "/layers", "/snapshots", "/images", "/names", "/l", "/empty", "/tmp"})
        TRY(io::make_directories(root + part));
    lock.emplace(TRY(io::FileLock::acquire(root + "/lock")));
    for (auto part : {"/images", "/names"}) TRY(io::sweep_temporary_files(root + part));
    for (const auto& name : TRY(io::list_directory(root + "/tmp")))
        TRY(io::remove_tree(root + "/tmp/" + name));
    TRY(records.load(blobs, limits.manifest_bytes));
    TRY(snapshots.load());
    auto swept = TRY(collect());
    if (swept.blobs || swept.layers)
        log_info("image", "removed {} blobs and {} layers of loads that were cut off", swept.blobs,
                 swept.layers);
    return {};
}

Result<std::unique_ptr<ImageStore>> ImageStore::open(const std::string& root, ImageLimits limits) {
    auto impl = std::make_unique<Impl>(root + "/image", limits);
    TRY(with_context(impl->recover(), "open the image store " + impl->root));
    return std::unique_ptr<ImageStore>(new ImageStore(std::move(impl)));
}

// ---- finding

Result<std::string> ImageStore::Impl::id_by_prefix(std::string_view prefix) const {
    std::string wanted =
        fmt::format("sha256:{}", prefix.starts_with("sha256:") ? prefix.substr(7) : prefix);
    std::string found;
    for (auto image = records.images().lower_bound(wanted);
         image != records.images().end() && image->first.starts_with(wanted); ++image) {
        if (!found.empty())
            return fail(
                Code::invalid,
                fmt::format("several images have an id that starts with {}; give more digits",
                            prefix));
        found = image->first;
    }
    return found;
}

Result<std::string> ImageStore::Impl::id_of(const std::string& name_or_id) const {
    auto unknown = [&] {
        return fail(Code::not_found, fmt::format("no image {}; `cloudlet image ls` lists those "
                                                 "there are, `cloudlet image load` adds one",
                                                 name_or_id));
    };
    bool may_be_id = name_or_id.starts_with("sha256:") ||
                     (name_or_id.size() >= 4 && name_or_id.size() <= 64 &&
                      name_or_id.find_first_not_of("0123456789abcdef") == std::string::npos);
    auto name = parse_name(name_or_id);
    if (name) {
        if (!name->digest.empty()) name->tag.clear();
        std::string id = records.id_of(name->to_string());
        if (!id.empty()) return id;
        for (const auto& [candidate, image] : records.images()) {
            bool same = !name->digest.empty() && image.digest == name->digest;
            for (const auto& other : image.names)
                if (same && parse_name(other)->repository_name() == name->repository_name())
                    return candidate;
        }
    }
    if (may_be_id) {
        std::string id = TRY(id_by_prefix(name_or_id));
        if (!id.empty()) return id;
    } else if (!name) {
        return tl::unexpected<Error>(name.error());
    }
    return unknown();
}

Result<Image> ImageStore::find(const std::string& name_or_id) const {
    std::lock_guard guard(impl_->mutex);
    return impl_->records.images().at(TRY(impl_->id_of(name_or_id)));
}

std::vector<Image> ImageStore::list() const {
    std::vector<Image> images;
    {
        std::lock_guard guard(impl_->mutex);
        for (const auto& item : impl_->records.images()) images.push_back(item.second);
    }
    std::stable_sort(images.begin(), images.end(),
                     [](const Image& a, const Image& b) { return a.created > b.created; });
    return images;
}

Result<void> ImageStore::tag(const std::string& name_or_id, const std::string& new_name) {
    auto name = TRY(parse_name(new_name));
    if (!name.digest.empty())
        return fail(Code::invalid, fmt::format("\"{}\" has a digest; a tag is wanted", new_name));
    std::lock_guard guard(impl_->mutex);
    return impl_->records.set_name(name.to_string(), TRY(impl_->id_of(name_or_id)));
}

// ---- removing

Result<void> ImageStore::Impl::check_removable(const Image& image, bool by_id) const {
    if (by_id && image.names.size() > 1)
        return fail(
            Code::conflict,
            fmt::format("the image {} has {} names; remove them one by one, or all with --force",
                        image.id, image.names.size()));
    auto sources = snapshots.sources();
    auto users = std::count_if(sources.begin(), sources.end(),
                               [&](const auto& source) { return source.image_id == image.id; });
    if (!users) return {};
    return fail(
        Code::conflict,
        fmt::format("the image {} is used by {} containers; remove them first, or use --force",
                    image.id, users));
}

Result<RemoveReport> ImageStore::remove(const std::string& name_or_id, bool force) {
    RemoveReport report;
    {
        std::lock_guard guard(impl_->mutex);
        Image image = impl_->records.images().at(TRY(impl_->id_of(name_or_id)));
        auto name = parse_name(name_or_id);
        std::string normal = name ? name->to_string() : "";
        bool by_id = std::find(image.names.begin(), image.names.end(), normal) == image.names.end();
        if (!by_id && image.names.size() > 1) {
            TRY(impl_->records.drop_name(normal));
            report.untagged = {normal};
            return report;
        }
        if (!force) TRY(impl_->check_removable(image, by_id));
        TRY(impl_->records.remove(image.id));
        report.untagged = image.names;
        report.removed_id = image.id;
    }
    report.freed_bytes = TRY(impl_->collect()).freed_bytes;
    return report;
}

// ---- snapshots

Result<std::string> ImageStore::prepare_snapshot(const std::string& key,
                                                 const std::string& image_name_or_id) {
    Impl::Lease lease(*impl_);
    Image image;
    {
        std::lock_guard guard(impl_->mutex);
        image = impl_->records.images().at(TRY(impl_->id_of(image_name_or_id)));
        for (const auto& layer : image.layers) lease.pin_locked(layer);
    }
    auto resolve = [&]() -> Result<Snapshots::Source> {
        return Snapshots::Source{image.id, {image.layers.rbegin(), image.layers.rend()}};
    };
    return with_context(impl_->snapshots.prepare(key, image.id, resolve),
                        "prepare the snapshot " + key);
}

Result<std::string> ImageStore::mount_snapshot(const std::string& key) {
    return impl_->snapshots.mount(key);
}
Result<void> ImageStore::unmount_snapshot(const std::string& key) {
    return impl_->snapshots.unmount(key);
}
Result<void> ImageStore::remove_snapshot(const std::string& key) {
    return impl_->snapshots.remove(key);
}
std::vector<std::string> ImageStore::snapshots() const { return impl_->snapshots.keys(); }
std::string ImageStore::snapshot_path(std::string_view key) const {
    return impl_->snapshots.merged_path(key);
}

Result<void> ImageStore::unmount_all() {
    for (const auto& key : impl_->snapshots.keys()) TRY(impl_->snapshots.unmount(key));
    return {};
}

} // namespace cloudlet::image
