// LayerWriter's lookups: the way to an entry's parent directory, over symbolic links and lower
// layers.
#include <cerrno>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/io/file.h"
#include "layer_writer.h"

namespace cloudlet::image {

namespace {

constexpr int most_links = 40; // as the kernel's own walk

// Puts the parts of a link's target before what is still to be walked. The list runs backwards.
Result<void> follow(const std::string& target, std::string& here, std::vector<std::string>& todo,
                    int& links) {
    if (++links > most_links) return fail(Code::invalid, "too many symbolic links on the way");
    if (target.starts_with('/')) here.clear();
    std::vector<std::string> parts;
    for (size_t start = 0; start < target.size();) {
        size_t end = std::min(target.find('/', start), target.size());
        if (end > start) parts.push_back(target.substr(start, end - start));
        start = end + 1;
    }
    todo.insert(todo.end(), parts.rbegin(), parts.rend());
    return {};
}

} // namespace

Result<std::optional<LowerLayers::Found>> LayerWriter::find_below(const std::string& path) const {
    if (lower_.empty()) return std::nullopt;
    for (std::string here = path; !opaque_.empty() && !here.empty();) {
        here = split_path(here).first;
        if (opaque_.contains(here)) return std::nullopt;
    }
    if (opaque_.contains(path)) return std::nullopt;
    return lower_.find(path);
}

Result<void> LayerWriter::make_directory(const std::string& path, const Metadata& metadata) {
    auto [parent, name] = split_path(path);
    auto into = TRY(open_beneath(target_.get(), parent, O_PATH | O_DIRECTORY));
    if (mkdirat(into.get(), name.c_str(), 0700)) return fail_errno("make the directory " + path);
    auto made = TRY(open_beneath(target_.get(), path, O_RDONLY | O_DIRECTORY));
    directory_times_[path] = metadata.modified;
    return apply_to_directory(made.get(), metadata);
}

// One part of the way, in this layer or else in those below.
Result<void> LayerWriter::step(std::string& here, const std::string& name,
                               std::vector<std::string>& todo, int& links) {
    if (name == ".") return {};
    if (name == "..") {
        here = split_path(here).first; // at the root it stays, as in a chroot
        return {};
    }
    std::string path = join_path(here, name);
    auto node = open_beneath(target_.get(), path, O_PATH);
    if (!node && node.error().code != Code::not_found) return tl::unexpected<Error>(node.error());
    if (!node) return step_below(here, name, todo, links);
    struct stat status {};
    if (fstat(node->get(), &status)) return fail_errno("stat " + path);
    if (S_ISLNK(status.st_mode)) return follow(TRY(read_link(node->get())), here, todo, links);
    if (is_whiteout(status)) {
        auto [parent, last] = split_path(path);
        TRY(clear(TRY(open_directory(parent)), last));
        TRY(make_directory(path, {}));
        implied_.insert(path);
        TRY(mark_opaque(path));
    } else if (!S_ISDIR(status.st_mode)) {
        return fail(Code::invalid, fmt::format("\"{}\" on the way is no directory", path));
    }
    here = path;
    return {};
}

Result<void> LayerWriter::step_below(std::string& here, const std::string& name,
                                     std::vector<std::string>& todo, int& links) {
    std::string path = join_path(here, name);
    auto below = TRY(find_below(path));
    if (below && S_ISLNK(below->status.st_mode))
        return follow(TRY(read_link(below->node.get())), here, todo, links);
    if (below && !S_ISDIR(below->status.st_mode))
        return fail(Code::invalid, fmt::format("\"{}\" on the way is no directory", path));
    TRY(make_directory(path, below ? TRY(read_metadata(below->node, below->status)) : Metadata{}));
    implied_.insert(path);
    here = path;
    return {};
}

Result<std::string> LayerWriter::walk(std::vector<std::string> todo) {
    std::reverse(todo.begin(), todo.end());
    std::string here;
    int links = 0;
    while (!todo.empty()) {
        std::string name = std::move(todo.back());
        todo.pop_back();
        TRY(step(here, name, todo, links));
    }
    return here;
}

// The directory of that name, made where it is missing; links on the way are followed in the image.
Result<LayerWriter::Directory> LayerWriter::materialize(const std::vector<std::string>& parts) {
    std::string written = fmt::format("{}", fmt::join(parts, "/"));
    auto known = resolved_.find(written);
    if (known == resolved_.end()) known = resolved_.emplace(written, TRY(walk(parts))).first;
    return open_directory(known->second);
}

Result<LayerWriter::Directory> LayerWriter::open_directory(const std::string& path) {
    if (!open_fd_ || open_path_ != path) {
        open_fd_ = TRY(open_beneath(target_.get(), path, O_PATH | O_DIRECTORY));
        open_path_ = path;
    }
    return Directory{path, open_fd_.get()};
}

Result<LayerWriter::Existing> LayerWriter::look_at(const Directory& parent,
                                                   const std::string& name) {
    struct stat status {};
    if (fstatat(parent.fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
        return Existing{true, S_ISDIR(status.st_mode)};
    if (errno == ENOENT) return Existing{};
    return fail_errno("stat " + name);
}

// Whether a directory on the way is deleted, or something else, by this layer already.
bool LayerWriter::is_deleted(const std::vector<std::string>& parts) const {
    std::string path;
    for (const auto& part : parts) {
        path = join_path(path, part);
        auto status = stat_beneath(target_.get(), path);
        if (!status || S_ISLNK(status->st_mode)) return false;
        if (!S_ISDIR(status->st_mode)) return true;
    }
    return false;
}

// A real entry makes the directories above it real.
void LayerWriter::note_entry(std::string path) {
    for (; !implied_.empty() && !path.empty(); path = split_path(path).first) implied_.erase(path);
}

// Takes away what deletions have made below a directory that now hides everything: overlayfs lists
// whiteouts of a directory that it does not merge, as names that are not there, and the directories
// on the way to them are no entries.
Result<void> LayerWriter::drop_deletions_below(const std::string& path) {
    std::string prefix = path.empty() ? "" : path + "/";
    auto drop = [&](std::set<std::string>& names, int flags) -> Result<void> {
        auto first = names.upper_bound(prefix), last = first;
        while (last != names.end() && last->starts_with(prefix)) ++last;
        for (auto name = last; name != first;) { // directories after what is in them
            auto [parent, own] = split_path(*--name);
            auto directory = TRY(open_beneath(target_.get(), parent, O_PATH | O_DIRECTORY));
            if (unlinkat(directory.get(), own.c_str(), flags))
                return fail_errno("remove the mark of " + *name);
            directory_times_.erase(*name);
        }
        names.erase(first, last);
        return {};
    };
    TRY(drop(whiteouts_, 0));
    resolved_.clear();
    open_fd_.reset();
    return drop(implied_, AT_REMOVEDIR);
}

// Removes what this layer has under the name; what was learned of ways through it is forgotten.
Result<void> LayerWriter::clear(const Directory& parent, const std::string& name) {
    resolved_.clear();
    std::string path = join_path(parent.path, name), below = path + "/";
    std::erase_if(directory_times_, [&](const auto& item) {
        return item.first == path || item.first.starts_with(below);
    });
    for (auto* set : {&opaque_, &whiteouts_, &implied_})
        std::erase_if(*set,
                      [&](const auto& item) { return item == path || item.starts_with(below); });
    if (unlinkat(parent.fd, name.c_str(), 0) == 0) return {};
    return io::remove_tree(descriptor_path(parent.fd, name));
}

Result<void> LayerWriter::copy_up(const Directory& parent, const std::string& name,
                                  const LowerLayers::Found& from) {
    Metadata metadata = TRY(read_metadata(from.node, from.status));
    mode_t type = from.status.st_mode & S_IFMT;
    if (type != S_IFREG) {
        int status =
            type == S_IFLNK
                ? symlinkat(TRY(read_link(from.node.get())).c_str(), parent.fd, name.c_str())
                : mknodat(parent.fd, name.c_str(), type | 0600, from.status.st_rdev);
        if (status) return fail_errno("copy up");
        return apply_to_name(parent.fd, name, type, metadata);
    }
    TRY(charge(static_cast<uint64_t>(from.status.st_size)));
    io::UniqueFd source(open(descriptor_path(from.node.get()).c_str(), O_RDONLY | O_CLOEXEC));
    if (!source) return fail_errno("open for copy up");
    io::UniqueFd copy(openat(parent.fd, name.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!copy) return fail_errno("copy up");
    for (;;) {
        ssize_t count =
            copy_file_range(source.get(), nullptr, copy.get(), nullptr, size_t{1} << 30, 0);
        if (count == 0) break;
        if (count < 0 && errno != EINTR) return fail_errno("copy up");
    }
    return apply_to_file(copy.get(), metadata);
}

} // namespace cloudlet::image
