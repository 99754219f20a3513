#include "cloudlet/api/patch.h"

#include "cloudlet/base/random.h"
#include "test_world.h"

namespace cloudlet::api {
namespace {

using test::json;
using test::kind;
using test::yaml;

struct Case {
    std::string_view name, object, patch, result; // result "error: text" for a refusal
};

std::string shown(const Result<Json>& result) {
    return result ? result->dump() : "error: " + result.error().message;
}

void expect_result(const Case& one, const Result<Json>& result) {
    if (one.result.starts_with("error")) {
        ASSERT_FALSE(result.has_value()) << one.name << ": " << shown(result);
        EXPECT_NE(shown(result).find(one.result.substr(7)), std::string::npos)
            << one.name << ": " << shown(result);
    } else {
        ASSERT_TRUE(result.has_value()) << one.name << ": " << shown(result);
        EXPECT_EQ(result->dump(), yaml(one.result).dump()) << one.name;
    }
}

TEST(MergePatch, follows_the_examples_of_rfc_7386) {
    const Case cases[] = {
        {"replace", R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
        {"add", R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
        {"delete", R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
        {"list", R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
        {"nested", R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
        {"array of objects", R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
        {"null in", R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
        {"object for list", R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
        {"deep null", R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
    };
    for (const Case& one : cases)
        expect_result(one, apply_merge_patch(json(one.object), json(one.patch)));
}

TEST(JsonPatch, does_the_operations_of_rfc_6902) {
    const Case cases[] = {
        {"add member", R"({"a":1})", R"([{"op":"add","path":"/b","value":2}])", R"({"a":1,"b":2})"},
        {"add item", R"({"a":[1,3]})", R"([{"op":"add","path":"/a/1","value":2}])",
         R"({"a":[1,2,3]})"},
        {"append", R"({"a":[1]})", R"([{"op":"add","path":"/a/-","value":[2]}])",
         R"({"a":[1,[2]]})"},
        {"remove", R"({"a":[1,2]})", R"([{"op":"remove","path":"/a/0"}])", R"({"a":[2]})"},
        {"replace root", R"({"a":1})", R"([{"op":"replace","path":"","value":{"b":1}}])",
         R"({"b":1})"},
        {"move", R"({"a":{"x":1},"b":{}})", R"([{"op":"move","from":"/a/x","path":"/b/y"}])",
         R"({"a":{},"b":{"y":1}})"},
        {"copy", R"({"a":1})", R"([{"op":"copy","from":"/a","path":"/b"}])", R"({"a":1,"b":1})"},
        {"escapes", R"({"a/b":{"c~d":1}})", R"([{"op":"replace","path":"/a~1b/c~0d","value":2}])",
         R"({"a/b":{"c~d":2}})"},
        {"test then change", R"({"a":1})",
         R"([{"op":"test","path":"/a","value":1.0},{"op":"remove","path":"/a"}])", "{}"},
        {"failed test", R"({"a":1})", R"([{"op":"test","path":"/a","value":2}])",
         "error: testing path /a"},
        {"remove nothing", R"({})", R"([{"op":"remove","path":"/a"}])",
         "error: missing path: \"/a\""},
        {"replace nothing", R"({})", R"([{"op":"replace","path":"/a","value":1}])",
         "error: missing"},
        {"leading zero", R"({"a":[1,2]})", R"([{"op":"remove","path":"/a/01"}])", "error: missing"},
        {"index past the end", R"({"a":[]})", R"([{"op":"add","path":"/a/1","value":1}])",
         "error: no such index"},
        {"into oneself", R"({"a":{"b":1}})", R"([{"op":"move","from":"/a","path":"/a/c"}])",
         "error: inside"},
        {"bad pointer", R"({})", R"([{"op":"add","path":"a","value":1}])",
         "error: must start with '/'"},
        {"bad escape", R"({})", R"([{"op":"add","path":"/~2","value":1}])", "error: '~0' or '~1'"},
        {"no operation", R"({})", R"([{"op":"frob","path":"/a"}])",
         "error: no JSON patch operation"},
        {"no value", R"({})", R"([{"op":"add","path":"/a"}])", "error: needs a \"value\""},
        {"no list", R"({})", R"({"op":"add"})", "error: array of operations"},
    };
    for (const Case& one : cases)
        expect_result(one, apply_json_patch(json(one.object), json(one.patch)));
}

TEST(JsonPatch, a_failed_test_is_a_conflict) {
    auto result =
        apply_json_patch(json(R"({"a":1})"), json(R"([{"op":"test","path":"/a","value":2}])"));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Code::conflict);
}

TEST(JsonPatch, copies_that_double_without_end_are_cut_off) {
    Json patch = Json::array();
    for (int i = 0; i < 60; ++i)
        patch.push_back(json(R"({"op":"copy","from":"/a","path":"/a/-"})"));
    auto result = apply_json_patch(json(R"({"a":["0123456789"]})"), patch);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Code::too_large);
}

constexpr Case strategic_cases[] = {
    {"merges containers by name",
     "{spec: {containers: [{name: a, image: x}, {name: b, image: z}]}}",
     "{spec: {containers: [{name: b, image: z}]}}",
     "{spec: {containers: [{name: a, image: x}, {name: b, image: z}]}}"},
    {"puts a new item before those of the server", "{spec: {containers: [{name: a}]}}",
     "{spec: {containers: [{name: b, image: z}]}}",
     "{spec: {containers: [{name: b, image: z}, {name: a}]}}"},
    {"$patch delete removes an item", "{spec: {containers: [{name: a}, {name: b}]}}",
     "{spec: {containers: [{name: a, $patch: delete}]}}", "{spec: {containers: [{name: b}]}}"},
    {"$patch replace in a list replaces it", "{spec: {containers: [{name: a}, {name: b}]}}",
     "{spec: {containers: [{name: c}, {$patch: replace}]}}", "{spec: {containers: [{name: c}]}}"},
    {"$patch replace replaces an object",
     "{spec: {template: {spec: {nodeSelector: {a: '1', b: '2'}}}}}",
     "{spec: {template: {spec: {nodeSelector: {c: '3', $patch: replace}}}}}",
     "{spec: {template: {spec: {nodeSelector: {c: '3'}}}}}"},
    {"$patch delete empties an object", "{metadata: {labels: {a: '1'}}}",
     "{metadata: {labels: {$patch: delete}}}", "{metadata: {labels: {}}}"},
    {"$patch merge merges", "{metadata: {labels: {a: '1'}}}",
     "{metadata: {labels: {$patch: merge, b: '2'}}}", "{metadata: {labels: {a: '1', b: '2'}}}"},
    {"null deletes", "{metadata: {labels: {a: '1', b: '2'}}}", "{metadata: {labels: {a: null}}}",
     "{metadata: {labels: {b: '2'}}}"},
    {"null in new content is dropped", "{}", "{metadata: {labels: {a: null, b: x}}}",
     "{metadata: {labels: {b: x}}}"},
    {"atomic lists are replaced", "{spec: {tolerations: [{key: a}]}}",
     "{spec: {tolerations: [{key: b}]}}", "{spec: {tolerations: [{key: b}]}}"},
    {"primitive lists with a merge strategy unite", "{metadata: {finalizers: [a/x, b/x]}}",
     "{metadata: {finalizers: [c/x, a/x]}}", "{metadata: {finalizers: [c/x, a/x, b/x]}}"},
    {"primitive lists without one are replaced", "{spec: {containers: [{name: a, args: [x, y]}]}}",
     "{spec: {containers: [{name: a, args: [z]}]}}",
     "{spec: {containers: [{name: a, args: [z]}]}}"},
    {"$deleteFromPrimitiveList", "{metadata: {finalizers: [a/x, b/x]}}",
     "{metadata: {$deleteFromPrimitiveList/finalizers: [a/x]}}", "{metadata: {finalizers: [b/x]}}"},
    {"$setElementOrder orders, and server items keep their place",
     "{spec: {containers: [{name: a}, {name: s}, {name: b}]}}",
     "{spec: {$setElementOrder/containers: [{name: b}, {name: a}], containers: [{name: b, image: "
     "z}]}}",
     "{spec: {containers: [{name: s}, {name: b, image: z}, {name: a}]}}"},
    {"$setElementOrder alone reorders", "{spec: {containers: [{name: a}, {name: b}]}}",
     "{spec: {$setElementOrder/containers: [{name: b}, {name: a}]}}",
     "{spec: {containers: [{name: b}, {name: a}]}}"},
    {"$setElementOrder of primitives", "{metadata: {finalizers: [a/x, b/x]}}",
     "{metadata: {$setElementOrder/finalizers: [b/x, c/x, a/x], finalizers: [c/x]}}",
     "{metadata: {finalizers: [b/x, c/x, a/x]}}"},
    {"$retainKeys drops the rest", "{spec: {volumes: [{name: v, emptyDir: {}}]}}",
     "{spec: {volumes: [{name: v, hostPath: {path: /x}, emptyDir: null, $retainKeys: [name, "
     "hostPath]}]}}",
     "{spec: {volumes: [{name: v, hostPath: {path: /x}}]}}"},
    {"$retainKeys that forgets a key is refused", "{spec: {volumes: [{name: v}]}}",
     "{spec: {volumes: [{name: v, hostPath: {path: /x}, $retainKeys: [name]}]}}",
     "error: retainKeys"},
    {"ports merge by containerPort",
     "{spec: {containers: [{name: a, ports: [{containerPort: 80, name: w}]}]}}",
     "{spec: {containers: [{name: a, ports: [{containerPort: 80, name: x}, {containerPort: "
     "81}]}]}}",
     "{spec: {containers: [{name: a, ports: [{containerPort: 80, name: x}, {containerPort: "
     "81}]}]}}"},
    {"env merges by name",
     "{spec: {containers: [{name: a, env: [{name: A, value: '1'}, {name: B, value: '2'}]}]}}",
     "{spec: {containers: [{name: a, env: [{name: B, $patch: delete}, {name: C, value: '3'}]}]}}",
     "{spec: {containers: [{name: a, env: [{name: C, value: '3'}, {name: A, value: '1'}]}]}}"},
    {"equal keys on the server are kept",
     "{spec: {containers: [{name: a, env: [{name: A, value: '1'}, {name: A, value: '2'}]}]}}",
     "{spec: {containers: [{name: a, $setElementOrder/env: [{name: B}, {name: A}], "
     "env: [{name: B}]}]}}",
     "{spec: {containers: [{name: a, env: [{name: B}, {name: A, value: '1'}, {name: A, value: "
     "'2'}]}]}}"},
    {"conditions merge by type",
     "{status: {conditions: [{type: Ready, status: 'False'}, {type: X, status: 'True'}]}}",
     "{status: {conditions: [{type: Ready, status: 'True'}]}}",
     "{status: {conditions: [{type: Ready, status: 'True'}, {type: X, status: 'True'}]}}"},
    {"an item without its key is refused", "{spec: {containers: [{name: a}]}}",
     "{spec: {containers: [{image: x}]}}", "error: does not contain declared merge key: name"},
    {"an item of another type is refused", "{spec: {containers: [{name: a}]}}",
     "{spec: {containers: [x]}}", "error: expected a map"},
    {"an unknown directive is refused", "{metadata: {labels: {}}}",
     "{metadata: {labels: {$patch: frob}}}", "error: unknown patch type"},
};

TEST(StrategicPatch, merges_as_the_schema_says) {
    for (const Case& one : strategic_cases)
        expect_result(one,
                      apply_strategic_patch(yaml(one.object), yaml(one.patch),
                                            one.object.find("template") == std::string_view::npos
                                                ? *kind("Pod").schema
                                                : *kind("Deployment").schema));
}

TEST(StrategicPatch, kubectl_apply_changes_image_and_env_and_keeps_what_the_server_added) {
    Json live = yaml(R"(
spec:
  replicas: 3
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}
  template:
    spec:
      containers:
      - {name: injected, image: proxy}
      - {name: web, image: "web:1", imagePullPolicy: IfNotPresent,
         env: [{name: A, value: "1"}, {name: B, value: "2"}]}
)");
    Json patch = yaml(R"(
spec:
  strategy: {$retainKeys: [type], rollingUpdate: null, type: Recreate}
  template:
    spec:
      $setElementOrder/containers: [{name: web}]
      containers:
      - $setElementOrder/env: [{name: C}, {name: A}]
        name: web
        image: "web:2"
        env: [{name: C, value: "3"}, {$patch: delete, name: B}]
)");
    auto result = apply_strategic_patch(live, patch, *kind("Deployment").schema);
    ASSERT_TRUE(result.has_value()) << result.error().to_string();
    EXPECT_EQ(*result, yaml(R"(
spec:
  replicas: 3
  strategy: {type: Recreate}
  template:
    spec:
      containers:
      - {name: injected, image: proxy}
      - {name: web, image: "web:2", imagePullPolicy: IfNotPresent,
         env: [{name: C, value: "3"}, {name: A, value: "1"}]}
)"));
}

Json random_value(Random& random, int depth) {
    switch (random.below(depth > 0 ? 6 : 4)) {
    case 0: return static_cast<int64_t>(random.below(5));
    case 1: return random.chance(0.5);
    case 2: return std::string(1, static_cast<char>('a' + random.below(4)));
    case 3: return 1.5;
    case 4: {
        Json list = Json::array();
        for (uint64_t i = random.below(4); i > 0; --i)
            list.push_back(random_value(random, depth - 1));
        return list;
    }
    default: {
        Json object = Json::object();
        for (uint64_t i = random.below(5); i > 0; --i)
            object.set(std::string(1, static_cast<char>('a' + random.below(6))),
                       random_value(random, depth - 1));
        return object;
    }
    }
}

TEST(PatchProperties, the_merge_patch_between_two_values_turns_one_into_the_other) {
    for (uint64_t seed = 0; seed < 2000; ++seed) {
        Random random(seed);
        Json from = Json::object({{"x", random_value(random, 4)}});
        Json to = Json::object({{"x", random_value(random, 4)}, {"y", random_value(random, 2)}});
        EXPECT_EQ(apply_merge_patch(from, make_merge_patch(from, to)), to) << "seed " << seed;
        EXPECT_EQ(make_merge_patch(to, to), Json::object()) << "seed " << seed;
    }
}

TEST(PatchProperties, a_strategic_patch_applied_twice_is_as_applied_once) {
    for (const Case& one : strategic_cases) {
        if (one.result.starts_with("error")) continue;
        const Schema& schema = one.object.find("template") == std::string_view::npos
                                   ? *kind("Pod").schema
                                   : *kind("Deployment").schema;
        Json patch = yaml(one.patch);
        auto once = apply_strategic_patch(yaml(one.object), patch, schema);
        ASSERT_TRUE(once.has_value()) << one.name;
        auto twice = apply_strategic_patch(*once, patch, schema);
        ASSERT_TRUE(twice.has_value()) << one.name;
        EXPECT_EQ(once->dump(), twice->dump()) << one.name;
    }
}

TEST(StrategicPatch, long_lists_merge_without_comparing_all_with_all) {
    Json env = Json::array(), order = Json::array();
    for (int i = 0; i < 20'000; ++i) {
        env.push_back(Json::object({{"name", "V" + std::to_string(i)}, {"value", "x"}}));
        order.push_back(Json::object({{"name", "V" + std::to_string(i)}}));
    }
    auto pod = [](Json list, std::string_view key) {
        Json container = Json::object({{"name", "c"}});
        container.set(key, std::move(list));
        return Json::object(
            {{"spec", Json::object({{"containers", Json::array({std::move(container)})}})}});
    };
    auto result = apply_strategic_patch(pod(env, "env"), pod(order, "$setElementOrder/env"),
                                        *kind("Pod").schema);
    ASSERT_TRUE(result.has_value()) << result.error().to_string();
    EXPECT_EQ((*result)["spec"]["containers"][0]["env"], env);
}

TEST(PatchProperties, a_json_patch_never_changes_its_input) {
    Json object = json(R"({"a":[1,2,{"b":3}]})");
    Json before = object;
    ASSERT_TRUE(
        apply_json_patch(
            object,
            json(R"([{"op":"move","from":"/a/2","path":"/a/0"},{"op":"remove","path":"/a/1"}])"))
            .has_value());
    EXPECT_EQ(object.dump(), before.dump());
}

} // namespace
} // namespace cloudlet::api
