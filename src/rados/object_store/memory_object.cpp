#include "object_store/memory_object.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cloudlet/base/check.h"
#include "cloudlet/codec/crc32c.h"
#include "object_store/transaction_parts.h"

namespace cloudlet::rados {

namespace {

constexpr size_t tree_node = 32; // colour and three pointers

Footprint footprint_of(const BlockRef& block) {
    constexpr size_t counts = 16; // what make_shared adds
    constexpr size_t node = tree_node + sizeof(std::pair<const uint32_t, BlockRef>);
    return {block_bytes,
            heap_bytes(node) + heap_bytes(counts + sizeof(Block)) + heap_bytes(block->bytes)};
}

Footprint footprint_of(const std::string& key, const Value& value) {
    constexpr size_t node = tree_node + sizeof(Values::value_type);
    return {key.size() + value.bytes.size(),
            heap_bytes(node) + heap_bytes(key) + heap_bytes(value.bytes)};
}

Footprint footprint_of(const Values& values) {
    Footprint sum;
    for (const auto& [key, value] : values) sum.add(footprint_of(key, value));
    return sum;
}

uint32_t checksum(std::string_view key, std::string_view bytes) {
    return codec::crc32c(codec::crc32c(~0u, key), bytes);
}

void flip(std::string& bytes, Random& random) {
    bytes[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
}

} // namespace

size_t heap_bytes(size_t bytes) {
    return std::max<size_t>(32, (bytes + 8 + 15) / 16 * 16); // glibc's chunks
}

size_t heap_bytes(const std::string& text) {
    return text.size() <= 15 ? 0 : heap_bytes(text.size() + 1);
}

BlockRef make_block(std::string bytes) {
    uint32_t crc = codec::crc32c(~0u, bytes);
    return std::make_shared<const Block>(Block{std::move(bytes), crc});
}

Value make_value(std::string_view key, std::string bytes) {
    uint32_t crc = checksum(key, bytes);
    return {std::move(bytes), crc};
}

const Values& MemoryObject::values(ObjectPart part) const {
    check(part != ObjectPart::data, "data is no attribute");
    return part == ObjectPart::omap ? omap_ : xattrs_;
}

Values& MemoryObject::values_of(ObjectPart part) { return const_cast<Values&>(values(part)); }

uint64_t MemoryObject::set_size(uint64_t size) { return std::exchange(size_, size); }

BlockRef MemoryObject::set_block(uint32_t index, BlockRef block) {
    auto at = blocks_.lower_bound(index);
    bool there = at != blocks_.end() && at->first == index;
    if (there) footprint_.take(footprint_of(at->second));
    if (block) footprint_.add(footprint_of(block));
    if (!there) {
        if (block) blocks_.emplace_hint(at, index, std::move(block));
        return nullptr;
    }
    BlockRef old = std::exchange(at->second, std::move(block));
    if (!at->second) blocks_.erase(at);
    return old;
}

std::optional<Value> MemoryObject::set_value(ObjectPart part, const std::string& key,
                                             std::optional<Value> value) {
    Values& values = values_of(part);
    auto at = values.lower_bound(key);
    bool there = at != values.end() && at->first == key;
    if (value) footprint_.add(footprint_of(key, *value));
    if (!there) {
        if (value) values.emplace_hint(at, key, std::move(*value));
        return std::nullopt;
    }
    footprint_.take(footprint_of(at->first, at->second));
    std::optional<Value> old = std::move(at->second);
    if (value) {
        at->second = std::move(*value);
    } else {
        values.erase(at);
    }
    return old;
}

Values MemoryObject::set_values(ObjectPart part, Values values) {
    Values& held = values_of(part);
    footprint_.take(footprint_of(held));
    footprint_.add(footprint_of(values));
    return std::exchange(held, std::move(values));
}

Result<std::string_view> MemoryObject::block(uint32_t index) const {
    auto at = blocks_.find(index);
    if (at == blocks_.end()) return std::string_view();
    const Block& block = *at->second;
    uint32_t crc = codec::crc32c(~0u, block.bytes);
    if (crc == block.crc) return std::string_view(block.bytes);
    return fail(Code::io,
                fmt::format("the data at {} is damaged: its checksum is {:08x}, it should "
                            "be {:08x}; repair the object from another copy",
                            index * block_bytes, crc, block.crc));
}

Result<std::string_view> MemoryObject::verified(ObjectPart part, const std::string& key,
                                                const Value& value) {
    if (checksum(key, value.bytes) == value.crc) return std::string_view(value.bytes);
    return fail(Code::io,
                fmt::format("{} \"{}\" is damaged: its checksum does not fit; repair the "
                            "object from another copy",
                            part == ObjectPart::omap ? "omap key" : "xattr", printable(key)));
}

Result<std::string> MemoryObject::read(uint64_t offset, uint64_t length) const {
    if (offset >= size_) return std::string();
    uint64_t end = offset + std::min(length, size_ - offset);
    std::string bytes(end - offset, '\0');
    auto at = blocks_.lower_bound(static_cast<uint32_t>(offset / block_bytes));
    for (; at != blocks_.end() && at->first * block_bytes < end; ++at) {
        std::string_view block = TRY(this->block(at->first));
        uint64_t start = at->first * block_bytes;
        uint64_t from = std::max(start, offset), until = std::min(start + block.size(), end);
        if (from < until)
            std::copy_n(block.data() + (from - start), until - from,
                        bytes.data() + (from - offset));
    }
    return bytes;
}

bool MemoryObject::flip_bit(ObjectPart part, Random& random) {
    if (part == ObjectPart::data) {
        if (blocks_.empty()) return false;
        auto at = std::next(blocks_.begin(), static_cast<ptrdiff_t>(random.below(blocks_.size())));
        auto damaged = std::make_shared<Block>(*at->second);
        flip(damaged->bytes, random);
        at->second = std::move(damaged);
        return true;
    }
    Values& values = values_of(part);
    if (values.empty()) return false;
    auto at = std::next(values.begin(), static_cast<ptrdiff_t>(random.below(values.size())));
    Value& value = at->second;
    if (value.bytes.empty()) {
        value.crc ^= uint32_t{1} << random.below(32);
    } else {
        flip(value.bytes, random);
    }
    return true;
}

} // namespace cloudlet::rados
