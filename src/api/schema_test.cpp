#include "cloudlet/api/schema.h"

#include <chrono>
#include <set>

#include "cloudlet/api/names.h"
#include "test_world.h"

namespace cloudlet::api {
namespace {

using test::json;
using test::kind;

std::string type_error(std::string_view kind_name, std::string_view text) {
    auto result = kind(kind_name).schema->check_types(json(text));
    return result ? "" : result.error().message;
}

TEST(Schemas, every_named_check_and_merge_key_of_the_compiled_kinds_exists) {
    size_t fields = 0;
    for (const Schema* schema : builtin_schemas()) {
        EXPECT_FALSE(schema->description().empty()) << schema->full_name();
        for (const Field& field : schema->fields()) {
            ++fields;
            EXPECT_FALSE(field.description.empty()) << schema->full_name() << "." << field.name;
            EXPECT_TRUE(field.format_check.empty() || is_named_check(field.format_check))
                << field.name;
            if (field.merge_key.empty()) continue;
            ASSERT_NE(field.schema->items(), nullptr) << field.name;
            EXPECT_NE(field.schema->items()->find(field.merge_key), nullptr) << field.name;
        }
    }
    EXPECT_GT(fields, 800u);
}

TEST(Schemas, protobuf_numbers_are_unique_within_a_message) {
    for (const Schema* schema : builtin_schemas()) {
        std::set<std::pair<uint32_t, uint32_t>> seen;
        for (const Field& field : schema->fields())
            if (field.proto_number != 0) {
                EXPECT_TRUE(seen.insert({field.proto_embedded_in, field.proto_number}).second)
                    << schema->full_name() << "." << field.name;
            }
    }
}

TEST(Schemas, a_path_leads_through_lists_and_inlined_structs) {
    const Schema& pod = *kind("Pod").schema;
    ASSERT_NE(pod.find_path("spec.containers.livenessProbe.httpGet.port"), nullptr);
    EXPECT_EQ(pod.find_path("spec.volumes.configMap.name")->schema->type(), Schema::Type::string);
    EXPECT_EQ(pod.find_path("spec.nonsense"), nullptr);
    EXPECT_EQ(pod.find_path("spec.containers")->schema->go_type(), "[]v1.Container");
    EXPECT_EQ(pod.find_path("metadata.labels")->schema->go_type(), "map[string]string");
}

TEST(SchemaTypes, a_value_of_the_wrong_type_is_named_as_go_names_it) {
    EXPECT_EQ(type_error("Deployment", R"({"spec":{"replicas":"3"}})"),
              "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of "
              "type int32");
    EXPECT_EQ(type_error("Deployment", R"({"spec":{"replicas":99999999999}})"),
              "json: cannot unmarshal number 99999999999 into Go struct field "
              "DeploymentSpec.spec.replicas of type int32");
    EXPECT_EQ(type_error("Pod", R"({"spec":{"containers":[{"env":[{"name":"a","value":1}]}]}})"),
              "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value "
              "of type string");
    EXPECT_EQ(type_error("Pod", R"({"spec":{"containers":{}}})"),
              "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type "
              "[]v1.Container");
    EXPECT_EQ(type_error("Pod", R"({"metadata":{"labels":{"a":1}}})"),
              "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of "
              "type string");
    EXPECT_EQ(type_error("Pod", R"({"spec":[]})"),
              "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec");
    EXPECT_EQ(type_error("Pod", R"([])"),
              "json: cannot unmarshal array into Go value of type v1.Pod");
}

TEST(SchemaTypes, malformed_quantities_times_and_base64_are_refused) {
    EXPECT_NE(
        type_error("Pod", R"({"spec":{"containers":[{"resources":{"limits":{"cpu":"abc"}}}]}})")
            .find("quantities"),
        std::string::npos);
    EXPECT_NE(
        type_error("Pod", R"({"metadata":{"creationTimestamp":"yesterday"}})").find("parsing time"),
        std::string::npos);
    EXPECT_NE(type_error("Secret", R"({"data":{"a":"%%%"}})").find("illegal base64"),
              std::string::npos);
}

TEST(SchemaTypes, good_values_pass_in_all_their_spellings) {
    EXPECT_EQ(type_error("Pod",
                         R"({"spec":{"containers":[{"resources":{"limits":{"cpu":2,"memory":"1Gi"}},
        "livenessProbe":{"httpGet":{"port":"web"}},"readinessProbe":{"tcpSocket":{"port":80}}}],
        "terminationGracePeriodSeconds":null},"metadata":{"creationTimestamp":null}})"),
              "");
    EXPECT_EQ(type_error("Secret", R"({"data":{"a":"aGVsbG8="}})"), "");
}

TEST(SchemaPrune, unknown_fields_are_removed_and_told_with_their_path) {
    Json object = json(
        R"({"spec":{"template":{"spec":{"containers":[{"name":"c","imag":"x"}]}},"foo":1},"bar":{}})");
    std::vector<std::string> unknown;
    kind("Deployment").schema->prune(object, &unknown);
    std::ranges::sort(unknown);
    EXPECT_EQ(unknown, (std::vector<std::string>{"bar", "spec.foo",
                                                 "spec.template.spec.containers[0].imag"}));
    EXPECT_EQ(object, json(R"({"spec":{"template":{"spec":{"containers":[{"name":"c"}]}}}})"));
    EXPECT_EQ(strict_decoding_error(unknown, std::vector<std::string>{"spec.replicas"}),
              "strict decoding error: duplicate field \"spec.replicas\", unknown field \"bar\", "
              "unknown field \"spec.foo\", "
              "unknown field \"spec.template.spec.containers[0].imag\"");
}

TEST(SchemaPrune, nulls_vanish_as_in_typed_decoding) {
    Json object = json(
        R"({"metadata":{"creationTimestamp":null,"labels":{"a":null}},"spec":{"containers":[null]}})");
    kind("Pod").schema->prune(object);
    EXPECT_EQ(object, json(R"({"metadata":{"labels":{"a":""}},"spec":{"containers":[{}]}})"));
}

TEST(SchemaPrune, amounts_and_times_get_their_canonical_spelling) {
    Json object = json(R"({"metadata":{"creationTimestamp":"2026-01-02T03:04:05.9+01:00"},
        "spec":{"containers":[{"resources":{"limits":{"cpu":0.5,"memory":"1024Mi","x/y":2}}}]}})");
    kind("Pod").schema->prune(object);
    EXPECT_EQ(object, json(R"({"metadata":{"creationTimestamp":"2026-01-02T02:04:05Z"},
        "spec":{"containers":[{"resources":{
            "limits":{"cpu":"500m","memory":"1Gi","x/y":"2"}}}]}})"));
}

TEST(SchemaPrune, what_the_schema_leaves_open_is_kept) {
    Json object = json(R"({"metadata":{"managedFields":[{"fieldsV1":{"f:x":{}}}]}})");
    Json before = object;
    std::vector<std::string> unknown;
    kind("Pod").schema->prune(object, &unknown);
    EXPECT_TRUE(unknown.empty());
    EXPECT_EQ(object, before);
}

TEST(SchemaInert, what_does_nothing_yet_is_told_once_with_its_path) {
    Json object = test::web_pod();
    EXPECT_TRUE(inert_warnings(kind("Pod"), object).empty());
    object.set_path({"spec", "affinity", "podAffinity"},
                    json(R"({"preferredDuringSchedulingIgnoredDuringExecution":[]})"));
    object.set_path({"spec", "setHostnameAsFQDN"}, false);
    EXPECT_EQ(inert_warnings(kind("Pod"), object),
              std::vector<std::string>{
                  "spec.affinity.podAffinity: accepted, but this server does nothing with it yet"});
}

TEST(SchemaInert, a_value_that_does_nothing_is_told_where_other_values_of_the_field_work) {
    Json object = test::web_pod();
    object.set_path({"spec", "volumes"},
                    json(R"([{"name":"m","emptyDir":{"medium":"Memory","sizeLimit":"1Mi"}}])"));
    object.set_path({"spec", "hostUsers"}, true);
    EXPECT_TRUE(inert_warnings(kind("Pod"), object).empty());
    object.set_path({"spec", "hostUsers"}, false);
    object.set_path({"spec", "volumes"}, json(R"([{"name":"d","emptyDir":{"sizeLimit":"1Mi"}}])"));
    object.find_mutable("spec")
        ->find_mutable("containers")
        ->mutable_items()[0]
        .set_path({"resources", "limits", "ephemeral-storage"}, "1Gi");
    auto warnings = inert_warnings(kind("Pod"), object);
    ASSERT_EQ(warnings.size(), 3u);
    EXPECT_TRUE(warnings[0].starts_with("spec.hostUsers: "));
    EXPECT_TRUE(warnings[1].starts_with("spec.volumes[0].emptyDir.sizeLimit: "));
    EXPECT_TRUE(warnings[2].starts_with("spec.containers[0].resources.limits[ephemeral-storage]"));

    Json deployment = test::web_deployment();
    deployment.set_path({"spec", "template", "spec", "hostUsers"}, false);
    warnings = inert_warnings(kind("Deployment"), deployment);
    ASSERT_EQ(warnings.size(), 1u);
    EXPECT_TRUE(warnings[0].starts_with("spec.template.spec.hostUsers: "));

    const Json service = json(R"({"spec":{"type":"LoadBalancer"}})");
    ASSERT_EQ(inert_warnings(kind("Service"), service).size(), 1u);
    EXPECT_TRUE(inert_warnings(kind("Service"), service)[0].starts_with("spec.type: "));
}

TEST(SchemaInert, defaults_of_no_kind_are_inert) {
    for (std::string_view name : {"Pod", "Deployment"}) {
        Json object = test::created(name, name == "Pod" ? test::web_pod() : test::web_deployment());
        EXPECT_EQ(inert_warnings(kind(name), object), std::vector<std::string>{});
    }
}

} // namespace
} // namespace cloudlet::api
