#pragma once
// What the layers below one layer show together, by overlayfs' rules (Documentation/filesystems/
// overlayfs.rst): a name comes from the topmost layer that has it, a whiteout or a non-directory on
// the way hides what is below, an opaque directory hides what is below it.

#include <optional>
#include <string>
#include <vector>

#include "beneath.h"

namespace cloudlet::image {

constexpr char opaque_xattr[] = "trusted.overlay.opaque";

/// True when the directory of this (O_PATH) descriptor is marked opaque.
bool is_opaque(int descriptor);

/// Read-only; one thread at a time.
class LowerLayers {
public:
    LowerLayers() = default;
    /// Descriptors of the unpacked layers, topmost first.
    explicit LowerLayers(std::vector<io::UniqueFd> layers) : layers_(std::move(layers)) {}

    struct Found {
        io::UniqueFd node; // O_PATH
        struct stat status;
    };
    /// The topmost visible node of that name, or nothing. `path` must not lead through symbolic
    /// links.
    Result<std::optional<Found>> find(const std::string& path) const;
    bool empty() const { return layers_.empty(); }

private:
    enum class Hidden { no, yes };
    Result<Hidden> hides(int layer, const std::string& path) const;

    std::vector<io::UniqueFd> layers_;
};

} // namespace cloudlet::image
