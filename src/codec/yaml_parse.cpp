// YAML to JSON values from libfyaml's events; its document model is not used, because it knows
// neither our limits nor Kubernetes' scalars.
#include <map>
#include <memory>

#include <fmt/format.h>
#include <libfyaml.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/codec/yaml.h"
#include "utf8.h"
#include "yaml_scalar.h"

namespace cloudlet::codec {

namespace {

constexpr std::string_view core_tags = "tag:yaml.org,2002:";

std::string_view text_of(fy_token* token) {
    size_t size = 0;
    const char* text = token ? fy_token_get_text(token, &size) : nullptr;
    return text ? std::string_view(text, size) : std::string_view();
}

// Turns the events of one document into a value. Containers in the making stand on a stack.
class YamlBuilder {
public:
    YamlBuilder(std::string_view source, const JsonLimits& limits)
        : source_(source), limits_(limits) {}

    Result<void> handle(fy_event* event) {
        switch (event->type) {
        case FYET_SCALAR: return scalar(event->scalar);
        case FYET_ALIAS: return alias(text_of(event->alias.anchor));
        case FYET_SEQUENCE_START: return begin(Json::array(), event->sequence_start.anchor, event);
        case FYET_MAPPING_START: return begin(Json::object(), event->mapping_start.anchor, event);
        case FYET_SEQUENCE_END:
        case FYET_MAPPING_END: return end();
        default: return {};
        }
    }

    ParsedJson take() {
        anchors_.clear();
        return {std::exchange(root_, Json()), std::exchange(duplicates_, {})};
    }
    bool is_empty() const { return root_.is_null(); }

private:
    struct Frame {
        Json container;
        std::string anchor;
        int column = 0;           // of its first key or dash
        size_t weight_before = 0; // weight_ when the container began
        std::string key;          // of the member whose value comes next
        bool has_key = false, is_merge = false;
        std::vector<Json> merged; // mappings named by "<<", in order
    };
    struct Anchor {
        Json value;
        size_t weight; // nodes and bytes of text
    };

    Result<void> charge(size_t weight) {
        weight_ += weight;
        if (weight_ <= limits_.max_bytes) return {};
        return fail(
            Code::too_large,
            fmt::format("the YAML expands to more than {} bytes; use fewer aliases or send less",
                        limits_.max_bytes));
    }

    Result<void> scalar(const fy_event_scalar_data& data);
    Result<void> alias(std::string_view name);
    Result<void> begin(Json container, fy_token* anchor, fy_event* event);
    Result<void> check_block(fy_token* value) const;
    Result<void> end();
    Result<void> add(Json value, bool plain);
    Result<void> add_key(const Json& key, bool plain);
    Result<void> add_merge(Json value);
    void finish_merge(Frame& frame);
    std::string path_to(std::string_view key) const;

    std::string_view source_;
    const JsonLimits& limits_;
    std::vector<Frame> frames_;
    std::map<std::string, Anchor, std::less<>> anchors_;
    std::vector<std::string> duplicates_;
    Json root_;
    size_t weight_ = 0;
};

Result<Json> tagged(std::string_view tag, std::string_view text, bool plain) {
    if (tag == "!") return Json(text);
    if (!tag.starts_with(core_tags)) return plain ? resolve_yaml_scalar(text) : Json(text);
    auto type = tag.substr(core_tags.size());
    if (type == "str") return Json(text);
    if (type == "binary") return Json(TRY(from_base64(text)));
    Json value = resolve_yaml_scalar(text);
    bool fits = (type == "int" && value.is_int()) || (type == "float" && value.is_number()) ||
                (type == "bool" && value.is_bool()) || (type == "null" && value.is_null());
    if (!fits)
        return fail(Code::invalid,
                    fmt::format("\"{}\" is no value of the type !!{}", text.substr(0, 64), type));
    return value;
}

Result<void> YamlBuilder::scalar(const fy_event_scalar_data& data) {
    std::string_view text = text_of(data.value);
    bool plain = !data.value || fy_token_scalar_style(data.value) == FYSS_PLAIN;
    if (data.value) TRY(check_block(data.value));
    size_t before = weight_;
    TRY(charge(1 + text.size()));
    std::string_view tag = text_of(data.tag);
    Json value = tag.empty() ? (plain ? resolve_yaml_scalar(text) : Json(text))
                             : TRY(tagged(tag, text, plain));
    if (data.anchor)
        anchors_.insert_or_assign(std::string(text_of(data.anchor)),
                                  Anchor{value, weight_ - before});
    bool merge = plain && text == "<<" && !frames_.empty() &&
                 frames_.back().container.is_object() && !frames_.back().has_key;
    if (!merge) return add(std::move(value), plain);
    frames_.back().has_key = frames_.back().is_merge = true;
    return {};
}

// The text of a literal or folded block stands deeper than the mapping or list it belongs to (YAML
// 1.2.2, section 8.1.1.1). libfyaml 0.7 lets it stand at the same column, and then gives more bytes
// than it has decoded.
Result<void> YamlBuilder::check_block(fy_token* value) const {
    auto style = fy_token_scalar_style(value);
    if (frames_.empty() || (style != FYSS_LITERAL && style != FYSS_FOLDED)) return {};
    const fy_mark *start = fy_token_start_mark(value), *end = fy_token_end_mark(value);
    if (!start || !end || end->input_pos > source_.size() || start->input_pos > end->input_pos)
        return {};
    auto block = source_.substr(start->input_pos, end->input_pos - start->input_pos);
    size_t first = block.find_first_not_of(" \r\n");
    if (first == block.npos) return {};
    size_t line = block.rfind('\n', first);
    size_t column = line == block.npos ? first : first - line - 1;
    if (column > static_cast<size_t>(frames_.back().column)) return {};
    return fail(Code::invalid, "a block of text must be indented deeper than its key");
}

Result<void> YamlBuilder::alias(std::string_view name) {
    auto found = anchors_.find(name);
    if (found == anchors_.end())
        return fail(Code::invalid,
                    fmt::format("the alias *{} names nothing that stands before it", name));
    TRY(charge(found->second.weight));
    return add(found->second.value, false);
}

Result<void> YamlBuilder::begin(Json container, fy_token* anchor, fy_event* event) {
    if (frames_.size() >= limits_.max_depth)
        return fail(
            Code::too_large,
            fmt::format("the YAML is nested deeper than {} levels; flatten it", limits_.max_depth));
    if (!frames_.empty() && frames_.back().container.is_object() && !frames_.back().has_key)
        return fail(Code::invalid, "a key must be a scalar, not a list or a mapping");
    Frame frame;
    frame.container = std::move(container);
    frame.anchor = text_of(anchor);
    frame.weight_before = weight_;
    if (const fy_mark* mark = fy_event_start_mark(event)) frame.column = mark->column;
    frames_.push_back(std::move(frame));
    return charge(1);
}

Result<void> YamlBuilder::end() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    finish_merge(frame);
    if (!frame.anchor.empty())
        anchors_.insert_or_assign(frame.anchor,
                                  Anchor{frame.container, weight_ - frame.weight_before});
    return add(std::move(frame.container), false);
}

Result<void> YamlBuilder::add(Json value, bool plain) {
    if (frames_.empty()) {
        root_ = std::move(value);
        return {};
    }
    Frame& frame = frames_.back();
    if (frame.container.is_array()) {
        frame.container.push_back(std::move(value));
        return {};
    }
    if (!frame.has_key) return add_key(value, plain);
    frame.has_key = false;
    if (std::exchange(frame.is_merge, false)) return add_merge(std::move(value));
    if (frame.container.contains(frame.key)) duplicates_.push_back(path_to(frame.key));
    frame.container.set(frame.key, std::move(value));
    return {};
}

// JSON has only texts as keys: 1: becomes "1":, true: becomes "true":.
Result<void> YamlBuilder::add_key(const Json& key, bool plain) {
    Frame& frame = frames_.back();
    if (key.is_array() || key.is_object() || (key.is_null() && !plain))
        return fail(Code::invalid, "a key must be a scalar, not a list or a mapping");
    frame.key = key.is_string() ? std::string(key.as_string()) : key.dump();
    frame.has_key = true;
    return {};
}

Result<void> YamlBuilder::add_merge(Json value) {
    Frame& frame = frames_.back();
    if (value.is_object()) {
        frame.merged.push_back(std::move(value));
        return {};
    }
    if (!value.is_array()) return fail(Code::invalid, "<< wants a mapping or a list of mappings");
    for (const Json& item : value.items()) {
        if (!item.is_object())
            return fail(Code::invalid, "<< wants a mapping or a list of mappings");
        frame.merged.push_back(item);
    }
    return {};
}

// Keys of the mapping itself win, then those of earlier mappings.
void YamlBuilder::finish_merge(Frame& frame) {
    for (const Json& mapping : frame.merged)
        for (const auto& [key, value] : mapping.members())
            if (!frame.container.contains(key)) frame.container.set(key, value);
}

std::string YamlBuilder::path_to(std::string_view key) const {
    std::string path;
    for (size_t i = 0; i + 1 < frames_.size(); ++i) {
        const Frame& frame = frames_[i];
        if (frame.container.is_array())
            path += fmt::format("[{}]", frame.container.size());
        else
            path += (path.empty() ? "" : ".") + frame.key;
    }
    if (!path.empty()) path += '.';
    return path.append(key);
}

struct ParserCloser {
    void operator()(fy_parser* parser) const { fy_parser_destroy(parser); }
    void operator()(fy_diag* diag) const { fy_diag_destroy(diag); }
};
using Parser = std::unique_ptr<fy_parser, ParserCloser>;
using Diagnostics = std::unique_ptr<fy_diag, ParserCloser>;

Diagnostics make_diagnostics() {
    fy_diag_cfg config;
    fy_diag_cfg_default(&config);
    config.fp = nullptr;
    config.output_fn = [](fy_diag*, void*, const char*, size_t) {
    }; // nothing is printed, errors are collected
    Diagnostics diagnostics(fy_diag_create(&config));
    fy_diag_set_collect_errors(diagnostics.get(), true);
    return diagnostics;
}

tl::unexpected<Error> syntax_error(fy_diag* diagnostics) {
    void* iterator = nullptr;
    fy_diag_error* error = fy_diag_errors_iterate(diagnostics, &iterator);
    if (!error) return fail(Code::invalid, "invalid YAML");
    return fail(Code::invalid, fmt::format("invalid YAML at line {}, column {}: {}", error->line,
                                           error->column, error->msg));
}

// libfyaml trusts its input to be UTF-8 without stray control characters (YAML 1.2.2, section 5.1).
Result<void> check_characters(std::string_view text) {
    size_t line = 1;
    for (size_t i = 0; i < text.size();) {
        auto c = static_cast<unsigned char>(text[i]);
        size_t length = utf8_length(text, i);
        if (!length || (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F)
            return fail(Code::invalid,
                        fmt::format("invalid YAML at line {}: the byte 0x{:02x} is {}", line, c,
                                    length ? "a control character" : "not UTF-8"));
        if (c == '\n') ++line;
        i += length;
    }
    return {};
}

Result<void> handle_event(YamlBuilder& builder, fy_event* event) {
    auto handled = builder.handle(event);
    if (handled) return {};
    const fy_mark* mark = fy_event_start_mark(event);
    Error error = std::move(handled.error());
    if (mark && error.code == Code::invalid)
        error.message = fmt::format("invalid YAML at line {}, column {}: {}", mark->line + 1,
                                    mark->column + 1, error.message);
    return tl::unexpected<Error>(std::move(error));
}

} // namespace

Result<std::vector<ParsedJson>> parse_yaml(std::string_view text, JsonLimits limits) {
    if (text.size() > limits.max_bytes)
        return fail(Code::too_large,
                    fmt::format("the YAML text has {} bytes, at most {} are accepted; send less",
                                text.size(), limits.max_bytes));
    TRY(check_characters(text));
    auto diagnostics = make_diagnostics();
    fy_parse_cfg config{};
    config.flags = static_cast<fy_parse_cfg_flags>(FYPCF_DISABLE_DEPTH_LIMIT |
                                                   FYPCF_DEFAULT_VERSION_1_2 | FYPCF_COLLECT_DIAG);
    config.diag = diagnostics.get();
    Parser parser(fy_parser_create(&config));
    if (!parser || fy_parser_set_string(parser.get(), text.data(), text.size()))
        return fail(Code::internal, "the YAML parser could not start");
    std::vector<ParsedJson> documents;
    YamlBuilder builder(text, limits);
    while (fy_event* raw = fy_parser_parse(parser.get())) {
        auto release = [&](fy_event* event) { fy_parser_event_free(parser.get(), event); };
        std::unique_ptr<fy_event, decltype(release)> event(raw, release);
        TRY(handle_event(builder, event.get()));
        if (event->type != FYET_DOCUMENT_END) continue;
        if (!builder.is_empty()) documents.push_back(builder.take());
    }
    if (fy_parser_get_stream_error(parser.get())) return syntax_error(diagnostics.get());
    return documents;
}

Result<Json> parse_yaml_document(std::string_view text, JsonLimits limits) {
    auto documents = TRY(parse_yaml(text, limits));
    if (documents.size() > 1)
        return fail(
            Code::invalid,
            fmt::format("the YAML text has {} documents where one is expected", documents.size()));
    return documents.empty() ? Json() : std::move(documents.front().value);
}

} // namespace cloudlet::codec
