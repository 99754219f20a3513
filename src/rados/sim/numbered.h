#pragma once
// Values that wait for an event, named by a small number that is used again.

#include <cstdint>
#include <utility>
#include <vector>

namespace cloudlet::rados::sim {

template <typename Value>
class Numbered {
public:
    uint32_t put(Value value) {
        if (free_.empty()) {
            values_.push_back(std::move(value));
            return static_cast<uint32_t>(values_.size() - 1);
        }
        const uint32_t slot = free_.back();
        free_.pop_back();
        values_[slot] = std::move(value);
        return slot;
    }
    Value take(uint32_t slot) {
        free_.push_back(slot);
        return std::exchange(values_[slot], Value{});
    }
    size_t used() const { return values_.size() - free_.size(); }

private:
    std::vector<Value> values_;
    std::vector<uint32_t> free_;
};

} // namespace cloudlet::rados::sim
