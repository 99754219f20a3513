#pragma once
// The command line of crushtool, read but not yet carried out. '_' and '-' in an option's name are
// the same, and "--option=value" is "--option value", as everywhere in Ceph.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_builder.h"
#include "cloudlet/rados/crush_edit.h"

namespace cloudlet::rados {

/// What --test and --compare run over and show. Negative numbers mean "not given".
struct CrushTestOptions {
    int64_t min_x = -1, max_x = -1;
    int32_t min_rule = -1, max_rule = -1;
    int32_t ruleset = -1;
    int32_t min_rep = -1, max_rep = -1;
    int64_t pool = -1;
    uint32_t batches = 1;
    bool simulate = false;
    std::map<int32_t, float> weights; // by device
    bool show_mappings = false;
    bool show_bad_mappings = false;
    bool show_statistics = false;
    bool show_utilization = false;
    bool show_utilization_all = false;
    bool show_choose_tries = false;
    bool csv = false;
    std::string csv_name;

    bool shows_something() const {
        return show_mappings || show_bad_mappings || show_statistics || show_utilization ||
               show_utilization_all || show_choose_tries || csv;
    }
};

struct CrushtoolOptions {
    struct Item {
        int32_t id = 0;
        float weight = 0;
        std::string name;
        bool update = false; // else: add
    };
    struct NewBucket {
        std::string name, type;
    };
    struct NewRule {
        std::string name, root, type;
        std::string mode; // empty for --create-replicated-rule
    };

    bool help = false, help_csv = false, verbose = false;
    std::string input, output;
    bool decompile = false, compile = false, build = false;
    std::string source; // of --compile
    uint32_t devices = 0;
    std::vector<std::string> words;           // what is no option: the layers of --build
    std::map<std::string, uint32_t> tunables; // by name: "choose_total_tries"

    std::optional<Item> item;
    std::optional<NewBucket> bucket;
    std::optional<std::string> moved, removed, removed_rule;
    std::optional<std::pair<std::string, float>> reweighted;
    std::optional<NewRule> rule;
    std::string device_class;
    CrushLocation location;
    bool reweight_all = false, rebuild_class_roots = false;

    bool tree = false, bucket_tree = false, dump = false, test = false;
    std::string bucket_name, format = "json-pretty";
    bool check = false;
    int32_t check_max_id = -1;
    std::optional<int32_t> location_of;
    std::optional<std::string> compared;
    CrushTestOptions tester;

    bool changes_the_map() const;
    bool does_something() const;
};

/// Error: Code::invalid, with crushtool's message.
Result<CrushtoolOptions> parse_crushtool_options(std::span<const std::string> arguments);

} // namespace cloudlet::rados
