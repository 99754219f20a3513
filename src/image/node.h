#pragma once
// Owner, mode, xattrs and times of one file-system node in a layer being made, in the order that
// keeps them all: the owner first (it clears setuid and capabilities), then mode, xattrs, times.

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::image {

using Xattrs = std::vector<std::pair<std::string, std::string>>;

struct Metadata {
    uint32_t mode = 0755; // permission bits
    uint32_t uid = 0, gid = 0;
    timespec modified{};
    Xattrs xattrs;
};

/// Of an existing node; xattrs that belong to overlayfs are left out.
Result<Metadata> read_metadata(const io::UniqueFd& node, const struct stat& status);

/// To the open regular file or directory `fd`. Directories get their times later, because each name
/// made in one changes them.
Result<void> apply_to_file(int fd, const Metadata& metadata);
/// To a node that cannot be opened (link, device, fifo), by its name in `parent`.
Result<void> apply_to_name(int parent, const std::string& name, mode_t type,
                           const Metadata& metadata);
/// Owner, mode and xattrs of a directory.
Result<void> apply_to_directory(int fd, const Metadata& metadata);

/// Writes all bytes at an offset, leaving blocks of zeros as holes.
Result<void> write_sparsely(int fd, std::string_view bytes, uint64_t offset);

} // namespace cloudlet::image
