#pragma once
// Names for things: random ids, and the suffixes that Kubernetes puts on generated names.

#include <string>
#include <string_view>

#include "cloudlet/base/random.h"

namespace cloudlet {

/// A random (version 4) UUID, RFC 9562: "8c2e1f0a-...". Thread-safe.
std::string new_uuid();

/// `digits` random lower-case hex digits (a container id is 64 of them). Thread-safe.
std::string new_hex_id(size_t digits);

/// Kubernetes' generated-name suffix: `length` letters of "bcdfghjklmnpqrstvwxz2456789", the
/// alphabet without vowels so that no word appears (k8s.io/apimachinery util/rand). Thread-safe.
std::string new_name_suffix(size_t length = 5);

/// The same alphabet applied to a number in decimal, as `pod-template-hash` is spelled.
std::string safe_encode(uint32_t number);

/// A short stable hash (FNV-1a, 32 bit) of text.
uint32_t fnv1a32(std::string_view text);

} // namespace cloudlet
