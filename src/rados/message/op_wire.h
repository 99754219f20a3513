#pragma once
// The operations of a client and their results on the wire, each field listed once for both
// directions (osd_map_wire.h tells how).

#include <utility>
#include <variant>

#include "cloudlet/rados/object_op.h"
#include "pg/pg_wire.h"

namespace cloudlet::rados::wire {

inline void transfer(WireReader& io, SharedBytes& data) {
    data = share(std::string(io.take(io.count("data"), "data")));
}
inline void transfer(WireWriter& io, const SharedBytes& data) {
    std::string_view bytes = data ? std::string_view(*data) : std::string_view();
    io.number(static_cast<uint32_t>(bytes.size()));
    io.bytes() += bytes;
}

/// The alternative's number, then its fields.
template <typename... T>
void transfer(WireReader& io, std::variant<T...>& value) {
    uint8_t number = 0;
    io.number(number);
    if (number >= sizeof...(T)) return io.fail(fmt::format("an unknown kind {}", number));
    [&]<size_t... I>(std::index_sequence<I...>) {
        ((number == I ? transfer(io, value.template emplace<I>()) : void()), ...);
    }
    (std::index_sequence_for<T...>());
}
template <typename... T>
void transfer(WireWriter& io, const std::variant<T...>& value) {
    io.number(static_cast<uint8_t>(value.index()));
    std::visit([&](const auto& body) { transfer(io, body); }, value);
}

/// Operations without fields.
template <typename Io, typename V>
requires std::is_empty_v<V>
void transfer(Io& /*io*/, V& /*value*/) {}

template <typename Io, Is<op::AssertVersion> V>
void transfer(Io& io, V& value) {
    transfer(io, value.user_version);
}
template <typename Io, Is<op::CompareXattr> V>
void transfer(Io& io, V& value) {
    all(io, value.name, value.value);
}
template <typename Io, Is<op::CompareData> V>
void transfer(Io& io, V& value) {
    all(io, value.offset, value.data);
}
template <typename Io, Is<op::Read> V>
void transfer(Io& io, V& value) {
    all(io, value.offset, value.length);
}
template <typename Io, Is<op::GetXattr> V>
void transfer(Io& io, V& value) {
    transfer(io, value.name);
}
template <typename Io, Is<op::GetOmap> V>
void transfer(Io& io, V& value) {
    all(io, value.after, value.limit);
}
template <typename Io, Is<op::GetOmapValues> V>
void transfer(Io& io, V& value) {
    transfer(io, value.keys);
}
template <typename Io, Is<op::Create> V>
void transfer(Io& io, V& value) {
    transfer(io, value.exclusive);
}
template <typename Io, Is<op::WriteFull> V>
void transfer(Io& io, V& value) {
    transfer(io, value.data);
}
template <typename Io, Is<op::Write> V>
void transfer(Io& io, V& value) {
    all(io, value.offset, value.data);
}
template <typename Io, Is<op::Append> V>
void transfer(Io& io, V& value) {
    transfer(io, value.data);
}
template <typename Io, Is<op::Zero> V>
void transfer(Io& io, V& value) {
    all(io, value.offset, value.length);
}
template <typename Io, Is<op::Truncate> V>
void transfer(Io& io, V& value) {
    transfer(io, value.size);
}
template <typename Io, Is<op::SetXattr> V>
void transfer(Io& io, V& value) {
    all(io, value.name, value.value);
}
template <typename Io, Is<op::RemoveXattr> V>
void transfer(Io& io, V& value) {
    transfer(io, value.name);
}
template <typename Io, Is<op::SetOmap> V>
void transfer(Io& io, V& value) {
    transfer(io, value.values);
}
template <typename Io, Is<op::RemoveOmapKeys> V>
void transfer(Io& io, V& value) {
    transfer(io, value.keys);
}

/// An operation of one byte takes a hundred in memory: no longer list than a transaction may be.
inline void transfer(WireReader& io, ObjectOps& ops) {
    ops.clear();
    size_t count = io.count("operations");
    if (count > StoreLimits::operations) return io.fail("too many operations");
    for (; count > 0 && io.ok(); --count) transfer(io, ops.emplace_back());
}

template <typename Io, Is<OpResult> V>
void transfer(Io& io, V& value) {
    all(io, value.result, value.data, value.values, value.more, value.size, value.modified);
}

} // namespace cloudlet::rados::wire
