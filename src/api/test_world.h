#pragma once
// Shared by this room's tests: objects from text, kinds by name.

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "cloudlet/api/kind.h"
#include "cloudlet/codec/yaml.h"

namespace cloudlet::api::test {

inline Json json(std::string_view text) {
    auto parsed = codec::parse_json(text);
    EXPECT_TRUE(parsed.has_value()) << text << "\n" << (parsed ? "" : parsed.error().to_string());
    return parsed ? *parsed : Json();
}

inline Json yaml(std::string_view text) {
    auto parsed = codec::parse_yaml(text);
    EXPECT_TRUE(parsed.has_value() && parsed->size() == 1) << text;
    return parsed && parsed->size() == 1 ? parsed->front().value : Json();
}

inline const Kind& kind(std::string_view name) {
    for (const Kind& one : builtin_kinds().all())
        if (one.kind == name) return one;
    ADD_FAILURE() << "no kind " << name;
    return builtin_kinds().all().front();
}

/// A deployment that nothing is wrong with, before defaulting.
inline Json web_deployment() {
    return yaml(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: c
        image: nginx
        ports: [{containerPort: 80}]
)");
}

inline Json web_pod() {
    return yaml(R"(
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec:
  containers:
  - {name: c, image: "nginx:1.25"}
)");
}

/// Defaulted and prepared as a create does.
inline Json created(std::string_view kind_name, Json object) {
    default_object(kind(kind_name), object);
    prepare_create(kind(kind_name), object);
    return object;
}

/// All errors of a create as text lines.
inline std::vector<std::string> create_errors(std::string_view kind_name, const Json& object) {
    std::vector<std::string> lines;
    for (const FieldError& error : validate_create(kind(kind_name), created(kind_name, object)))
        lines.push_back(error.to_string());
    return lines;
}

inline std::vector<std::string> update_errors(std::string_view kind_name, const Json& now,
                                              const Json& before) {
    std::vector<std::string> lines;
    for (const FieldError& error : validate_update(kind(kind_name), now, before))
        lines.push_back(error.to_string());
    return lines;
}

} // namespace cloudlet::api::test
