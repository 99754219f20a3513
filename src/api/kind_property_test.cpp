// Objects that are almost right: one place of a good object is replaced by something that does not
// belong there. Whatever it is, the pipeline answers and never trips.
#include "cloudlet/api/patch.h"
#include "cloudlet/api/table.h"
#include "cloudlet/base/random.h"
#include "test_world.h"

namespace cloudlet::api {
namespace {

using test::kind;
using test::yaml;

size_t count_places(const Json& value) {
    size_t count = 1;
    for (const auto& member : value.members()) count += count_places(member.value);
    for (const Json& item : value.items()) count += count_places(item);
    return count;
}

/// Replaces the place of that number, counted in depth-first order.
void replace_place(Json& value, size_t& number, const Json& other) {
    if (number-- == 0) {
        value = other;
        return;
    }
    if (value.is_object())
        for (auto& member : value.mutable_members()) {
            if (number == static_cast<size_t>(-1)) return;
            replace_place(member.value, number, other);
        }
    else if (value.is_array())
        for (Json& item : value.mutable_items()) {
            if (number == static_cast<size_t>(-1)) return;
            replace_place(item, number, other);
        }
}

Json service() {
    return yaml(R"(
metadata: {name: s, namespace: d}
spec:
  type: NodePort
  selector: {a: b}
  ports: [{port: 80, nodePort: 30080, name: w}, {port: 53, protocol: UDP, name: d}]
)");
}

Json rich_pod() {
    return yaml(R"(
metadata: {name: p, namespace: d, labels: {a: b}, finalizers: [x/y]}
spec:
  initContainers: [{name: i, image: x, restartPolicy: Always}]
  containers:
  - name: c
    image: x
    ports: [{containerPort: 80, hostPort: 80}]
    env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    envFrom: [{secretRef: {name: s}}]
    resources: {limits: {cpu: 1, memory: 1Gi}}
    volumeMounts: [{name: v, mountPath: /v, subPath: a}]
    livenessProbe: {httpGet: {port: 80}}
    lifecycle: {preStop: {exec: {command: [a]}}}
  volumes:
  - {name: v, projected: {sources: [{configMap: {name: c, items: [{key: a, path: b}]}}]}}
  - {name: w, downwardAPI: {items: [{path: x, fieldRef: {fieldPath: metadata.labels}}]}}
  tolerations: [{operator: Exists}]
)");
}

TEST(KindProperties, an_object_with_one_strange_place_is_admitted_or_refused_in_words) {
    const Json strange[] = {nullptr,
                            "",
                            "x",
                            -1,
                            0,
                            70000,
                            1.5,
                            true,
                            Json::object(),
                            Json::array(),
                            Json::array({nullptr}),
                            Json::object({{"a", nullptr}}),
                            "../x",
                            "9999999999999999999"};
    const std::pair<std::string_view, Json> seeds[] = {
        {"Pod", rich_pod()}, {"Deployment", test::web_deployment()}, {"Service", service()}};
    size_t admitted = 0, refused = 0;
    for (const auto& [name, seed] : seeds) {
        const Json stored = test::created(name, seed);
        const size_t places = count_places(seed);
        for (size_t place = 0; place < places; ++place) {
            for (const Json& other : strange) {
                Json object = seed;
                size_t number = place;
                replace_place(object, number, other);
                if (!kind(name).schema->check_types(object)) {
                    ++refused;
                    continue;
                }
                kind(name).schema->prune(object);
                default_object(kind(name), object);
                Json again = object;
                default_object(kind(name), again);
                EXPECT_EQ(again, object) << "defaults are not stable";
                Json updated = object;
                prepare_create(kind(name), object);
                auto errors = validate_create(kind(name), object);
                for (const FieldError& error : errors)
                    EXPECT_FALSE(error.path.empty()) << error.to_string();
                errors.empty() ? ++admitted : ++refused;
                prepare_update(kind(name), updated, stored);
                validate_update(kind(name), updated, stored);
                table_row(kind(name), updated, {});
                inert_warnings(kind(name), updated);
                Json patch = make_merge_patch(stored, updated);
                EXPECT_EQ(apply_merge_patch(stored, patch), updated);
                EXPECT_TRUE(
                    apply_strategic_patch(stored, updated, *kind(name).schema).has_value() ||
                    !errors.empty());
            }
        }
    }
    EXPECT_GT(admitted, 100u);
    EXPECT_GT(refused, 500u);
}

} // namespace
} // namespace cloudlet::api
