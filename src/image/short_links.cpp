#include "short_links.h"

#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "beneath.h"
#include "cloudlet/io/file.h"

namespace cloudlet::image {

Result<std::string> short_link(const std::string& links, const std::string& layer_directory) {
    constexpr size_t short_digits = 16;
    std::string id = split_path(layer_directory).second;
    std::string target = fmt::format("../layers/{}/fs", id);
    for (size_t digits = short_digits; digits <= id.size(); ++digits) {
        std::string path = fmt::format("{}/{}", links, id.substr(0, digits));
        if (symlink(target.c_str(), path.c_str()) == 0) return path;
        if (errno != EEXIST) return fail_errno("link " + path);
        char present[256];
        ssize_t size = readlink(path.c_str(), present, sizeof present);
        if (size > 0 && std::string_view(present, static_cast<size_t>(size)) == target) return path;
    }
    return fail(Code::internal, fmt::format("no short name is left for the layer {}", id));
}

Result<void> prune_short_links(const std::string& links) {
    for (const auto& name : TRY(io::list_directory(links))) {
        std::string path = links + "/" + name;
        struct stat status {};
        if (stat(path.c_str(), &status) && errno == ENOENT) TRY(io::remove_file(path));
    }
    return {};
}

} // namespace cloudlet::image
