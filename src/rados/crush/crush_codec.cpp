#include "cloudlet/rados/crush_codec.h"

#include <fmt/format.h>

#include "cloudlet/rados/crush_builder.h"
#include "crush_reader.h"

namespace cloudlet::rados {

namespace {

constexpr uint32_t magic = 0x00010000;
constexpr size_t max_names = 1 << 20;
constexpr uint32_t max_name_length = 4096;
constexpr uint32_t max_positions = 256;

Result<std::string> read_text(CrushReader& in) {
    uint32_t length = TRY(in.read<uint32_t>());
    if (length == 0) length = TRY(in.read<uint32_t>()); // very old files had 64-bit keys
    if (length > max_name_length) {
        return in.fail_here(fmt::format("a name of {} bytes; at most {}", length, max_name_length));
    }
    return in.read_bytes(length);
}

Result<std::map<int32_t, std::string>> read_names(CrushReader& in, std::string_view what) {
    uint32_t count = TRY(in.read_count(what, max_names, 8));
    std::map<int32_t, std::string> names;
    for (uint32_t i = 0; i < count; ++i) {
        int32_t key = TRY(in.read<int32_t>());
        std::string name = TRY(read_text(in));
        // Written again, the length 0 would read as the upper half of a key of 64 bits.
        if (name.empty()) return in.fail_here("an empty name");
        names[key] = std::move(name);
    }
    return names;
}

Result<std::map<int32_t, std::string>> read_plain_names(CrushReader& in, std::string_view what) {
    uint32_t count = TRY(in.read_count(what, max_names, 8));
    std::map<int32_t, std::string> names;
    for (uint32_t i = 0; i < count; ++i) {
        int32_t key = TRY(in.read<int32_t>());
        uint32_t length = TRY(in.read_count("bytes of a name", max_name_length, 1));
        names[key] = TRY(in.read_bytes(length));
    }
    return names;
}

Result<std::map<int32_t, int32_t>> read_numbers(CrushReader& in, std::string_view what) {
    uint32_t count = TRY(in.read_count(what, max_names, 8));
    std::map<int32_t, int32_t> numbers;
    for (uint32_t i = 0; i < count; ++i) {
        int32_t key = TRY(in.read<int32_t>());
        numbers[key] = TRY(in.read<int32_t>());
    }
    return numbers;
}

// Pairs of (weight, second) for each item: lists and straws.
Result<void> read_pairs(CrushReader& in, CrushBucket& bucket) {
    for (size_t i = 0; i < bucket.items.size(); ++i) {
        bucket.weights.push_back(TRY(in.read<uint32_t>()));
        bucket.derived.push_back(TRY(in.read<uint32_t>()));
    }
    return {};
}

Result<void> read_tree_nodes(CrushReader& in, CrushBucket& bucket) {
    size_t nodes = TRY(in.read<uint8_t>());
    if (nodes != tree_node_count(bucket.items.size())) {
        return in.fail_here(fmt::format("tree bucket {} of {} items has {} nodes, not {}",
                                        bucket.id, bucket.items.size(), nodes,
                                        tree_node_count(bucket.items.size())));
    }
    for (size_t i = 0; i < nodes; ++i) bucket.derived.push_back(TRY(in.read<uint32_t>()));
    return {};
}

Result<void> read_weights(CrushReader& in, CrushBucket& bucket) {
    switch (bucket.alg) {
    case BucketAlg::uniform: bucket.uniform_weight = TRY(in.read<uint32_t>()); return {};
    case BucketAlg::list:
    case BucketAlg::straw: return read_pairs(in, bucket);
    case BucketAlg::tree: return read_tree_nodes(in, bucket);
    case BucketAlg::straw2:
        for (size_t i = 0; i < bucket.items.size(); ++i) {
            bucket.weights.push_back(TRY(in.read<uint32_t>()));
        }
        return {};
    }
    return in.fail_here(fmt::format("bucket {} has the unknown algorithm {}", bucket.id,
                                    static_cast<int>(bucket.alg)));
}

Result<CrushBucket> read_bucket(CrushReader& in, size_t slot, uint32_t alg) {
    CrushBucket bucket;
    bucket.id = TRY(in.read<int32_t>());
    if (bucket.id != -1 - static_cast<int32_t>(slot)) {
        return in.fail_here(fmt::format("bucket {} sits in the slot of bucket {}", bucket.id,
                                        -1 - static_cast<int32_t>(slot)));
    }
    bucket.type = TRY(in.read<uint16_t>());
    bucket.alg = static_cast<BucketAlg>(TRY(in.read<uint8_t>()));
    bucket.hash = TRY(in.read<uint8_t>());
    bucket.weight = TRY(in.read<uint32_t>());
    if (static_cast<uint32_t>(bucket.alg) != alg) {
        return in.fail_here(fmt::format("bucket {} is announced with algorithm {} and has {}",
                                        bucket.id, alg, static_cast<int>(bucket.alg)));
    }
    uint32_t size = TRY(in.read_count("items of a bucket", crush_max_bucket_size, 4));
    for (uint32_t i = 0; i < size; ++i) bucket.items.push_back(TRY(in.read<int32_t>()));
    TRY(read_weights(in, bucket));
    return bucket;
}

Result<std::optional<CrushRule>> read_rule(CrushReader& in) {
    if (TRY(in.read<uint32_t>()) == 0) return std::nullopt;
    CrushRule rule;
    uint32_t steps = TRY(in.read<uint32_t>());
    rule.ruleset = TRY(in.read<uint8_t>());
    rule.type = TRY(in.read<uint8_t>());
    rule.min_size = TRY(in.read<uint8_t>());
    rule.max_size = TRY(in.read<uint8_t>());
    if (steps > crush_max_rule_steps) {
        return in.fail_here(
            fmt::format("a rule of {} steps; at most {}", steps, crush_max_rule_steps));
    }
    for (uint32_t i = 0; i < steps; ++i) {
        CrushStep step;
        step.op = static_cast<RuleOp>(TRY(in.read<uint32_t>()));
        step.arg1 = TRY(in.read<int32_t>());
        step.arg2 = TRY(in.read<int32_t>());
        rule.steps.push_back(step);
    }
    return rule;
}

Result<CrushChooseArg> read_choose_arg(CrushReader& in) {
    CrushChooseArg arg;
    uint32_t positions = TRY(in.read_count("weight sets", max_positions, 4));
    for (uint32_t p = 0; p < positions; ++p) {
        uint32_t size = TRY(in.read_count("weights of a weight set", crush_max_bucket_size, 4));
        auto& weights = arg.weight_sets.emplace_back();
        for (uint32_t i = 0; i < size; ++i) weights.push_back(TRY(in.read<uint32_t>()));
    }
    uint32_t ids = TRY(in.read_count("ids of a choose_args entry", crush_max_bucket_size, 4));
    for (uint32_t i = 0; i < ids; ++i) arg.ids.push_back(TRY(in.read<int32_t>()));
    return arg;
}

Result<void> read_choose_args(CrushReader& in, CrushMap& map) {
    uint32_t sets = TRY(in.read_count("sets of choose_args", max_names, 12));
    for (uint32_t s = 0; s < sets; ++s) {
        int64_t pool = TRY(in.read<int64_t>());
        auto& args = map.choose_args[pool];
        uint32_t buckets = TRY(in.read_count("choose_args of a set", map.buckets.size(), 12));
        for (uint32_t b = 0; b < buckets; ++b) {
            uint32_t slot = TRY(in.read<uint32_t>());
            if (slot >= map.buckets.size() || !map.buckets[slot]) {
                return in.fail_here(
                    fmt::format("choose_args for slot {}, which has no bucket", slot));
            }
            args[map.buckets[slot]->id] = TRY(read_choose_arg(in));
        }
    }
    return {};
}

Result<void> read_classes(CrushReader& in, CrushMap& map) {
    map.item_classes = TRY(read_numbers(in, "classes of items"));
    map.class_names = TRY(read_plain_names(in, "names of classes"));
    uint32_t count = TRY(in.read_count("buckets with classes", max_names, 8));
    for (uint32_t i = 0; i < count; ++i) {
        int32_t bucket = TRY(in.read<int32_t>());
        map.class_buckets[bucket] = TRY(read_numbers(in, "shadow buckets"));
    }
    return {};
}

// Each was added by a release, so a file may end before any of them.
Result<void> read_tunables_and_later(CrushReader& in, CrushMap& map) {
    CrushTunables& tunables = map.tunables;
    tunables = *CrushTunables::profile("legacy");
    if (in.at_end()) return {};
    tunables.choose_local_tries = TRY(in.read<uint32_t>());
    tunables.choose_local_fallback_tries = TRY(in.read<uint32_t>());
    tunables.choose_total_tries = TRY(in.read<uint32_t>());
    if (in.at_end()) return {};
    tunables.chooseleaf_descend_once = TRY(in.read<uint32_t>());
    if (in.at_end()) return {};
    tunables.chooseleaf_vary_r = TRY(in.read<uint8_t>());
    if (in.at_end()) return {};
    tunables.straw_calc_version = TRY(in.read<uint8_t>());
    if (in.at_end()) return {};
    tunables.allowed_bucket_algs = TRY(in.read<uint32_t>());
    if (in.at_end()) return {};
    tunables.chooseleaf_stable = TRY(in.read<uint8_t>());
    if (in.at_end()) return {};
    TRY(read_classes(in, map));
    if (in.at_end()) return {};
    return read_choose_args(in, map);
}

Result<CrushMap> read_map(CrushReader& in) {
    CrushMap map;
    if (uint32_t found = TRY(in.read<uint32_t>()); found != magic) {
        return in.fail_here(fmt::format(
            "this is no CRUSH map: it starts with {:#010x}, not {:#010x}", found, magic));
    }
    uint32_t buckets = TRY(in.read_count("bucket slots", crush_max_buckets, 0));
    uint32_t rules = TRY(in.read_count("rule slots", crush_max_rules, 0));
    map.max_devices = TRY(in.read<int32_t>());
    if (map.max_devices < 0) {
        return in.fail_here(fmt::format("{} devices", map.max_devices));
    }
    TRY(in.expect_room(uint64_t{buckets} * 4, "bucket slots"));
    map.buckets.resize(buckets);
    for (uint32_t slot = 0; slot < buckets; ++slot) {
        uint32_t alg = TRY(in.read<uint32_t>());
        if (alg != 0) map.buckets[slot] = TRY(read_bucket(in, slot, alg));
    }
    TRY(in.expect_room(uint64_t{rules} * 4, "rule slots"));
    map.rules.resize(rules);
    for (auto& rule : map.rules) rule = TRY(read_rule(in));
    map.type_names = TRY(read_names(in, "names of types"));
    map.item_names = TRY(read_names(in, "names of items"));
    map.rule_names = TRY(read_names(in, "names of rules"));
    TRY(read_tunables_and_later(in, map));
    if (!in.at_end()) return in.fail_here("bytes after the end of the map");
    return map;
}

class Writer {
public:
    template <typename T>
    void write(T value) {
        auto bits = static_cast<std::make_unsigned_t<T>>(value);
        for (size_t i = 0; i < sizeof(T); ++i) {
            bytes_.push_back(static_cast<char>(static_cast<uint64_t>(bits) >> (8 * i)));
        }
    }
    void write_size(size_t size) { write(static_cast<uint32_t>(size)); }
    template <typename T>
    void write_all(const std::vector<T>& values) {
        for (T value : values) write(value);
    }
    void write_names(const std::map<int32_t, std::string>& names) {
        write_size(names.size());
        for (const auto& [key, name] : names) {
            write(key);
            write_size(name.size());
            bytes_ += name;
        }
    }
    void write_numbers(const std::map<int32_t, int32_t>& numbers) {
        write_size(numbers.size());
        for (const auto& [key, value] : numbers) {
            write(key);
            write(value);
        }
    }
    std::string take() { return std::move(bytes_); }

private:
    std::string bytes_;
};

void write_bucket(Writer& out, const CrushBucket& bucket) {
    out.write(static_cast<uint32_t>(bucket.alg));
    out.write(bucket.id);
    out.write(bucket.type);
    out.write(static_cast<uint8_t>(bucket.alg));
    out.write(bucket.hash);
    out.write(bucket.weight);
    out.write_size(bucket.items.size());
    out.write_all(bucket.items);
    switch (bucket.alg) {
    case BucketAlg::uniform: out.write(bucket.uniform_weight); break;
    case BucketAlg::tree:
        out.write(static_cast<uint8_t>(bucket.derived.size()));
        out.write_all(bucket.derived);
        break;
    case BucketAlg::straw2: out.write_all(bucket.weights); break;
    case BucketAlg::list:
    case BucketAlg::straw:
        for (size_t i = 0; i < bucket.items.size(); ++i) {
            out.write(bucket.weights[i]);
            out.write(bucket.derived[i]);
        }
        break;
    }
}

void write_rule(Writer& out, const std::optional<CrushRule>& rule) {
    out.write(static_cast<uint32_t>(rule.has_value()));
    if (!rule) return;
    out.write_size(rule->steps.size());
    out.write(rule->ruleset);
    out.write(rule->type);
    out.write(rule->min_size);
    out.write(rule->max_size);
    for (const CrushStep& step : rule->steps) {
        out.write(static_cast<uint32_t>(step.op));
        out.write(step.arg1);
        out.write(step.arg2);
    }
}

void write_tunables(Writer& out, const CrushTunables& tunables) {
    out.write(tunables.choose_local_tries);
    out.write(tunables.choose_local_fallback_tries);
    out.write(tunables.choose_total_tries);
    out.write(tunables.chooseleaf_descend_once);
    out.write(tunables.chooseleaf_vary_r);
    out.write(tunables.straw_calc_version);
    out.write(tunables.allowed_bucket_algs);
    out.write(tunables.chooseleaf_stable);
}

void write_choose_args(Writer& out, const CrushMap& map) {
    out.write_size(map.choose_args.size());
    for (const auto& [pool, args] : map.choose_args) {
        out.write(pool);
        size_t filled = 0;
        for (const auto& [id, arg] : args) filled += !arg.ids.empty() || !arg.weight_sets.empty();
        out.write_size(filled);
        for (const auto& [id, arg] : args) {
            if (arg.ids.empty() && arg.weight_sets.empty()) continue;
            out.write(static_cast<uint32_t>(-1 - id));
            out.write_size(arg.weight_sets.size());
            for (const auto& weights : arg.weight_sets) {
                out.write_size(weights.size());
                out.write_all(weights);
            }
            out.write_size(arg.ids.size());
            out.write_all(arg.ids);
        }
    }
}

} // namespace

Result<CrushMap> decode_crush_map(std::string_view bytes) {
    CrushReader in(bytes);
    auto map = TRY(with_context(read_map(in), "CRUSH map"));
    TRY(with_context(check_crush_map(map), "CRUSH map"));
    return map;
}

std::string encode_crush_map(const CrushMap& map) {
    Writer out;
    out.write(magic);
    out.write_size(map.buckets.size());
    out.write_size(map.rules.size());
    out.write(map.max_devices);
    for (const auto& bucket : map.buckets) {
        if (bucket) {
            write_bucket(out, *bucket);
        } else {
            out.write(uint32_t{0});
        }
    }
    for (const auto& rule : map.rules) write_rule(out, rule);
    out.write_names(map.type_names);
    out.write_names(map.item_names);
    out.write_names(map.rule_names);
    write_tunables(out, map.tunables);
    out.write_numbers(map.item_classes);
    out.write_names(map.class_names);
    out.write_size(map.class_buckets.size());
    for (const auto& [bucket, shadows] : map.class_buckets) {
        out.write(bucket);
        out.write_numbers(shadows);
    }
    write_choose_args(out, map);
    return out.take();
}

} // namespace cloudlet::rados
