#include "mount_options.h"

#include <string_view>

#include <linux/mount.h>

// sys/mount.h cannot be included beside linux/mount.h of Debian 12; the latter has these names too.

namespace cloudlet::runtime {
namespace {

struct Attribute {
    std::string_view name;
    uint64_t set;
    uint64_t clear;
};

constexpr Attribute kAttributes[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nosymfollow", 0x00200000 /* MOUNT_ATTR_NOSYMFOLLOW, Linux 5.14 */, 0},
};

constexpr std::pair<std::string_view, uint64_t> kPropagation[] = {{"private", MS_PRIVATE},
                                                                  {"slave", MS_SLAVE},
                                                                  {"shared", MS_SHARED},
                                                                  {"unbindable", MS_UNBINDABLE}};

constexpr std::string_view kNothing[] = {"defaults",      "async",  "atime", "norelatime",
                                         "nostrictatime", "silent", "loud"};

bool sort_attribute(std::string_view option, MountOptions& out) {
    for (const Attribute& attribute : kAttributes) {
        const bool recursive = option.starts_with('r') && option.substr(1) == attribute.name;
        if (option != attribute.name && !recursive) continue;
        out.attr_set = (out.attr_set & ~attribute.clear) | attribute.set;
        out.attr_clear |= attribute.clear;
        if (attribute.set != 0 && (attribute.clear & attribute.set) == 0)
            out.attr_clear &= ~attribute.set;
        if (recursive) out.attr_recursive = true;
        return true;
    }
    return false;
}

bool sort_propagation(std::string_view option, MountOptions& out) {
    for (const auto& [name, flag] : kPropagation) {
        if (option != name && !(option.starts_with('r') && option.substr(1) == name)) continue;
        out.propagation = flag;
        return true;
    }
    return false;
}

bool sort_one(std::string_view option, MountOptions& out) {
    if (option == "bind" || option == "rbind") {
        out.bind = true;
        out.recursive = option == "rbind";
        return true;
    }
    for (const auto nothing : kNothing)
        if (option == nothing) return true;
    return sort_attribute(option, out) || sort_propagation(option, out);
}

} // namespace

MountOptions sort_mount_options(const std::vector<std::string>& options) {
    MountOptions out;
    for (const std::string& option : options)
        if (!option.empty() && !sort_one(option, out)) out.data.push_back(option);
    // Whoever asks for a read-only tree means all of it.
    if (out.bind && out.recursive) out.attr_recursive = true;
    return out;
}

} // namespace cloudlet::runtime
