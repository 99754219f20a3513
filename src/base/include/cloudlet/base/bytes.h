#pragma once
// Bytes that many readers share, and their spellings in hex and base64.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cloudlet/base/result.h"

namespace cloudlet {

/// Immutable bytes with a shared owner; copying copies a reference. Thread-safe to read.
using SharedBytes = std::shared_ptr<const std::string>;

inline SharedBytes share(std::string bytes) {
    return std::make_shared<const std::string>(std::move(bytes));
}

std::string to_hex(std::string_view bytes); // lower case
/// Error: Code::invalid on an odd length or a character that is no hex digit.
Result<std::string> from_hex(std::string_view text);

std::string to_base64(std::string_view bytes);    // RFC 4648 section 4, padded
std::string to_base64url(std::string_view bytes); // RFC 4648 section 5, without padding (JWT)
/// Decodes either alphabet, padded or not. Error: Code::invalid.
Result<std::string> from_base64(std::string_view text);

} // namespace cloudlet
