#pragma once
// The statements of the CRUSH text language as written: names are not looked up and numbers are not
// yet judged. crush_text_compile.cpp gives them their meaning.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/rados/crush_map.h"

namespace cloudlet::rados::text {

struct Name {
    std::string text;
    int line = 0;
};

/// A whole number; what leaves 64 bits is cut to their ends and so fails every check of a range.
struct Number {
    int64_t value = 0;
    int line = 0;
};

struct Weight {
    float value = 0;
    int line = 0;
};

struct Tunable {
    Name name;
    Number value;
};

struct Device {
    Number id;
    Name name;
    std::optional<Name> class_name;
};

struct Type {
    Number id;
    Name name;
};

struct BucketId {
    Number id;
    std::optional<Name> class_name;
};

struct BucketItem {
    Name name;
    std::optional<Weight> weight;
    std::optional<Number> position;
};

struct Bucket {
    Name type;
    Name name;
    std::vector<BucketId> ids;
    Name alg;
    std::optional<Number> hash;
    std::vector<BucketItem> items;
};

/// `target` is the item of a take and the type of a choose.
struct Step {
    RuleOp op = RuleOp::noop;
    Number number;
    Name target;
    std::optional<Name> class_name;
};

struct Rule {
    Name name; // may be empty
    Number id;
    RuleType type = RuleType::replicated;
    Number min_size;
    Number max_size;
    std::vector<Step> steps;
};

struct ChooseArg {
    Number bucket;
    std::vector<std::vector<Weight>> weight_sets;
    std::optional<std::vector<Number>> ids;
};

struct ChooseArgs {
    Number id;
    std::vector<ChooseArg> buckets;
};

struct Document {
    std::vector<Tunable> tunables;
    std::vector<Device> devices;
    std::vector<Type> types;
    std::vector<Bucket> buckets;
    std::vector<Rule> rules;
    std::vector<ChooseArgs> choose_args;
};

/// Error: Code::invalid, "FILE:LINE: expected ..., found ...".
Result<Document> parse(std::string_view text, std::string_view file);

} // namespace cloudlet::rados::text
