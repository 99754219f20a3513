// Folders are entered by openat2 without crossing mounts or following links, so a hostile tree (an
// image layer, a pod's volume) cannot lead us outside. A tree may be deeper than we have
// descriptors: below a certain depth a folder is first moved up next to the root.

#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cloudlet/io/file.h"

namespace cloudlet::io {
namespace {

constexpr int max_depth = 48;

Result<UniqueFd> enter(int parent, const std::string& name, const std::string& shown) {
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
    int fd = static_cast<int>(::syscall(SYS_openat2, parent, name.c_str(), &how, sizeof how));
    if (fd >= 0) return UniqueFd(fd);
    if (errno == EXDEV)
        return fail_errno(fmt::format("remove {}: it is a mount point; unmount it first", shown),
                          EBUSY);
    return fail_errno("open folder " + shown);
}

Result<std::vector<std::string>> names_in(int folder, const std::string& shown) {
    int copy = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return fail_errno("read folder " + shown);
    DIR* stream = ::fdopendir(copy);
    if (!stream) {
        ::close(copy);
        return fail_errno("read folder " + shown);
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
        std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    int error = errno;
    ::closedir(stream);
    if (error) return fail_errno("read folder " + shown, error);
    return names;
}

class Remover {
public:
    /// Removes the entry; goes on past what cannot be removed and returns the first error.
    Result<> remove(int parent, const std::string& name, const std::string& shown) {
        if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
        if (errno != EISDIR && errno != EPERM) return fail_errno("remove " + shown);
        auto root = TRY(enter(parent, name, shown));
        root_ = root.get();
        Result<> outcome;
        size_t seen;
        do { // once more while folders were moved up
            seen = moved_;
            auto emptied = empty(root.get(), shown, 0);
            if (!emptied && outcome) outcome = emptied;
        } while (moved_ != seen);
        if (!outcome) return outcome;
        if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
            return fail_errno("remove folder " + shown);
        return {};
    }

private:
    Result<> empty(int folder, const std::string& shown, int depth) {
        auto names = TRY(names_in(folder, shown));
        Result<> outcome;
        for (const auto& name : names) {
            auto removed = remove_below(folder, name, shown + "/" + name, depth);
            if (!removed && outcome) outcome = removed;
        }
        return outcome;
    }

    Result<> remove_below(int folder, const std::string& name, const std::string& shown,
                          int depth) {
        if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT) return {};
        if (errno != EISDIR && errno != EPERM) return fail_errno("remove " + shown);
        if (depth >= max_depth) return move_up(folder, name, shown);
        auto below = TRY(enter(folder, name, shown));
        TRY(empty(below.get(), shown, depth + 1));
        if (::unlinkat(folder, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
            return fail_errno("remove folder " + shown);
        return {};
    }

    Result<> move_up(int folder, const std::string& name, const std::string& shown) {
        for (;;) {
            std::string moved = fmt::format(".removed-{}", ++moved_);
            if (::renameat2(folder, name.c_str(), root_, moved.c_str(), RENAME_NOREPLACE) == 0)
                return {};
            if (errno != EEXIST) return fail_errno("move " + shown);
        }
    }

    int root_ = -1;
    size_t moved_ = 0;
};

} // namespace

Result<> remove_tree(const std::string& path) {
    std::string trimmed = path;
    while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
    auto slash = trimmed.find_last_of('/');
    std::string folder =
        slash == std::string::npos ? "." : trimmed.substr(0, std::max<size_t>(slash, 1));
    std::string name = slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
    if (name.empty() || name == "." || name == "..")
        return fail(Code::invalid,
                    fmt::format("\"{}\" names no entry that could be removed", path));
    auto parent = open_file(folder, O_PATH | O_DIRECTORY);
    if (!parent && parent.error().code == Code::not_found) return {};
    if (!parent) return tl::unexpected(parent.error());
    return Remover().remove(parent->get(), name, trimmed);
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
    auto folder = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
    auto names = TRY(names_in(folder.get(), path));
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace cloudlet::io
