#include "tools/osdmaptool_options.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include <fmt/format.h>

#include "tools/dump_writer.h"

namespace cloudlet::rados {
namespace {

template <typename T>
Result<T> number_of(std::string_view text) {
    T value{};
    const char* end = text.data() + text.size();
    auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc{} && rest == end && !text.empty()) return value;
    return fail(Code::invalid, fmt::format("The option value '{}' is invalid", text));
}

/// "0:2,1:3.5" of --adjust-crush-weight.
Result<std::vector<std::pair<int32_t, float>>> weights_of(std::string_view text) {
    std::vector<std::pair<int32_t, float>> weights;
    while (!text.empty()) {
        std::string_view item = text.substr(0, text.find(','));
        text.remove_prefix(std::min(text.size(), item.size() + 1));
        size_t colon = item.find(':');
        if (colon == item.npos)
            return fail(Code::invalid, fmt::format("--adjust-crush-weight wants OSD:WEIGHT, such "
                                                   "as 0:1.5, not \"{}\"",
                                                   item));
        int32_t osd = TRY(number_of<int32_t>(item.substr(0, colon)));
        weights.emplace_back(osd, TRY(number_of<float>(item.substr(colon + 1))));
    }
    return weights;
}

/// Walks the words; knows which options take a value.
class Parser {
public:
    explicit Parser(std::span<const std::string> words) : words_(words) {}

    Result<OsdmaptoolOptions> parse() {
        for (; next_ < words_.size(); ++next_) TRY(word(words_[next_]));
        TRY(refuse_tables(options_.dump.value_or("")));
        TRY(refuse_tables(options_.tree.value_or("")));
        return std::move(options_);
    }

private:
    Result<void> word(const std::string& text) {
        if (text == "-h") {
            options_.help = true;
            return {};
        }
        if (text == "-p") return option("--print");
        if (!text.starts_with("--")) {
            options_.files.push_back(text);
            return {};
        }
        size_t equals = text.find('=');
        std::string name = text.substr(0, equals);
        std::replace(name.begin() + 2, name.end(), '_', '-');
        inline_value_.reset();
        if (equals != text.npos) inline_value_ = text.substr(equals + 1);
        return option(name);
    }

    Result<void> option(const std::string& name) {
        if (flag(name)) return {};
        if (bool known = TRY(number_option(name)); known) return {};
        if (bool known = TRY(text_option(name)); known) return {};
        if (name == "--test-crush")
            return fail(Code::invalid, "osdmaptool: --test-crush places PGs without end in Ceph's "
                                       "tool; use --test-map-pgs-dump, which does it once");
        return fail(Code::invalid, fmt::format("unrecognized option {}; --help lists them", name));
    }

    bool flag(const std::string& name) {
        const std::pair<const char*, bool*> flags[] = {
            {"--help", &options_.help},
            {"--print", &options_.print},
            {"--health", &options_.health},
            {"--clobber", &options_.clobber},
            {"--with-default-pool", &options_.with_default_pool},
            {"--mark-up-in", &options_.mark_up_in},
            {"--clear-temp", &options_.clear_temp},
            {"--clean-temps", &options_.clean_temps},
            {"--test-map-pgs", &options_.test_pgs},
            {"--test-map-pgs-dump", &options_.test_pgs_dump},
            {"--test-map-pgs-dump-all", &options_.test_pgs_dump_all},
            {"--upmap-active", &options_.upmap_active},
            {"--save", &options_.save}};
        for (const auto& [known, place] : flags)
            if (name == known) {
                *place = true;
                return true;
            }
        return false;
    }

    Result<bool> number_option(const std::string& name) {
        auto into = [&]<typename T>(std::optional<T>& place) -> Result<bool> {
            place = TRY(number_of<T>(TRY(value(name))));
            return true;
        };
        auto plain = [&]<typename T>(T& place) -> Result<bool> {
            place = TRY(number_of<T>(TRY(value(name))));
            return true;
        };
        if (name == "--createsimple") return into(options_.create_simple);
        if (name == "--pg-bits" || name == "--osd-pg-bits") return plain(options_.pg_bits);
        if (name == "--pgp-bits" || name == "--osd-pgp-bits") return plain(options_.pgp_bits);
        if (name == "--mark-out") return into(options_.mark_out);
        if (name == "--mark-up") return into(options_.mark_up);
        if (name == "--mark-in") return into(options_.mark_in);
        if (name == "--pool") return into(options_.pool);
        if (name == "--pg-num") return into(options_.pg_num);
        if (name == "--range-first") return plain(options_.range_first);
        if (name == "--range-last") return plain(options_.range_last);
        if (name == "--upmap-max") return plain(options_.balance.max_changes);
        if (name == "--upmap-deviation") return plain(options_.balance.max_deviation);
        return false;
    }

    Result<bool> text_option(const std::string& name) {
        if (name == "--test-map-object") {
            options_.object = TRY(value(name));
        } else if (name == "--test-map-pg") {
            options_.pg_text = TRY(value(name));
            auto pg = PgId::parse(options_.pg_text);
            if (!pg)
                return fail(Code::invalid,
                            fmt::format("osdmaptool: failed to parse pg '{}'", options_.pg_text));
            options_.pg = *pg;
        } else if (name == "--import-crush") {
            options_.import_crush = TRY(value(name));
        } else if (name == "--export-crush") {
            options_.export_crush = TRY(value(name));
        } else if (name == "--adjust-crush-weight") {
            options_.crush_weights = TRY(weights_of(TRY(value(name))));
        } else if (name == "--upmap-pool") {
            options_.upmap_pools.insert(TRY(value(name)));
        } else if (name == "--dump") {
            options_.dump = TRY(value(name));
        } else if (name == "--upmap") {
            options_.upmap = value_or("-");
        } else if (name == "--upmap-cleanup") {
            options_.upmap_cleanup = value_or("-");
        } else if (name == "--tree") {
            options_.tree = tree_format();
        } else {
            return false;
        }
        return true;
    }

    Result<std::string> value(const std::string& name) {
        if (inline_value_) return *inline_value_;
        if (next_ + 1 < words_.size()) return words_[++next_];
        return fail(Code::invalid, fmt::format("Option {} requires an argument.", name));
    }

    std::string value_or(const char* fallback) {
        if (inline_value_) return *inline_value_;
        return next_ + 1 < words_.size() ? words_[++next_] : fallback;
    }

    /// Takes the next word only when it is a format: "--tree json", but "--tree MAP".
    std::string tree_format() {
        if (inline_value_) return *inline_value_;
        constexpr const char* formats[] = {"plain",      "json", "json-pretty", "xml",
                                           "xml-pretty", "html", "html-pretty"};
        if (next_ + 1 < words_.size() && std::find(std::begin(formats), std::end(formats),
                                                   words_[next_ + 1]) != std::end(formats))
            return words_[++next_];
        return "plain";
    }

    std::span<const std::string> words_;
    size_t next_ = 0;
    std::optional<std::string> inline_value_;
    OsdmaptoolOptions options_;
};

} // namespace

Result<OsdmaptoolOptions> parse_osdmaptool(std::span<const std::string> arguments) {
    return Parser(arguments).parse();
}

std::string osdmaptool_help() {
    return R"( usage: osdmaptool MAP [OPTION]...

 make a map
   --createsimple N [--clobber] [--pg-bits BITS] [--pgp-bits BITS]
                           N devices in one host; pg_num is N << BITS (default: 6)
   --with-default-pool     with pool 1, "rbd"
   --clobber               also over a map that exists

 show it
   --print, -p             as text
   --dump FORMAT           as plain; json, xml or html; the same with -pretty
   --tree[=FORMAT]         the hierarchy with the devices' states, in the same formats
   --export-crush FILE     write its CRUSH map
   --health                what is wrong with it

 change it (only for this run, unless --save stands beside it)
   --import-crush FILE     replace its CRUSH map; this is written
   --mark-up-in            take all OSDs for up and in
   --mark-out ID, --mark-up ID, --mark-in ID
   --adjust-crush-weight ID:WEIGHT[,ID:WEIGHT...]
   --clear-temp            forget pg_temp and primary_temp
   --clean-temps           look for stale pg_temp entries
   --save                  write what --upmap or --adjust-crush-weight changed

 test where data goes
   --test-map-pgs [--pool ID] [--pg_num N]       how many PGs each OSD gets
   --test-map-pgs-dump [--pool ID]               and where each PG is
   --test-map-pgs-dump-all [--pool ID]           with its raw, up and acting sets
   --range-first N --range-last N    MAP is a folder: only see that its maps N can be read
   --test-map-pg PG        where one PG is
   --test-map-object NAME [--pool ID]            where an object is

 even it out
   --upmap FILE            commands that bring OSDs nearer to their share ("-": to the output)
   --upmap-max N           at most so many (default: 10)
   --upmap-deviation N     PGs that an OSD may be off (default: 5)
   --upmap-pool NAME       only in this pool; repeatable
   --upmap-active          go on until it is even
   --upmap-cleanup FILE    commands that remove entries which say nothing any more
)";
}

} // namespace cloudlet::rados
