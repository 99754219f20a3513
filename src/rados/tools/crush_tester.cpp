#include "crush_tester.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "cloudlet/rados/crush_hash.h"
#include "crush_advice.h"
#include "crush_csv.h"
#include "crush_simulation.h"
#include "progress_bar.h"

namespace cloudlet::rados {
namespace {

constexpr size_t chunk_size = 4096; // inputs that are mapped in one call

// Appends "[0,9,3]", the way Ceph prints a vector.
void append_devices(std::string& text, std::span<const int32_t> devices) {
    text += '[';
    for (size_t i = 0; i < devices.size(); ++i) {
        if (i) text += ',';
        fmt::format_int digits(devices[i]);
        text.append(digits.data(), digits.size());
    }
    text += ']';
}

struct Range {
    int64_t low, high;
    int64_t count() const { return std::max<int64_t>(high - low + 1, 0); }
};

Range inputs_of(const CrushTestOptions& options) {
    if (options.min_x < 0 || options.max_x < 0) return {0, 1023};
    return {options.min_x, options.max_x};
}

Range rules_of(const CrushMap& map, const CrushTestOptions& options) {
    auto last = static_cast<int64_t>(map.rules.size()) - 1;
    if (options.min_rule < 0 || options.max_rule < 0) return {0, last};
    return {options.min_rule, std::min<int64_t>(options.max_rule, last)};
}

Range replicas_of(const CrushRule& rule, const CrushTestOptions& options) {
    if (options.min_rep < 0 || options.max_rep < 0) return {rule.min_size, rule.max_size};
    return {options.min_rep, options.max_rep};
}

// The x that CRUSH sees: itself, or what a pool makes of a placement group's number.
uint32_t seed_of(int64_t x, const CrushTestOptions& options) {
    auto seed = static_cast<uint32_t>(x);
    return options.pool < 0 ? seed : crush_hash32(seed, static_cast<uint32_t>(options.pool));
}

std::string name_of_rule(const CrushMap& map, int32_t rule) {
    auto found = map.rule_names.find(rule);
    return found == map.rule_names.end() ? std::string() : found->second;
}

class Tester {
public:
    Tester(const CrushMap& map, CrushMapper mapper, const CrushTestOptions& options,
           ToolOutput& output)
        : map_(map), mapper_(std::move(mapper)), options_(options), output_(output),
          inputs_(inputs_of(options)), weights_(device_weights(map, options)), simulation_(map) {
        if (options.show_choose_tries) work_.count_tries();
    }

    Result<void> run() {
        if (options_.show_utilization_all) show_weights();
        ProgressBar progress(output_, total_work());
        progress_ = &progress;
        Range rules = rules_of(map_, options_);
        for (int64_t id = rules.low; id <= rules.high; ++id) {
            const CrushRule* rule = map_.rule(static_cast<int32_t>(id));
            if (!rule && options_.show_statistics) output_.print("rule {} dne\n", id);
            if (!rule || (options_.ruleset >= 0 && rule->ruleset != options_.ruleset)) continue;
            TRY(one_rule(static_cast<int32_t>(id), *rule));
        }
        if (options_.show_choose_tries) show_tries();
        return {};
    }

private:
    // What one rule and number of replicas gave.
    struct Count {
        std::vector<uint32_t> stored;
        std::map<size_t, int64_t> sizes = {}; // length of the result -> how often
        int64_t holes = 0;                    // results of full length with a hole
    };

    uint64_t total_work() const {
        uint64_t total = 0;
        Range rules = rules_of(map_, options_);
        for (int64_t id = rules.low; id <= rules.high; ++id)
            if (const auto* rule = map_.rule(static_cast<int32_t>(id)))
                total +=
                    static_cast<uint64_t>(inputs_.count() * replicas_of(*rule, options_).count());
        return total;
    }

    void show_weights() {
        std::string text;
        for (uint32_t weight : weights_)
            text += fmt::format("{}{:x}", text.empty() ? "" : ",", weight);
        output_.error("devices weights (hex): [{}]\n", text);
    }

    Result<void> one_rule(int32_t id, const CrushRule& rule) {
        Range replicas = replicas_of(rule, options_);
        std::string name = name_of_rule(map_, id);
        if (options_.show_statistics)
            output_.print("rule {} ({}), x = {}..{}, numrep = {}..{}\n", id, name, inputs_.low,
                          inputs_.high, replicas.low, replicas.high);
        uint64_t total_weight = std::accumulate(weights_.begin(), weights_.end(), uint64_t{0});
        if (total_weight == 0) {
            advise(id, name, static_cast<int32_t>(std::max<int64_t>(replicas.low, 1)), 0);
            return {};
        }
        smallest_shortfall_ = 0;
        int64_t most = most_devices_of_rule(map_, rule);
        for (int64_t replica = replicas.low; replica <= replicas.high; ++replica) {
            // In float as Ceph has it, so that the last digits printed are the same.
            auto objects = static_cast<float>(std::min(replica, most) * inputs_.count());
            CrushCsvData data{weights_, {}, {}, {}, {}, {}};
            for (uint32_t weight : weights_) {
                data.shares.push_back(static_cast<float>(weight) /
                                      static_cast<float>(static_cast<int32_t>(total_weight)));
                data.expected.push_back(data.shares.back() * objects);
            }
            TRY(one_size(id, static_cast<int32_t>(replica), name, data));
        }
        if (smallest_shortfall_ > 0)
            advise(id, name, smallest_shortfall_, short_inputs_);
        else
            show_advice(fmt::format("rule {} ({})", id, name),
                        explain_lifeless_trees(map_, id, weights_));
        return {};
    }

    void advise(int32_t id, const std::string& name, int32_t replicas, int64_t inputs) {
        std::string who = fmt::format("rule {} ({}), {} replicas", id, name, replicas);
        if (inputs > 0) who += fmt::format(": {} of {} inputs got fewer", inputs, inputs_.count());
        show_advice(who, explain_shortfall(map_, id, replicas, weights_));
    }

    void show_advice(const std::string& who, const std::vector<CrushAdvice>& list) {
        for (const auto& [cause, remedy] : list)
            output_.error("{}: {}. {}{}.\n", who, cause, static_cast<char>(remedy[0] & ~0x20),
                          remedy.substr(1));
    }

    Result<void> one_size(int32_t id, int32_t replicas, const std::string& name,
                          CrushCsvData& data) {
        Count count{std::vector<uint32_t>(weights_.size())};
        map_inputs(id, replicas, count, data);
        int64_t fulfilled = count.sizes[static_cast<size_t>(replicas)] - count.holes;
        if (smallest_shortfall_ == 0 && fulfilled < inputs_.count()) {
            smallest_shortfall_ = replicas;
            short_inputs_ = inputs_.count() - fulfilled;
        }
        std::erase_if(count.sizes, [](const auto& size) { return size.second == 0; });
        if (options_.show_statistics)
            for (const auto& [size, times] : count.sizes)
                output_.print("rule {} ({}) num_rep {} result size == {}:\t{}/{}\n", id, name,
                              replicas, size, times, inputs_.count());
        if (options_.show_utilization || options_.show_utilization_all)
            show_utilization(count, data.expected);
        if (!options_.csv) return {};
        data.stored = std::move(count.stored);
        return write_crush_csv(data, name, options_);
    }

    void show_utilization(const Count& count, const std::vector<float>& expected) {
        for (size_t i = 0; i < count.stored.size(); ++i) {
            bool used = expected[i] > 0 && count.stored[i] > 0;
            if (used || !options_.show_utilization)
                output_.print("  device {}:\t\t stored : {}\t expected : {:g}\n", i,
                              count.stored[i], expected[i]);
        }
    }

    // Batch by batch, each cut to chunks. A batch is only a line in a CSV file.
    void map_inputs(int32_t id, int32_t replicas, Count& count, CrushCsvData& data) {
        int64_t size = inputs_.count() / options_.batches;
        int64_t x = inputs_.low;
        for (uint32_t batch = 0; batch < options_.batches; ++batch) {
            bool last = batch + 1 == options_.batches;
            int64_t end = last ? inputs_.high + 1 : x + size;
            std::vector<uint32_t> before = count.stored;
            for (; x < end; x += static_cast<int64_t>(inputs_buffer_.size())) {
                auto chunk = static_cast<size_t>(std::min<int64_t>(end - x, chunk_size));
                inputs_buffer_.resize(chunk);
                map_chunk(id, replicas, x, count, data);
                progress_->advance(chunk);
            }
            x = end;
            if (!options_.csv) continue;
            auto& stored = data.batches.emplace_back(count.stored);
            for (size_t i = 0; i < stored.size(); ++i) stored[i] -= before[i];
        }
    }

    void map_chunk(int32_t id, int32_t replicas, int64_t first, Count& count, CrushCsvData& data) {
        if (options_.simulate) {
            const CrushRule& rule = *map_.rule(id);
            int32_t wanted = std::min(replicas, most_devices_of_rule(map_, rule));
            for (size_t i = 0; i < inputs_buffer_.size(); ++i)
                take(id, replicas, first + static_cast<int64_t>(i),
                     simulation_.place(rule, wanted, weights_), count, data);
            return;
        }
        for (size_t i = 0; i < inputs_buffer_.size(); ++i)
            inputs_buffer_[i] = seed_of(first + static_cast<int64_t>(i), options_);
        CrushQuery query{id, replicas, weights_, 0};
        mapper_.map_many(work_, query, inputs_buffer_, results_);
        for (size_t i = 0; i < inputs_buffer_.size(); ++i)
            take(id, replicas, first + static_cast<int64_t>(i), results_[i], count, data);
    }

    void take(int32_t id, int32_t replicas, int64_t x, std::span<const int32_t> devices,
              Count& count, CrushCsvData& data) {
        if (options_.show_mappings) {
            auto& text = output_.pending();
            fmt::format_to(std::back_inserter(text), "{} rule {} x {} ",
                           options_.simulate ? "RNG" : "CRUSH", id, x);
            append_devices(text, devices);
            text += '\n';
            output_.hand_on_when_large();
        }
        if (options_.csv) {
            data.placements += std::to_string(x);
            for (int32_t device : devices) data.placements += fmt::format(",{}", device);
            data.placements += '\n';
        }
        bool has_hole = false;
        for (int32_t device : devices) {
            has_hole |= device == crush_item_none;
            bool is_device = device >= 0 && device < map_.max_devices; // a rule may emit buckets
            if (is_device) ++count.stored[static_cast<size_t>(device)];
        }
        ++count.sizes[devices.size()];
        bool is_full = devices.size() == static_cast<size_t>(replicas);
        count.holes += is_full && has_hole;
        bool bad = has_hole || !is_full;
        if (!options_.show_bad_mappings || !bad) return;
        auto& text = output_.pending();
        fmt::format_to(std::back_inserter(text), "bad mapping rule {} x {} num_rep {} result ", id,
                       x, replicas);
        append_devices(text, devices);
        text += '\n';
        output_.hand_on_when_large();
    }

    void show_tries() {
        auto tries = work_.tries(); // empty when nothing was mapped
        for (size_t i = 0; i < map_.tunables.choose_total_tries; ++i)
            output_.print("{:2}: {:9}\n", i, i < tries.size() ? tries[i] : 0);
    }

    const CrushMap& map_;
    CrushMapper mapper_;
    const CrushTestOptions& options_;
    ToolOutput& output_;
    Range inputs_;
    std::vector<uint32_t> weights_;
    CrushSimulation simulation_;
    CrushWorkspace work_;
    CrushResults results_;
    std::vector<uint32_t> inputs_buffer_;
    ProgressBar* progress_ = nullptr;
    int32_t smallest_shortfall_ = 0; // of the rule at work: replicas that some input did not get
    int64_t short_inputs_ = 0;
};

int64_t count_differences(const CrushMapper& one, const CrushMapper& other, const CrushQuery& query,
                          Range inputs, const CrushTestOptions& options) {
    CrushWorkspace work, other_work;
    CrushResults results, other_results;
    std::vector<uint32_t> seeds;
    int64_t differences = 0;
    for (int64_t x = inputs.low; x <= inputs.high; x += chunk_size) {
        seeds.resize(static_cast<size_t>(std::min<int64_t>(inputs.high - x + 1, chunk_size)));
        for (size_t i = 0; i < seeds.size(); ++i)
            seeds[i] = seed_of(x + static_cast<int64_t>(i), options);
        one.map_many(work, query, seeds, results);
        other.map_many(other_work, query, seeds, other_results);
        for (size_t i = 0; i < seeds.size(); ++i)
            differences += !std::ranges::equal(results[i], other_results[i]);
    }
    return differences;
}

// crushtool counts the devices of a map that it tests anew, up to the last one in a bucket.
CrushMap with_counted_devices(CrushMap map) {
    int32_t last = -1;
    for (const auto& bucket : map.buckets)
        if (bucket && !bucket->items.empty())
            last = std::max(last, *std::ranges::max_element(bucket->items));
    map.max_devices = last + 1;
    return map;
}

} // namespace

std::vector<uint32_t> device_weights(const CrushMap& map, const CrushTestOptions& options) {
    std::vector<uint32_t> weights(static_cast<size_t>(map.max_devices));
    for (const auto& bucket : map.buckets) {
        if (!bucket) continue;
        for (int32_t item : bucket->items)
            if (item >= 0) weights[static_cast<size_t>(item)] = crush_weight_one;
    }
    for (const auto& [device, weight] : options.weights)
        if (device >= 0 && device < map.max_devices)
            weights[static_cast<size_t>(device)] = crush_weight_of(weight);
    return weights;
}

// Ceph counts shadow buckets too, counts a type anew for each step that chooses it, and takes a
// set_ step for one that chooses devices; its "expected" figures depend on it.
int32_t most_devices_of_rule(const CrushMap& map, const CrushRule& rule) {
    std::map<int32_t, int32_t> wanted; // type -> how many the last step asks for
    std::map<int32_t, int32_t> present;
    for (const auto& step : rule.steps) {
        if (step.op == RuleOp::noop || step.op == RuleOp::take || step.op == RuleOp::emit) continue;
        wanted[step.arg2] = step.arg1;
        for (const auto& [id, name] : map.item_names)
            present[step.arg2] += id < 0 && map.type_of_item(id) == step.arg2;
    }
    int32_t most = std::max(static_cast<int32_t>(map.buckets.size()), map.max_devices);
    for (auto [type, number] : wanted) {
        int32_t count = present[type];
        if (number > 0 && number < count) count = number;
        if (count > 0 && count < most) most = count;
    }
    return most;
}

Result<void> test_crush_map(const CrushMap& map, const CrushTestOptions& options,
                            ToolOutput& output) {
    const CrushMap counted = with_counted_devices(map);
    auto mapper = TRY(CrushMapper::prepare(counted));
    return Tester(counted, std::move(mapper), options, output).run();
}

Result<bool> compare_crush_maps(const CrushMap& map, const CrushMap& other,
                                const CrushTestOptions& options, ToolOutput& output) {
    auto mapper = TRY(CrushMapper::prepare(map));
    auto other_mapper = TRY(CrushMapper::prepare(other));
    auto weights = device_weights(map, options);
    Range inputs = inputs_of(options);
    Range rules = rules_of(map, options);
    bool equal = true;
    for (int64_t id = rules.low; id <= rules.high; ++id) {
        const CrushRule* rule = map.rule(static_cast<int32_t>(id));
        if (!rule && options.show_statistics) output.print("rule {} dne\n", id);
        if (!rule || (options.ruleset >= 0 && rule->ruleset != options.ruleset)) continue;
        Range replicas = replicas_of(*rule, options);
        int64_t bad = 0;
        for (int64_t replica = replicas.low; replica <= replicas.high; ++replica)
            bad += count_differences(
                mapper, other_mapper,
                {static_cast<int32_t>(id), static_cast<int32_t>(replica), weights, 0}, inputs,
                options);
        int64_t all = replicas.count() * inputs.count();
        output.print("rule {} had {}/{} mismatched mappings ({:g})\n", id, bad, all,
                     static_cast<float>(bad) / static_cast<float>(all));
        equal &= bad == 0;
    }
    return equal;
}

} // namespace cloudlet::rados
