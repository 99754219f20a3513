#include "cloudlet/codec/json.h"

#include <cmath>

#include <fmt/format.h>

namespace cloudlet::codec {
namespace {

Json parsed(std::string_view text) {
    auto result = parse_json(text);
    if (!result) ADD_FAILURE() << text << ": " << result.error().to_string();
    return result ? *result : Json();
}

std::string error_of(std::string_view text, JsonLimits limits = {}) {
    auto result = parse_json(text, limits);
    return result ? "parsed as " + result->dump() : result.error().message;
}

TEST(Json, IsSmall) { EXPECT_EQ(sizeof(Json), 24u); }

TEST(Json, DocumentsComeBackByteForByte) {
    for (auto text :
         {R"(null)", R"(true)", R"(-1)", R"("")", R"([])", R"({})",
          R"({"b":1,"a":[1,2.5,"x",null,false,{}]})",
          R"({"text":"a longer string that does not fit inside the value","tab":"\t\"\\\u0001é😀"})",
          R"(9223372036854775807)", R"(-9223372036854775808)", R"(18446744073709551615)",
          R"(123456789012345678901234567890)", R"(-99999999999999999999)", R"(0.1)", R"(1e+21)",
          R"(1e-7)"})
        EXPECT_EQ(parsed(text).dump(), text);
}

TEST(Json, WhitespaceAndEscapesAreUnderstood) {
    EXPECT_EQ(parsed(" \n\t{ \"a\" : [ 1 , 2 ] } \r\n").dump(), R"({"a":[1,2]})");
    EXPECT_EQ(parsed(R"("\u00e9\uD83D\uDE00\/\b\f")").as_string(), "é😀/\b\f");
}

TEST(Json, FloatsPrintTheShortestTextThatReadsBackTheSame) {
    for (double value : {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, 123456.789,
                         2.2250738585072014e-308, 9007199254740993.0})
        EXPECT_EQ(parsed(Json(value).dump()).as_double(), value);
    EXPECT_EQ(Json(100000.0).dump(), "100000");
    EXPECT_EQ(parsed("-0e5").dump(), "-0.0");
    EXPECT_EQ(Json(1e300).dump(), "1e+300");
    EXPECT_EQ(parsed("1e-400").as_double(), 0); // too small to tell from zero
    EXPECT_TRUE(Json(std::nan("")).is_null());
}

TEST(Json, BadTextIsRefusedWithItsPlace) {
    EXPECT_EQ(error_of("{\n  \"a\": 1,\n  b\n}"),
              "invalid JSON at line 3, column 3: unexpected 'b'");
    EXPECT_EQ(error_of("[1,2"),
              "invalid JSON at line 1, column 5: the text ends in the middle of a value");
    EXPECT_EQ(error_of("{} x"),
              "invalid JSON at line 1, column 4: there is more text after the document");
    for (auto bad : {"",           " ",        "nul",          "[1,]",
                     "{\"a\":1,}", "01",       "1.",           "+1",
                     "'a'",        "\"\\x\"",  "\"\\ud800\"",  "\"a\nb\"",
                     "1e999",      "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
                     "// c\n1",    "[1 2]",    "{\"a\" 1}",    "{\"\xff\":1}",
                     "NaN"})
        EXPECT_THAT(error_of(bad), testing::StartsWith("invalid JSON at line ")) << bad;
}

TEST(Json, LimitsOnDepthAndSizeHold) {
    EXPECT_TRUE(parse_json(std::string(128, '[') + std::string(128, ']')));
    auto deep = parse_json(std::string(100'000, '['));
    ASSERT_FALSE(deep);
    EXPECT_EQ(deep.error().code, Code::too_large);
    auto large = parse_json("[1,2,3]", {.max_bytes = 6});
    ASSERT_FALSE(large);
    EXPECT_EQ(large.error().message,
              "the JSON text has 7 bytes, at most 6 are accepted; send less");
}

TEST(Json, DuplicateKeysAreReportedWithTheirPathAndTheLastOneWins) {
    auto result = parse_json_noting_duplicates(
        R"({"kind":"A","spec":{"list":[{},{"name":1,"name":2,"x":0}],"replicas":1,"replicas":3},"kind":"B"})");
    ASSERT_TRUE(result);
    EXPECT_THAT(result->duplicate_keys,
                testing::ElementsAre("spec.list[1].name", "spec.replicas", "kind"));
    EXPECT_EQ(result->value.dump(),
              R"({"kind":"B","spec":{"list":[{},{"name":2,"x":0}],"replicas":3}})");
}

TEST(Json, DuplicatesInLargeObjectsAreFoundToo) {
    std::string text = "{";
    for (int i = 0; i < 100; ++i) text += fmt::format("\"k{}\":{},", i % 90, i);
    text.back() = '}';
    auto result = parse_json_noting_duplicates(text);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->duplicate_keys.size(), 10u);
    EXPECT_EQ(result->value.size(), 90u);
    EXPECT_EQ(result->value["k3"].as_int(), 93);
    EXPECT_EQ(result->value["k89"].as_int(), 89);
}

TEST(Json, ReadsNeverFail) {
    Json pod =
        parsed(R"({"metadata":{"name":"web"},"spec":{"replicas":3,"ratio":2.0,"big":1e300}})");
    EXPECT_EQ(pod.at({"metadata", "name"}).as_string(), "web");
    EXPECT_EQ(pod["spec"]["replicas"].as_int(), 3);
    EXPECT_EQ(pod["spec"]["ratio"].as_int(), 2);
    EXPECT_EQ(pod["spec"]["big"].as_int(7), 7);
    EXPECT_TRUE(pod["no"]["such"]["path"][3].is_null());
    EXPECT_EQ(pod["metadata"].as_string("none"), "none");
    EXPECT_EQ(pod.at({"metadata", "name", "deeper"}).as_bool(true), true);
    EXPECT_TRUE(pod["metadata"].items().empty());
    EXPECT_TRUE(pod["metadata"]["name"].members().empty());
}

TEST(Json, WritesMakeTheContainersTheyNeed) {
    Json pod;
    pod.set("kind", "Pod").set_path({"metadata", "labels", "app"}, "web");
    pod.ensure("spec")
        .ensure("containers")
        .push_back(Json::object({{"name", "a"}}))
        .push_back(Json::object());
    EXPECT_EQ(
        pod.dump(),
        R"({"kind":"Pod","metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"a"},{}]}})");
    EXPECT_TRUE(pod.erase("spec"));
    EXPECT_FALSE(pod.erase("spec"));
    pod.set("kind", "Node");
    EXPECT_EQ(pod.dump(), R"({"kind":"Node","metadata":{"labels":{"app":"web"}}})");
}

TEST(Json, AValueMayBeReplacedByAPartOfItself) {
    Json tree = parsed(R"({"a":{"b":["the innermost string, longer than the value"]}})");
    tree = std::move(*tree.find_mutable("a")->find_mutable("b"));
    EXPECT_EQ(tree.dump(), R"(["the innermost string, longer than the value"])");
    tree = tree[0];
    EXPECT_EQ(tree.as_string(), "the innermost string, longer than the value");
}

TEST(Json, WritingIntoAnotherTypeIsABug) { EXPECT_DEATH(Json("text").set("a", 1), "no object"); }

TEST(Json, EqualityLooksAtValuesNotAtOrder) {
    EXPECT_EQ(parsed(R"({"a":1,"b":[1,2]})"), parsed(R"({"b":[1.0,2],"a":1e0})"));
    EXPECT_FALSE(parsed(R"({"a":1})") == parsed(R"({"a":"1"})"));
    EXPECT_FALSE(parsed(R"({"a":null})") == parsed(R"({"b":null})"));
    EXPECT_FALSE(parsed("18446744073709551615") == parsed("-1"));
    EXPECT_EQ(Json(uint64_t{5}), Json(5));
    EXPECT_FALSE(Json(true) == Json(1));
    EXPECT_FALSE(Json() == Json(false));
}

TEST(Json, LargeObjectsStayFastAndOrdered) {
    Json map;
    for (int i = 9999; i >= 0; --i) map.set(fmt::format("key-{}", i), i);
    for (int i = 0; i < 10'000; ++i) ASSERT_EQ(map[fmt::format("key-{}", i)].as_int(-1), i);
    EXPECT_EQ(map.members().begin()->key, "key-9999");
    EXPECT_TRUE(map.erase("key-5000"));
    EXPECT_FALSE(map.contains("key-5000"));
    EXPECT_EQ(map["key-4999"].as_int(), 4999);
    map.mutable_members().erase_if(
        [](const Json::Member& member) { return member.value.as_int() >= 10; });
    EXPECT_EQ(map.size(), 10u);
    EXPECT_EQ(map["key-7"].as_int(), 7);
    EXPECT_EQ(parsed(map.dump()), map);
}

TEST(Json, DumpIsAlwaysValidUtf8) {
    Json log("ok \xff\xfe end \xe2\x82");
    EXPECT_EQ(log.dump(), "\"ok \xEF\xBF\xBD\xEF\xBF\xBD end \xEF\xBF\xBD\xEF\xBF\xBD\"");
    EXPECT_TRUE(parse_json(log.dump()));
}

TEST(Json, PrettyTextPutsOneMemberALine) {
    EXPECT_EQ(parsed(R"({"a":[1,{}],"b":{"c":[]}})").dump_pretty(2),
              "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": []\n  }\n}");
}

} // namespace
} // namespace cloudlet::codec
