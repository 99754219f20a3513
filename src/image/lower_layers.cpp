#include "lower_layers.h"

#include <fcntl.h>
#include <sys/xattr.h>

namespace cloudlet::image {

bool is_opaque(int descriptor) {
    char value = 0;
    return getxattr(descriptor_path(descriptor).c_str(), opaque_xattr, &value, 1) == 1 &&
           value == 'y';
}

// Whether a layer that does not have `path` keeps lower layers from showing it.
Result<LowerLayers::Hidden> LowerLayers::hides(int layer, const std::string& path) const {
    for (size_t slash = 0; slash != std::string::npos; slash = path.find('/', slash + 1)) {
        auto way = open_beneath(layer, path.substr(0, slash), O_PATH);
        if (!way && way.error().code == Code::not_found) return Hidden::no;
        if (!way) return tl::unexpected<Error>(way.error());
        struct stat status {};
        if (fstat(way->get(), &status)) return fail_errno("stat " + path);
        if (!S_ISDIR(status.st_mode) || is_opaque(way->get())) return Hidden::yes;
    }
    return Hidden::no;
}

Result<std::optional<LowerLayers::Found>> LowerLayers::find(const std::string& path) const {
    for (const auto& layer : layers_) {
        auto node = open_beneath(layer.get(), path, O_PATH);
        if (!node && node.error().code != Code::not_found)
            return tl::unexpected<Error>(node.error());
        if (!node) {
            if (TRY(hides(layer.get(), path)) == Hidden::yes) return std::nullopt;
            continue;
        }
        struct stat status {};
        if (fstat(node->get(), &status)) return fail_errno("stat " + path);
        if (is_whiteout(status)) return std::nullopt;
        return Found{std::move(*node), status};
    }
    return std::nullopt;
}

} // namespace cloudlet::image
