#pragma once
// Short names for layer directories, <root>/image/l/<16 digits> -> ../layers/<chain id>/fs.
// mount(2) takes one page of options, and 64-digit names would fill it with some 50 layers.

#include <string>

#include "cloudlet/base/result.h"

namespace cloudlet::image {

/// The path of the link for a layer, made when it is not there. `links` is the folder l/.
Result<std::string> short_link(const std::string& links, const std::string& layer_directory);

/// Removes links whose layer is gone.
Result<void> prune_short_links(const std::string& links);

} // namespace cloudlet::image
