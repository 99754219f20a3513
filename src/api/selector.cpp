#include "cloudlet/api/selector.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include <fmt/format.h>

namespace cloudlet::api {
namespace {

using Operator = Requirement::Operator;

/// Splits a label selector into words and the signs "(", ")", ",", "=", "==", "!=", "!", "<", ">".
class Lexer {
public:
    explicit Lexer(std::string_view text) : text_(text) { advance(); }
    const std::string& token() const { return token_; }
    bool at_end() const { return token_.empty() && at_ >= text_.size(); }
    bool is_word() const { return word_; }
    std::string take() {
        std::string taken = token_;
        advance();
        return taken;
    }
    bool accept(std::string_view sign) {
        if (word_ || token_ != sign) return false;
        advance();
        return true;
    }

private:
    void advance() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
        token_.clear();
        word_ = false;
        if (at_ >= text_.size()) return;
        for (std::string_view sign : {"==", "!=", "=", "!", "(", ")", ",", "<", ">"}) {
            if (text_.substr(at_, sign.size()) == sign) {
                token_ = sign;
                at_ += sign.size();
                return;
            }
        }
        word_ = true;
        while (at_ < text_.size() && !std::isspace(static_cast<unsigned char>(text_[at_])) &&
               std::string_view("=!(),<>").find(text_[at_]) == std::string_view::npos)
            token_ += text_[at_++];
    }

    std::string_view text_;
    size_t at_ = 0;
    std::string token_;
    bool word_ = false;
};

tl::unexpected<Error> bad_selector(std::string_view text, std::string_view why) {
    return fail(Code::invalid, fmt::format("unable to parse label selector \"{}\": {}", text, why));
}

bool name_characters(std::string_view name, size_t limit) {
    if (name.empty() || name.size() > limit) return false;
    auto alnum = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
    if (!alnum(name.front()) || !alnum(name.back())) return false;
    return std::all_of(name.begin(), name.end(),
                       [&](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool valid_key(std::string_view key) {
    size_t slash = key.find('/');
    if (slash == std::string_view::npos) return name_characters(key, 63);
    return name_characters(key.substr(0, slash), 253) && name_characters(key.substr(slash + 1), 63);
}

bool valid_value(std::string_view value) { return value.empty() || name_characters(value, 63); }

/// "(a, b)" after in or notin.
Result<std::vector<std::string>> value_list(Lexer& lexer, std::string_view text) {
    if (!lexer.accept("(")) return bad_selector(text, "expected \"(\" after in or notin");
    std::vector<std::string> values;
    for (;;) {
        values.push_back(lexer.is_word() ? lexer.take() : std::string());
        if (lexer.accept(")")) return values;
        if (!lexer.accept(","))
            return bad_selector(text, "expected \",\" or \")\" in a list of values");
    }
}

Result<Requirement> parse_requirement(Lexer& lexer, std::string_view text) {
    Requirement term;
    bool absent = lexer.accept("!");
    if (!lexer.is_word())
        return bad_selector(text, fmt::format("found \"{}\", expected a label key", lexer.token()));
    term.key = lexer.take();
    if (absent) {
        term.op = Operator::absent;
        return term;
    }
    term.op = Operator::exists;
    auto one_value = [&](Operator op) {
        term.op = op;
        term.values = {lexer.is_word() ? lexer.take() : std::string()};
    };
    if (lexer.is_word() && (lexer.token() == "in" || lexer.token() == "notin")) {
        term.op = lexer.take() == "in" ? Operator::in : Operator::not_in;
        term.values = TRY(value_list(lexer, text));
    } else if (lexer.accept("==") || lexer.accept("=")) {
        one_value(Operator::in);
    } else if (lexer.accept("!=")) {
        one_value(Operator::not_in);
    } else if (lexer.accept(">")) {
        one_value(Operator::greater);
    } else if (lexer.accept("<")) {
        one_value(Operator::less);
    }
    return term;
}

Result<> validate(const Requirement& term, std::string_view text) {
    if (!valid_key(term.key))
        return bad_selector(text, fmt::format("\"{}\" is not a label key", term.key));
    for (const auto& value : term.values)
        if (!valid_value(value))
            return bad_selector(text, fmt::format("\"{}\" is not a label value", value));
    return {};
}

std::optional<int64_t> as_number(std::string_view text) {
    int64_t number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

bool satisfies(const Requirement& term, const codec::Json* label) {
    bool listed = label && std::find(term.values.begin(), term.values.end(), label->as_string()) !=
                               term.values.end();
    switch (term.op) {
    case Operator::in: return listed;
    case Operator::not_in: return !listed;
    case Operator::exists: return label != nullptr;
    case Operator::absent: return label == nullptr;
    case Operator::greater:
    case Operator::less: {
        auto have = label ? as_number(label->as_string()) : std::nullopt;
        auto bound = as_number(term.values.front());
        if (!have || !bound) return false;
        return term.op == Operator::greater ? *have > *bound : *have < *bound;
    }
    }
    return false;
}

std::string join(const std::vector<std::string>& words) {
    std::string joined;
    for (const auto& word : words) joined += (joined.empty() ? "" : ",") + word;
    return joined;
}

std::string spell(const Requirement& term) {
    switch (term.op) {
    case Operator::in:
        return term.values.size() == 1 ? term.key + "=" + term.values[0]
                                       : term.key + " in (" + join(term.values) + ")";
    case Operator::not_in:
        return term.values.size() == 1 ? term.key + "!=" + term.values[0]
                                       : term.key + " notin (" + join(term.values) + ")";
    case Operator::exists: return term.key;
    case Operator::absent: return "!" + term.key;
    case Operator::greater: return term.key + ">" + term.values[0];
    case Operator::less: return term.key + "<" + term.values[0];
    }
    return {};
}

Result<Operator> operator_named(std::string_view name) {
    if (name == "In") return Operator::in;
    if (name == "NotIn") return Operator::not_in;
    if (name == "Exists") return Operator::exists;
    if (name == "DoesNotExist") return Operator::absent;
    if (name == "Gt") return Operator::greater;
    if (name == "Lt") return Operator::less;
    return fail(Code::invalid, fmt::format("\"{}\" is not a valid label selector operator", name));
}

} // namespace

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
    LabelSelector selector;
    Lexer lexer(text);
    while (!lexer.at_end()) {
        selector.requirements_.push_back(TRY(parse_requirement(lexer, text)));
        TRY(validate(selector.requirements_.back(), text));
        if (lexer.at_end()) break;
        if (!lexer.accept(","))
            return bad_selector(text, fmt::format("found \"{}\", expected \",\"", lexer.token()));
        if (lexer.at_end()) return bad_selector(text, "it ends with a comma");
    }
    return selector;
}

Result<LabelSelector> LabelSelector::from_json(const codec::Json& json) {
    LabelSelector selector = from_map(json["matchLabels"]);
    for (const auto& expression : json["matchExpressions"].items()) {
        Requirement term;
        term.key = expression["key"].as_string();
        term.op = TRY(operator_named(expression["operator"].as_string()));
        for (const auto& value : expression["values"].items())
            term.values.emplace_back(value.as_string());
        bool needs_values = term.op != Operator::exists && term.op != Operator::absent;
        if (needs_values == term.values.empty())
            return fail(Code::invalid, fmt::format("label selector term on \"{}\" has {} values",
                                                   term.key, needs_values ? "no" : "superfluous"));
        selector.requirements_.push_back(std::move(term));
    }
    return selector;
}

LabelSelector LabelSelector::from_map(const codec::Json& labels) {
    LabelSelector selector;
    for (const auto& [key, value] : labels.members())
        selector.requirements_.push_back({key, Operator::in, {std::string(value.as_string())}});
    return selector;
}

bool LabelSelector::matches(const codec::Json& labels) const {
    return std::all_of(requirements_.begin(), requirements_.end(), [&](const Requirement& term) {
        return satisfies(term, labels.find(term.key));
    });
}

std::string LabelSelector::to_string() const {
    std::vector<std::string> terms;
    for (const auto& term : requirements_) terms.push_back(spell(term));
    return join(terms);
}

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
    FieldSelector selector;
    size_t at = 0;
    while (at < text.size()) {
        FieldRequirement term;
        while (at < text.size() && text[at] != '=' && text[at] != '!' && text[at] != ',')
            term.path += text[at++];
        if (text.substr(at, 2) == "!=") term.equal = false;
        if (text.substr(at, 2) == "!=" || text.substr(at, 2) == "==")
            at += 2;
        else if (at < text.size() && text[at] == '=')
            at += 1;
        else
            return fail(
                Code::invalid,
                fmt::format("invalid field selector \"{}\": expected path=value or path!=value",
                            text));
        for (; at < text.size() && text[at] != ','; ++at) {
            if (text[at] == '\\' && at + 1 < text.size()) ++at;
            term.value += text[at];
        }
        if (at < text.size()) ++at; // the comma
        selector.requirements_.push_back(std::move(term));
    }
    return selector;
}

FieldSelector FieldSelector::equals(std::string path, std::string value) {
    FieldSelector selector;
    selector.requirements_.push_back({std::move(path), std::move(value), true});
    return selector;
}

bool FieldSelector::matches(const codec::Json& object) const {
    return std::all_of(requirements_.begin(), requirements_.end(),
                       [&](const FieldRequirement& term) {
                           return (field_text(object, term.path) == term.value) == term.equal;
                       });
}

const std::string* FieldSelector::required_value(std::string_view path) const {
    for (const auto& term : requirements_)
        if (term.equal && term.path == path) return &term.value;
    return nullptr;
}

std::string FieldSelector::to_string() const {
    std::string text;
    for (const auto& term : requirements_) {
        if (!text.empty()) text += ',';
        text += term.path + (term.equal ? "=" : "!=");
        for (char c : term.value) {
            if (c == ',' || c == '=' || c == '\\') text += '\\';
            text += c;
        }
    }
    return text;
}

std::string field_text(const codec::Json& object, std::string_view dotted_path) {
    const codec::Json* at = &object;
    while (!dotted_path.empty()) {
        size_t dot = dotted_path.find('.');
        at = &(*at)[dotted_path.substr(0, dot)];
        dotted_path =
            dot == std::string_view::npos ? std::string_view() : dotted_path.substr(dot + 1);
    }
    if (at->is_string()) return std::string(at->as_string());
    if (at->is_null()) return {};
    return at->dump();
}

} // namespace cloudlet::api
