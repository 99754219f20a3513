#include "snapshots.h"

#include <algorithm>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/base/id.h"
#include "cloudlet/base/log.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/mount.h"
#include "short_links.h"

namespace cloudlet::image {

namespace {

// Nothing of a container's writes refers to lower layers by name, so that upper/ is a layer by
// itself.
const std::vector<std::string> overlay_options = {"redirect_dir=off", "metacopy=off", "index=off"};

Result<std::string> link_text(const std::string& path) {
    char text[512];
    ssize_t size = readlink(path.c_str(), text, sizeof text);
    if (size < 0) return fail_errno("read the link " + path);
    return std::string(text, static_cast<size_t>(size));
}

Result<void> make_link(const std::string& target, const std::string& path) {
    if (symlink(target.c_str(), path.c_str())) return fail_errno("link " + path);
    return {};
}

Result<bool> is_mounted(const std::string& path) {
    struct statx status {};
    if (statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS,
              &status))
        return fail_errno("stat " + path);
    return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

// The root of an overlay shows owner, mode and times of its upper directory.
Result<void> copy_root_attributes(const std::string& from, const std::string& to) {
    struct stat status {};
    if (stat(from.c_str(), &status)) return fail_errno("stat " + from);
    if (chown(to.c_str(), status.st_uid, status.st_gid))
        return fail_errno("change the owner of " + to);
    if (chmod(to.c_str(), status.st_mode & 07777)) return fail_errno("change the mode of " + to);
    timespec times[2] = {status.st_atim, status.st_mtim};
    if (utimensat(AT_FDCWD, to.c_str(), times, 0)) return fail_errno("set the times of " + to);
    return {};
}

} // namespace

Result<void> check_snapshot_key(std::string_view key) {
    bool fine = !key.empty() && key.size() <= 128 && key.front() != '.' &&
                std::all_of(key.begin(), key.end(), [](char c) {
                    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
                });
    if (fine) return {};
    return fail(Code::invalid, fmt::format("\"{}\" is no snapshot key: 1 to 128 letters, digits, "
                                           "\"_\", \"-\" or \".\", not a dot first",
                                           key.substr(0, 140)));
}

std::string Snapshots::path_of(std::string_view key) const {
    return fmt::format("{}/{}", directories_.snapshots, key);
}
std::string Snapshots::merged_path(std::string_view key) const { return path_of(key) + "/merged"; }

Result<Snapshots::Source> Snapshots::read(const std::string& key) const {
    Source source;
    source.image_id = TRY(link_text(path_of(key) + "/image"));
    std::string layer = TRY(link_text(path_of(key) + "/layer"));
    if (layer != "none") source.layers = TRY(layers_.chain("sha256:" + split_path(layer).second));
    return source;
}

Result<void> Snapshots::load() {
    for (const auto& key : TRY(io::list_directory(directories_.snapshots))) {
        auto source = read(key);
        if (source) {
            known_.emplace(key, std::move(*source));
            continue;
        }
        log_warning("image", "removed the snapshot {}: {}", key, source.error().to_string());
        TRY(erase(key));
    }
    return {};
}

Result<void> Snapshots::make(const std::string& key, const Source& source) const {
    std::string made = fmt::format("{}/snapshot-{}", directories_.temporary, new_hex_id(16));
    for (auto part : {"/upper", "/work", "/merged"}) TRY(io::make_directories(made + part));
    std::string layer = source.layers.empty() ? "" : layers_.path_of(source.layers.front());
    TRY(copy_root_attributes(layer.empty() ? directories_.empty : layer + "/fs", made + "/upper"));
    TRY(make_link(source.image_id, made + "/image"));
    TRY(make_link(layer.empty() ? "none" : "../../layers/" + split_path(layer).second,
                  made + "/layer"));
    if (rename(made.c_str(), path_of(key).c_str())) return fail_errno("make the snapshot " + key);
    return {};
}

Result<void> Snapshots::mount_now(const std::string& key, const Source& source) const {
    if (TRY(is_mounted(merged_path(key)))) return {};
    linux::OverlayMount overlay;
    if (!source.layers.empty())
        for (const auto& directory : TRY(layers_.directories(source.layers.front())))
            overlay.lower.push_back(
                TRY(short_link(directories_.layers_short, split_path(directory).first)));
    if (overlay.lower.empty()) overlay.lower.push_back(directories_.empty);
    overlay.upper = path_of(key) + "/upper";
    overlay.work = path_of(key) + "/work";
    overlay.target = merged_path(key);
    overlay.options = overlay_options;
    return linux::mount_overlay(overlay);
}

Result<std::string> Snapshots::prepare(const std::string& key, const std::string& image_id,
                                       const std::function<Result<Source>()>& resolve) {
    TRY(check_snapshot_key(key));
    KeyedLock::Held held(busy_, key);
    std::optional<Source> known;
    {
        std::lock_guard guard(mutex_);
        if (auto found = known_.find(key); found != known_.end()) known = found->second;
    }
    if (known && known->image_id != image_id)
        return fail(Code::conflict,
                    fmt::format("the snapshot {} was made from another image ({}); remove it first",
                                key, known->image_id));
    if (known) {
        TRY(mount_now(key, *known));
        return merged_path(key);
    }
    Source source = TRY(resolve());
    TRY(make(key, source));
    {
        std::lock_guard guard(mutex_);
        known_.insert_or_assign(key, source);
    }
    auto mounted = mount_now(key, source);
    if (mounted) return merged_path(key);
    (void)erase(key);
    return tl::unexpected<Error>(mounted.error());
}

Result<std::string> Snapshots::mount(const std::string& key) {
    TRY(check_snapshot_key(key));
    KeyedLock::Held held(busy_, key);
    Source source;
    {
        std::lock_guard guard(mutex_);
        auto found = known_.find(key);
        if (found == known_.end())
            return fail(Code::not_found, fmt::format("there is no snapshot {}", key));
        source = found->second;
    }
    TRY(mount_now(key, source));
    return merged_path(key);
}

Result<void> Snapshots::unmount(const std::string& key) {
    TRY(check_snapshot_key(key));
    KeyedLock::Held held(busy_, key);
    if (!io::exists(merged_path(key)) || !TRY(is_mounted(merged_path(key)))) return {};
    return linux::unmount(merged_path(key));
}

// The caller holds the key.
Result<void> Snapshots::erase(const std::string& key) {
    if (io::exists(merged_path(key)) && TRY(is_mounted(merged_path(key))))
        TRY(linux::unmount(merged_path(key)));
    std::string doomed = fmt::format("{}/trash-{}", directories_.temporary, new_hex_id(16));
    if (rename(path_of(key).c_str(), doomed.c_str()) && errno != ENOENT)
        return fail_errno("remove the snapshot " + key);
    {
        std::lock_guard guard(mutex_);
        known_.erase(key);
    }
    return io::remove_tree(doomed);
}

Result<void> Snapshots::remove(const std::string& key) {
    TRY(check_snapshot_key(key));
    KeyedLock::Held held(busy_, key);
    return erase(key);
}

std::vector<std::string> Snapshots::keys() const {
    std::lock_guard guard(mutex_);
    std::vector<std::string> keys;
    for (const auto& item : known_) keys.push_back(item.first);
    return keys;
}

std::vector<Snapshots::Source> Snapshots::sources() const {
    std::lock_guard guard(mutex_);
    std::vector<Source> sources;
    for (const auto& item : known_) sources.push_back(item.second);
    return sources;
}

} // namespace cloudlet::image
