#include "cloudlet/rados/crushtool.h"

#include <cerrno>
#include <fcntl.h>
#include <map>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

#include "cloudlet/io/file.h"

#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/crush_text.h"
#include "crush_dump.h"
#include "crush_tester.h"
#include "crush_tree_view.h"
#include "crushtool_changes.h"
#include "crushtool_help.h"
#include "crushtool_options.h"
#include "tool_output.h"

namespace cloudlet::rados {
namespace {

// A new file appears whole or not at all; a device or pipe is written as it is.
Result<void> write_output(const std::string& path, std::string_view bytes) {
    struct stat status = {};
    if (stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode))
        return io::write_file_atomic(path, bytes);
    auto fd = TRY(io::open_file(path, O_WRONLY));
    while (!bytes.empty()) {
        ssize_t written = write(fd.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_errno("write " + path);
        bytes.remove_prefix(static_cast<size_t>(written));
    }
    return {};
}

// Weight sets and ids of other buckets than straw2 have no effect; Ceph drops them when it reads.
void drop_idle_choose_args(CrushMap& map) {
    for (auto& [pool, args] : map.choose_args)
        std::erase_if(args, [&](const auto& arg) {
            const auto* bucket = map.bucket(arg.first);
            return !bucket || bucket->alg != BucketAlg::straw2;
        });
}

class Command {
public:
    Command(const CrushtoolOptions& options, ToolOutput& output)
        : options_(options), output_(output) {}

    int run() {
        warn_when_nothing_is_shown();
        if (int status = get_map()) return status;
        auto outcome = change_crush_map(map_, options_, output_);
        if (outcome.ends_command) return outcome.status;
        if (int status = show()) return status;
        return put_map();
    }

private:
    template <typename... Args>
    int refuse(int status, fmt::format_string<Args...> format, Args&&... args) {
        output_.error("{}\n", fmt::format(format, std::forward<Args>(args)...));
        return status;
    }

    void warn_when_nothing_is_shown() {
        if (!options_.test || options_.tester.shows_something() || options_.check ||
            options_.changes_the_map() || options_.tree || options_.dump)
            return;
        output_.error("WARNING: no output selected; use --output-csv or --show-X\n");
    }

    int read_map(const std::string& path, CrushMap& into) {
        auto bytes = io::read_file(path);
        if (!bytes)
            return refuse(1, "crushtool: error reading '{}': {}", path, bytes.error().to_string());
        auto map = decode_crush_map(*bytes);
        if (!map)
            return refuse(1, "crushtool: unable to decode {}: {}", path, map.error().to_string());
        into = std::move(*map);
        drop_idle_choose_args(into);
        return 0;
    }

    int get_map() {
        if (options_.build) return build();
        if (options_.compile) return compile();
        return options_.input.empty() ? 0 : read_map(options_.input, map_);
    }

    int compile() {
        auto text = io::read_file(options_.source);
        if (!text && text.error().code == Code::not_found)
            return refuse(256 - ENOENT, "input file {} not found", options_.source);
        if (!text) return refuse(1, "crushtool: {}", text.error().to_string());
        auto map = compile_crush_text(*text, options_.source);
        if (!map) return refuse(1, "{}", map.error().to_string());
        map_ = std::move(*map);
        return 0;
    }

    int build() {
        const auto& words = options_.words;
        if (words.empty()) return refuse(1, "crushtool: must specify at least one layer");
        if (words.size() % 3)
            return refuse(1,
                          "remaining args: [{}]\nlayers must be specified with 3-tuples of (name, "
                          "buckettype, size)",
                          fmt::join(words, ","));
        std::vector<CrushLayer> layers;
        for (size_t i = 0; i < words.size(); i += 3) {
            auto alg = bucket_alg_of(words[i + 1]);
            if (!alg) return refuse(1, "unknown bucket type '{}'", words[i + 1]);
            bool is_number = words[i + 2].find_first_not_of("0123456789") == std::string::npos;
            if (!is_number || words[i + 2].size() > 9)
                return refuse(1, "'{}' is no size of a layer; use a number, 0 for all items",
                              words[i + 2]);
            layers.push_back({words[i], *alg, static_cast<uint32_t>(std::stoul(words[i + 2]))});
        }
        auto map = build_crush_map(options_.devices, layers);
        if (!map) return refuse(1, "{}", map.error().to_string());
        map_ = std::move(*map);
        auto roots = map_.roots();
        return roots.size() < 2 ? 0 : use_first_of(roots.size(), layers.back());
    }

    // A map of several roots gets its rule over the first of them.
    int use_first_of(size_t roots, const CrushLayer& top) {
        std::string first = top.type_name + "0";
        output_.error("The crush rulesets will use the root {}\nand ignore the others.\n"
                      "There are {} roots, they can be\ngrouped into a single root by appending "
                      "something like:\n  root straw 0\n\n",
                      first, roots);
        if (!map_.rules.empty()) return 0;
        auto rule = create_simple_rule(map_, "replicated_rule", first, map_.type_name(1), "",
                                       RuleMode::firstn, RuleType::replicated);
        return rule ? 0 : refuse(1, "{}", rule.error().to_string());
    }

    int show() {
        if (options_.location_of) show_location(*options_.location_of);
        if (options_.tree) output_.write(crush_tree_table(map_));
        if (options_.bucket_tree) show_bucket_tree();
        if (options_.dump) dump();
        if (options_.decompile)
            if (int status = decompile()) return status;
        if (options_.check)
            if (int status = check()) return status;
        if (options_.test) {
            auto tested = test_crush_map(map_, options_.tester, output_);
            if (!tested) return refuse(1, "crushtool: {}", tested.error().to_string());
        }
        return options_.compared ? compare() : 0;
    }

    void show_location(int32_t device) {
        std::map<std::string, std::string> sorted;
        for (auto& [type, name] : map_.location_of(device)) sorted.emplace(type, name);
        for (const auto& [type, name] : sorted) output_.print("{}\t{}\n", type, name);
    }

    void show_bucket_tree() {
        if (options_.bucket_name.empty()) {
            output_.error(": error bucket_name is empty; name a bucket with --bucket-name\n");
            return;
        }
        auto bucket = map_.item_of(options_.bucket_name);
        if (!bucket) return;
        std::set<int32_t> devices;
        for (int32_t device : map_.devices_below(*bucket)) devices.insert(device);
        for (int32_t device : devices) output_.print("osd.{}\n", device);
    }

    void dump() {
        using Format = DumpWriter::Format;
        DumpWriter writer(dump_format_of(options_.format).value_or(Format::json_pretty));
        dump_crush_map(map_, writer);
        output_.write(writer.take());
        output_.write("\n");
    }

    int decompile() {
        std::string text = decompile_crush_map(map_);
        if (options_.output.empty()) {
            output_.write(text);
            return 0;
        }
        auto written = write_output(options_.output, text);
        return written ? 0 : refuse(1, "crushtool: {}", written.error().to_string());
    }

    int check() {
        if (options_.check_max_id > 0)
            for (const auto& row : crush_tree_rows(map_, false))
                if (auto problem = problem_of(row.id); !problem.empty()) {
                    output_.print("{}: item#{}\n", problem, row.id);
                    return 1;
                }
        report_overlaps();
        return 0;
    }

    std::string problem_of(int32_t item) const {
        if (item >= options_.check_max_id) return "item id too large";
        if (!map_.item_names.contains(item)) return "unknown item name";
        auto type = map_.type_of_item(item).value_or(0);
        return type != 0 && !map_.type_names.contains(type) ? "unknown type name" : "";
    }

    // Two rules of one ruleset and type for one size: a pool would get either.
    void report_overlaps() {
        std::map<std::pair<int, int>, std::map<int, std::vector<std::string>>> by_size;
        for (size_t id = 0; id < map_.rules.size(); ++id) {
            const auto& rule = map_.rules[id];
            if (!rule) continue;
            auto name = map_.rule_names.find(static_cast<int32_t>(id));
            for (int size = rule->min_size; size <= rule->max_size; ++size)
                by_size[{rule->ruleset, rule->type}][size].push_back(
                    name == map_.rule_names.end() ? std::string() : name->second);
        }
        for (const auto& [kind, sizes] : by_size) {
            const std::vector<std::string>* last = nullptr;
            for (const auto& [size, names] : sizes) {
                if (names.size() > 1 && (!last || *last != names))
                    output_.print("overlapped rules in ruleset {}: {}\n", kind.first,
                                  fmt::join(names, ", "));
                last = &names;
            }
        }
    }

    int compare() {
        CrushMap other;
        if (int status = read_map(*options_.compared, other)) return status;
        auto equal = compare_crush_maps(map_, other, options_.tester, output_);
        if (!equal) return refuse(1, "crushtool: {}", equal.error().to_string());
        if (!*equal) return refuse(1, "warning: maps are NOT equivalent");
        output_.write("maps appear equivalent\n");
        return 0;
    }

    int put_map() {
        if (!options_.changes_the_map()) return 0;
        if (options_.output.empty()) {
            output_.write("crushtool successfully built or modified map.  Use '-o <file>' to write "
                          "it out.\n");
            return 0;
        }
        auto written = write_output(options_.output, encode_crush_map(map_));
        return written ? 0 : refuse(1, "crushtool: {}", written.error().to_string());
    }

    const CrushtoolOptions& options_;
    ToolOutput& output_;
    CrushMap map_;
};

} // namespace

int crushtool(std::span<const std::string> arguments, const ToolStreams& streams) {
    ToolOutput output(streams);
    if (arguments.empty()) {
        output.error("crushtool: -h or --help for usage\n");
        return 1;
    }
    auto options = parse_crushtool_options(arguments);
    if (!options) {
        output.error("{}\n", options.error().to_string());
        return 1;
    }
    if (options->help || options->help_csv) {
        output.write(options->help ? crushtool_help() : crushtool_csv_help());
        return 0;
    }
    return Command(*options, output).run();
}

} // namespace cloudlet::rados
