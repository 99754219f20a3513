#pragma once
// Names inside a directory that must not lead out of it: every lookup is an openat2(2) that crosses
// no symbolic link, no magic link and no mount. What a symbolic link means is decided by our own
// walk over the layers (layer_writer.h), never by the kernel.

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::image {

/// Opens `path` (relative, "" is the directory itself) with O_CLOEXEC | O_NOFOLLOW added.
/// Error: Code::not_found also when something on the way is no directory.
Result<io::UniqueFd> open_beneath(int directory, const std::string& path, int flags);

/// What a name is, without following it. Error: Code::not_found.
Result<struct stat> stat_beneath(int directory, const std::string& path);

/// A character device 0:0, overlayfs' mark for a deleted name.
bool is_whiteout(const struct stat& status);

/// Parts of a path without empty ones and "."; ".." takes the part before it away.
/// Error: Code::invalid when ".." leads above the start.
Result<std::vector<std::string>> clean_path(std::string_view path);

std::string join_path(const std::string& directory, std::string_view name);
/// "a/b/c" -> {"a/b", "c"}.
std::pair<std::string, std::string> split_path(const std::string& path);

/// A path by which calls that know no descriptors reach an O_PATH descriptor, or a name in it.
std::string descriptor_path(int descriptor, std::string_view name = {});

/// The target of the symbolic link that `descriptor` (O_PATH | O_NOFOLLOW) stands for.
Result<std::string> read_link(int descriptor);

} // namespace cloudlet::image
