// Deployment and ReplicaSet: the selector, the template and the limits of a rolling update.

#include <algorithm>
#include <array>

#include "cloudlet/api/selector.h"
#include "kind_hooks.h"

namespace cloudlet::api {

namespace {

void validate_selector(const Json& selector, const Json& labels, std::string_view owner,
                       FieldErrors& errors) {
    if (!selector.is_object()) return; // the schema demands it
    if (selector["matchLabels"].size() + selector["matchExpressions"].size() == 0) {
        errors.push_back(FieldError::invalid(
            "spec.selector", selector, "empty selector is invalid for " + std::string(owner)));
        return;
    }
    validate_labels(selector["matchLabels"], "spec.selector.matchLabels", errors);
    size_t index = 0;
    bool good = true;
    for (const Json& term : selector["matchExpressions"].items()) {
        std::string path = at("spec.selector.matchExpressions", index++);
        std::string_view op = term["operator"].as_string();
        bool set = op == "In" || op == "NotIn";
        bool presence = op == "Exists" || op == "DoesNotExist";
        good &= set || presence;
        if (!set && !presence)
            errors.push_back(FieldError::invalid(join(path, "operator"), term["operator"],
                                                 "not a valid selector operator"));
        if (set && term["values"].size() == 0)
            errors.push_back(FieldError::required(
                join(path, "values"), "must be specified when `operator` is 'In' or 'NotIn'"));
        if (presence && term["values"].size() > 0)
            errors.push_back(FieldError::forbidden(
                join(path, "values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
    }
    auto parsed = LabelSelector::from_json(selector);
    if (good && parsed && !parsed->matches(labels))
        errors.push_back(FieldError::invalid("spec.template.metadata.labels",
                                             labels.is_null() ? Json::object() : labels,
                                             "`selector` does not match template `labels`"));
}

void validate_template(const Json& pod_template, FieldErrors& errors) {
    if (!pod_template.is_object()) return;
    validate_labels(pod_template["metadata"]["labels"], "spec.template.metadata.labels", errors);
    validate_annotations(pod_template["metadata"]["annotations"],
                         "spec.template.metadata.annotations", errors);
    const Json& spec = pod_template["spec"];
    validate_pod_spec(spec, "spec.template.spec", errors);
    constexpr std::array<std::string_view, 1> always{"Always"};
    std::string_view policy = spec["restartPolicy"].as_string();
    if (policy == "Never" || policy == "OnFailure")
        errors.push_back(FieldError::not_supported("spec.template.spec.restartPolicy",
                                                   spec["restartPolicy"], always));
    if (!spec["activeDeadlineSeconds"].is_null())
        errors.push_back(
            FieldError::forbidden("spec.template.spec.activeDeadlineSeconds",
                                  "activeDeadlineSeconds in ReplicaSet is not Supported"));
}

/// A number or percentage; -1 when it is neither (an error was added).
int64_t validate_share(const Json& value, const std::string& path, bool is_unavailable,
                       FieldErrors& errors) {
    if (value.is_null()) return 0;
    if (value.is_int()) {
        if (value.as_int() < 0)
            errors.push_back(
                FieldError::invalid(path, value, "must be greater than or equal to 0"));
        return value.as_int();
    }
    std::string_view text = value.as_string();
    bool good = text.size() >= 2 && text.size() <= 10 && text.ends_with('%') &&
                std::ranges::all_of(text.substr(0, text.size() - 1),
                                    [](char c) { return c >= '0' && c <= '9'; });
    if (!good) {
        errors.push_back(FieldError::invalid(path, value,
                                             "a valid percent string must be a numeric string "
                                             "followed by an ending '%' (e.g. '1%',  or "
                                             "'93%', regex used for validation is '[0-9]+%')"));
        return -1;
    }
    int64_t percent = std::stoll(std::string(text.substr(0, text.size() - 1)));
    if (is_unavailable && percent > 100)
        errors.push_back(FieldError::invalid(path, value, "must not be greater than 100%"));
    return percent;
}

void validate_strategy(const Json& strategy, FieldErrors& errors) {
    const Json& rolling = strategy["rollingUpdate"];
    if (strategy["type"].as_string() == "Recreate" && !rolling.is_null())
        errors.push_back(
            FieldError::forbidden("spec.strategy.rollingUpdate",
                                  "may not be specified when strategy `type` is 'Recreate'"));
    if (strategy["type"].as_string() != "RollingUpdate" || !rolling.is_object()) return;
    std::string path = "spec.strategy.rollingUpdate";
    int64_t unavailable =
        validate_share(rolling["maxUnavailable"], path + ".maxUnavailable", true, errors);
    int64_t surge = validate_share(rolling["maxSurge"], path + ".maxSurge", false, errors);
    if (unavailable == 0 && surge == 0)
        errors.push_back(FieldError::invalid(path + ".maxUnavailable", rolling["maxUnavailable"],
                                             "may not be 0 when `maxSurge` is 0"));
}

} // namespace

void validate_deployment(const Json& deployment, FieldErrors& errors) {
    const Json& spec = deployment["spec"];
    if (!spec.is_object()) {
        errors.push_back(FieldError::required("spec.selector"));
        errors.push_back(FieldError::required("spec.template"));
        return;
    }
    validate_selector(spec["selector"], spec["template"]["metadata"]["labels"], "deployment",
                      errors);
    validate_template(spec["template"], errors);
    validate_strategy(spec["strategy"], errors);
    const Json& deadline = spec["progressDeadlineSeconds"];
    if (deadline.is_int() && deadline.as_int() >= 0 &&
        deadline.as_int() <= spec["minReadySeconds"].as_int())
        errors.push_back(FieldError::invalid("spec.progressDeadlineSeconds", deadline,
                                             "must be greater than minReadySeconds"));
}

void validate_replica_set(const Json& replica_set, FieldErrors& errors) {
    const Json& spec = replica_set["spec"];
    if (!spec.is_object()) {
        errors.push_back(FieldError::required("spec.selector"));
        errors.push_back(FieldError::required("spec.template"));
        return;
    }
    if (spec["template"].is_null()) errors.push_back(FieldError::required("spec.template"));
    validate_selector(spec["selector"], spec["template"]["metadata"]["labels"], "replicaset",
                      errors);
    validate_template(spec["template"], errors);
}

} // namespace cloudlet::api
