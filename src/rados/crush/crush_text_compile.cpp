#include "cloudlet/rados/crush_text.h"

#include <limits>
#include <map>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/crush_edit.h"
#include "crush_text_syntax.h"

namespace cloudlet::rados {
namespace {

using namespace text;

// The limits of crushtool 16.2: a slip of the finger (MB for TB) shows before data moves.
constexpr int64_t max_device_weight = int64_t{100} * crush_weight_one;
constexpr int64_t max_bucket_weight = int64_t{10000} * crush_weight_one;
// `--check`, `--test` and `-d` walk all numbers up to the largest.
constexpr int64_t max_device_id = (1 << 24) - 1;
constexpr int max_nesting = 256; // a walk gives up long before

class Compiler {
public:
    explicit Compiler(std::string_view file) : file_(file) {}

    Result<CrushMap> compile(const Document& document) {
        map_.tunables = *CrushTunables::profile("legacy");
        map_.tunables.straw_calc_version = 0; // a text without tunables is an old map
        map_.tunables.allowed_bucket_algs = 22;
        for (const auto& it : document.tunables) TRY(tunable(it));
        for (const auto& it : document.devices) TRY(device(it));
        for (const auto& it : document.types) TRY(type(it));
        TRY(reserve_ids(document.buckets));
        for (const auto& it : document.buckets) TRY(bucket(it));
        if (!document.rules.empty()) grow_shadow_trees();
        for (const auto& it : document.rules) TRY(rule(it));
        for (const auto& it : document.choose_args) TRY(choose_args(it));
        TRY(with_context(check_crush_map(map_), file_));
        return std::move(map_);
    }

private:
    template <typename... Args>
    tl::unexpected<Error> wrong(int line, fmt::format_string<Args...> format, Args&&... args) {
        return fail(Code::invalid, fmt::format("{}:{}: {}", file_, line,
                                               fmt::format(format, std::forward<Args>(args)...)));
    }

    Result<void> in_range(const Number& number, int64_t low, int64_t high, std::string_view what) {
        if (number.value >= low && number.value <= high) return {};
        return wrong(number.line, "{} {} is out of range; use {} to {}", what, number.value, low,
                     high);
    }

    Result<void> tunable(const Tunable& it) {
        auto& t = map_.tunables;
        const std::map<std::string_view, uint32_t*> wide = {
            {"choose_local_tries", &t.choose_local_tries},
            {"choose_local_fallback_tries", &t.choose_local_fallback_tries},
            {"choose_total_tries", &t.choose_total_tries},
            {"chooseleaf_descend_once", &t.chooseleaf_descend_once},
            {"allowed_bucket_algs", &t.allowed_bucket_algs}};
        const std::map<std::string_view, uint8_t*> narrow = {
            {"chooseleaf_vary_r", &t.chooseleaf_vary_r},
            {"chooseleaf_stable", &t.chooseleaf_stable},
            {"straw_calc_version", &t.straw_calc_version}};
        if (auto found = wide.find(it.name.text); found != wide.end()) {
            TRY(in_range(it.value, 0, std::numeric_limits<uint32_t>::max(), it.name.text));
            *found->second = static_cast<uint32_t>(it.value.value);
        } else if (auto byte = narrow.find(it.name.text); byte != narrow.end()) {
            TRY(in_range(it.value, 0, std::numeric_limits<uint8_t>::max(), it.name.text));
            *byte->second = static_cast<uint8_t>(it.value.value);
        } else {
            return wrong(it.name.line, "tunable {} not recognized; remove the line or correct it",
                         it.name.text);
        }
        return {};
    }

    Result<void> device(const Device& it) {
        TRY(in_range(it.id, 0, max_device_id, "device"));
        auto id = static_cast<int32_t>(it.id.value);
        if (map_.item_names.contains(id))
            return wrong(it.id.line, "device {} is defined twice; keep one of the two lines", id);
        if (!items_.emplace(it.name.text, id).second)
            return wrong(it.name.line, "item {} defined twice; give each device its own name",
                         it.name.text);
        map_.item_names[id] = it.name.text;
        map_.max_devices = std::max(map_.max_devices, id + 1);
        if (it.class_name) map_.item_classes[id] = class_id_for(map_, it.class_name->text);
        return {};
    }

    Result<void> type(const Type& it) {
        TRY(in_range(it.id, 0, std::numeric_limits<uint16_t>::max(), "type"));
        auto id = static_cast<int32_t>(it.id.value);
        if (!map_.type_names.emplace(id, it.name.text).second)
            return wrong(it.id.line, "type {} is defined twice; keep one of the two lines", id);
        types_[it.name.text] = id; // of two types with one name the last is meant
        return {};
    }

    // Ids that the text gives are taken before any bucket gets one by itself.
    Result<void> reserve_ids(const std::vector<Bucket>& buckets) {
        for (const auto& bucket : buckets) {
            for (const auto& it : bucket.ids) {
                TRY(in_range(it.id, -static_cast<int64_t>(crush_max_buckets), -1, "bucket id"));
                if (!reserved_.insert(static_cast<int32_t>(it.id.value)).second)
                    return wrong(it.id.line,
                                 "bucket id {} is used twice; give each bucket (and each of its "
                                 "classes) its own, or leave the line out",
                                 it.id.value);
            }
        }
        return {};
    }

    Result<int32_t> bucket_id(const Bucket& it) {
        std::optional<int32_t> own;
        std::map<int32_t, int32_t> shadows;
        for (const auto& given : it.ids) {
            auto id = static_cast<int32_t>(given.id.value);
            if (!given.class_name && own)
                return wrong(given.id.line, "bucket {} has a second id; keep one", it.name.text);
            if (!given.class_name)
                own = id;
            else if (!shadows.emplace(class_id_for(map_, given.class_name->text), id).second)
                return wrong(given.id.line, "duplicate device class {} for bucket {}; keep one",
                             given.class_name->text, it.name.text);
        }
        if (!own) {
            int32_t free = -1;
            while (reserved_.contains(free)) --free;
            reserved_.insert(free);
            own = free;
        }
        if (!shadows.empty()) wanted_shadows_[*own] = std::move(shadows);
        return *own;
    }

    Result<int64_t> item_weight(const Bucket& bucket, const BucketItem& it, int32_t item) {
        int64_t weight = crush_weight_one;
        if (const auto* child = map_.bucket(item)) weight = child->weight;
        if (!it.weight) return weight;
        float scaled = it.weight->value * static_cast<float>(crush_weight_one);
        bool fits = scaled > -1 && scaled <= static_cast<float>(max_bucket_weight);
        weight = fits ? static_cast<int64_t>(scaled) : -1;
        if (weight < 0 || (item >= 0 && weight > max_device_weight))
            return wrong(it.weight->line,
                         "item '{}' in bucket '{}' has weight {}; a device's is 0 to 100, a "
                         "bucket's 0 to 10000 (the unit is usually TiB)",
                         it.name.text, bucket.name.text, it.weight->value);
        return weight;
    }

    Result<void> bucket(const Bucket& it) {
        auto type = types_.find(it.type.text);
        if (type == types_.end())
            return wrong(it.type.line,
                         "bucket type '{}' is not defined; add a line \"type NUMBER {}\" above",
                         it.type.text, it.type.text);
        if (items_.contains(it.name.text))
            return wrong(it.name.line, "bucket or device '{}' is already defined; rename one",
                         it.name.text);
        auto alg = bucket_alg_of(it.alg.text);
        if (!alg)
            return wrong(it.alg.line,
                         "unknown bucket alg '{}'; use straw2, straw, tree, list or uniform",
                         it.alg.text);
        if (type->second == 0)
            return wrong(it.type.line,
                         "bucket '{}' has type '{}', number 0, which is for devices; give it "
                         "another type",
                         it.name.text, it.type.text);
        if (it.hash && it.hash->value != 0)
            return wrong(it.hash->line, "hash {} is not known; use 0 (rjenkins1)", it.hash->value);
        if (it.items.size() > crush_max_bucket_size)
            return wrong(it.name.line, "bucket '{}' has more than {} items; split it", it.name.text,
                         crush_max_bucket_size);
        int32_t id = TRY(bucket_id(it));
        auto content = TRY(contents(it, *alg));
        auto made = make_bucket(*alg, static_cast<uint16_t>(type->second), content.items,
                                content.weights, map_.tunables.straw_calc_version);
        if (!made)
            return wrong(it.name.line, "bucket '{}': {}", it.name.text, made.error().to_string());
        made->id = id;
        auto added = add_bucket(map_, std::move(*made));
        if (!added)
            return wrong(it.name.line, "bucket '{}': {}", it.name.text, added.error().to_string());
        items_[it.name.text] = id;
        map_.item_names[id] = it.name.text;
        return {};
    }

    struct Contents {
        std::vector<int32_t> items;
        std::vector<uint32_t> weights;
    };

    // Items with a position stand there; the others fill what is left, in their order.
    Result<Contents> contents(const Bucket& bucket, BucketAlg alg) {
        size_t size = bucket.items.size();
        TRY(check_positions(bucket));
        std::vector<const BucketItem*> at(size);
        for (const auto& it : bucket.items)
            if (it.position) at[static_cast<size_t>(it.position->value)] = &it;
        Contents result{std::vector<int32_t>(size), std::vector<uint32_t>(size)};
        size_t free = 0;
        std::optional<uint32_t> uniform;
        int& depth = depths_[bucket.name.text];
        for (const auto& it : bucket.items) {
            auto item = items_.find(it.name.text);
            if (item == items_.end())
                return wrong(it.name.line,
                             "item '{}' in bucket '{}' is not defined; define the device or "
                             "bucket above",
                             it.name.text, bucket.name.text);
            depth = std::max(depth, 1 + depths_[it.name.text]);
            if (depth > max_nesting)
                return wrong(it.name.line,
                             "bucket '{}' is nested deeper than {} levels; flatten it",
                             bucket.name.text, max_nesting);
            auto weight = static_cast<uint32_t>(TRY(item_weight(bucket, it, item->second)));
            if (alg == BucketAlg::uniform && uniform.value_or(weight) != weight)
                return wrong(it.name.line,
                             "item '{}' in uniform bucket '{}' has weight {:.5f}, the items before "
                             "have {:.5f}; give all the same, or use alg straw2",
                             it.name.text, bucket.name.text, crush_weight_to_float(weight),
                             crush_weight_to_float(*uniform));
            uniform = weight;
            size_t position = free;
            if (it.position) {
                position = static_cast<size_t>(it.position->value);
            } else {
                while (at[free]) ++free;
                position = free++;
            }
            result.items[position] = item->second;
            result.weights[position] = weight;
        }
        return result;
    }

    Result<void> check_positions(const Bucket& bucket) {
        std::set<int64_t> taken;
        auto size = static_cast<int64_t>(bucket.items.size());
        for (const auto& it : bucket.items) {
            if (!it.position) continue;
            if (it.position->value >= size)
                return wrong(it.position->line,
                             "item '{}' in bucket '{}' has pos {} >= size {}; positions count "
                             "from 0",
                             it.name.text, bucket.name.text, it.position->value, size);
            if (!taken.insert(it.position->value).second)
                return wrong(it.position->line,
                             "item '{}' in bucket '{}' has explicit pos {}, which is occupied",
                             it.name.text, bucket.name.text, it.position->value);
        }
        return {};
    }

    // Every class has a tree below every root, made before the first rule can take one. As in
    // crushtool a tree that cannot be made (a class's part of a uniform bucket) ends this without
    // an error: only a rule that takes what is missing is wrong.
    void grow_shadow_trees() {
        for (int32_t root : map_.roots_without_shadows())
            for (const auto& [class_id, name] : map_.class_names)
                if (!shadow_of(root, class_id)) return;
    }

    std::optional<int32_t> shadow_of(int32_t original, int32_t class_id) {
        if (auto known = map_.class_buckets.find(original); known != map_.class_buckets.end())
            if (auto it = known->second.find(class_id); it != known->second.end())
                return it->second;
        const CrushBucket source = *map_.bucket(original);
        Contents part;
        for (size_t i = 0; i < source.items.size(); ++i) {
            int32_t item = source.items[i];
            uint32_t weight = source.item_weight(i);
            if (item < 0) {
                auto child = shadow_of(item, class_id);
                if (!child) return std::nullopt;
                item = *child;
                weight = map_.bucket(item)->weight;
            } else if (auto it = map_.item_classes.find(item);
                       it == map_.item_classes.end() || it->second != class_id) {
                continue;
            }
            if (source.alg == BucketAlg::uniform && weight != 0) return std::nullopt;
            part.items.push_back(item);
            part.weights.push_back(weight);
        }
        auto made = make_bucket(source.alg, source.type, part.items, part.weights,
                                map_.tunables.straw_calc_version);
        if (!made) return std::nullopt;
        made->id = shadow_id(original, class_id);
        auto id = add_bucket(map_, std::move(*made));
        if (!id) return std::nullopt;
        map_.class_buckets[original][class_id] = *id;
        map_.item_classes[*id] = class_id;
        map_.item_names[*id] = map_.item_name(original) + "~" + map_.class_names[class_id];
        return *id;
    }

    int32_t shadow_id(int32_t original, int32_t class_id) {
        auto wanted = wanted_shadows_.find(original);
        if (wanted != wanted_shadows_.end())
            if (auto id = wanted->second.find(class_id); id != wanted->second.end())
                return id->second;
        int32_t free = -1;
        while (reserved_.contains(free)) --free;
        reserved_.insert(free);
        return free;
    }

    Result<void> rule(const Rule& it) {
        TRY(in_range(it.id, 0, static_cast<int64_t>(crush_max_rules) - 1, "rule id"));
        TRY(in_range(it.min_size, 0, std::numeric_limits<uint8_t>::max(), "min_size"));
        TRY(in_range(it.max_size, 0, std::numeric_limits<uint8_t>::max(), "max_size"));
        if (!it.name.text.empty() && !rule_names_.insert(it.name.text).second)
            return wrong(it.name.line, "rule name '{}' already defined; rename one", it.name.text);
        if (it.steps.size() > crush_max_rule_steps)
            return wrong(it.id.line, "rule '{}' has more than {} steps; split it", it.name.text,
                         crush_max_rule_steps);
        auto id = static_cast<int32_t>(it.id.value);
        if (map_.rule(id))
            return wrong(it.id.line, "rule {} already exists; use another number", id);
        CrushRule made;
        made.ruleset = static_cast<uint8_t>(id);
        made.type = static_cast<uint8_t>(it.type);
        made.min_size = static_cast<uint8_t>(it.min_size.value);
        made.max_size = static_cast<uint8_t>(it.max_size.value);
        for (const auto& written : it.steps) made.steps.push_back(TRY(step(it, written)));
        auto added = add_rule(map_, std::move(made), id);
        if (!added) return wrong(it.id.line, "rule {}: {}", id, added.error().to_string());
        if (!it.name.text.empty()) map_.rule_names[id] = it.name.text;
        return {};
    }

    Result<CrushStep> step(const Rule& rule, const Step& it) {
        if (it.op == RuleOp::emit) return CrushStep{it.op, 0, 0};
        if (it.op == RuleOp::take) return CrushStep{it.op, TRY(taken(rule, it)), 0};
        constexpr int64_t most = std::numeric_limits<int32_t>::max();
        TRY(in_range(it.number, -most, most, "the number of a step"));
        auto number = static_cast<int32_t>(it.number.value);
        if (it.target.text.empty()) return CrushStep{it.op, number, 0};
        auto type = types_.find(it.target.text);
        if (type == types_.end())
            return wrong(it.target.line,
                         "in rule '{}' type '{}' not defined; use one of the types above",
                         rule.name.text, it.target.text);
        return CrushStep{it.op, number, type->second};
    }

    Result<int32_t> taken(const Rule& rule, const Step& it) {
        auto item = items_.find(it.target.text);
        if (item == items_.end())
            return wrong(it.target.line,
                         "in rule '{}' item '{}' not defined; take one of the buckets above",
                         rule.name.text, it.target.text);
        if (!it.class_name) return item->second;
        auto class_id = map_.class_of(it.class_name->text);
        if (!class_id)
            return wrong(it.class_name->line,
                         "in rule '{}' class '{}' is not the class of any device; add it to the "
                         "lines of its devices (\"device 0 osd.0 class {}\")",
                         rule.name.text, it.class_name->text, it.class_name->text);
        auto shadows = map_.class_buckets.find(item->second);
        if (shadows == map_.class_buckets.end() || !shadows->second.contains(*class_id))
            return wrong(it.target.line,
                         "in rule '{}' step take {} has no class information: devices and trees "
                         "with a uniform bucket have no tree of class {}",
                         rule.name.text, it.target.text, it.class_name->text);
        return shadows->second.at(*class_id);
    }

    Result<void> choose_args(const ChooseArgs& it) {
        // The set of no pool, -1, is written without a sign: as 18446744073709551615.
        bool is_default = it.id.value == std::numeric_limits<int64_t>::max();
        if (!is_default)
            TRY(in_range(it.id, 0, std::numeric_limits<int32_t>::max(), "choose_args"));
        int64_t pool = is_default ? crush_default_choose_args : it.id.value;
        auto [set, fresh] = map_.choose_args.try_emplace(pool);
        if (!fresh) return wrong(it.id.line, "choose_args {} duplicated; merge the two", pool);
        for (const auto& written : it.buckets) {
            int64_t id = written.bucket.value;
            bool possible = id >= -static_cast<int64_t>(crush_max_buckets);
            const auto* bucket = possible ? map_.bucket(static_cast<int32_t>(id)) : nullptr;
            if (!bucket)
                return wrong(written.bucket.line,
                             "bucket {} does not exist; use the id of a bucket above", id);
            CrushChooseArg arg = TRY(choose_arg(written, *bucket));
            if (arg.ids.empty() && arg.weight_sets.empty())
                set->second.erase(bucket->id);
            else
                set->second[bucket->id] = std::move(arg);
        }
        return {};
    }

    Result<CrushChooseArg> choose_arg(const ChooseArg& it, const CrushBucket& bucket) {
        size_t size = bucket.items.size();
        CrushChooseArg arg;
        for (const auto& written : it.weight_sets) {
            if (written.size() != size)
                return wrong(it.bucket.line, "bucket {} needs exactly {} weights but got {}",
                             bucket.id, size, written.size());
            auto& set = arg.weight_sets.emplace_back();
            for (const auto& weight : written) set.push_back(TRY(set_weight(weight)));
        }
        if (!it.ids) return arg;
        if (it.ids->size() != size)
            return wrong(it.bucket.line, "bucket {} needs exactly {} ids but got {}", bucket.id,
                         size, it.ids->size());
        for (const auto& id : *it.ids) {
            TRY(in_range(id, std::numeric_limits<int32_t>::min(),
                         std::numeric_limits<int32_t>::max(), "id"));
            arg.ids.push_back(static_cast<int32_t>(id.value));
        }
        return arg;
    }

    // A weight set's weight may be written negative: so a map's largest ones are decompiled.
    Result<uint32_t> set_weight(const Weight& weight) {
        float scaled = weight.value * static_cast<float>(crush_weight_one);
        if (!(scaled > -2147483648.0F && scaled < 2147483648.0F))
            return wrong(weight.line, "weight {} is out of range; use 0 to 32767", weight.value);
        return static_cast<uint32_t>(static_cast<int32_t>(scaled));
    }

    std::string_view file_;
    CrushMap map_;
    std::unordered_map<std::string, int32_t> items_;
    std::unordered_map<std::string, int32_t> types_;
    std::unordered_map<std::string, int> depths_; // levels below a bucket; devices have 0
    std::set<std::string> rule_names_;
    std::set<int32_t> reserved_;
    std::map<int32_t, std::map<int32_t, int32_t>> wanted_shadows_; // bucket -> class -> id
};

} // namespace

Result<CrushMap> compile_crush_text(std::string_view text, std::string_view file) {
    auto document = TRY(text::parse(text, file));
    return Compiler(file).compile(document);
}

} // namespace cloudlet::rados
