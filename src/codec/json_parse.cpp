// Text to Json through Boost.JSON's SAX parser. Its document model is not used: that one drops
// duplicate keys in silence and turns integers beyond 64 bits into floats.
#include <charconv>
#include <cmath>

#include <boost/json/basic_parser_impl.hpp>
#include <fmt/format.h>

#include "cloudlet/codec/json.h"

namespace cloudlet::codec {

// Receives the events of one document. Finished values wait on one stack until their container ends
// and takes them, so that every container is allocated once, at its size.
class JsonBuilder {
public:
    static constexpr size_t max_object_size = SIZE_MAX - 1;
    static constexpr size_t max_array_size = SIZE_MAX - 1;
    static constexpr size_t max_key_size = SIZE_MAX - 1;
    static constexpr size_t max_string_size = SIZE_MAX - 1;
    using Error = boost::json::error_code;

    bool on_document_begin(Error&) { return true; }
    bool on_document_end(Error&) { return true; }
    bool on_object_begin(Error&) { return begin(); }
    bool on_array_begin(Error&) { return begin(); }
    bool on_array_end(size_t count, Error&) {
        auto first = values_.end() - static_cast<ptrdiff_t>(count);
        Json::Array items(std::make_move_iterator(first), std::make_move_iterator(values_.end()));
        values_.erase(first, values_.end());
        frames_.pop_back();
        values_.emplace_back(std::move(items));
        return true;
    }
    bool on_object_end(size_t count, Error&) {
        Json::Object object;
        size_t first_value = values_.size() - count, first_key = keys_.size() - count;
        object.members_.resize(count);
        for (size_t i = 0; i < count; ++i) {
            object.members_[i].key = std::move(keys_[first_key + i]);
            object.members_[i].value = std::move(values_[first_value + i]);
        }
        values_.resize(first_value);
        keys_.resize(first_key);
        settle_duplicates(object);
        frames_.pop_back();
        values_.emplace_back(std::move(object));
        return true;
    }
    bool on_key_part(boost::json::string_view part, size_t, Error&) { return keep(part); }
    bool on_key(boost::json::string_view rest, size_t, Error&) {
        keys_.emplace_back(whole(rest));
        text_.clear();
        return true;
    }
    bool on_string_part(boost::json::string_view part, size_t, Error&) { return keep(part); }
    bool on_string(boost::json::string_view rest, size_t, Error&) { return add(Json(whole(rest))); }
    bool on_number_part(boost::json::string_view part, Error&) { return keep(part); }
    bool on_int64(int64_t value, boost::json::string_view, Error&) { return add(Json(value)); }
    bool on_uint64(uint64_t value, boost::json::string_view, Error&) { return add(Json(value)); }
    bool on_double(double, boost::json::string_view rest, Error& error) {
        std::string_view number = whole(rest);
        if (number.find_first_of(".eE") == std::string_view::npos) return add(Json::huge(number));
        double value =
            0; // Boost 1.81's own conversion is off by one in the last place now and then
        auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), value);
        if (problem == std::errc::result_out_of_range) value = settle_range(number);
        if (std::isinf(value)) {
            error = boost::json::error::exponent_overflow;
            return false;
        }
        return add(Json(value));
    }
    bool on_bool(bool value, Error&) { return add(Json(value)); }
    bool on_null(Error&) { return add(Json()); }
    bool on_comment_part(boost::json::string_view, Error&) { return true; }
    bool on_comment(boost::json::string_view, Error&) { return true; }

    ParsedJson take() { return {std::move(values_.front()), std::move(duplicates_)}; }

private:
    struct Frame {
        size_t values, keys; // heights of the stacks where the container began
    };

    bool begin() {
        frames_.push_back({values_.size(), keys_.size()});
        return true;
    }
    bool keep(boost::json::string_view part) {
        text_.append(part.data(), part.size());
        return true;
    }
    // What came in parts, with the last one; the view is good until text_ changes.
    std::string_view whole(boost::json::string_view rest) {
        if (text_.empty()) return {rest.data(), rest.size()};
        keep(rest);
        return text_;
    }
    bool add(Json value) {
        values_.push_back(std::move(value));
        text_.clear();
        return true;
    }
    // from_chars leaves the value alone on overflow and on underflow; only the first is an error.
    static double settle_range(std::string_view number) {
        return std::fabs(std::strtod(std::string(number).c_str(), nullptr));
    }

    void settle_duplicates(Json::Object& object);
    std::string path_to(std::string_view key) const;

    std::vector<Json> values_;
    std::vector<std::string> keys_;
    std::vector<Frame> frames_;
    std::vector<std::string> duplicates_;
    std::string text_;
};

// The last value of a key wins and stands where the key stood first.
void JsonBuilder::settle_duplicates(Json::Object& object) {
    auto& members = object.members_;
    object.rebuild_index();
    std::vector<bool> dropped;
    auto drop = [&](size_t keeper, size_t duplicate) {
        if (dropped.empty()) dropped.resize(members.size());
        members[keeper].value = std::move(members[duplicate].value);
        dropped[duplicate] = true;
        duplicates_.push_back(path_to(members[keeper].key));
    };
    for (size_t i = 1; object.sorted_.empty() && i < members.size(); ++i)
        for (size_t j = 0; j < i; ++j)
            if (members[j].key == members[i].key) {
                drop(j, i);
                break;
            }
    size_t keeper = object.sorted_.empty() ? 0 : object.sorted_[0];
    for (size_t slot = 1; slot < object.sorted_.size(); ++slot) {
        size_t position = object.sorted_[slot];
        if (members[position].key == members[keeper].key)
            drop(keeper, position);
        else
            keeper = position;
    }
    if (dropped.empty()) return;
    size_t index = 0;
    std::erase_if(members, [&](const Json::Member&) { return dropped[index++]; });
    object.rebuild_index();
}

// Runs while the object of `key` ends: the stacks still hold everything around it, and
// frames_.back() is the object itself.
std::string JsonBuilder::path_to(std::string_view key) const {
    std::string path;
    for (size_t depth = 0; depth + 1 < frames_.size(); ++depth) {
        const Frame& here = frames_[depth];
        const Frame& inner = frames_[depth + 1];
        if (inner.keys > here.keys) // an object: the key of the member being read
            path += (path.empty() ? "" : ".") + keys_[inner.keys - 1];
        else
            path += fmt::format("[{}]", inner.values - here.values);
    }
    if (!path.empty()) path += '.';
    return path.append(key);
}

namespace {

std::string place(std::string_view text, size_t offset) {
    size_t line = 1, line_start = 0;
    for (size_t i = 0; i < offset && i < text.size(); ++i)
        if (text[i] == '\n') {
            ++line;
            line_start = i + 1;
        }
    return fmt::format("line {}, column {}", line, offset - line_start + 1);
}

std::string explain(const boost::json::error_code& error, std::string_view text, size_t offset) {
    namespace json = boost::json;
    if (error == json::error::incomplete) return "the text ends in the middle of a value";
    if (error == json::error::extra_data) return "there is more text after the document";
    if (error == json::error::exponent_overflow) return "the number is too large";
    if (error == json::error::expected_hex_digit) return "a \\u escape needs four hex digits";
    if (error == json::error::illegal_leading_surrogate ||
        error == json::error::illegal_trailing_surrogate ||
        error == json::error::expected_utf16_escape)
        return "a \\u escape is half of a surrogate pair";
    if (offset >= text.size()) return "the text ends in the middle of a value";
    auto found = static_cast<unsigned char>(text[offset]);
    if (found >= 0x80) return "the text is not UTF-8 there, or a string lacks its quotes";
    if (found < 0x20) return fmt::format("unexpected control character 0x{:02x}", found);
    return fmt::format("unexpected '{}'", static_cast<char>(found));
}

} // namespace

Result<ParsedJson> parse_json_noting_duplicates(std::string_view text, JsonLimits limits) {
    if (text.size() > limits.max_bytes)
        return fail(Code::too_large,
                    fmt::format("the JSON text has {} bytes, at most {} are accepted; send less",
                                text.size(), limits.max_bytes));
    boost::json::parse_options options;
    options.max_depth = limits.max_depth;
    boost::json::basic_parser<JsonBuilder> parser(options);
    boost::json::error_code error;
    size_t consumed = parser.write_some(false, text.data(), text.size(), error);
    if (!error && !parser.done()) error = boost::json::error::incomplete;
    if (!error && consumed < text.size()) error = boost::json::error::extra_data;
    if (error == boost::json::error::too_deep)
        return fail(Code::too_large,
                    fmt::format("the JSON is nested deeper than {} levels at {}; flatten it",
                                limits.max_depth, place(text, consumed)));
    if (error)
        return fail(Code::invalid, fmt::format("invalid JSON at {}: {}", place(text, consumed),
                                               explain(error, text, consumed)));
    return parser.handler().take();
}

Result<Json> parse_json(std::string_view text, JsonLimits limits) {
    auto parsed = TRY(parse_json_noting_duplicates(text, limits));
    return std::move(parsed.value);
}

} // namespace cloudlet::codec
