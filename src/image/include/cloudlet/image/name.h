#pragma once
// Image names as Docker spells them: "nginx" means docker.io/library/nginx:latest. The rules are
// those of the distribution project's reference grammar (distribution/reference, "normalize").

#include <string>
#include <string_view>

#include "cloudlet/base/result.h"

namespace cloudlet::image {

/// A name taken apart. `repository` has no registry: "library/nginx".
struct ImageName {
    std::string registry;   // "docker.io", "localhost:5000"
    std::string repository; // lower case path
    std::string tag;        // "latest"; empty when only a digest was given
    std::string digest;     // "sha256:<64 hex>", or empty

    /// "docker.io/library/nginx:latest", "host/x@sha256:..."; both when both were given.
    std::string to_string() const;
    /// "docker.io/library/nginx".
    std::string repository_name() const;
};

/// Takes a name apart and fills in what Docker fills in: docker.io, library/, :latest (only when
/// there is neither tag nor digest). Error: Code::invalid, naming the rule that is broken.
Result<ImageName> parse_name(std::string_view text);

/// parse_name(text)->to_string(): "nginx" -> "docker.io/library/nginx:latest".
Result<std::string> normalize_name(std::string_view text);

/// The short form people type: "docker.io/library/nginx:latest" -> "nginx:latest". Other text is
/// returned as it is.
std::string familiar_name(std::string_view normalized);

/// True for 64 hex digits, with or without "sha256:"; shorter ones are looked up by prefix.
bool is_full_id(std::string_view text);

} // namespace cloudlet::image
