#include "beneath.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fmt/format.h>

namespace cloudlet::image {

Result<io::UniqueFd> open_beneath(int directory, const std::string& path, int flags) {
    struct open_how how {};
    how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    for (;;) {
        long fd =
            syscall(SYS_openat2, directory, path.empty() ? "." : path.c_str(), &how, sizeof how);
        if (fd >= 0) return io::UniqueFd(static_cast<int>(fd));
        if (errno == EAGAIN || errno == EINTR) continue; // a rename elsewhere raced with the lookup
        // A link on the way is ELOOP, a file on the way ENOTDIR: the name is not there.
        if (errno == ENOTDIR || errno == ELOOP) errno = ENOENT;
        return fail_errno("open " + path);
    }
}

Result<struct stat> stat_beneath(int directory, const std::string& path) {
    auto fd = TRY(open_beneath(directory, path, O_PATH));
    struct stat status {};
    if (fstat(fd.get(), &status)) return fail_errno("stat " + path);
    return status;
}

bool is_whiteout(const struct stat& status) {
    return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

Result<std::vector<std::string>> clean_path(std::string_view path) {
    std::vector<std::string> parts;
    for (size_t start = 0; start <= path.size();) {
        size_t end = std::min(path.find('/', start), path.size());
        auto part = path.substr(start, end - start);
        start = end + 1;
        if (part.empty() || part == ".") continue;
        if (part != "..") {
            parts.emplace_back(part);
            continue;
        }
        if (parts.empty())
            return fail(Code::invalid, fmt::format("the path \"{}\" leads out of the image", path));
        parts.pop_back();
    }
    return parts;
}

std::string join_path(const std::string& directory, std::string_view name) {
    return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

std::pair<std::string, std::string> split_path(const std::string& path) {
    size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {"", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

std::string descriptor_path(int descriptor, std::string_view name) {
    return name.empty() ? fmt::format("/proc/self/fd/{}", descriptor)
                        : fmt::format("/proc/self/fd/{}/{}", descriptor, name);
}

Result<std::string> read_link(int descriptor) {
    char target[4097];
    ssize_t size = readlinkat(descriptor, "", target, sizeof target);
    if (size < 0) return fail_errno("read a symbolic link");
    return std::string(target, static_cast<size_t>(size));
}

} // namespace cloudlet::image
