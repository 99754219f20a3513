#include <fmt/format.h>

#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_codec.h"

namespace cloudlet::rados {

namespace {

tl::unexpected<Error> invalid(const CrushMap& map, const CrushBucket& bucket,
                              std::string_view what) {
    return fail(Code::invalid,
                fmt::format("bucket {} ({}) {}", bucket.id, map.item_name(bucket.id), what));
}

bool has_right_sizes(const CrushBucket& bucket) {
    size_t size = bucket.items.size();
    switch (bucket.alg) {
    case BucketAlg::uniform: return bucket.weights.empty() && bucket.derived.empty();
    case BucketAlg::tree:
        return bucket.weights.empty() && bucket.derived.size() == tree_node_count(size) &&
               bucket.derived.size() < 256;
    case BucketAlg::list:
    case BucketAlg::straw: return bucket.weights.size() == size && bucket.derived.size() == size;
    case BucketAlg::straw2: return bucket.weights.size() == size && bucket.derived.empty();
    }
    return false;
}

Result<void> check_bucket(const CrushMap& map, const CrushBucket& bucket) {
    if (bucket.hash != 0) {
        return invalid(map, bucket,
                       fmt::format("uses hash {}; only 0, rjenkins1, is known", bucket.hash));
    }
    if (bucket.items.size() > crush_max_bucket_size) return invalid(map, bucket, "is too large");
    if (!has_right_sizes(bucket)) {
        return invalid(map, bucket,
                       fmt::format("has {} items and another number of weights for algorithm {}",
                                   bucket.items.size(), name_of(bucket.alg)));
    }
    if (bucket.type == 0) return invalid(map, bucket, "has type 0, which is for devices");
    for (int32_t item : bucket.items) {
        if (item >= map.max_devices) {
            return invalid(
                map, bucket,
                fmt::format("holds device {}; the map has only {} devices", item, map.max_devices));
        }
        if (item < 0 && !map.bucket(item)) {
            return invalid(map, bucket, fmt::format("holds bucket {}, which does not exist", item));
        }
    }
    return {};
}

// Depth first with a colour for each slot, without recursion: a hostile map may be deep.
Result<void> check_no_cycle(const CrushMap& map) {
    enum class Colour : uint8_t { unseen, open, done };
    std::vector<Colour> colours(map.buckets.size(), Colour::unseen);
    struct Frame {
        const CrushBucket* bucket;
        size_t next = 0;
    };
    auto colour_of = [&](const CrushBucket& bucket) -> Colour& {
        return colours[static_cast<size_t>(-1 - bucket.id)];
    };
    std::vector<Frame> stack;
    for (const auto& start : map.buckets) {
        if (!start || colour_of(*start) != Colour::unseen) continue;
        stack.push_back({&*start});
        colour_of(*start) = Colour::open;
        while (!stack.empty()) {
            Frame& frame = stack.back();
            if (frame.next == frame.bucket->items.size()) {
                colour_of(*frame.bucket) = Colour::done;
                stack.pop_back();
                continue;
            }
            const CrushBucket* child = map.bucket(frame.bucket->items[frame.next++]);
            if (!child || colour_of(*child) == Colour::done) continue;
            if (colour_of(*child) == Colour::open) {
                return invalid(map, *child, "lies below itself; take it out of one of its parents");
            }
            colour_of(*child) = Colour::open;
            stack.push_back({child});
        }
    }
    return {};
}

Result<void> check_choose_args(const CrushMap& map) {
    for (const auto& [pool, args] : map.choose_args) {
        for (const auto& [id, arg] : args) {
            const CrushBucket* bucket = map.bucket(id);
            if (!bucket) {
                return fail(
                    Code::invalid,
                    fmt::format("choose_args {} name bucket {}, which does not exist", pool, id));
            }
            size_t size = bucket->items.size();
            if (!arg.ids.empty() && arg.ids.size() != size) {
                return invalid(map, *bucket,
                               fmt::format("has {} items, but {} ids in choose_args {}", size,
                                           arg.ids.size(), pool));
            }
            for (const auto& weights : arg.weight_sets) {
                if (weights.size() == size) continue;
                return invalid(map, *bucket,
                               fmt::format("has {} items, but a weight set of {} in choose_args {}",
                                           size, weights.size(), pool));
            }
        }
    }
    return {};
}

} // namespace

Result<void> check_crush_map(const CrushMap& map) {
    if (map.buckets.size() > crush_max_buckets || map.rules.size() > crush_max_rules) {
        return fail(Code::too_large,
                    fmt::format("{} bucket slots and {} rule slots; at most {} and {}",
                                map.buckets.size(), map.rules.size(), crush_max_buckets,
                                crush_max_rules));
    }
    for (size_t slot = 0; slot < map.buckets.size(); ++slot) {
        if (!map.buckets[slot]) continue;
        if (map.buckets[slot]->id != -1 - static_cast<int32_t>(slot)) {
            return fail(Code::invalid, fmt::format("bucket {} sits in the slot of bucket {}",
                                                   map.buckets[slot]->id, -1 - int64_t(slot)));
        }
        TRY(check_bucket(map, *map.buckets[slot]));
    }
    TRY(check_no_cycle(map));
    return check_choose_args(map);
}

} // namespace cloudlet::rados
