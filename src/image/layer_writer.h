#pragma once
// Writes the entries of one layer archive into a directory, in the form overlayfs stacks: deleted
// names are character devices 0:0, directories that hide what is below are marked opaque (OCI
// image-spec 1.1, layer.md; overlayfs.rst "whiteouts and opaque directories").
//
// The result is what a sequential unpacker would leave in one common root: a parent directory that
// the archive does not list takes its owner and mode from the layers below, a symbolic link on the
// way to an entry is followed inside the image, also when it lies in a lower layer, and a hard link
// to a file of a lower layer copies that file up. Nothing outside the directory can be named.

#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "cloudlet/codec/tar.h"
#include "lower_layers.h"
#include "node.h"

namespace cloudlet::image {

struct UnpackLimits {
    uint64_t bytes; // file sizes, holes included
    uint64_t entries;
};

/// One thread; `target` is an empty directory that nobody else changes meanwhile.
class LayerWriter {
public:
    LayerWriter(io::UniqueFd target, LowerLayers lower, UnpackLimits limits);

    /// Takes owner and mode of the root from the layer below, before the first entry.
    Result<void> start();
    /// Adds one entry; the content of a file is pulled from `reader`.
    /// Error: Code::invalid for an entry that no honest archive has; Code::too_large;
    /// Code::exhausted.
    Result<void> add(const codec::TarEntry& entry, codec::TarReader& reader);
    /// Sets the times of directories; call once, at the end.
    Result<void> finish();

    uint64_t bytes() const { return bytes_; }

private:
    struct Directory {
        std::string path; // inside the layer, free of links
        int fd;           // O_PATH, owned by the writer, good until the next lookup
    };
    struct Existing {
        bool any = false, directory = false;
    };

    Result<void> add_named(const codec::TarEntry& entry, codec::TarReader& reader,
                           std::vector<std::string> parts);
    Result<void> add_node(const Directory& parent, const std::string& name,
                          const codec::TarEntry& entry, codec::TarReader& reader);
    Result<void> add_directory(const Directory& parent, const std::string& name,
                               const Metadata& metadata, Existing existing);
    Result<void> add_file(const Directory& parent, const std::string& name,
                          const codec::TarEntry& entry, codec::TarReader& reader);
    Result<void> add_hard_link(std::vector<std::string> parts, const codec::TarEntry& entry);
    Result<void> add_special(const Directory& parent, const std::string& name,
                             const codec::TarEntry& entry);
    Result<void> add_whiteout(const Directory& parent, std::string_view name);

    Result<Directory> materialize(const std::vector<std::string>& parts);
    Result<std::string> walk(std::vector<std::string> todo);
    Result<void> step(std::string& here, const std::string& name, std::vector<std::string>& todo,
                      int& links);
    Result<void> step_below(std::string& here, const std::string& name,
                            std::vector<std::string>& todo, int& links);
    Result<Directory> open_directory(const std::string& path);
    Result<std::optional<LowerLayers::Found>> find_below(const std::string& path) const;
    Result<void> make_directory(const std::string& path, const Metadata& metadata);
    Result<void> drop_deletions_below(const std::string& path);
    bool is_deleted(const std::vector<std::string>& parts) const;
    void note_entry(std::string path);
    Result<void> mark_opaque(const std::string& path);
    Result<Existing> look_at(const Directory& parent, const std::string& name);
    Result<void> clear(const Directory& parent, const std::string& name);
    Result<void> copy_up(const Directory& parent, const std::string& name,
                         const LowerLayers::Found& from);
    Result<void> charge(uint64_t bytes);

    io::UniqueFd target_;
    LowerLayers lower_;
    UnpackLimits limits_;
    uint64_t bytes_ = 0, entries_ = 0;
    std::unordered_map<std::string, std::string>
        resolved_;                    // parent as written -> parent without links
    std::set<std::string> opaque_;    // directories that hide lower layers
    std::set<std::string> whiteouts_; // deleted names
    std::set<std::string>
        implied_; // directories made for the way to a deleted name, not for an entry
    std::map<std::string, timespec> directory_times_;
    std::string open_path_;
    io::UniqueFd open_fd_; // the directory open_path_
};

/// Unpacks a whole archive into `target`.
Result<uint64_t> unpack_layer(codec::TarReader& reader, LayerWriter& writer);

} // namespace cloudlet::image
