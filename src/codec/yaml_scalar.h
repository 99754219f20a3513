#pragma once
// What a plain YAML scalar means: the rules of go-yaml v2, which sigs.k8s.io/yaml and so kubectl
// use.

#include <string_view>

#include "cloudlet/codec/json.h"

namespace cloudlet::codec {

/// The value of an unquoted scalar: null, a boolean, a number or the text itself. Floats without a
/// JSON spelling (.inf, .nan) stay text.
Json resolve_yaml_scalar(std::string_view text);

} // namespace cloudlet::codec
