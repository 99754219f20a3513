#pragma once
// One object of a MemoryStore: blocks and attributes with their checksums.
//
// The setters return what they replaced: the way back is to set that again.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cloudlet/base/random.h"
#include "cloudlet/base/result.h"
#include "cloudlet/rados/memory_store.h"

namespace cloudlet::rados {

inline constexpr uint64_t block_bytes = 4096;

/// Up to 4 KiB; what it is shorter reads as zeros.
struct Block {
    std::string bytes;
    uint32_t crc = 0;
};
using BlockRef = std::shared_ptr<const Block>; // null is a hole

struct Value {
    std::string bytes;
    uint32_t crc = 0; // of the key and the value
};
using Values = std::map<std::string, Value>;

/// What something takes, on the simulated disk and in this process.
struct Footprint {
    uint64_t disk = 0;
    size_t memory = 0;
    void add(const Footprint& other) { disk += other.disk, memory += other.memory; }
    void take(const Footprint& other) { disk -= other.disk, memory -= other.memory; }
};

BlockRef make_block(std::string bytes);
Value make_value(std::string_view key, std::string bytes);

class MemoryObject {
public:
    uint64_t size() const { return size_; }
    const std::map<uint32_t, BlockRef>& blocks() const { return blocks_; }
    /// `part` is xattrs or omap.
    const Values& values(ObjectPart part) const;
    /// Of the contents, without the name.
    const Footprint& footprint() const { return footprint_; }

    uint64_t set_size(uint64_t size);
    BlockRef set_block(uint32_t index, BlockRef block);
    std::optional<Value> set_value(ObjectPart part, const std::string& key,
                                   std::optional<Value> value);
    /// All at once, in the time of a pointer's swap when either is empty.
    Values set_values(ObjectPart part, Values values);

    /// A block's bytes, verified, 4 KiB or what there is. Error: Code::io.
    Result<std::string_view> block(uint32_t index) const;
    /// Error: Code::io.
    static Result<std::string_view> verified(ObjectPart part, const std::string& key,
                                             const Value& value);
    /// Error: Code::io when a block in the range is damaged.
    Result<std::string> read(uint64_t offset, uint64_t length) const;
    /// False when there is nothing of this part.
    bool flip_bit(ObjectPart part, Random& random);

private:
    Values& values_of(ObjectPart part);

    uint64_t size_ = 0;
    std::map<uint32_t, BlockRef> blocks_; // holes are absent
    Values xattrs_, omap_;
    Footprint footprint_;
};

/// Bytes that the allocator takes for `bytes` of payload.
size_t heap_bytes(size_t bytes);
/// Beyond the string's own size, when nothing was reserved.
size_t heap_bytes(const std::string& text);

} // namespace cloudlet::rados
