#pragma once
// The place of a field within an object, built on the stack while walking and printed only when
// something is wrong: "spec.containers[0].image", "metadata.labels[app]".

#include <string>
#include <string_view>

namespace cloudlet::api {

class FieldPath {
public:
    FieldPath() = default;
    /// A walk that starts below the root, at an already printed path.
    explicit FieldPath(std::string_view start) : name_(start) {}

    FieldPath field(std::string_view name) const { return {this, name, Step::field, 0}; }
    FieldPath index(size_t number) const { return {this, {}, Step::index, number}; }
    FieldPath key(std::string_view name) const { return {this, name, Step::key, 0}; }

    bool is_root() const { return !parent_ && name_.empty(); }
    std::string to_string() const {
        std::string text = parent_ ? parent_->to_string() : std::string();
        switch (step_) {
        case Step::index: return text + "[" + std::to_string(index_) + "]";
        case Step::key: return text + "[" + std::string(name_) + "]";
        case Step::field: break;
        }
        if (!text.empty() && !name_.empty()) text += ".";
        return text + std::string(name_);
    }

private:
    enum class Step { field, index, key };
    FieldPath(const FieldPath* parent, std::string_view name, Step step, size_t index)
        : parent_(parent), name_(name), step_(step), index_(index) {}

    const FieldPath* parent_ = nullptr; // on the caller's stack; a path never outlives its parent
    std::string_view name_;
    Step step_ = Step::field;
    size_t index_ = 0;
};

} // namespace cloudlet::api
