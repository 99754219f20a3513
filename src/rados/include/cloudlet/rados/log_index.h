#pragma once
// Finds entries of a log by what they are about: a hash table of their numbers. The keys stay where
// they are, in the entries; who asks compares them. 8 bytes for each place, at most three quarters
// of which are taken. One thread.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cloudlet::rados {

class LogIndex {
public:
    /// The number that was set for the key with this hash, or 0. `is_it(number)` compares keys.
    template <typename IsIt>
    uint32_t find(uint32_t hash, IsIt is_it) const {
        const Place* place = look(hash, is_it);
        return place ? place->number : 0;
    }
    /// `number` is not 0. What was set for the key before is forgotten.
    template <typename IsIt>
    void set(uint32_t hash, uint32_t number, IsIt is_it) {
        if (const Place* place = look(hash, is_it)) {
            const_cast<Place*>(place)->number = number;
            return;
        }
        if ((used_ + 1) * 4 > places_.size() * 3) grow();
        put({hash, number});
        ++used_;
    }
    /// Nothing happens when another number was set for the key since.
    void erase(uint32_t hash, uint32_t number) {
        if (places_.empty()) return;
        size_t at = hash & mask();
        while (places_[at].number != number) {
            if (places_[at].number == 0) return;
            at = (at + 1) & mask();
        }
        --used_;
        // Those behind move up, unless that were before the place where the search for them begins.
        for (size_t next = (at + 1) & mask(); places_[next].number != 0;
             next = (next + 1) & mask()) {
            const size_t home = places_[next].hash & mask();
            if (((next - home) & mask()) < ((next - at) & mask())) continue;
            places_[at] = places_[next];
            at = next;
        }
        places_[at] = {};
    }
    void clear() {
        places_ = {};
        used_ = 0;
    }

private:
    struct Place {
        uint32_t hash = 0, number = 0;
    };

    size_t mask() const { return places_.size() - 1; }
    template <typename IsIt>
    const Place* look(uint32_t hash, IsIt is_it) const {
        if (places_.empty()) return nullptr;
        for (size_t at = hash & mask(); places_[at].number != 0; at = (at + 1) & mask())
            if (places_[at].hash == hash && is_it(places_[at].number)) return &places_[at];
        return nullptr;
    }
    void put(Place place) {
        size_t at = place.hash & mask();
        while (places_[at].number != 0) at = (at + 1) & mask();
        places_[at] = place;
    }
    void grow() { resize(places_.empty() ? 2 : places_.size() * 2); }
    void resize(size_t count) {
        std::vector<Place> old(count);
        old.swap(places_);
        for (const Place& place : old)
            if (place.number != 0) put(place);
    }

    std::vector<Place> places_;
    uint32_t used_ = 0;
};

} // namespace cloudlet::rados
