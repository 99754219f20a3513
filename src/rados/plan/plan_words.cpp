// The grammar of changes: words to Change, and Change back to words and to `ceph`'s commands.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cloudlet/rados/plan.h"
#include "plan_steps.h"

namespace cloudlet::rados {
namespace {

/// Spellings of a verb, `ceph`'s own included; the longest that fits is taken.
struct Spelling {
    std::vector<std::string_view> words;
    ChangeKind kind;
};

const std::vector<Spelling>& spellings() {
    using enum ChangeKind;
    static const std::vector<Spelling> table = {
        {{"out"}, out},
        {{"in"}, in},
        {{"reweight"}, reweight},
        {{"crush-reweight"}, crush_reweight},
        {{"crush", "reweight"}, crush_reweight},
        {{"add"}, add},
        {{"crush", "add"}, add},
        {{"remove"}, remove},
        {{"rm"}, remove},
        {{"purge"}, remove},
        {{"crush", "remove"}, remove},
        {{"crush", "rm"}, remove},
        {{"replace"}, replace},
        {{"destroy"}, replace},
        {{"move"}, move},
        {{"crush", "move"}, move},
        {{"rule"}, rule},
        {{"tunables"}, tunables},
        {{"crush", "tunables"}, tunables},
        {{"size"}, size},
        {{"pg_num"}, pg_num},
        {{"set"}, set},
        {{"unset"}, unset},
    };
    return table;
}

std::string_view verb_of(ChangeKind kind) {
    for (const Spelling& spelling : spellings())
        if (spelling.kind == kind) return spelling.words.front();
    return "";
}

std::vector<std::string> split(std::string_view text, std::string_view separators) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        size_t end = std::min(text.find_first_of(separators), text.size());
        if (end) parts.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

Change change_of(ChangeKind kind) { return {kind, {}, {}, -1, {}, {}}; }

std::string number_text(double number) { return fmt::format("{}", static_cast<float>(number)); }

/// A cursor over the words.
class Words {
public:
    explicit Words(std::span<const std::string> given) {
        for (const std::string& word : given) {
            for (std::string& part : split(word, " \t\n")) add(std::move(part));
        }
    }

    bool at_end() const { return next_ == words_.size(); }
    const std::string& peek() const { return words_[next_]; }
    std::string take() { return words_[next_++]; }

    bool skip(std::string_view word) {
        if (at_end() || peek() != word) return false;
        ++next_;
        return true;
    }
    void skip_separators() {
        while (skip(",") || skip(";") || skip("then")) {
        }
    }

    /// The verb at the cursor, without moving; how many words it has.
    std::optional<std::pair<ChangeKind, size_t>> verb() const {
        std::optional<std::pair<ChangeKind, size_t>> found;
        for (const Spelling& spelling : spellings()) {
            size_t count = spelling.words.size();
            if (next_ + count > words_.size() || (found && found->second >= count)) continue;
            if (std::equal(spelling.words.begin(), spelling.words.end(), words_.begin() + at()))
                found = {spelling.kind, count};
        }
        return found;
    }
    void drop(size_t count) { next_ += count; }

    /// True where the argument of a verb cannot continue.
    bool ends_change() const {
        return at_end() || peek() == "," || peek() == ";" || peek() == "then" || peek() == "osd" ||
               peek() == "ceph" || verb() || flag_bit(peek());
    }

private:
    std::ptrdiff_t at() const { return static_cast<std::ptrdiff_t>(next_); }

    /// "osd.3," and "osd.3;" end a change; a comma inside a word ("noout,norebalance") does not.
    void add(std::string word) {
        std::string_view end;
        if (word.size() > 1 && word.ends_with(',')) end = ",";
        if (word.size() > 1 && word.ends_with(';')) end = ";";
        if (!end.empty()) word.pop_back();
        words_.push_back(std::move(word));
        if (!end.empty()) words_.emplace_back(end);
    }

    std::vector<std::string> words_;
    size_t next_ = 0;
};

std::optional<double> parse_number(std::string_view text) {
    double value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
        return std::nullopt;
    return value;
}

/// The form of a verb's line in change_grammar().
std::string form_of(ChangeKind kind) {
    for (const std::string& line : split(change_grammar(), "\n"))
        if (line.substr(0, line.find(' ')) == verb_of(kind)) return line.substr(0, line.find("  "));
    return std::string(verb_of(kind));
}

class Parser {
public:
    explicit Parser(std::span<const std::string> words) : words_(words) {}

    Result<std::vector<Change>> parse() {
        std::vector<Change> changes;
        for (words_.skip_separators(); !words_.at_end(); words_.skip_separators())
            TRY(one(changes));
        if (changes.empty())
            return fail(Code::invalid, "no change given; the changes are:\n" + change_grammar());
        return changes;
    }

private:
    Result<> one(std::vector<Change>& changes) {
        words_.skip("ceph");
        words_.skip("osd");
        if (words_.skip("pool")) return pool_set(changes);
        if (!words_.at_end() && flag_bit(words_.peek())) return flags(changes, ChangeKind::set);
        if (words_.at_end()) return fail(Code::invalid, "the last change is not complete");
        auto verb = words_.verb();
        if (!verb)
            return fail(Code::invalid, fmt::format("'{}' is not a change; the changes are:\n{}",
                                                   words_.peek(), change_grammar()));
        words_.drop(verb->second);
        return arguments(changes, verb->first);
    }

    Result<> arguments(std::vector<Change>& changes, ChangeKind kind) {
        using enum ChangeKind;
        switch (kind) {
        case out:
        case in:
        case remove: return osds(changes, kind);
        case set:
        case unset: return flags(changes, kind);
        case add:
        case replace:
        case move: return placed(changes, kind);
        case reweight:
        case crush_reweight:
        case size:
        case pg_num: return numbered(changes, kind);
        case rule:
        case tunables: break;
        }
        Change change = change_of(kind);
        change.subject = TRY(argument(kind));
        if (kind == rule) change.rule = TRY(argument(kind));
        changes.push_back(std::move(change));
        return {};
    }

    Result<std::string> argument(ChangeKind kind) {
        if (words_.at_end() || words_.peek() == "," || words_.peek() == ";")
            return fail(Code::invalid, fmt::format("'{}' lacks a word; its form is: {}",
                                                   verb_of(kind), form_of(kind)));
        return words_.take();
    }

    Result<double> number(ChangeKind kind, const std::string& text) {
        auto value = parse_number(text);
        if (!value)
            return fail(Code::invalid,
                        fmt::format("'{}' is not a number; the form is: {}", text, form_of(kind)));
        return *value;
    }

    Result<std::string> osd_argument(ChangeKind kind) {
        std::string word = TRY(argument(kind));
        if (auto id = parse_osd_name(word)) return fmt::format("osd.{}", *id);
        return fail(Code::invalid, fmt::format("'{}' is not an OSD; write osd.3 or 3 (the form is: "
                                               "{})",
                                               word, form_of(kind)));
    }

    Result<> osds(std::vector<Change>& changes, ChangeKind kind) {
        do {
            Change change = change_of(kind);
            change.subject = TRY(osd_argument(kind));
            changes.push_back(std::move(change));
            // Ceph's safety words of `purge`.
            while (words_.skip("--yes-i-really-mean-it") || words_.skip("--force")) {
            }
        } while (!words_.ends_change());
        return {};
    }

    Result<> numbered(std::vector<Change>& changes, ChangeKind kind) {
        Change change = change_of(kind);
        change.subject =
            kind == ChangeKind::reweight ? TRY(osd_argument(kind)) : TRY(argument(kind));
        if (auto id = parse_osd_name(change.subject); id && kind == ChangeKind::crush_reweight)
            change.subject = fmt::format("osd.{}", *id);
        change.number = TRY(number(kind, TRY(argument(kind))));
        bool whole = kind == ChangeKind::size || kind == ChangeKind::pg_num;
        if (change.number < 0 || change.number > 1e6 ||
            (whole && change.number != std::floor(change.number)))
            return fail(Code::invalid, fmt::format("{} is no good value for '{} {}'", change.number,
                                                   verb_of(kind), change.subject));
        changes.push_back(std::move(change));
        return {};
    }

    /// One word of add, replace or move: "weight 1.0", "weight=1.0", "host=a", "class=ssd" or, as
    /// with `ceph osd crush add`, the bare weight.
    Result<> place_word(Change& change, std::string word) {
        size_t equals = word.find('=');
        std::string key = word.substr(0, equals);
        bool weighted = change.kind != ChangeKind::move;
        if (weighted && equals == std::string::npos && parse_number(word)) {
            change.number = *parse_number(word);
        } else if (weighted && key == "weight") {
            std::string value =
                equals == std::string::npos ? TRY(argument(change.kind)) : word.substr(equals + 1);
            change.number = TRY(number(change.kind, value));
        } else if (equals == std::string::npos || change.kind == ChangeKind::replace) {
            return fail(Code::invalid,
                        fmt::format("'{}' is not understood after '{} {}'; the form is: {}", word,
                                    verb_of(change.kind), change.subject, form_of(change.kind)));
        } else if (key == "class" && weighted) {
            change.device_class = word.substr(equals + 1);
        } else {
            change.location.emplace_back(key, word.substr(equals + 1));
        }
        return {};
    }

    Result<> placed(std::vector<Change>& changes, ChangeKind kind) {
        Change change = change_of(kind);
        change.subject = kind == ChangeKind::move ? TRY(argument(kind)) : TRY(osd_argument(kind));
        if (auto id = parse_osd_name(change.subject)) change.subject = fmt::format("osd.{}", *id);
        while (!words_.ends_change()) {
            TRY(place_word(change, words_.take()));
            while (words_.skip("--yes-i-really-mean-it")) {
            }
        }
        if (kind != ChangeKind::replace && change.location.empty())
            return fail(Code::invalid, fmt::format("where shall {} be? The form is: {}",
                                                   change.subject, form_of(kind)));
        if (kind == ChangeKind::add && change.number < 0)
            return fail(Code::invalid,
                        fmt::format("{} needs a weight (customarily its size in TiB); the form is: "
                                    "{}",
                                    change.subject, form_of(kind)));
        changes.push_back(std::move(change));
        return {};
    }

    Result<> flags(std::vector<Change>& changes, ChangeKind kind) {
        std::vector<std::string> names;
        while (!words_.at_end() && words_.peek() != "," && words_.peek() != ";") {
            auto parts = split(words_.peek(), ",");
            bool all = std::all_of(parts.begin(), parts.end(),
                                   [](const auto& part) { return flag_bit(part).has_value(); });
            if (!all) break;
            names.insert(names.end(), parts.begin(), parts.end());
            words_.take();
        }
        if (names.empty() && kind == ChangeKind::unset) names = std::exchange(set_, {});
        if (names.empty())
            return fail(Code::invalid,
                        fmt::format("'{}' {}; flags are {}", verb_of(kind),
                                    words_.at_end() || kind == ChangeKind::unset
                                        ? std::string("names no flag, and none was set before")
                                        : fmt::format("does not know the flag '{}'", words_.peek()),
                                    fmt::join(flag_names(), ", ")));
        for (const auto& name : names) {
            std::erase(set_, name);
            if (kind == ChangeKind::set) set_.push_back(name);
        }
        changes.push_back({kind, fmt::format("{}", fmt::join(names, ",")), {}, -1, {}, {}});
        return {};
    }

    /// `osd pool set POOL size|pg_num|crush_rule VALUE`.
    Result<> pool_set(std::vector<Change>& changes) {
        if (!words_.skip("set") || words_.at_end())
            return fail(Code::invalid,
                        "of 'osd pool', only 'osd pool set POOL KEY VALUE' is known");
        Change change = change_of(ChangeKind::rule);
        change.subject = words_.take();
        std::string key = words_.at_end() ? "" : words_.take();
        std::string value = words_.at_end() ? "" : words_.take();
        change.kind = key == "size"     ? ChangeKind::size
                      : key == "pg_num" ? ChangeKind::pg_num
                                        : ChangeKind::rule;
        if (change.kind == ChangeKind::rule && key != "crush_rule" && key != "crush_ruleset")
            return fail(Code::invalid,
                        fmt::format("'{}' of a pool is not planned; known are size, pg_num and "
                                    "crush_rule",
                                    key));
        if (change.kind == ChangeKind::rule)
            change.rule = value;
        else
            change.number = TRY(number(change.kind, value));
        changes.push_back(std::move(change));
        return {};
    }

    Words words_;
    std::vector<std::string> set_;
};

std::string location_text(const CrushLocation& location) {
    std::string text;
    for (const auto& [type, name] : location) text += fmt::format(" {}={}", type, name);
    return text;
}

std::vector<std::string> add_commands(const Change& change) {
    std::vector<std::string> commands = {
        fmt::format("ceph-volume lvm create --osd-id {} --data /dev/DISK",
                    change.subject.substr(4)),
        fmt::format("ceph osd crush add {} {}{}", change.subject, number_text(change.number),
                    location_text(change.location))};
    if (!change.device_class.empty())
        commands.push_back(fmt::format("ceph osd crush set-device-class {} {}", change.device_class,
                                       change.subject));
    return commands;
}

std::vector<std::string> replace_commands(const Change& change) {
    std::string id = change.subject.substr(4);
    std::vector<std::string> commands = {
        fmt::format("systemctl stop ceph-osd@{}", id),
        fmt::format("ceph osd destroy {} --yes-i-really-mean-it", id),
        fmt::format("ceph-volume lvm create --osd-id {} --data /dev/DISK", id)};
    if (change.number >= 0)
        commands.push_back(fmt::format("ceph osd crush reweight {} {}", change.subject,
                                       number_text(change.number)));
    return commands;
}

} // namespace

std::optional<int32_t> parse_osd_name(std::string_view text) {
    if (text.starts_with("osd.")) text.remove_prefix(4);
    int32_t id = -1;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || id < 0)
        return std::nullopt;
    return id;
}

Result<std::vector<Change>> parse_changes(std::span<const std::string> words) {
    return Parser(words).parse();
}

std::string change_grammar() {
    return "out OSD...                                   take its data away\n"
           "in OSD...                                    let it hold data again\n"
           "reweight OSD 0..1                            give it a part of what its weight says\n"
           "crush-reweight ITEM WEIGHT                   a device's weight, or all below a bucket\n"
           "add OSD weight WEIGHT host=NAME [root=NAME] [class=CLASS]  a new disk\n"
           "remove OSD...                                take it out of the map\n"
           "replace OSD [weight WEIGHT]                  a new disk under the same id\n"
           "move ITEM TYPE=NAME...                       a device or bucket to another place\n"
           "rule POOL RULE                               another CRUSH rule for a pool\n"
           "tunables PROFILE                             legacy, bobtail, firefly, hammer, jewel\n"
           "size POOL COPIES                             how many copies a pool keeps\n"
           "pg_num POOL PGS                              how many PGs it has (pgp_num follows)\n"
           "set FLAG...                                  norebalance, nobackfill, noout, ...\n"
           "unset [FLAG...]                              without a name: all that were set "
           "before";
}

std::string Change::to_string() const {
    using enum ChangeKind;
    std::string text = fmt::format("{} {}", verb_of(kind), subject);
    if (kind == add || (kind == replace && number >= 0))
        text += " weight " + number_text(number);
    else if (number >= 0)
        text += " " + number_text(number);
    if (kind == rule) text += " " + this->rule;
    text += location_text(location);
    if (!device_class.empty()) text += " class=" + device_class;
    return text;
}

std::vector<std::string> Change::commands() const {
    using enum ChangeKind;
    std::string value = number_text(number);
    switch (kind) {
    case out: return {"ceph osd out " + subject};
    case in: return {"ceph osd in " + subject};
    case reweight: return {fmt::format("ceph osd reweight {} {}", subject, value)};
    case crush_reweight:
        return {fmt::format("ceph osd crush {} {} {}",
                            parse_osd_name(subject) ? "reweight" : "reweight-subtree", subject,
                            value)};
    case add: return add_commands(*this);
    case remove:
        return {"systemctl stop ceph-osd@" + subject.substr(4), "ceph osd crush remove " + subject,
                "ceph auth del " + subject, "ceph osd rm " + subject};
    case replace: return replace_commands(*this);
    case move: return {fmt::format("ceph osd crush move {}{}", subject, location_text(location))};
    case rule: return {fmt::format("ceph osd pool set {} crush_rule {}", subject, this->rule)};
    case tunables: return {"ceph osd crush tunables " + subject};
    case size: return {fmt::format("ceph osd pool set {} size {}", subject, value)};
    case pg_num: return {fmt::format("ceph osd pool set {} pg_num {}", subject, value)};
    case set:
    case unset: break;
    }
    std::vector<std::string> commands;
    for (const std::string& flag : split(subject, ","))
        commands.push_back(fmt::format("ceph osd {} {}", verb_of(kind), flag));
    return commands;
}

Result<double> parse_bytes(std::string_view text) {
    constexpr std::string_view units = "KMGTPE";
    size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
    auto value = parse_number(text.substr(0, digits));
    std::string_view unit = text.substr(digits);
    while (unit.starts_with(' ')) unit.remove_prefix(1);
    auto bad =
        fail(Code::invalid, fmt::format("'{}' is not a size; write 10T, 512G or 4096", text));
    if (!value) return bad;
    if (unit.empty() || unit == "B") return *value;
    size_t power = units.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0]))));
    std::string_view rest = unit.substr(1);
    if (power == std::string_view::npos ||
        (rest != "" && rest != "B" && rest != "iB" && rest != "i"))
        return bad;
    return *value * std::pow(rest == "B" ? 1000.0 : 1024.0, static_cast<double>(power + 1));
}

} // namespace cloudlet::rados
