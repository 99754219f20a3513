#include "crush_text_syntax.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include <fmt/format.h>

namespace cloudlet::rados::text {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_name_char(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
}

// Tokens with backtracking. The language has no reserved words: a keyword is a prefix of what
// follows ("device1 a" is a device), so every reader tries, and steps back when it does not fit.
// The furthest place where something did not fit is what a message speaks of.
class Cursor {
public:
    Cursor(std::string_view text, std::string_view file) : text_(text), file_(file) {
        for (size_t i = 0; i < text.size(); ++i)
            if (text[i] == '\n') line_ends_.push_back(i);
    }

    size_t mark() const { return position_; }
    void back_to(size_t mark) { position_ = mark; }

    bool at_end() {
        skip_space();
        return position_ == text_.size() || note("the end of the file");
    }

    bool keyword(std::string_view word) {
        skip_space();
        if (!text_.substr(position_).starts_with(word)) return note(fmt::format("\"{}\"", word));
        position_ += word.size();
        return true;
    }

    bool name(Name& into, std::string_view what) {
        skip_space();
        size_t end = position_;
        while (end < text_.size() && is_name_char(text_[end])) ++end;
        if (end == position_) return note(what);
        into = {std::string(text_.substr(position_, end - position_)), line()};
        position_ = end;
        return true;
    }

    bool whole_number(Number& into, std::string_view what) {
        skip_space();
        size_t digits = count_digits(position_);
        if (!digits) return note(what);
        return take_number(into, digits);
    }

    bool negative_number(Number& into, std::string_view what) {
        skip_space();
        size_t digits = peek(position_) == '-' ? count_digits(position_ + 1) : 0;
        if (!digits) return note(what);
        return take_number(into, digits + 1);
    }

    bool number(Number& into, std::string_view what) {
        return peek_after_space() == '-' ? negative_number(into, what) : whole_number(into, what);
    }

    bool weight(Weight& into) {
        skip_space();
        size_t end = end_of_real();
        if (end == position_) return note("a weight such as 1.000");
        std::string digits(text_.substr(position_, end - position_));
        into = {std::strtof(digits.c_str(), nullptr), line()};
        position_ = end;
        return true;
    }

    char peek_after_space() {
        skip_space();
        return peek(position_);
    }

    tl::unexpected<Error> error() const {
        std::string wanted;
        for (size_t i = 0; i < expected_.size(); ++i)
            wanted += (i == 0 ? "" : i + 1 == expected_.size() ? " or " : ", ") + expected_[i];
        return fail(Code::invalid, fmt::format("{}:{}: expected {}, found {}", file_,
                                               line_at(furthest_), wanted, found()));
    }

private:
    char peek(size_t at) const { return at < text_.size() ? text_[at] : '\0'; }
    int line() const { return line_at(position_); }
    int line_at(size_t at) const {
        auto before = std::lower_bound(line_ends_.begin(), line_ends_.end(), at);
        return static_cast<int>(before - line_ends_.begin()) + 1;
    }

    void skip_space() {
        while (position_ < text_.size()) {
            if (is_space(text_[position_])) {
                ++position_;
            } else if (text_[position_] == '#') {
                size_t end = text_.find('\n', position_);
                position_ = end == std::string_view::npos ? text_.size() : end;
            } else {
                return;
            }
        }
    }

    size_t count_digits(size_t at) const {
        size_t end = at;
        while (end < text_.size() && is_digit(text_[end])) ++end;
        return end - at;
    }

    bool take_number(Number& into, size_t length) {
        std::string digits(text_.substr(position_, length));
        into = {std::strtoll(digits.c_str(), nullptr, 10), line()}; // cuts to the range's ends
        position_ += length;
        return true;
    }

    // [+-] (digits [. [digits]] | . digits) [e [+-] digits]
    size_t end_of_real() const {
        size_t at = position_;
        if (peek(at) == '+' || peek(at) == '-') ++at;
        size_t whole = count_digits(at);
        at += whole;
        if (peek(at) == '.') {
            size_t fraction = count_digits(at + 1);
            if (!whole && !fraction) return position_;
            at += 1 + fraction;
        } else if (!whole) {
            return position_;
        }
        if ((peek(at) | 0x20) != 'e') return at;
        size_t exponent = at + 1;
        if (peek(exponent) == '+' || peek(exponent) == '-') ++exponent;
        size_t digits = count_digits(exponent);
        return digits ? exponent + digits : position_;
    }

    bool note(std::string_view what) {
        if (position_ > furthest_) expected_.clear();
        if (position_ >= furthest_) {
            furthest_ = position_;
            if (std::find(expected_.begin(), expected_.end(), what) == expected_.end())
                expected_.emplace_back(what);
        }
        return false;
    }

    std::string found() const {
        if (furthest_ >= text_.size()) return "the end of the file";
        size_t end = furthest_;
        while (end < text_.size() && end - furthest_ < 40 && is_name_char(text_[end])) ++end;
        if (end == furthest_) ++end;
        std::string shown;
        for (char c : text_.substr(furthest_, end - furthest_))
            shown += c >= ' ' && c <= '~' ? std::string(1, c)
                                          : fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
        return "\"" + shown + "\"";
    }

    std::string_view text_;
    std::string_view file_;
    std::vector<size_t> line_ends_;
    size_t position_ = 0;
    size_t furthest_ = 0;
    std::vector<std::string> expected_;
};

class Parser {
public:
    Parser(std::string_view text, std::string_view file) : at_(text, file), file_(file) {}

    Result<Document> parse() {
        while (try_all(&Parser::tunable, &Parser::device, &Parser::type)) {
        }
        while (try_all(&Parser::bucket, &Parser::rule)) {
            if (bucket_after_rule_)
                return fail(Code::invalid,
                            fmt::format("{}:{}: bucket \"{}\" stands below a rule; define all "
                                        "buckets before the first rule",
                                        file_, bucket_after_rule_->line, bucket_after_rule_->text));
        }
        while (try_all(&Parser::choose_args)) {
        }
        size_t end = at_.mark();
        if (at_.at_end()) return std::move(document_);
        return broken_ && broken_->first == end ? tl::unexpected(broken_->second) : at_.error();
    }

private:
    template <typename... Statements>
    bool try_all(Statements... statements) {
        size_t start = at_.mark();
        return ((at_.back_to(start), (this->*statements)()) || ...) || (at_.back_to(start), false);
    }

    // What starts like one of the simple statements could still be a bucket of a type of that name,
    // and gets its chance; when it is none, this is what was wrong.
    bool breaks(size_t start) {
        broken_.emplace(start, at_.error().value());
        return false;
    }

    bool tunable() {
        Tunable it;
        size_t start = at_.mark();
        if (!at_.keyword("tunable")) return false;
        if (!at_.name(it.name, "a tunable's name") || !at_.whole_number(it.value, "its value"))
            return breaks(start);
        document_.tunables.push_back(std::move(it));
        return true;
    }

    bool device() {
        Device it;
        size_t start = at_.mark();
        if (!at_.keyword("device")) return false;
        if (!at_.whole_number(it.id, "a device's number") ||
            !at_.name(it.name, "the device's name"))
            return breaks(start);
        optional_class(it.class_name);
        document_.devices.push_back(std::move(it));
        return true;
    }

    bool type() {
        Type it;
        size_t start = at_.mark();
        if (!at_.keyword("type")) return false;
        if (!at_.whole_number(it.id, "a type's number") || !at_.name(it.name, "the type's name"))
            return breaks(start);
        document_.types.push_back(std::move(it));
        return true;
    }

    bool bucket() {
        Bucket it;
        if (!at_.name(it.type, "a bucket's type") || !at_.name(it.name, "the bucket's name") ||
            !at_.keyword("{"))
            return false;
        while (bucket_id(it)) {
        }
        if (!at_.keyword("alg") || !at_.name(it.alg, "an algorithm")) return false;
        while (bucket_hash(it)) {
        }
        while (bucket_item(it)) {
        }
        if (!at_.keyword("}")) return false;
        if (!document_.rules.empty()) bucket_after_rule_ = it.name;
        document_.buckets.push_back(std::move(it));
        return true;
    }

    bool bucket_id(Bucket& bucket) {
        size_t start = at_.mark();
        BucketId it;
        if (!at_.keyword("id") || !at_.negative_number(it.id, "a negative number"))
            return at_.back_to(start), false;
        optional_class(it.class_name);
        bucket.ids.push_back(std::move(it));
        return true;
    }

    bool bucket_hash(Bucket& bucket) {
        size_t start = at_.mark();
        Number hash;
        if (!at_.keyword("hash")) return at_.back_to(start), false;
        if (!at_.number(hash, "a hash's number") && !at_.keyword("rjenkins1"))
            return at_.back_to(start), false;
        bucket.hash = hash;
        return true;
    }

    bool bucket_item(Bucket& bucket) {
        size_t start = at_.mark();
        BucketItem it;
        if (!at_.keyword("item") || !at_.name(it.name, "an item's name"))
            return at_.back_to(start), false;
        size_t before = at_.mark();
        Weight weight;
        if (at_.keyword("weight") && at_.weight(weight))
            it.weight = weight;
        else
            at_.back_to(before);
        before = at_.mark();
        Number position;
        if (at_.keyword("pos") && at_.whole_number(position, "a position"))
            it.position = position;
        else
            at_.back_to(before);
        bucket.items.push_back(std::move(it));
        return true;
    }

    bool rule() {
        Rule it;
        if (!at_.keyword("rule")) return false;
        if (at_.peek_after_space() != '{' && !at_.name(it.name, "the rule's name")) return false;
        if (!at_.keyword("{") || (!at_.keyword("id") && !at_.keyword("ruleset")) ||
            !at_.whole_number(it.id, "the rule's number") || !at_.keyword("type") ||
            !rule_type(it.type) || !at_.keyword("min_size") ||
            !at_.whole_number(it.min_size, "a size") || !at_.keyword("max_size") ||
            !at_.whole_number(it.max_size, "a size"))
            return false;
        do {
            if (!step(it)) return false;
        } while (at_.peek_after_space() != '}');
        if (!at_.keyword("}")) return false;
        document_.rules.push_back(std::move(it));
        return true;
    }

    bool rule_type(RuleType& type) {
        type = at_.keyword("replicated") ? RuleType::replicated : RuleType::erasure;
        return type == RuleType::replicated || at_.keyword("erasure");
    }

    bool step(Rule& rule) {
        if (!at_.keyword("step")) return false;
        size_t start = at_.mark();
        Step it;
        if (!setting(it) && (at_.back_to(start), !take(it)) && (at_.back_to(start), !choose(it)) &&
            (at_.back_to(start), !emit(it)))
            return false;
        rule.steps.push_back(std::move(it));
        return true;
    }

    bool setting(Step& step) {
        static constexpr std::pair<std::string_view, RuleOp> settings[] = {
            {"set_choose_tries", RuleOp::set_choose_tries},
            {"set_choose_local_tries", RuleOp::set_choose_local_tries},
            {"set_choose_local_fallback_tries", RuleOp::set_choose_local_fallback_tries},
            {"set_chooseleaf_tries", RuleOp::set_chooseleaf_tries},
            {"set_chooseleaf_vary_r", RuleOp::set_chooseleaf_vary_r},
            {"set_chooseleaf_stable", RuleOp::set_chooseleaf_stable}};
        size_t start = at_.mark();
        for (auto [word, op] : settings) {
            step.op = op;
            if (at_.keyword(word) && at_.whole_number(step.number, "a value")) return true;
            at_.back_to(start);
        }
        return false;
    }

    bool take(Step& step) {
        step.op = RuleOp::take;
        if (!at_.keyword("take") || !at_.name(step.target, "a bucket's or device's name"))
            return false;
        optional_class(step.class_name);
        return true;
    }

    bool choose(Step& step) {
        bool leaf = at_.keyword("chooseleaf");
        if (!leaf && !at_.keyword("choose")) return false;
        if (at_.keyword("firstn"))
            step.op = leaf ? RuleOp::chooseleaf_firstn : RuleOp::choose_firstn;
        else if (at_.keyword("indep"))
            step.op = leaf ? RuleOp::chooseleaf_indep : RuleOp::choose_indep;
        else
            return false;
        return at_.number(step.number, "how many to choose") && at_.keyword("type") &&
               at_.name(step.target, "a type's name");
    }

    bool emit(Step& step) {
        step.op = RuleOp::emit;
        return at_.keyword("emit");
    }

    bool choose_args() {
        ChooseArgs it;
        if (!at_.keyword("choose_args") || !at_.whole_number(it.id, "a pool's number") ||
            !at_.keyword("{"))
            return false;
        while (at_.peek_after_space() == '{')
            if (!choose_arg(it)) return false;
        if (!at_.keyword("}")) return false;
        document_.choose_args.push_back(std::move(it));
        return true;
    }

    bool choose_arg(ChooseArgs& args) {
        ChooseArg it;
        if (!at_.keyword("{") || !at_.keyword("bucket_id") ||
            !at_.negative_number(it.bucket, "a bucket's negative number"))
            return false;
        if (at_.peek_after_space() == 'w' && !weight_sets(it)) return false;
        if (at_.peek_after_space() == 'i' && !choose_ids(it)) return false;
        if (!at_.keyword("}")) return false;
        args.buckets.push_back(std::move(it));
        return true;
    }

    bool weight_sets(ChooseArg& arg) {
        if (!at_.keyword("weight_set") || !at_.keyword("[")) return false;
        while (at_.peek_after_space() == '[') {
            std::vector<Weight> weights;
            if (!at_.keyword("[")) return false;
            while (at_.peek_after_space() != ']')
                if (!at_.weight(weights.emplace_back())) return false;
            if (!at_.keyword("]")) return false;
            arg.weight_sets.push_back(std::move(weights));
        }
        return at_.keyword("]");
    }

    bool choose_ids(ChooseArg& arg) {
        if (!at_.keyword("ids") || !at_.keyword("[")) return false;
        arg.ids.emplace();
        while (at_.peek_after_space() != ']')
            if (!at_.number(arg.ids->emplace_back(), "an id")) return false;
        return at_.keyword("]");
    }

    void optional_class(std::optional<Name>& into) {
        size_t start = at_.mark();
        Name name;
        if (at_.keyword("class") && at_.name(name, "a device class"))
            into = std::move(name);
        else
            at_.back_to(start);
    }

    Cursor at_;
    std::string_view file_;
    Document document_;
    std::optional<Name> bucket_after_rule_;
    std::optional<std::pair<size_t, Error>> broken_; // the last one, and where its statement starts
};

} // namespace

Result<Document> parse(std::string_view text, std::string_view file) {
    return Parser(text, file).parse();
}

} // namespace cloudlet::rados::text
