#include <vector>

#include <fmt/format.h>

#include "cloudlet/rados/crush_text.h"

namespace cloudlet::rados {
namespace {

// What is above 32767 comes out negative, as crushtool has it.
float shown(uint32_t weight) {
    return static_cast<float>(static_cast<int32_t>(weight)) / static_cast<float>(crush_weight_one);
}

class Writer {
public:
    explicit Writer(const CrushMap& map) : map_(map), written_(map.buckets.size()) {}

    std::string write() {
        line("# begin crush map");
        tunables();
        devices();
        types();
        line("\n# buckets");
        for (const auto& bucket : map_.buckets)
            if (bucket) bucket_after_its_children(*bucket);
        line("\n# rules");
        for (size_t id = 0; id < map_.rules.size(); ++id)
            if (map_.rules[id]) rule(static_cast<int32_t>(id), *map_.rules[id]);
        choose_args();
        line("\n# end crush map");
        return std::move(text_);
    }

private:
    void line(std::string_view text) {
        text_ += text;
        text_ += '\n';
    }
    template <typename... Args>
    void print(fmt::format_string<Args...> format, Args&&... args) {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    }

    // Only what differs from the oldest maps, which had no tunables: that is what a text without
    // them means.
    void tunables() {
        const auto old = *CrushTunables::profile("legacy");
        const auto& t = map_.tunables;
        tunable("choose_local_tries", t.choose_local_tries, old.choose_local_tries);
        tunable("choose_local_fallback_tries", t.choose_local_fallback_tries,
                old.choose_local_fallback_tries);
        tunable("choose_total_tries", t.choose_total_tries, old.choose_total_tries);
        tunable("chooseleaf_descend_once", t.chooseleaf_descend_once, old.chooseleaf_descend_once);
        tunable("chooseleaf_vary_r", t.chooseleaf_vary_r, old.chooseleaf_vary_r);
        tunable("chooseleaf_stable", t.chooseleaf_stable, old.chooseleaf_stable);
        tunable("straw_calc_version", t.straw_calc_version, old.straw_calc_version);
        tunable("allowed_bucket_algs", t.allowed_bucket_algs, old.allowed_bucket_algs);
    }
    void tunable(std::string_view name, uint32_t value, uint32_t old) {
        if (value != old) print("tunable {} {}\n", name, static_cast<int32_t>(value));
    }

    void devices() {
        line("\n# devices");
        for (const auto& [id, name] : map_.item_names) {
            if (id < 0 || id >= map_.max_devices) continue;
            print("device {} {}", id, name);
            if (auto class_name = map_.class_name_of_item(id); !class_name.empty())
                print(" class {}", class_name);
            line("");
        }
    }

    void types() {
        line("\n# types");
        if (!map_.type_names.empty() && !map_.type_names.contains(0)) line("type 0 osd");
        for (const auto& [id, name] : map_.type_names) print("type {} {}\n", id, name);
    }

    // Iterative: a map from a file may be deep. Children come first, because an item must be
    // defined before a bucket can hold it.
    void bucket_after_its_children(const CrushBucket& top) {
        struct Frame {
            const CrushBucket* bucket;
            size_t next = 0;
        };
        std::vector<Frame> stack;
        auto enter = [&](const CrushBucket& bucket) {
            auto slot = static_cast<size_t>(-1 - bucket.id);
            if (written_[slot]) return;
            written_[slot] = true;
            stack.push_back({&bucket});
        };
        enter(top);
        while (!stack.empty()) {
            Frame& frame = stack.back();
            if (frame.next == frame.bucket->items.size()) {
                bucket(*frame.bucket);
                stack.pop_back();
                continue;
            }
            if (const auto* child = map_.bucket(frame.bucket->items[frame.next++])) enter(*child);
        }
    }

    void bucket(const CrushBucket& it) {
        if (map_.is_shadow(it.id)) return; // compiling grows them anew
        print("{} {} {{\n", type_name(it.type), item_name(it.id));
        print("\tid {}\t\t# do not change unnecessarily\n", it.id);
        if (auto shadows = map_.class_buckets.find(it.id); shadows != map_.class_buckets.end()) {
            for (const auto& [class_id, shadow] : shadows->second)
                if (auto name = map_.class_names.find(class_id); name != map_.class_names.end())
                    print("\tid {} class {}\t\t# do not change unnecessarily\n", shadow,
                          name->second);
        }
        print("\t# weight {:.3f}\n", shown(it.weight));
        print("\talg {}{}\n", name_of(it.alg), advice(it));
        print("\thash {}\t# {}\n", it.hash, it.hash == 0 ? "rjenkins1" : "unknown");
        bool positions = it.alg == BucketAlg::uniform || it.alg == BucketAlg::tree;
        for (size_t i = 0; i < it.items.size(); ++i) {
            print("\titem {} weight {:.3f}", item_name(it.items[i]), shown(it.item_weight(i)));
            if (positions) print(" pos {}", i);
            line("");
        }
        line("}");
    }

    static std::string advice(const CrushBucket& it) {
        switch (it.alg) {
        case BucketAlg::uniform:
            return fmt::format("\t# do not change bucket size ({}) unnecessarily", it.items.size());
        case BucketAlg::list:
            return "\t# add new items at the end; do not change order unnecessarily";
        case BucketAlg::tree: return "\t# do not change pos for existing items unnecessarily";
        default: return {};
        }
    }

    void rule(int32_t id, const CrushRule& it) {
        auto name = map_.rule_names.find(id);
        print("rule {} {{\n", name == map_.rule_names.end() ? "" : name->second);
        print("\tid {}\n", id);
        if (it.ruleset != id)
            print("\t# WARNING: ruleset {} != id {}; this will not recompile to the same map\n",
                  it.ruleset, id);
        print("\ttype {}\n", it.type == 1   ? "replicated"
                             : it.type == 3 ? "erasure"
                                            : std::to_string(it.type));
        print("\tmin_size {}\n\tmax_size {}\n", it.min_size, it.max_size);
        for (const auto& each : it.steps) step(each);
        line("}");
    }

    void step(const CrushStep& it) {
        switch (it.op) {
        case RuleOp::noop: line("\tstep noop"); break;
        case RuleOp::take: take(it.arg1); break;
        case RuleOp::emit: line("\tstep emit"); break;
        case RuleOp::set_choose_tries: print("\tstep set_choose_tries {}\n", it.arg1); break;
        case RuleOp::set_chooseleaf_tries:
            print("\tstep set_chooseleaf_tries {}\n", it.arg1);
            break;
        case RuleOp::set_choose_local_tries:
            print("\tstep set_choose_local_tries {}\n", it.arg1);
            break;
        case RuleOp::set_choose_local_fallback_tries:
            print("\tstep set_choose_local_fallback_tries {}\n", it.arg1);
            break;
        case RuleOp::set_chooseleaf_vary_r:
            print("\tstep set_chooseleaf_vary_r {}\n", it.arg1);
            break;
        case RuleOp::set_chooseleaf_stable:
            print("\tstep set_chooseleaf_stable {}\n", it.arg1);
            break;
        case RuleOp::choose_firstn: choose("choose firstn", it); break;
        case RuleOp::choose_indep: choose("choose indep", it); break;
        case RuleOp::chooseleaf_firstn: choose("chooseleaf firstn", it); break;
        case RuleOp::chooseleaf_indep: choose("chooseleaf indep", it); break;
        }
    }

    void take(int32_t item) {
        std::string name = item_name(item);
        size_t tilde = name.find('~');
        if (tilde == std::string::npos) return print("\tstep take {}\n", name);
        print("\tstep take {} class {}\n", name.substr(0, tilde), name.substr(tilde + 1));
    }

    void choose(std::string_view how, const CrushStep& it) {
        print("\tstep {} {} type {}\n", how, it.arg1, type_name(it.arg2));
    }

    void choose_args() {
        if (map_.choose_args.empty()) return;
        line("\n# choose_args");
        for (const auto& [pool, args] : map_.choose_args) {
            print("choose_args {} {{\n", static_cast<uint64_t>(pool));
            for (const auto& [bucket, arg] : args) choose_arg(bucket, arg);
            line("}");
        }
    }

    // Only straw2 heeds them; crushtool forgets the others when it reads a map.
    void choose_arg(int32_t bucket, const CrushChooseArg& arg) {
        const auto* its_bucket = map_.bucket(bucket);
        if (!its_bucket || its_bucket->alg != BucketAlg::straw2) return;
        if (arg.ids.empty() && arg.weight_sets.empty()) return;
        print("  {{\n    bucket_id {}\n", bucket);
        if (!arg.weight_sets.empty()) {
            line("    weight_set [");
            for (const auto& set : arg.weight_sets) {
                text_ += "      [ ";
                for (uint32_t weight : set) print("{:.3f} ", shown(weight));
                line("]");
            }
            line("    ]");
        }
        if (!arg.ids.empty()) {
            text_ += "    ids [ ";
            for (int32_t id : arg.ids) print("{} ", id);
            line("]");
        }
        line("  }");
    }

    std::string item_name(int32_t id) const {
        auto found = map_.item_names.find(id);
        if (found != map_.item_names.end()) return found->second;
        return id >= 0 ? fmt::format("device{}", id) : fmt::format("bucket{}", -1 - id);
    }

    std::string type_name(int32_t type) const {
        auto found = map_.type_names.find(type);
        if (found != map_.type_names.end()) return found->second;
        return type == 0 ? "device" : fmt::format("type{}", type);
    }

    const CrushMap& map_;
    std::string text_;
    std::vector<bool> written_; // by slot
};

} // namespace

std::string decompile_crush_map(const CrushMap& map) { return Writer(map).write(); }

} // namespace cloudlet::rados
