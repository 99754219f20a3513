#pragma once
// YAML as Kubernetes reads it (sigs.k8s.io/yaml): documents become JSON values, scalars get the
// types of YAML 1.1 as go-yaml resolves them ("yes" and "on" are booleans, 0x1f and 0o17 integers,
// ~ null).

#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/codec/json.h"

namespace cloudlet::codec {

/// All documents of a stream; empty ones are left out. Anchors, aliases and merge keys (<<) are
/// resolved; limits count what comes out, so that aliases cannot multiply without end.
/// Error: Code::invalid with line and column; Code::too_large past a limit.
Result<std::vector<ParsedJson>> parse_yaml(std::string_view text, JsonLimits limits = {});

/// Exactly one document, or null for an empty text. Error: as above; Code::invalid for several.
Result<Json> parse_yaml_document(std::string_view text, JsonLimits limits = {});

/// Block style, two spaces, members in their order; texts are quoted where they would read back as
/// something else. Ends with a line feed.
std::string dump_yaml(const Json& value);

} // namespace cloudlet::codec
