#include "layer_writer.h"

#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/io/file.h"

namespace cloudlet::image {

namespace {

using Type = codec::TarEntry::Type;

constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view opaque_name = ".wh..wh..opq";
constexpr std::string_view reserved_prefix = ".wh..wh."; // aufs' own notes, of no meaning here

timespec to_timespec(WallTime time) {
    auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    return {seconds.time_since_epoch().count(), (time - seconds).count()};
}

Metadata metadata_of(const codec::TarEntry& entry) {
    return {entry.mode, entry.uid, entry.gid, to_timespec(entry.modified), entry.xattrs};
}

tl::unexpected<Error> refuse(const codec::TarEntry& entry, std::string_view why) {
    return fail(Code::invalid, fmt::format("the entry \"{}\" {}", entry.path, why));
}

} // namespace

LayerWriter::LayerWriter(io::UniqueFd target, LowerLayers lower, UnpackLimits limits)
    : target_(std::move(target)), lower_(std::move(lower)), limits_(limits) {}

Result<void> LayerWriter::start() {
    Metadata root;
    if (auto below = TRY(lower_.find(""))) root = TRY(read_metadata(below->node, below->status));
    directory_times_[""] = root.modified;
    auto open = TRY(open_beneath(target_.get(), "", O_RDONLY | O_DIRECTORY));
    return apply_to_directory(open.get(), root);
}

Result<void> LayerWriter::charge(uint64_t bytes) {
    if (bytes > limits_.bytes - bytes_)
        return fail(
            Code::too_large,
            fmt::format("the layer unpacks to more than {} bytes; it may be a decompression bomb",
                        limits_.bytes));
    bytes_ += bytes;
    return {};
}

Result<void> LayerWriter::add(const codec::TarEntry& entry, codec::TarReader& reader) {
    if (++entries_ > limits_.entries)
        return fail(
            Code::too_large,
            fmt::format("the layer has more than {} entries; it may be a decompression bomb",
                        limits_.entries));
    if (entry.path.size() >= PATH_MAX)
        return fail(Code::invalid, "an entry's path is longer than 4095 bytes");
    auto parts = TRY(clean_path(entry.path));
    if (!parts.empty())
        return with_context(add_named(entry, reader, std::move(parts)),
                            fmt::format("entry \"{}\"", entry.path));
    if (entry.type != Type::directory) return refuse(entry, "would replace the root directory");
    directory_times_[""] = to_timespec(entry.modified);
    auto root = TRY(open_beneath(target_.get(), "", O_RDONLY | O_DIRECTORY));
    return apply_to_directory(root.get(), metadata_of(entry));
}

Result<void> LayerWriter::add_named(const codec::TarEntry& entry, codec::TarReader& reader,
                                    std::vector<std::string> parts) {
    std::string name = parts.back();
    if (entry.type == Type::hard_link && !name.starts_with(whiteout_prefix))
        return add_hard_link(std::move(parts), entry);
    parts.pop_back();
    if (name.starts_with(whiteout_prefix) && is_deleted(parts)) return {};
    Directory parent = TRY(materialize(parts));
    if (name == opaque_name) return mark_opaque(parent.path);
    if (name.starts_with(reserved_prefix)) return {};
    if (name.starts_with(whiteout_prefix))
        return add_whiteout(parent, std::string_view(name).substr(whiteout_prefix.size()));
    return add_node(parent, name, entry, reader);
}

Result<void> LayerWriter::add_node(const Directory& parent, const std::string& name,
                                   const codec::TarEntry& entry, codec::TarReader& reader) {
    Existing existing = TRY(look_at(parent, name));
    note_entry(join_path(parent.path, name));
    if (entry.type == Type::directory)
        return add_directory(parent, name, metadata_of(entry), existing);
    if (existing.any) TRY(clear(parent, name));
    return entry.type == Type::file ? add_file(parent, name, entry, reader)
                                    : add_special(parent, name, entry);
}

Result<void> LayerWriter::add_directory(const Directory& parent, const std::string& name,
                                        const Metadata& metadata, Existing existing) {
    std::string path = join_path(parent.path, name);
    if (existing.any && !existing.directory) {
        TRY(clear(parent, name));
        TRY(make_directory(path, metadata));
        return mark_opaque(path); // what stood here hid the lower layers
    }
    if (!existing.any) return make_directory(path, metadata);
    directory_times_[path] = metadata.modified;
    auto open = TRY(open_beneath(target_.get(), path, O_RDONLY | O_DIRECTORY));
    return apply_to_directory(open.get(), metadata);
}

Result<void> LayerWriter::add_file(const Directory& parent, const std::string& name,
                                   const codec::TarEntry& entry, codec::TarReader& reader) {
    TRY(charge(entry.size));
    io::UniqueFd file(openat(parent.fd, name.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return fail_errno("create");
    if (entry.size && ftruncate(file.get(), static_cast<off_t>(entry.size)))
        return fail_errno("set the size");
    for (;;) {
        auto block = TRY(reader.next_block());
        if (!block) break;
        if (block->offset > entry.size || block->bytes.size() > entry.size - block->offset)
            return fail(Code::invalid, "it has more content than its size says");
        TRY(write_sparsely(file.get(), block->bytes, block->offset));
    }
    return apply_to_file(file.get(), metadata_of(entry));
}

Result<void> LayerWriter::add_special(const Directory& parent, const std::string& name,
                                      const codec::TarEntry& entry) {
    mode_t type = entry.type == Type::symlink        ? S_IFLNK
                  : entry.type == Type::fifo         ? S_IFIFO
                  : entry.type == Type::block_device ? S_IFBLK
                                                     : S_IFCHR;
    dev_t device = makedev(entry.device_major, entry.device_minor);
    if (type == S_IFCHR && device == 0)
        return fail(Code::invalid, "the character device 0:0 means a deleted name in overlayfs");
    int status = type == S_IFLNK
                     ? symlinkat(entry.link_target.c_str(), parent.fd, name.c_str())
                     : mknodat(parent.fd, name.c_str(), type | 0600, type == S_IFIFO ? 0 : device);
    if (status) return fail_errno("create");
    return apply_to_name(parent.fd, name, type, metadata_of(entry));
}

// The target of a hard link is a path from the image's root.
Result<void> LayerWriter::add_hard_link(std::vector<std::string> parts,
                                        const codec::TarEntry& entry) {
    auto target_parts = TRY(clean_path(entry.link_target));
    if (target_parts.empty()) return fail(Code::invalid, "it is a hard link to the root directory");
    std::string name = parts.back(), target_name = target_parts.back();
    parts.pop_back();
    target_parts.pop_back();
    Directory target = TRY(materialize(target_parts));
    io::UniqueFd target_fd = TRY(open_beneath(target_.get(), target.path, O_PATH | O_DIRECTORY));
    target.fd = target_fd.get();
    std::string target_path = join_path(target.path, target_name);
    Existing there = TRY(look_at(target, target_name));
    if (there.directory)
        return fail(Code::invalid,
                    fmt::format("it is a hard link to the directory \"{}\"", entry.link_target));
    auto status = stat_beneath(target_.get(), target_path);
    bool deleted = status && is_whiteout(*status);
    if (!there.any) {
        auto below = TRY(find_below(target_path));
        if (below && !S_ISDIR(below->status.st_mode)) {
            TRY(copy_up(target, target_name, *below));
            there.any = true;
        }
    }
    if (!there.any || deleted)
        return fail(Code::invalid, fmt::format("it is a hard link to \"{}\", which is not there",
                                               entry.link_target));
    Directory parent = TRY(materialize(parts));
    if (join_path(parent.path, name) == target_path) return {};
    if (TRY(look_at(parent, name)).any) TRY(clear(parent, name));
    note_entry(join_path(parent.path, name));
    if (linkat(target_fd.get(), target_name.c_str(), parent.fd, name.c_str(), 0))
        return fail_errno("link");
    return {};
}

Result<void> LayerWriter::add_whiteout(const Directory& parent, std::string_view name) {
    if (name.empty() || name == "." || name == "..")
        return fail(Code::invalid, "it deletes a name that cannot be");
    std::string path = join_path(parent.path, name);
    Existing existing = TRY(look_at(parent, std::string(name)));
    if (implied_.contains(path)) {
        TRY(clear(parent, std::string(name)));
        existing = {};
    }
    if (existing.directory) return mark_opaque(path); // deletions mean lower layers, not this one
    if (existing.any || !TRY(find_below(path))) return {};
    if (mknodat(parent.fd, std::string(name).c_str(), S_IFCHR, makedev(0, 0)))
        return fail_errno("mark as deleted");
    whiteouts_.insert(path);
    return {};
}

Result<void> LayerWriter::mark_opaque(const std::string& path) {
    if (opaque_.contains(path) || !TRY(find_below(path))) return {};
    auto directory = TRY(open_beneath(target_.get(), path, O_RDONLY | O_DIRECTORY));
    if (fsetxattr(directory.get(), opaque_xattr, "y", 1, 0)) return fail_errno("mark as opaque");
    TRY(drop_deletions_below(path));
    opaque_.insert(path);
    return {};
}

Result<void> LayerWriter::finish() {
    open_fd_.reset();
    for (const auto& [path, time] : directory_times_) {
        auto directory = open_beneath(target_.get(), path, O_RDONLY | O_DIRECTORY);
        if (!directory && directory.error().code == Code::not_found) continue; // replaced later
        if (!directory) return tl::unexpected<Error>(directory.error());
        timespec times[2] = {time, time};
        if (futimens(directory->get(), times)) return fail_errno("set the times of " + path);
    }
    return {};
}

Result<uint64_t> unpack_layer(codec::TarReader& reader, LayerWriter& writer) {
    TRY(writer.start());
    for (;;) {
        auto entry = TRY(reader.next());
        if (!entry) break;
        TRY(writer.add(*entry, reader));
    }
    TRY(writer.finish());
    return writer.bytes();
}

} // namespace cloudlet::image
