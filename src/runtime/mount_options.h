#pragma once
// The options of a mount as mount(8) and the OCI spec spell them, sorted into what the kernel
// wants: attributes, propagation, and the file system's own options.

#include <cstdint>
#include <string>
#include <vector>

namespace cloudlet::runtime {

struct MountOptions {
    uint64_t attr_set = 0; // MOUNT_ATTR_...
    uint64_t attr_clear = 0;
    uint64_t propagation = 0; // MS_PRIVATE, ...; 0: not said
    bool bind = false;
    bool recursive = false;
    bool attr_recursive = false;
    std::vector<std::string> data; // for the file system
};

MountOptions sort_mount_options(const std::vector<std::string>& options);

} // namespace cloudlet::runtime
