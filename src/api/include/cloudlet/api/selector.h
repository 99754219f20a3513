#pragma once
// Label and field selectors: parsed once, matched often.

#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/codec/json.h"

namespace cloudlet::api {

/// One term of a label selector. `exists` and `absent` have no values; `greater` and `less` have
/// one.
struct Requirement {
    enum class Operator { in, not_in, exists, absent, greater, less };
    std::string key;
    Operator op = Operator::in;
    std::vector<std::string> values;
};

/// A conjunction of requirements on labels. Empty matches everything. Values; thread-safe to read.
class LabelSelector {
public:
    LabelSelector() = default;

    /// The query-string form: "a=b,c!=d,e in (f,g),!h,i" (apimachinery labels.Parse). Error:
    /// invalid.
    static Result<LabelSelector> parse(std::string_view text);
    /// The object form, metav1.LabelSelector: matchLabels and matchExpressions. Error: invalid.
    static Result<LabelSelector> from_json(const codec::Json& selector);
    /// A plain map of labels, as Service.spec.selector and ReplicationController have it.
    static LabelSelector from_map(const codec::Json& labels);

    bool matches(const codec::Json& labels) const;
    bool empty() const { return requirements_.empty(); }
    const std::vector<Requirement>& requirements() const { return requirements_; }
    /// The query-string form again.
    std::string to_string() const;

private:
    std::vector<Requirement> requirements_;
};

/// One term of a field selector: "path=value", "path==value" or "path!=value".
struct FieldRequirement {
    std::string path; // "metadata.name"
    std::string value;
    bool equal = true;
};

/// A conjunction of comparisons of scalar fields. Which paths a kind allows is the server's matter.
class FieldSelector {
public:
    FieldSelector() = default;
    /// "a=b,c!=d"; a backslash escapes ',', '=' and itself. Error: invalid.
    static Result<FieldSelector> parse(std::string_view text);
    static FieldSelector equals(std::string path, std::string value);

    /// A field that is absent compares as "" (Kubernetes' fields.Set).
    bool matches(const codec::Json& object) const;
    bool empty() const { return requirements_.empty(); }
    const std::vector<FieldRequirement>& requirements() const { return requirements_; }
    /// The value required of `path` by an equality, or nullptr: lets a lookup replace a scan.
    const std::string* required_value(std::string_view path) const;
    std::string to_string() const;

private:
    std::vector<FieldRequirement> requirements_;
};

/// The scalar at a dotted path ("spec.nodeName") as text; "" when absent.
std::string field_text(const codec::Json& object, std::string_view dotted_path);

} // namespace cloudlet::api
