// The text language against Ceph's crushtool: what one writes the other reads, byte for byte.
#include <gmock/gmock.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/rados/crush_text.h"
#include "crush_oracle.h"

namespace cloudlet::rados {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using CrushText = CrushOracle;

const std::string head = "device 0 osd.0 class ssd\n"
                         "device 1 osd.1 class hdd\n"
                         "device 2 osd.2\n"
                         "type 0 osd\n"
                         "type 1 host\n"
                         "type 2 rack\n";
const std::string host = "host a { id -1 alg straw2 item osd.0 weight 1 item osd.1 weight 3 }\n";

std::string rule_of(const std::string& steps) {
    return "rule r { id 0 type replicated min_size 1 max_size 10 " + steps + " step emit }\n";
}

TEST_F(CrushText, RandomMapsDecompileAsCrushtoolDecompilesThem) {
    for_random_maps(seeds_to_run(40), [&](Random&, const CrushMap& map) {
        write("map", encode_crush_map(map));
        io::Output theirs = run_crushtool({"-d", path("map")});
        EXPECT_EQ(decompile_crush_map(map), theirs.out);
    });
}

// Ceph grows a class's part of a tree bucket in old memory, and gives up on a class's part of a
// uniform one; a uniform bucket of weight 0 ends crushtool.
TEST_F(CrushText, RandomTextsCompileToTheBytesThatCrushtoolMakes) {
    int compared = 0;
    for_random_maps(seeds_to_run(40), [&](Random&, const CrushMap& map) {
        if (has_uniform_or_tree(map)) return;
        std::string text = decompile_crush_map(map);
        write("text", text);
        io::Output theirs = run_crushtool({"-c", path("text"), "-o", path("map")});
        auto ours = compile_crush_text(text, "text");
        ASSERT_EQ(ours.has_value(), theirs.exit_status.ok())
            << theirs.err.substr(0, 300) << (ours ? "" : ours.error().to_string()) << text;
        if (!ours) return;
        ++compared;
        EXPECT_EQ(to_hex(encode_crush_map(*ours)), to_hex(read("map"))) << text;
        EXPECT_EQ(decompile_crush_map(*ours), crushtool({"-d", path("map")}));
    });
    EXPECT_GT(compared, 0);
}

TEST_F(CrushText, EveryFormOfTheLanguageCompilesAsCrushtoolCompilesIt) {
    const std::string texts[] = {
        "",
        "# nothing",
        "type 0 osd type 1 host",
        "type 1 a type 2 a device 3 x a b { alg straw2 item x }",
        "device1 a device 010 b class c type7 t t u { alg list item a item b weight .5 }",
        head + host,
        head + "host a { alg straw2 item osd.0 item osd.1 weight 2 } rack r { alg straw item a }",
        head + "host a { alg uniform item osd.0 weight 3 item osd.1 weight 3 } rack r { alg list "
               "item a item osd.2 weight 0.00001 }",
        head + "host a { alg tree item osd.0 pos 1 item osd.1 weight 2 pos 0 item osd.2 }",
        head + "host a { alg straw2 item osd.0 weight 1 item osd.1 weight 1e-1 pos 0 item osd.2 "
               "weight +1.5E1 }",
        head + "host a { alg straw2 } host b { id -2 alg list } host c { alg straw }",
        head +
            "host a { id -5 id -1 class ssd alg straw2 item osd.0 } rack r { alg list item a } " +
            rule_of("step take r class hdd step choose firstn 0 type osd"),
        head + "host a { id -5 id -3 class nvme alg straw2 item osd.0 } " + rule_of("step take a"),
        head + "host a { alg uniform item osd.0 weight 1 item osd.1 weight 1 }" +
            rule_of("step take a"),
        head + host +
            rule_of("step set_choose_tries 1 step set_choose_local_tries 2 step "
                    "set_choose_local_fallback_tries 3 step set_chooseleaf_tries 4 step "
                    "set_chooseleaf_vary_r 5 step set_chooseleaf_stable 0 step take a "
                    "class ssd step choose indep -3 type host step chooseleaf firstn 99 "
                    "type osd"),
        head + host +
            "rule { ruleset 9 type erasure min_size 0 max_size 255 step take osd.0 step "
            "emit }",
        head + host +
            "choose_args 4 { { bucket_id -1 weight_set [ [ 1.5 -2 ] [ 0 1 ] ] ids [ -9 7 "
            "] } } choose_args 0 { } choose_args 9 { { bucket_id -1 weight_set [] } }",
        "tunable choose_total_tries 4294967295 tunable straw_calc_version 1 tunable "
        "chooseleaf_vary_r 4 tunable allowed_bucket_algs 54 tunable choose_total_tries 7 type 3 z",
    };
    for (const auto& text : texts) {
        write("text", text);
        crushtool({"-c", path("text"), "-o", path("map")});
        auto ours = compile_crush_text(text, "text");
        ASSERT_TRUE(ours) << ours.error().to_string() << "\n" << text;
        EXPECT_EQ(to_hex(encode_crush_map(*ours)), to_hex(read("map"))) << text;
        EXPECT_EQ(decompile_crush_map(*ours), crushtool({"-d", path("map")})) << text;
    }
}

struct Refusal {
    std::string text;
    std::string message; // its beginning, after "map.txt:"
};

const Refusal refusals[] = {
    {"device 0 a\ndevice -1 b", "2: expected a device's number, found \"-1\""},
    {"device 0 osd/2", "1: expected "},
    {"type 0 osd\n\nnonsense", "3: expected the bucket's name, found the end of the file"},
    {"device 0 a\ndevice 1 a", "2: item a defined twice"},
    {"device 0 a\ndevice 0 b", "2: device 0 is defined twice"},
    {"type 1 a\ntype 1 b", "2: type 1 is defined twice"},
    {"device 16777216 a", "1: device 16777216 is out of range; use 0 to 16777215"},
    {"device 99999999999999999999 a", "1: device 9223372036854775807 is out of range"},
    {"tunable foo 1", "1: tunable foo not recognized"},
    {"tunable chooseleaf_vary_r 256", "1: chooseleaf_vary_r 256 is out of range"},
    {head + "row a { alg straw2 }", "7: bucket type 'row' is not defined"},
    {head + "osd a { alg straw2 }", "7: bucket 'a' has type 'osd', number 0"},
    {head + "host osd.0 { alg straw2 }", "7: bucket or device 'osd.0' is already defined"},
    {head + "host a { alg straw3 }", "7: unknown bucket alg 'straw3'"},
    {head + "host a {\nalg straw2\nhash 7 }", "9: hash 7 is not known"},
    {head + "host a { alg straw2\nitem osd.7 }", "8: item 'osd.7' in bucket 'a' is not defined"},
    {head + "host a { alg straw2 item a }", "7: item 'a' in bucket 'a' is not defined"},
    {head + "rack r { alg straw2 item a }\n" + host, "7: item 'a' in bucket 'r' is not defined"},
    {head + "host a { alg straw2 item osd.0 weight 101 }",
     "7: item 'osd.0' in bucket 'a' has weight"},
    {head + "host a { alg straw2 item osd.0 weight -1 }",
     "7: item 'osd.0' in bucket 'a' has weight"},
    {head + "host a { alg straw2 item osd.0 weight 1e39 }", "7: item 'osd.0' in bucket 'a' has"},
    {head + "host a { alg straw2 item osd.0 weight nan }", "7: expected a weight"},
    {head + "host a { alg uniform item osd.0 item osd.1 weight 2 }", "7: item 'osd.1' in uniform"},
    {head + "host a { alg straw2 item osd.0 pos 1 }", "7: item 'osd.0' in bucket 'a' has pos 1 >="},
    {head + "host a { alg straw2 item osd.0 pos 0 item osd.1 pos 0 }", "7: item 'osd.1' in bucket"},
    {head + host + "host b { id -1 alg straw2 }", "8: bucket id -1 is used twice"},
    {head + "host b { id -1 id -2 alg straw2 }", "7: bucket b has a second id"},
    {head + "host b { id -1 class x id -2 class x alg straw2 }", "7: duplicate device class x"},
    {head + "host b { id -99999999 alg straw2 }", "7: bucket id -99999999 is out of range"},
    {head + host + rule_of("step take nope"), "8: in rule 'r' item 'nope' not defined"},
    {head + host + rule_of("step take a class nope"), "8: in rule 'r' class 'nope' is not"},
    {head + host + rule_of("step take osd.0 class ssd"), "8: in rule 'r' step take osd.0 has no"},
    {head + host + rule_of("step take a step choose firstn 0 type row"),
     "8: in rule 'r' type 'row'"},
    {head + host + rule_of("") + rule_of(""), "9: rule name 'r' already defined"},
    {head + "rule r { id 256 type erasure min_size 1 max_size 2 step emit }",
     "7: rule id 256 is out"},
    {head + "rule r { id 1 type raid min_size 1 max_size 2 step emit }",
     "7: expected \"replicated\""},
    {head + host + rule_of("") + "host b { alg straw2 }", "9: bucket \"b\" stands below a rule"},
    {head + host + "choose_args 1 { { bucket_id -9 } }", "8: bucket -9 does not exist"},
    {head + host + "choose_args 1 { { bucket_id -1 ids [ 1 ] } }",
     "8: bucket -1 needs exactly 2 ids"},
    {head + host + "choose_args 1 { { bucket_id -1 weight_set [ [ 1 ] ] } }", "8: bucket -1 needs"},
    {head + host + "choose_args 1 { } choose_args 1 { }", "8: choose_args 1 duplicated"},
    {head + "host a { alg straw2", "7: expected \"hash\", \"item\" or \"}\", found the end of the"},
};

TEST(CrushTextErrors, NameTheFileTheLineAndWhatIsWrong) {
    for (const auto& [text, message] : refusals) {
        auto map = compile_crush_text(text, "map.txt");
        ASSERT_FALSE(map) << text;
        EXPECT_EQ(map.error().code, Code::invalid);
        EXPECT_THAT(map.error().to_string(), StartsWith("map.txt:" + message)) << text;
    }
}

TEST(CrushTextErrors, ABucketNestedWithoutEndIsRefused) {
    std::string text = "device 0 a\ntype 1 t\nt b0 { alg straw2 item a }\n";
    for (int i = 1; i < 300; ++i)
        text += fmt::format("t b{} {{ alg straw2 item b{} }}\n", i, i - 1);
    auto map = compile_crush_text(text, "deep.txt");
    ASSERT_FALSE(map);
    EXPECT_THAT(map.error().to_string(), HasSubstr("nested deeper than 256 levels"));
}

} // namespace
} // namespace cloudlet::rados
