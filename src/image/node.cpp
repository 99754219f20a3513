#include "node.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fmt/format.h>

#include "beneath.h"

namespace cloudlet::image {

namespace {

// What a layer may set. overlayfs' own marks are refused: they would rule how layers stack.
bool may_set(std::string_view name) {
    if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")) return false;
    return name.starts_with("user.") || name.starts_with("trusted.") ||
           name == "security.capability" || name.starts_with("system.posix_acl_");
}

template <typename Set>
Result<void> set_xattrs(const Xattrs& xattrs, Set set) {
    for (const auto& [name, value] : xattrs) {
        if (!may_set(name) || set(name.c_str(), value) == 0) continue;
        // The file system has no such attributes, or this kind of node none of them.
        if (errno == EOPNOTSUPP || (errno == EPERM && name.starts_with("user."))) continue;
        return fail_errno(fmt::format("set the extended attribute {}", name));
    }
    return {};
}

bool is_zero(std::string_view bytes) {
    return bytes.empty() ||
           (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

} // namespace

Result<Metadata> read_metadata(const io::UniqueFd& node, const struct stat& status) {
    Metadata metadata{status.st_mode & 07777, status.st_uid, status.st_gid, status.st_mtim, {}};
    std::string path = descriptor_path(node.get());
    if (S_ISLNK(status.st_mode)) return metadata; // the descriptor's path would be followed
    std::string names(65536, '\0');               // XATTR_LIST_MAX
    ssize_t size = listxattr(path.c_str(), names.data(), names.size());
    if (size < 0 && errno == EOPNOTSUPP) return metadata;
    if (size < 0) return fail_errno("list extended attributes");
    for (size_t start = 0; start < static_cast<size_t>(size);) {
        std::string name = names.c_str() + start;
        start += name.size() + 1;
        if (!may_set(name)) continue;
        std::string value(65536, '\0'); // XATTR_SIZE_MAX
        ssize_t length = getxattr(path.c_str(), name.c_str(), value.data(), value.size());
        if (length < 0) return fail_errno("read the extended attribute " + name);
        value.resize(static_cast<size_t>(length));
        metadata.xattrs.emplace_back(std::move(name), std::move(value));
    }
    return metadata;
}

Result<void> apply_to_directory(int fd, const Metadata& metadata) {
    if (fchown(fd, metadata.uid, metadata.gid)) return fail_errno("change the owner");
    if (fchmod(fd, metadata.mode)) return fail_errno("change the mode");
    return set_xattrs(metadata.xattrs, [&](const char* name, std::string_view value) {
        return fsetxattr(fd, name, value.data(), value.size(), 0);
    });
}

Result<void> apply_to_file(int fd, const Metadata& metadata) {
    TRY(apply_to_directory(fd, metadata));
    timespec times[2] = {metadata.modified, metadata.modified};
    if (futimens(fd, times)) return fail_errno("set the times");
    return {};
}

Result<void> apply_to_name(int parent, const std::string& name, mode_t type,
                           const Metadata& metadata) {
    if (fchownat(parent, name.c_str(), metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW))
        return fail_errno("change the owner");
    if (type != S_IFLNK && fchmodat(parent, name.c_str(), metadata.mode, 0))
        return fail_errno("change the mode");
    std::string path = descriptor_path(parent, name);
    TRY(set_xattrs(metadata.xattrs, [&](const char* xattr, std::string_view value) {
        return lsetxattr(path.c_str(), xattr, value.data(), value.size(), 0);
    }));
    timespec times[2] = {metadata.modified, metadata.modified};
    if (utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW))
        return fail_errno("set the times");
    return {};
}

Result<void> write_sparsely(int fd, std::string_view bytes, uint64_t offset) {
    constexpr size_t block = 4096;
    while (!bytes.empty()) {
        // One write covers everything up to the next block of zeros.
        size_t count = 0;
        while (count < bytes.size() && !is_zero(bytes.substr(count, block)))
            count += std::min(block, bytes.size() - count);
        if (count == 0) {
            size_t hole = std::min(block, bytes.size());
            bytes.remove_prefix(hole);
            offset += hole;
            continue;
        }
        ssize_t written = pwrite(fd, bytes.data(), count, static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_errno("write");
        bytes.remove_prefix(static_cast<size_t>(written));
        offset += static_cast<uint64_t>(written);
    }
    return {};
}

} // namespace cloudlet::image
