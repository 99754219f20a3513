#pragma once
// Messages as bytes, little-endian: a version, the length, the sender's epoch, the number of the
// body's alternative, its fields. Maps and their steps travel in Ceph's own encoding, logs and
// transactions in theirs. Pure, thread-safe.
//
// One message has one form: what is accepted encodes to the same bytes again. Decoding is safe for
// any bytes: time and memory are linear in their number.

#include <string>
#include <string_view>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/message.h"

namespace cloudlet::rados {

/// A FullRecord or an Activate must have its log, and Maps no empty step.
std::string encode_message(const Message& message);
/// Error: Code::invalid with the byte offset, also for a map, log or transaction that is refused.
Result<MessagePtr> decode_message(std::string_view bytes);

} // namespace cloudlet::rados
