#include "cloudlet/codec/yaml.h"

#include <fmt/format.h>

namespace cloudlet::codec {
namespace {

std::string json_of(std::string_view text) {
    auto document = parse_yaml_document(text);
    return document ? document->dump() : document.error().message;
}

TEST(Yaml, AManifestBecomesJson) {
    EXPECT_EQ(
        json_of("apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  labels: {app: web}\nspec:\n  "
                "containers:\n  "
                "- name: a\n"
                "    args: [\"-l\", ':80']\n  - name: b\n    script: |\n      one\n      two\n    "
                "text: >-\n      "
                "folded\n      line\n"),
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","labels":{"app":"web"}},"spec":{"containers":[)"
        R"({"name":"a","args":["-l",":80"]},{"name":"b","script":"one\ntwo\n","text":"folded line"}]}})");
}

TEST(Yaml, JsonIsYaml) {
    EXPECT_EQ(json_of(R"({"a": [1, 2.5, "x\u00e9", null, true]})"),
              R"({"a":[1,2.5,"xé",null,true]})");
}

TEST(Yaml, PlainScalarsHaveGoYamlsTypes) {
    const std::vector<std::pair<std::string, std::string>> table = {
        {"~", "null"},
        {"Null", "null"},
        {"yes", "true"},
        {"On", "true"},
        {"no", "false"},
        {"OFF", "false"},
        {"0x1F", "31"},
        {"0o17", "15"},
        {"0777", "511"},
        {"0b101", "5"},
        {"1_000", "1000"},
        {"+12", "12"},
        {"-7", "-7"},
        {"1e3", "1000"},
        {".5", "0.5"},
        {"18446744073709551615", "18446744073709551615"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"08", "8"},
        {"1.2.3", "\"1.2.3\""},
        {"12:30:45", "\"12:30:45\""},
        {"2001-01-01", "\"2001-01-01\""},
        {"1Gi", "\"1Gi\""},
        {".inf", "\".inf\""},
        {"-", "[null]"},
        {"'yes'", "\"yes\""},
        {"\"1\"", "\"1\""},
        {"!!str 1", "\"1\""},
        {"!!int \"3\"", "3"},
        {"!!binary aGk=", "\"hi\""},
        {"! 1", "\"1\""},
        {"truely", "\"truely\""}};
    for (const auto& [yaml, json] : table) EXPECT_EQ(json_of(yaml), json) << yaml;
}

TEST(Yaml, KeysAreTexts) {
    EXPECT_EQ(json_of("1: a\ntrue: b\n1.5: c\n~: d\n"),
              R"({"1":"a","true":"b","1.5":"c","null":"d"})");
}

TEST(Yaml, AnchorsAliasesAndMergesAreResolved) {
    EXPECT_EQ(
        json_of("base: &b {x: 1, u: 2}\none: {<<: *b, u: 3}\ntwo: {u: 4, <<: [*b, {z: 5}]}\nagain: "
                "*b\n"),
        R"({"base":{"x":1,"u":2},"one":{"u":3,"x":1},"two":{"u":4,"x":1,"z":5},"again":{"x":1,"u":2}})");
    EXPECT_THAT(json_of("a: *none"), testing::HasSubstr("line 1"));
    EXPECT_THAT(json_of("a: &a [*a]"), testing::HasSubstr("names nothing"));
}

TEST(Yaml, AliasesCannotMultiplyWithoutEnd) {
    std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 12; ++i) {
        bomb += fmt::format("a{}: &a{} [", i, i);
        for (int j = 0; j < 10; ++j) bomb += fmt::format("*a{},", i - 1);
        bomb += "]\n";
    }
    auto result = parse_yaml(bomb, {.max_bytes = 1 << 20});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::too_large);
}

TEST(Yaml, SeveralDocumentsComeInOrderWithoutTheEmptyOnes) {
    auto documents = parse_yaml("---\na: 1\n---\n# nothing\n---\nb: 2\n...\n");
    ASSERT_TRUE(documents) << documents.error().message;
    ASSERT_EQ(documents->size(), 2u);
    EXPECT_EQ((*documents)[1].value.dump(), R"({"b":2})");
    EXPECT_EQ(json_of("a: 1\n---\nb: 2\n"), "the YAML text has 2 documents where one is expected");
    EXPECT_EQ(json_of(""), "null");
}

TEST(Yaml, DuplicateKeysAreReportedWithTheirPath) {
    auto documents =
        parse_yaml("spec:\n  list:\n  - a: 1\n    a: 2\n  replicas: 1\n  replicas: 2\n");
    ASSERT_TRUE(documents);
    EXPECT_THAT(documents->front().duplicate_keys,
                testing::ElementsAre("spec.list[0].a", "spec.replicas"));
    EXPECT_EQ(documents->front().value.at({"spec", "replicas"}).as_int(), 2);
}

TEST(Yaml, BadTextIsRefusedWithItsPlace) {
    EXPECT_THAT(json_of("a: 1\nb: [1, 2\nc: 3\n  d: 4\n"),
                testing::StartsWith("invalid YAML at line "));
    EXPECT_EQ(json_of("a: !!int x"),
              "invalid YAML at line 1, column 10: \"x\" is no value of the type !!int");
    EXPECT_EQ(json_of("a: 1\nb: \x01"),
              "invalid YAML at line 2: the byte 0x01 is a control character");
    EXPECT_EQ(json_of("a: \xff"), "invalid YAML at line 1: the byte 0xff is not UTF-8");
    EXPECT_THAT(json_of("{[1]: 2}"), testing::HasSubstr("a key must be a scalar"));
    EXPECT_THAT(json_of(std::string(100'000, '[')),
                testing::HasSubstr("nested deeper than 128 levels"));
    EXPECT_THAT(json_of("\tx: 1"), testing::StartsWith("invalid YAML"));
    EXPECT_THAT(json_of("a:\n  s: |\n  one\n   two\n  b: 1\n"),
                testing::HasSubstr("indented deeper"));
}

TEST(Yaml, WhatIsWrittenReadsBackTheSame) {
    Json value = *parse_json(
        R"({"plain":"text","empty":"","number":"1","yes":"yes","null":"~","colon":"a: b","hash":"a #b","lead":" x",
        "multi":"one\n two\n\nthree","ends":"one\ntwo\n",
        "many":"a\n\n\n","tab":"\tx","bell":"\u0007","nel":"a\u0085b\nc",
        "quote":"it's \"so\"",
        "time":"12:30","date":"2001-01-01","list":[1,[2,[3]],{"a":[]},{},"- x"],"float":1.5,
        "big":123456789012345678901234567890,"t":true,"n":null,
        "nested":{"a":{"b":[{"c":1,"d":{"e":2}}]}},"on":1,"1":2,
        "é":"ü","trail":"x \ny","star":"*a","dash":"-","cr":"a\r\nb"})");
    auto back = parse_yaml_document(dump_yaml(value));
    ASSERT_TRUE(back) << back.error().message << "\n" << dump_yaml(value);
    Json expected = value;
    expected.set("big",
                 123456789012345678901234567890.0); // YAML integers end at 64 bits, as go-yaml's do
    EXPECT_EQ(*back, expected) << dump_yaml(value);
}

TEST(Yaml, BlocksLookAsKubectlPrintsThem) {
    EXPECT_EQ(dump_yaml(*parse_json(
                  R"({"kind":"Pod","items":[{"a":1,"b":["x"]}],"e":{},"s":"l1\nl2\n"})")),
              "kind: Pod\nitems:\n- a: 1\n  b:\n  - x\ne: {}\ns: |\n  l1\n  l2\n");
    EXPECT_EQ(dump_yaml(Json("yes")), "\"yes\"\n");
}

} // namespace
} // namespace cloudlet::codec
