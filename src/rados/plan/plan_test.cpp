// The planner's figures against Ceph's own tools, and what they must say by reason alone.

#include <chrono>
#include <filesystem>
#include <fstream>

#include "cloudlet/codec/json.h"
#include "cloudlet/io/process.h"
#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "plan_test_support.h"

namespace cloudlet::rados {
namespace {

using testing::Contains;
using testing::HasSubstr;

/// Rows of PGs by text, as an oracle prints them: "[3,9]".
using Rows = std::vector<std::string>;

/// Ceph's tools on maps of ours, in a folder that goes away with it.
class Oracle {
public:
    Oracle() {
        std::string pattern = testing::TempDir() + "plan.XXXXXX";
        folder_ = mkdtemp(pattern.data());
    }
    ~Oracle() { std::filesystem::remove_all(folder_); }

    /// What crushtool maps every PG of pool 1 to.
    Rows crushtool(const OsdMap& map) const {
        const Pool& pool = *map.pool(1);
        std::ofstream(path("crush"), std::ios::binary) << encode_crush_map(*map.crush);
        std::vector<std::string> command = {"timeout",
                                            "20",
                                            "crushtool",
                                            "-i",
                                            path("crush"),
                                            "--test",
                                            "--show-mappings",
                                            "--pool-id",
                                            "1",
                                            "--rule",
                                            std::to_string(pool.crush_rule),
                                            "--num-rep",
                                            std::to_string(pool.size),
                                            "--min-x",
                                            "0",
                                            "--max-x",
                                            std::to_string(pool.pg_num - 1)};
        for (int32_t osd = 0; osd < map.max_osd(); ++osd)
            command.insert(command.end(),
                           {"--weight", std::to_string(osd),
                            fmt::format("{}", crush_weight_to_float(
                                                  map.osd_weight[static_cast<size_t>(osd)]))});
        return rows_after(run(command), "CRUSH rule");
    }

    /// What osdmaptool says is up, from our own file.
    Rows osdmaptool(const OsdMap& map) const {
        std::ofstream(path("map"), std::ios::binary) << encode_osd_map(map);
        return rows_after(
            run({"timeout", "20", "osdmaptool", path("map"), "--test-map-pgs-dump", "--pool", "1"}),
            "1.");
    }

private:
    std::string path(std::string_view name) const { return fmt::format("{}/{}", folder_, name); }

    std::string run(const std::vector<std::string>& command) const {
        auto output = io::run(command, std::chrono::seconds(30));
        EXPECT_TRUE(output && output->exit_status.ok())
            << fmt::format("{}", fmt::join(command, " ")) << (output ? output->err : "");
        return output ? output->out + output->err : "";
    }

    static Rows rows_after(const std::string& text, std::string_view prefix) {
        Rows rows;
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);)
            if (line.starts_with(prefix))
                rows.push_back(line.substr(line.find('['), line.find(']') - line.find('[') + 1));
        return rows;
    }

    std::string folder_;
};

uint32_t differences(const Rows& a, const Rows& b) {
    EXPECT_EQ(a.size(), b.size());
    uint32_t count = 0;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) count += a[i] != b[i];
    return count;
}

/// PGs that move at each step that moves any, by the oracle: while a flag holds, only the first map
/// and the last count.
template <typename Ask>
std::vector<uint32_t> moved_by_oracle(OsdMap map, const Way& way, Ask ask) {
    std::vector<uint32_t> moved;
    Rows settled = ask(map);
    for (const PlanStep& step : way.steps) {
        auto next = apply_change(map, step.change);
        EXPECT_TRUE(next) << (next ? "" : next.error().to_string());
        map = std::move(*next);
        Rows now = ask(map);
        bool held = map.flags & (map_norebalance | map_nobackfill);
        moved.push_back(held ? 0 : differences(settled, now));
        if (!held) settled = std::move(now);
    }
    return moved;
}

std::vector<uint32_t> moved_by_plan(const Way& way) {
    std::vector<uint32_t> moved;
    for (const PlanStep& step : way.steps) moved.push_back(step.moves.remapped);
    return moved;
}

constexpr std::string_view three_ways[] = {
    "out osd.3 remove osd.3 add osd.16 weight 1 host=host0",
    "crush-reweight osd.3 0 remove osd.3 add osd.16 weight 1 host=host0",
    "norebalance crush-reweight osd.3 0 remove osd.3 add osd.16 weight 1 host=host0 unset"};

class ReplaceAnOsd : public testing::TestWithParam<const char*> {
protected:
    OsdMap map() const {
        OsdMap map = test_map(2, 8, 800, 2);
        return *apply_change(map, changes_of(fmt::format("tunables {}", GetParam()))[0]);
    }
};

TEST_P(ReplaceAnOsd, MovesWhatCephsToolsSayOnEveryStepOfThreeWays) {
    Oracle oracle;
    std::vector<uint32_t> totals;
    for (std::string_view words : three_ways) {
        OsdMap start = map();
        Plan plan = plan_of(start, words);
        const Way& way = plan.ways.front();
        auto crushtool = [&](const OsdMap& at) { return oracle.crushtool(at); };
        auto osdmaptool = [&](const OsdMap& at) { return oracle.osdmaptool(at); };
        EXPECT_EQ(moved_by_plan(way), moved_by_oracle(start, way, crushtool)) << words;
        EXPECT_EQ(moved_by_plan(way), moved_by_oracle(start, way, osdmaptool)) << words;
        totals.push_back(way.total.remapped);
        fmt::print("{}: {} = {}\n", words, fmt::join(moved_by_plan(way), " + "),
                   way.total.remapped);
    }
    EXPECT_LT(totals[2], totals[1]);
    EXPECT_LT(totals[1], totals[0]);
}

INSTANTIATE_TEST_SUITE_P(Profiles, ReplaceAnOsd, testing::Values("argonaut", "hammer", "jewel"));

TEST(Plan, OffersTheOtherOrdersWhateverWasAsked) {
    OsdMap map = test_map(2, 8, 800, 2);
    std::map<std::string, uint32_t> first;
    for (std::string_view words : three_ways) {
        Plan plan = plan_of(map, words);
        std::map<std::string, uint32_t> moved;
        for (const Way& way : plan.ways)
            moved[way.name.substr(way.name.starts_with("as asked: ") ? 10 : 0)] =
                way.total.remapped;
        moved.erase("as asked"); // the third way as asked sets one flag, ours two
        if (first.empty()) first = moved;
        EXPECT_EQ(first, moved) << words;
    }
    EXPECT_LT(first["norebalance, CRUSH weight 0, remove, add, unset"],
              first["CRUSH weight 0, remove, add"]);
    EXPECT_LT(first["CRUSH weight 0, remove, add"], first["out, remove, add"]);
}

TEST(Plan, KeepingTheIdMovesNoMappingButFillsTheNewDisk) {
    OsdMap map = test_map(2, 8, 800, 2);
    Plan plan = plan_of(map, "replace osd.3");
    const Movement& total = plan.ways.front().total;
    EXPECT_EQ(total.remapped, 0u);
    EXPECT_GT(total.refilled, 50u);
    EXPECT_EQ(total.copies, total.refilled) << "one copy of each PG was on the old disk";
    EXPECT_EQ(total.degraded, total.refilled);
    EXPECT_THAT(plan.ways[plan.best].name, HasSubstr("same id"));
    for (const PlanNode& node : plan.nodes)
        if (node.name == "osd.3") {
            EXPECT_EQ(node.fate, PlanNode::Fate::replaced);
            EXPECT_EQ(node.received, static_cast<double>(total.copies));
            EXPECT_EQ(node.before.copies, node.after.copies);
        }
}

TEST(Plan, RemovingAndAddingTheSameIdUnderAFlagRefillsIt) {
    OsdMap map = test_map(2, 8, 800, 2);
    Plan plan = plan_of(map, "norebalance remove osd.3 add osd.3 weight 1 host=host0 unset");
    EXPECT_EQ(plan.ways.front().total.remapped, 0u) << "its place in the host does not matter";
    EXPECT_EQ(plan.ways.front().total.refilled,
              plan_of(map, "replace osd.3").ways[0].total.refilled);
}

TEST(Plan, PrefersTheOrderThatKeepsEveryCopyWhenItMovesNoMore) {
    OsdMap map = test_map(4, 4, 512, 3);
    Plan plan = plan_of(map, "remove osd.3");
    const Way& best = plan.ways[plan.best];
    EXPECT_EQ(best.name, "CRUSH weight 0, remove");
    EXPECT_EQ(best.total.degraded, 0u);
    EXPECT_EQ(best.total.copies, plan.ways.front().total.copies);
    EXPECT_GT(plan.ways.front().total.degraded, 0u) << "as asked, the disk is pulled while full";
    EXPECT_THAT(best.commands(), Contains("ceph osd crush reweight osd.3 0"));
}

TEST(Plan, PutsANewHostUnderTheRootAlsoInItsCommands) {
    OsdMap map = test_map(2, 2, 64, 2);
    Plan plan = plan_of(map, "add osd.4 weight 1 host=host2");
    EXPECT_THAT(plan.ways[0].commands(),
                Contains("ceph osd crush add osd.4 1 host=host2 root=root"));
    EXPECT_GT(plan.ways[0].total.copies, 0u);
    EXPECT_THAT(plan_of(map, "add osd.4 weight 1 host=host1").ways[0].commands(),
                Contains("ceph osd crush add osd.4 1 host=host1"));
}

TEST(Plan, SaysWhenFlagsAreLeftSet) {
    OsdMap map = test_map(3, 4, 128, 2);
    Plan plan = plan_of(map, "norebalance crush-reweight osd.3 0");
    EXPECT_EQ(plan.ways.front().total.copies, 0u);
    EXPECT_GT(plan.ways.front().total.waiting, 0u);
    EXPECT_THAT(plan.notes, Contains(HasSubstr("finish with unset")));
}

TEST(Plan, CountsBytesOfAPoolOverItsPgsOfUnequalSize) {
    OsdMap map = test_map(3, 4, 96, 2); // 96 PGs: 32 of them hold twice as much as the others
    Plan plan = plan_of(map, "out osd.0", {.pool_bytes = {{"rbd", 128e9}}});
    double held = 0, sent = 0;
    for (const PlanNode& node : plan.nodes) {
        EXPECT_TRUE(node.depth || std::abs(node.before.bytes - 256e9) < 1) << "the root holds all";
        if (node.is_device()) held += node.after.bytes;
        if (node.is_device()) sent += node.received;
    }
    EXPECT_NEAR(held, 256e9, 1);
    EXPECT_NEAR(sent, plan.ways.front().total.bytes, 1);
    EXPECT_GT(sent, 0);
}

TEST(Plan, SplittingPgsMovesThePartsThatGoElsewhere) {
    OsdMap map = test_map(4, 4, 64, 3);
    Plan split = plan_of(map, "pg_num rbd 128", {.pool_bytes = {{"rbd", 64e9}}});
    const Movement& total = split.ways.front().total;
    // Half of the children's data at most can move: the parents stay.
    EXPECT_GT(total.remapped, 32u);
    EXPECT_LE(total.remapped, 64u);
    EXPECT_LE(total.bytes, 64e9 * 3 / 2);
    EXPECT_GT(total.bytes, 0);
}

TEST(Plan, MoreCopiesMoveExactlyThoseAndFewerMoveNone) {
    OsdMap map = test_map(4, 4, 64, 2);
    EXPECT_EQ(plan_of(map, "size rbd 3").ways.front().total.copies, 64u);
    Plan fewer = plan_of(map, "size rbd 1");
    EXPECT_EQ(fewer.ways.front().total.copies, 0u);
    EXPECT_EQ(fewer.ways.front().total.remapped, 64u);
}

TEST(Plan, SharesFollowTheWeights) {
    OsdMap map = test_map(2, 2, 256, 2);
    Plan plan = plan_of(map, "crush-reweight osd.0 3");
    std::map<std::string, PlanNode> nodes;
    for (const PlanNode& node : plan.nodes) nodes[node.name] = node;
    EXPECT_DOUBLE_EQ(nodes["osd.0"].before.share, 512.0 / 4);
    EXPECT_DOUBLE_EQ(nodes["osd.0"].after.share, 512.0 * 3 / 6);
    EXPECT_DOUBLE_EQ(nodes["osd.2"].after.share, 512.0 / 6);
}

TEST(Plan, RefusesWhatTheMapDoesNotAllowAndNamesTheWayOut) {
    OsdMap map = test_map(2, 2, 16, 2);
    auto error_of = [&](std::string_view words, const PlanOptions& options = {}) {
        auto plan = make_plan(map, changes_of(words), options);
        EXPECT_FALSE(plan) << words;
        return plan ? "" : plan.error().to_string();
    };
    EXPECT_THAT(error_of("out osd.9"), HasSubstr("osd.9 is not in the map; its last OSD is osd.3"));
    EXPECT_THAT(error_of("add osd.1 weight 1 host=host0"), HasSubstr("replace osd.1"));
    EXPECT_THAT(error_of("add osd.500000 weight 1 host=host0"), HasSubstr("far above"));
    EXPECT_THAT(error_of("reweight osd.1 2"), HasSubstr("crush-reweight"));
    EXPECT_THAT(error_of("crush-reweight nohost 2"), HasSubstr("'nohost' is not in the CRUSH"));
    EXPECT_THAT(error_of("move nohost root=root"), HasSubstr("'nohost'"));
    EXPECT_THAT(error_of("size data 2"), HasSubstr("no pool 'data'; the map has rbd"));
    EXPECT_THAT(error_of("size rbd 11"), HasSubstr("1 to 10 copies"));
    EXPECT_THAT(error_of("rule rbd fast"), HasSubstr("no CRUSH rule 'fast'"));
    EXPECT_THAT(error_of("tunables dumpling"), HasSubstr("there are legacy"));
    EXPECT_THAT(error_of("pg_num rbd 0"), HasSubstr("not 0"));
    EXPECT_THAT(error_of("out osd.1", {.pool_bytes = {{"data", 1}}}),
                HasSubstr("--pool-bytes data"));
}

TEST(Plan, RefusesRulesThatTryWithoutEndAndNamesTheRemedy) {
    auto with = [](auto set, std::string_view words) {
        OsdMap map = test_map(2, 2, 16, 2);
        CrushMap crush = *map.crush;
        set(crush);
        map.set_crush(std::move(crush));
        return make_plan(map, changes_of(words), {});
    };
    auto plan = with([](CrushMap& crush) { crush.tunables.choose_total_tries = 600'000; }, "out 1");
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, Code::too_large);
    EXPECT_THAT(plan.error().to_string(),
                HasSubstr("pool 'rbd': rule 0 may try more than 1000000"));
    EXPECT_THAT(plan.error().to_string(), HasSubstr("ceph osd crush tunables optimal"));
    auto steps = [](CrushMap& crush) {
        auto& rule = crush.rules[0]->steps;
        rule.insert(rule.begin(), {RuleOp::set_choose_tries, 1000, 0});
        rule.insert(rule.begin(), {RuleOp::set_chooseleaf_tries, 1000, 0});
    };
    EXPECT_FALSE(with(steps, "out 1"));
    EXPECT_FALSE(with([](CrushMap& crush) { crush.rules[0]->steps[1].arg1 = 1 << 30; }, "out 1"));
    auto local = [](CrushMap& crush) {
        crush.tunables.choose_local_fallback_tries = 4'000'000'000;
    };
    EXPECT_FALSE(with(local, "out 1"));
    for (const char* profile : {"legacy", "bobtail", "jewel"}) {
        auto tunables = CrushTunables::profile(profile);
        EXPECT_TRUE(with([&](CrushMap& crush) { crush.tunables = *tunables; }, "out 1")) << profile;
    }
}

TEST(Plan, ReportsItsProgressUpToTheEnd) {
    size_t last = 0, end = 0;
    PlanOptions options;
    options.progress = [&](size_t done, size_t of) {
        EXPECT_GT(done, last);
        last = done;
        end = of;
    };
    plan_of(test_map(2, 2, 16, 2), "remove osd.3", options);
    EXPECT_EQ(last, end);
    EXPECT_GT(end, 3u);
}

// A small plan, figure by figure. The figures follow from CRUSH alone and never change.
TEST(Plan, WritesJson) {
    OsdMap map = test_map(2, 1, 4, 2);
    auto json = codec::parse_json(plan_json(plan_of(map, "size rbd 1")));
    ASSERT_TRUE(json);
    const auto& way = (*json)["ways"][0];
    EXPECT_EQ(
        way.dump(),
        R"({"name":"as asked","remark":"","total":{"pgsMoved":4,"pgsRefilled":0,"copies":0,)"
        R"("bytes":0,"pgsHeldBack":0,"pgsDegraded":0},"steps":[{"pgsMoved":4,"pgsRefilled":0,)"
        R"("copies":0,"bytes":0,"pgsHeldBack":0,"pgsDegraded":0,"change":"size rbd 1",)"
        R"("held":false,"commands":["ceph osd pool set rbd size 1"]}]})");
    const auto& root = (*json)["nodes"][0];
    EXPECT_EQ(root.dump(),
              R"({"id":-3,"name":"root","type":"root","depth":0,"fate":"stays","weightBefore":2,)"
              R"("weightAfter":2,"before":{"pgs":8,"bytes":8,"shareBytes":8,"deviation":0},)"
              R"("after":{"pgs":4,"bytes":4,"shareBytes":4,"deviation":0},"receivedBytes":0})");
    EXPECT_EQ((*json)["unit"].as_string(), "copies");
    EXPECT_EQ((*json)["nodes"].size(), 5u);
}

TEST(Plan, PrintsTablesThatNameTheBestOrder) {
    OsdMap map = test_map(2, 8, 800, 2);
    std::string text =
        plan_text(plan_of(map, three_ways[0], {.pool_bytes = {{"rbd", 8.0 * (1ull << 40)}}}));
    EXPECT_THAT(text, HasSubstr("16 OSDs on 2 hosts, 1 pool with 800 PGs"));
    EXPECT_THAT(text, HasSubstr("* same id on the new disk"));
    EXPECT_THAT(text, HasSubstr("ceph osd destroy 3 --yes-i-really-mean-it"));
    EXPECT_THAT(text, HasSubstr("TiB"));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_FALSE(line.ends_with(' ')) << line;
}

/// Every opened element is closed in order, and no text holds a bare '<' or '&'.
void expect_well_formed(const std::string& svg) {
    std::vector<std::string> open;
    for (size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
        size_t end = svg.find('>', at);
        ASSERT_NE(end, std::string::npos);
        std::string tag = svg.substr(at + 1, end - at - 1);
        std::string name =
            tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" /", 1) - (tag[0] == '/'));
        if (tag[0] == '/') {
            ASSERT_FALSE(open.empty());
            EXPECT_EQ(open.back(), tag.substr(1));
            open.pop_back();
        } else if (tag.back() != '/') {
            open.push_back(name);
        }
        EXPECT_EQ(tag.find('<'), std::string::npos) << tag;
    }
    EXPECT_TRUE(open.empty());
}

TEST(Plan, DrawsAWellFormedPictureOfEveryDevice) {
    OsdMap map = test_map(6, 4, 256, 3, 2);
    std::string svg = plan_svg(plan_of(map, "remove osd.3 add osd.24 weight 1 host=host7"));
    expect_well_formed(svg);
    for (int osd = 0; osd <= 24; ++osd)
        EXPECT_THAT(svg, HasSubstr(fmt::format("<title>osd.{}", osd)));
    EXPECT_THAT(svg, HasSubstr("rack rack1"));
    EXPECT_THAT(svg, HasSubstr("host host7"));
}

TEST(Plan, DrawsHostileNamesHarmlessly) {
    OsdMap map = test_map(1, 2, 16, 1);
    CrushMap crush = *map.crush;
    crush.item_names[0] = "<a&\"\x01\xff>";
    map.set_crush(std::move(crush));
    std::string svg = plan_svg(plan_of(map, "out osd.1"));
    expect_well_formed(svg);
    EXPECT_THAT(svg, HasSubstr("&lt;a&amp;&quot;??&gt;"));
}

} // namespace
} // namespace cloudlet::rados
