#include "cloudlet/rados/message_codec.h"

#include <fmt/format.h>

#include "message/message_wire.h"

namespace cloudlet::rados {

namespace {

constexpr uint8_t version = 1;
constexpr std::string_view name = "a message";
constexpr size_t usual_size = 256; // of most bodies that carry no data

template <typename Io, typename M>
void transfer_message(Io& io, M& message) {
    wire::all(io, message.epoch, message.body);
    if (pg_of(message.body)) wire::all(io, message.from_shard, message.to_shard);
}

} // namespace

std::string encode_message(const Message& message) {
    wire::WireWriter io;
    io.bytes().reserve(usual_size);
    wire::exactly(io, version, name, [&] { transfer_message(io, message); });
    return std::move(io.bytes());
}

Result<MessagePtr> decode_message(std::string_view bytes) {
    auto message = std::make_shared<Message>();
    wire::WireReader io(bytes);
    wire::exactly(io, version, name, [&] { transfer_message(io, *message); });
    if (io.ok() && io.left() > 0) io.fail(fmt::format("{} bytes behind the message", io.left()));
    if (!io.ok()) return fail(Code::invalid, "message: " + io.error());
    return message;
}

} // namespace cloudlet::rados
