#pragma once
// Bytes that are pulled: the common shape of files, decompressors, hashers and tar entries, so that
// they stack on each other without holding more than a buffer.

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

#include "cloudlet/base/result.h"

namespace cloudlet::codec {

/// Fills the front of the buffer and returns how many bytes, 0 only at the end. A source belongs to
/// one thread at a time.
using ByteSource = std::function<Result<size_t>(std::span<char> buffer)>;

/// Bytes from memory; `bytes` must outlive the source.
ByteSource source_of(std::string_view bytes);

/// Bytes of a descriptor from its present offset; the caller keeps and closes it.
/// Error: Code::io with errno, naming `what`.
ByteSource source_of_descriptor(int descriptor, std::string_view what);

/// Everything up to the end. Error: that of the source; Code::too_large past `limit` bytes.
Result<std::string> read_all(const ByteSource& source, size_t limit);

} // namespace cloudlet::codec
