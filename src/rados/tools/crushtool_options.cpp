#include "crushtool_options.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "dump_writer.h"

namespace cloudlet::rados {
namespace {

tl::unexpected<Error> invalid_value(std::string_view value) {
    return fail(Code::invalid, fmt::format("The option value '{}' is invalid", value));
}

template <typename T>
Result<T> number_of(std::string_view text) {
    T value{};
    auto digits = text.starts_with('+') ? text.substr(1) : text;
    auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (problem != std::errc() || end != digits.data() + digits.size() || digits.empty())
        return invalid_value(text);
    return value;
}

// "3.5", and nothing that is not finite: a weight.
Result<float> weight_of(std::string_view text) {
    float value = TRY(number_of<float>(text));
    if (!(value >= 0 && value <= 65535)) return invalid_value(text);
    return value;
}

using Arguments = std::span<const std::string>;
using Apply = std::function<Result<void>(CrushtoolOptions&, Arguments)>;

struct Option {
    size_t arity;
    Apply apply;
};

template <typename Member>
Option flag(Member member) {
    return {0, [member](CrushtoolOptions& o, Arguments) -> Result<void> {
                std::invoke(member, o) = true;
                return {};
            }};
}

template <typename Member>
Option text(Member member) {
    return {1, [member](CrushtoolOptions& o, Arguments a) -> Result<void> {
                std::invoke(member, o) = a[0];
                return {};
            }};
}

template <typename T>
Option test_number(T CrushTestOptions::*low, T CrushTestOptions::*high) {
    return {1, [low, high](CrushtoolOptions& o, Arguments a) -> Result<void> {
                // Whatever is below zero means "not given", so it may as well be -1.
                auto value = std::max<int64_t>(-1, TRY(number_of<int64_t>(a[0])));
                if (value > std::numeric_limits<int32_t>::max()) return invalid_value(a[0]);
                o.tester.*low = o.tester.*high = static_cast<T>(value);
                return {};
            }};
}

template <typename T>
Option test_number(T CrushTestOptions::*member) {
    return test_number(member, member);
}

Option test_flag(bool CrushTestOptions::*member) {
    return {0, [member](CrushtoolOptions& o, Arguments) -> Result<void> {
                o.tester.*member = true;
                return {};
            }};
}

Option tunable(std::string name) {
    return {1, [name](CrushtoolOptions& o, Arguments a) -> Result<void> {
                o.tunables[name] = TRY(number_of<uint32_t>(a[0]));
                return {};
            }};
}

Option placed_item(bool update) {
    return {3, [update](CrushtoolOptions& o, Arguments a) -> Result<void> {
                o.item = {TRY(number_of<int32_t>(a[0])), TRY(weight_of(a[1])), a[2], update};
                return {};
            }};
}

Option new_rule(size_t arity) {
    return {arity, [arity](CrushtoolOptions& o, Arguments a) -> Result<void> {
                o.rule = {a[0], a[1], a[2], arity == 4 ? a[3] : std::string()};
                return {};
            }};
}

Result<void> read_decompile(CrushtoolOptions& o, Arguments a) {
    o.decompile = true;
    o.input = a[0];
    return {};
}

Result<void> read_compile(CrushtoolOptions& o, Arguments a) {
    o.compile = true;
    o.source = a[0];
    return {};
}

Result<void> read_devices(CrushtoolOptions& o, Arguments a) {
    o.devices = TRY(number_of<uint32_t>(a[0]));
    return {};
}

Result<void> read_reweight(CrushtoolOptions& o, Arguments a) {
    o.reweighted = {a[0], TRY(weight_of(a[1]))};
    return {};
}

Result<void> read_bucket(CrushtoolOptions& o, Arguments a) {
    o.bucket = {a[0], a[1]};
    return {};
}

Result<void> read_location(CrushtoolOptions& o, Arguments a) {
    std::erase_if(o.location, [&](const auto& known) { return known.first == a[0]; });
    o.location.emplace_back(a[0], a[1]);
    return {};
}

Result<void> read_shown_location(CrushtoolOptions& o, Arguments a) {
    o.location_of = TRY(number_of<int32_t>(a[0]));
    return {};
}

Result<void> read_batches(CrushtoolOptions& o, Arguments a) {
    o.tester.batches = TRY(number_of<uint32_t>(a[0]));
    return o.tester.batches ? Result<void>() : invalid_value(a[0]);
}

Result<void> read_device_weight(CrushtoolOptions& o, Arguments a) {
    auto device = TRY(number_of<int32_t>(a[0]));
    o.tester.weights[device] = TRY(weight_of(a[1]));
    return {};
}

Result<void> read_csv_name(CrushtoolOptions& o, Arguments a) {
    o.tester.csv_name = a[0] + "-";
    return {};
}

// All tunables are safe by now.
Result<void> accept(CrushtoolOptions&, Arguments) { return {}; }

std::map<std::string_view, Option> map_options() {
    using O = CrushtoolOptions;
    return {
        {"infn", text(&O::input)},
        {"outfn", text(&O::output)},
        {"decompile", {1, read_decompile}},
        {"compile", {1, read_compile}},
        {"build", flag(&O::build)},
        {"num-osds", {1, read_devices}},
        {"help", flag(&O::help)},
        {"help-output", flag(&O::help_csv)},
        {"verbose", flag(&O::verbose)},
        {"enable-unsafe-tunables", {0, accept}},
        {"set-choose-local-tries", tunable("choose_local_tries")},
        {"set-choose-local-fallback-tries", tunable("choose_local_fallback_tries")},
        {"set-choose-total-tries", tunable("choose_total_tries")},
        {"set-chooseleaf-descend-once", tunable("chooseleaf_descend_once")},
        {"set-chooseleaf-vary-r", tunable("chooseleaf_vary_r")},
        {"set-chooseleaf-stable", tunable("chooseleaf_stable")},
        {"set-straw-calc-version", tunable("straw_calc_version")},
        {"set-allowed-bucket-algs", tunable("allowed_bucket_algs")},
        {"bucket-name", text(&O::bucket_name)},
        {"format", text(&O::format)},
        {"tree", flag(&O::tree)},
        {"bucket-tree", flag(&O::bucket_tree)},
        {"dump", flag(&O::dump)},
        {"test", flag(&O::test)},
        {"compare", text(&O::compared)},
        {"show-location", {1, read_shown_location}},
    };
}

std::map<std::string_view, Option> change_options() {
    using O = CrushtoolOptions;
    return {
        {"reweight", flag(&O::reweight_all)},
        {"rebuild-class-roots", flag(&O::rebuild_class_roots)},
        {"add-item", placed_item(false)},
        {"update-item", placed_item(true)},
        {"remove-item", text(&O::removed)},
        {"reweight-item", {2, read_reweight}},
        {"add-bucket", {2, read_bucket}},
        {"move", text(&O::moved)},
        {"loc", {2, read_location}},
        {"create-simple-rule", new_rule(4)},
        {"create-replicated-rule", new_rule(3)},
        {"device-class", text(&O::device_class)},
        {"remove-rule", text(&O::removed_rule)},
    };
}

std::map<std::string_view, Option> test_options() {
    using T = CrushTestOptions;
    return {
        {"num-rep", test_number(&T::min_rep, &T::max_rep)},
        {"min-rep", test_number(&T::min_rep)},
        {"max-rep", test_number(&T::max_rep)},
        {"x", test_number(&T::min_x, &T::max_x)},
        {"min-x", test_number(&T::min_x)},
        {"max-x", test_number(&T::max_x)},
        {"rule", test_number(&T::min_rule, &T::max_rule)},
        {"min-rule", test_number(&T::min_rule)},
        {"max-rule", test_number(&T::max_rule)},
        {"ruleset", test_number(&T::ruleset)},
        {"pool-id", test_number(&T::pool)},
        {"batches", {1, read_batches}},
        {"weight", {2, read_device_weight}},
        {"simulate", test_flag(&T::simulate)},
        {"show-mappings", test_flag(&T::show_mappings)},
        {"show-bad-mappings", test_flag(&T::show_bad_mappings)},
        {"show-statistics", test_flag(&T::show_statistics)},
        {"show-utilization", test_flag(&T::show_utilization)},
        {"show-utilization-all", test_flag(&T::show_utilization_all)},
        {"show-choose-tries", test_flag(&T::show_choose_tries)},
        {"output-csv", test_flag(&T::csv)},
        {"output-name", {1, read_csv_name}},
    };
}

const std::map<std::string_view, Option>& all_options() {
    static const auto options = [] {
        auto all = map_options();
        all.merge(change_options());
        all.merge(test_options());
        return all;
    }();
    return options;
}

const std::map<std::string_view, std::string_view> short_names = {
    {"-h", "help"},    {"-i", "infn"},   {"-o", "outfn"}, {"-d", "decompile"}, {"-c", "compile"},
    {"-v", "verbose"}, {"-f", "format"}, {"-t", "test"},  {"-w", "weight"}};

class Reader {
public:
    explicit Reader(Arguments arguments) : arguments_(arguments) {}

    Result<CrushtoolOptions> read() {
        while (at_ < arguments_.size()) {
            const std::string& word = arguments_[at_];
            if (word == "--") {
                options_.words.insert(options_.words.end(), arguments_.begin() + at_ + 1,
                                      arguments_.end());
                break;
            }
            TRY(one(word));
        }
        // To utilise is a statistic.
        auto& tester = options_.tester;
        if (tester.show_utilization || tester.show_utilization_all) tester.show_statistics = true;
        return std::move(options_);
    }

private:
    Result<void> one(const std::string& word) {
        std::string name;
        std::optional<std::string> value;
        if (auto known = short_names.find(word); known != short_names.end()) {
            name = known->second;
        } else if (word.starts_with("--")) {
            name = word.substr(2);
            if (size_t equals = name.find('='); equals != std::string::npos) {
                value = name.substr(equals + 1);
                name.resize(equals);
            }
            std::replace(name.begin(), name.end(), '_', '-');
        }
        if (name == "check") return check(value);
        auto option = all_options().find(name);
        if (option == all_options().end()) {
            options_.words.push_back(word);
            ++at_;
            return {};
        }
        return carry_out(word, option->second, value);
    }

    Result<void> carry_out(const std::string& word, const Option& option,
                           std::optional<std::string> value) {
        std::vector<std::string> given;
        if (value && option.arity) given.push_back(*value);
        size_t missing = option.arity - given.size();
        if (arguments_.size() - at_ - 1 < missing) {
            if (option.arity == 1)
                return fail(Code::invalid, fmt::format("Option {} requires an argument.", word));
            return fail(Code::invalid, fmt::format("expecting additional argument to {}", word));
        }
        auto rest = arguments_.subspan(at_ + 1, missing);
        given.insert(given.end(), rest.begin(), rest.end());
        at_ += 1 + missing;
        return option.apply(options_, given);
    }

    // Its number may be left out.
    Result<void> check(std::optional<std::string> value) {
        options_.check = true;
        ++at_;
        if (!value && at_ < arguments_.size() && !arguments_[at_].starts_with('-'))
            value = arguments_[at_++];
        if (value) options_.check_max_id = TRY(number_of<int32_t>(*value));
        return {};
    }

    Arguments arguments_;
    size_t at_ = 0;
    CrushtoolOptions options_;
};

} // namespace

bool CrushtoolOptions::changes_the_map() const {
    return compile || build || !tunables.empty() || item || bucket || moved || removed ||
           removed_rule || reweighted || rule || reweight_all || rebuild_class_roots;
}

bool CrushtoolOptions::does_something() const {
    return changes_the_map() || decompile || tree || bucket_tree || dump || test || check ||
           location_of.value_or(-1) >= 0 || compared;
}

Result<CrushtoolOptions> parse_crushtool_options(std::span<const std::string> arguments) {
    auto options = TRY(Reader(arguments).read());
    if (options.help || options.help_csv) return options;
    if (int{options.decompile} + int{options.compile} + int{options.build} > 1)
        return fail(Code::invalid, "cannot specify more than one of compile, decompile, and build");
    if (!options.does_something()) return fail(Code::invalid, "no action specified; -h for help");
    if (options.dump) TRY(refuse_tables(options.format));
    if (!options.build && !options.words.empty())
        return fail(Code::invalid,
                    fmt::format("unrecognized arguments: [{}]", fmt::join(options.words, ",")));
    return options;
}

} // namespace cloudlet::rados
