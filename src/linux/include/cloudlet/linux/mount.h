#pragma once
// Mounts of the host side: overlays for root file systems, tmpfs and bind mounts for volumes, the
// mount table. Paths are the caller's own, never a container's: what lies inside a container's root
// is mounted by cloudlet-init. Thread-safe.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"

namespace cloudlet::linux {

struct OverlayMount {
    std::vector<std::string> lower;   // topmost layer first; at least one
    std::string upper;                // empty: a read-only overlay
    std::string work;                 // same file system as upper; empty with it
    std::string target;               // an existing folder
    std::vector<std::string> options; // more of overlayfs' options, e.g. "metacopy=off"
};

/// Mounts an overlay. Any number of layers whose names fit: when the option string would pass a
/// page, layers are named relative to their common parent. Error: Code::invalid for a path with ','
/// ':' or a backslash in it, which overlayfs would read as a separator; Code::too_large.
Result<> mount_overlay(const OverlayMount& overlay);

/// Mounts a file system by name ("tmpfs", ...): `flags` are MS_... bits, `data` its own options.
Result<> mount_filesystem(const std::string& type, const std::string& source,
                          const std::string& target, unsigned long flags, const std::string& data);

struct BindOptions {
    bool recursive = false;
    bool read_only = false; // with recursive: for the whole tree (mount_setattr(2))
};
Result<> bind_mount(const std::string& source, const std::string& target, BindOptions options = {});

/// Unmounts the topmost mount at a path, detaching it when it is busy; not mounted is success.
Result<> unmount(const std::string& target);
/// Unmounts everything at and below a path, deepest first.
Result<> unmount_all(const std::string& target);

/// One line of /proc/self/mountinfo (proc(5)), with its octal escapes undone.
struct MountEntry {
    int id = 0;
    int parent_id = 0;
    unsigned major = 0;
    unsigned minor = 0;
    std::string root; // the folder of the file system that is mounted
    std::string mount_point;
    std::string options;     // of this mount
    std::string propagation; // "shared:1", "master:2", ... joined by blanks; empty: private
    std::string type;
    std::string source;
    std::string super_options;
};
Result<std::vector<MountEntry>> read_mount_table();
/// The same from text, for one line; Code::invalid when it is no mountinfo line.
Result<MountEntry> parse_mount_entry(std::string_view line);

/// True when a mount is exactly at this path.
Result<bool> is_mount_point(const std::string& path);

} // namespace cloudlet::linux
