// RFC 6902: a list of operations, each at a JSON pointer (RFC 6901).

#include <optional>

#include <fmt/format.h>

#include "cloudlet/api/patch.h"

namespace cloudlet::api {

namespace {

constexpr size_t max_operations = 10'000; // as the Kubernetes API server
constexpr size_t max_bytes = 8u << 20;    // of growth by copy: a patch must not become a bomb

using Path = std::vector<std::string>;

Result<Path> parse_pointer(std::string_view text) {
    Path path;
    if (text.empty()) return path;
    if (text[0] != '/')
        return fail(Code::invalid,
                    fmt::format("\"{}\" is no JSON pointer: it must start with '/'", text));
    for (size_t start = 1; start <= text.size();) {
        size_t end = std::min(text.find('/', start), text.size());
        std::string step;
        for (size_t i = start; i < end; ++i) {
            if (text[i] != '~') {
                step += text[i];
                continue;
            }
            char next = i + 1 < end ? text[i + 1] : '\0';
            if (next != '0' && next != '1')
                return fail(
                    Code::invalid,
                    fmt::format("\"{}\" is no JSON pointer: '~' must be '~0' or '~1'", text));
            step += next == '0' ? '~' : '/';
            ++i;
        }
        path.push_back(std::move(step));
        start = end + 1;
    }
    return path;
}

/// An index of a list of `size` items; `size` itself ("-" too) when `may_append`.
std::optional<size_t> parse_index(const std::string& step, size_t size, bool may_append) {
    if (step == "-") return may_append ? std::optional(size) : std::nullopt;
    if (step.empty() || step.size() > 9 || (step.size() > 1 && step[0] == '0')) return std::nullopt;
    size_t index = 0;
    for (char c : step) {
        if (c < '0' || c > '9') return std::nullopt;
        index = index * 10 + static_cast<size_t>(c - '0');
    }
    if (index < size || (may_append && index == size)) return index;
    return std::nullopt;
}

/// The value at the first `steps` steps of a path; null when there is none.
Json* walk(Json& root, const Path& path, size_t steps) {
    Json* here = &root;
    for (size_t i = 0; i < steps && here; ++i) {
        if (here->is_object()) {
            here = here->find_mutable(path[i]);
        } else if (here->is_array()) {
            auto index = parse_index(path[i], here->size(), false);
            here = index ? &here->mutable_items()[*index] : nullptr;
        } else {
            here = nullptr;
        }
    }
    return here;
}

class Patcher {
public:
    explicit Patcher(Json document) : document_(std::move(document)) {}

    Result<> apply(const Json& operation) {
        std::string_view op = operation["op"].as_string();
        if (!operation["path"].is_string())
            return fail(Code::invalid, "a JSON patch operation needs a \"path\"");
        text_ = operation["path"].as_string();
        path_ = TRY(parse_pointer(text_));
        if (op == "add") return add(TRY(value_of(operation)));
        if (op == "remove") return remove();
        if (op == "replace") return replace(TRY(value_of(operation)));
        if (op == "test") return test(TRY(value_of(operation)));
        if (op == "move" || op == "copy") return transfer(operation, op == "move");
        return fail(
            Code::invalid,
            fmt::format("\"{}\" is no JSON patch operation: use add, remove, replace, move, copy "
                        "or test",
                        op));
    }
    Json take() { return std::move(document_); }

private:
    tl::unexpected<Error> missing(std::string_view what) const {
        return fail(
            Code::invalid,
            fmt::format("{} operation does not apply: doc is missing path: \"{}\": missing value",
                        what, text_));
    }

    static Result<Json> value_of(const Json& operation) {
        const Json* value = operation.find("value");
        if (!value)
            return fail(Code::invalid,
                        fmt::format("JSON patch operation \"{}\" at \"{}\" needs a \"value\"",
                                    operation["op"].as_string(), operation["path"].as_string()));
        return *value;
    }

    Result<> add(Json value) {
        if (path_.empty()) {
            document_ = std::move(value);
            return {};
        }
        Json* parent = walk(document_, path_, path_.size() - 1);
        if (!parent || !(parent->is_object() || parent->is_array())) return missing("add");
        if (parent->is_object()) {
            parent->set(path_.back(), std::move(value));
            return {};
        }
        auto index = parse_index(path_.back(), parent->size(), true);
        if (!index)
            return fail(Code::invalid,
                        fmt::format("add operation does not apply: no such index: \"{}\"", text_));
        auto& items = parent->mutable_items();
        items.insert(items.begin() + static_cast<std::ptrdiff_t>(*index), std::move(value));
        return {};
    }

    Result<> remove() {
        if (path_.empty())
            return fail(Code::invalid, "remove operation does not apply: the whole document");
        Json* parent = walk(document_, path_, path_.size() - 1);
        if (!parent || !walk(*parent, {path_.back()}, 1)) return missing("remove");
        if (parent->is_object()) {
            parent->erase(path_.back());
        } else {
            auto& items = parent->mutable_items();
            items.erase(items.begin() + static_cast<std::ptrdiff_t>(
                                            *parse_index(path_.back(), items.size(), false)));
        }
        return {};
    }

    Result<> replace(Json value) {
        Json* target = walk(document_, path_, path_.size());
        if (!target) return missing("replace");
        *target = std::move(value);
        return {};
    }

    Result<> test(const Json& value) {
        const Json* target = walk(document_, path_, path_.size());
        if (target ? *target == value : value.is_null()) return {};
        return fail(Code::conflict, fmt::format("testing path {}: test failed", text_));
    }

    Result<> transfer(const Json& operation, bool is_move) {
        std::string_view what = is_move ? "move" : "copy";
        if (!operation["from"].is_string())
            return fail(Code::invalid,
                        fmt::format("JSON patch operation \"{}\" needs a \"from\"", what));
        Path target = path_;
        std::string target_text = text_;
        text_ = operation["from"].as_string();
        path_ = TRY(parse_pointer(text_));
        if (is_move && target.size() > path_.size() &&
            std::equal(path_.begin(), path_.end(), target.begin()))
            return fail(Code::invalid,
                        fmt::format("move operation does not apply: \"{}\" is inside \"{}\"",
                                    target_text, text_));
        const Json* source = walk(document_, path_, path_.size());
        if (!source) return missing(what);
        Json value = *source;
        copied_ += is_move ? 0 : value.dump().size();
        if (copied_ > max_bytes)
            return fail(Code::too_large, "the copy operations of this JSON patch make too much");
        if (is_move) TRY(remove());
        path_ = std::move(target);
        text_ = std::move(target_text);
        return add(std::move(value));
    }

    Json document_;
    Path path_;        // of the current operation
    std::string text_; // its pointer, for messages
    size_t copied_ = 0;
};

} // namespace

Result<Json> apply_json_patch(const Json& object, const Json& patch) {
    if (!patch.is_array()) return fail(Code::invalid, "a JSON patch is an array of operations");
    if (patch.size() > max_operations)
        return fail(Code::too_large,
                    fmt::format("The allowed maximum operations in a JSON patch is {}, got {}",
                                max_operations, patch.size()));
    Patcher patcher(object);
    for (const Json& operation : patch.items()) TRY(patcher.apply(operation));
    return patcher.take();
}

} // namespace cloudlet::api
