#pragma once
// Ceph's wire conventions, each written once for both directions: a structure's fields are listed
// in one template `transfer(io, value)`, and WireReader or WireWriter walks it.
//
// Integers are little-endian; texts, lists and maps start with a 32-bit count; a versioned
// structure starts with version, oldest version that can read it, and length, so that a reader
// skips (here: keeps) what it does not know. Source: Ceph documentation, "Serialization
// (encode/decode)".
//
// A WireReader never throws and never reads past its end: the first error sticks, with its offset,
// and everything after reads as zero.

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloudlet/rados/osd_map.h"

namespace cloudlet::rados::wire {

static_assert(std::endian::native == std::endian::little, "integers are copied as they lie");

template <typename T>
concept Number = std::integral<T> || std::floating_point<T>;

class WireReader {
public:
    static constexpr bool reads = true;
    explicit WireReader(std::string_view bytes) : bytes_(bytes), end_(bytes.size()) {}

    bool ok() const { return error_.empty(); }
    const std::string& error() const { return error_; } // "... at offset N"
    size_t offset() const { return at_; }
    size_t left() const { return end_ - at_; }
    /// Records the first error, at the current place; later ones follow from it.
    void fail(std::string_view what);

    std::string_view take(size_t size, std::string_view what);
    /// A 32-bit count of items that need at least one byte each.
    size_t count(std::string_view what);

    template <Number T>
    void number(T& value) {
        if (left() < sizeof value) return fail("the bytes end inside a number");
        std::memcpy(&value, bytes_.data() + at_, sizeof value);
        at_ += sizeof value;
    }
    /// Reads the header, then the body within its length, then keeps what is left of it.
    template <typename Body>
    void versioned(Envelope& envelope, uint8_t understood, std::string_view what, Body body) {
        size_t outer_end = end_;
        if (!open(envelope, understood, what)) return;
        body();
        close(envelope, outer_end);
    }

private:
    bool open(Envelope& envelope, uint8_t understood, std::string_view what);
    void close(Envelope& envelope, size_t outer_end);

    std::string_view bytes_;
    size_t at_ = 0, end_;
    std::string error_;
};

class WireWriter {
public:
    static constexpr bool reads = false;

    std::string& bytes() { return bytes_; }
    bool ok() const { return true; }

    template <Number T>
    void number(const T& value) {
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    template <typename Body>
    void versioned(const Envelope& envelope, uint8_t /*understood*/, std::string_view /*what*/,
                   Body body) {
        number(envelope.version);
        number(envelope.compat);
        size_t at = bytes_.size();
        number(uint32_t{0});
        body();
        bytes_ += envelope.tail;
        auto length = static_cast<uint32_t>(bytes_.size() - at - sizeof(uint32_t));
        std::memcpy(bytes_.data() + at, &length, sizeof length);
    }

private:
    std::string bytes_;
};

template <Number T>
void transfer(WireReader& io, T& value) {
    io.number(value);
}
template <Number T>
void transfer(WireWriter& io, const T& value) {
    io.number(value);
}

/// A byte of 2 copied into a bool would be undefined.
inline void transfer(WireReader& io, bool& value) {
    uint8_t byte = 0;
    io.number(byte);
    if (byte > 1) io.fail("a flag that is neither 0 nor 1");
    value = byte == 1;
}

inline void transfer(WireReader& io, std::string& text) {
    text = io.take(io.count("a text"), "a text");
}
inline void transfer(WireWriter& io, const std::string& text) {
    io.number(static_cast<uint32_t>(text.size()));
    io.bytes() += text;
}

template <typename Io, typename... T>
void all(Io& io, T&... values) {
    (transfer(io, values), ...);
}

template <typename A, typename B>
void transfer(WireReader& io, std::pair<A, B>& pair) {
    all(io, pair.first, pair.second);
}
template <typename A, typename B>
void transfer(WireWriter& io, const std::pair<A, B>& pair) {
    all(io, pair.first, pair.second);
}

template <typename T>
void transfer(WireReader& io, std::vector<T>& list) {
    list.clear();
    for (size_t n = io.count("a list"); n > 0 && io.ok(); --n) transfer(io, list.emplace_back());
}
template <typename T>
void transfer(WireWriter& io, const std::vector<T>& list) {
    io.number(static_cast<uint32_t>(list.size()));
    for (const auto& item : list) transfer(io, item);
}

template <typename K, typename V>
void transfer(WireReader& io, std::map<K, V>& map) {
    map.clear();
    for (size_t n = io.count("a table"); n > 0 && io.ok(); --n) {
        K key{};
        transfer(io, key);
        if (!map.empty() && !(map.rbegin()->first < key))
            return io.fail("a table's keys do not ascend");
        transfer(io, map.emplace_hint(map.end(), std::move(key), V{})->second);
    }
}
template <typename K, typename V>
void transfer(WireWriter& io, const std::map<K, V>& map) {
    io.number(static_cast<uint32_t>(map.size()));
    for (const auto& [key, value] : map) all(io, key, value);
}

template <typename K>
void transfer(WireReader& io, std::set<K>& set) {
    set.clear();
    for (size_t n = io.count("a set"); n > 0 && io.ok(); --n) {
        K key{};
        transfer(io, key);
        if (!set.empty() && !(*set.rbegin() < key)) return io.fail("a set's keys do not ascend");
        set.emplace_hint(set.end(), std::move(key));
    }
}
template <typename K>
void transfer(WireWriter& io, const std::set<K>& set) {
    io.number(static_cast<uint32_t>(set.size()));
    for (const auto& key : set) transfer(io, key);
}

} // namespace cloudlet::rados::wire
