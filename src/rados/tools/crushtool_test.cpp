// Command lines run through Ceph's crushtool and through ours: the same output, exit status and
// files.
#include <gmock/gmock.h>

#include "cloudlet/base/bytes.h"
#include "cloudlet/rados/crushtool.h"
#include "crush/crush_oracle.h"

namespace cloudlet::rados {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

struct Ran {
    int status = 0;
    std::string out, err;
};

Ran run_ours(const std::vector<std::string>& arguments) {
    Ran ran;
    ToolStreams streams = {[&](std::string_view text) { ran.out += text; },
                           [&](std::string_view text) { ran.err += text; }};
    ran.status = crushtool(arguments, streams);
    return ran;
}

// Words of a command line; MAP, OTHER and OUT become files of the test's folder.
class CrushtoolTest : public CrushOracle {
protected:
    std::vector<std::string> words(const std::string& line, const std::string& out) const {
        std::istringstream in(line);
        std::vector<std::string> result;
        for (std::string word; in >> word;) {
            if (word == "MAP" || word == "OTHER" || word == "NONE") word = path(word);
            if (word == "OUT") word = path(out);
            result.push_back(word);
        }
        return result;
    }

    void expect_equal(const std::string& line) const {
        SCOPED_TRACE("crushtool " + line);
        io::Output theirs = run_crushtool(words(line, "theirs"));
        Ran ours = run_ours(words(line, "ours"));
        EXPECT_EQ(ours.out, theirs.out);
        EXPECT_EQ(ours.status, theirs.exit_status.code) << ours.err << theirs.err.substr(0, 300);
        EXPECT_EQ(to_hex(read("ours")), to_hex(read("theirs")));
        std::filesystem::remove(path("ours"));
        std::filesystem::remove(path("theirs"));
    }

    void given_map_of(const std::string& text) const {
        write("text", text);
        crushtool({"-c", path("text"), "-o", path("MAP")});
    }
    /// Twelve devices in four hosts in two racks.
    void given_built_map() const {
        crushtool({"--build", "--num_osds", "12", "host", "straw2", "3", "rack", "straw", "2",
                   "root", "list", "0", "-o", path("MAP")});
        crushtool({"-i", path("MAP"), "--reweight-item", "osd.3", "2", "-o", path("OTHER")});
    }
};

const std::string classes = R"(
tunable choose_local_tries 0
tunable choose_local_fallback_tries 0
tunable choose_total_tries 50
tunable chooseleaf_descend_once 1
tunable chooseleaf_vary_r 1
tunable straw_calc_version 1
device 0 osd.0 class ssd
device 1 osd.1 class hdd
device 2 osd.2 class ssd
device 3 zed
type 0 osd
type 1 host
type 2 root
host h { alg straw2 item osd.0 weight 1 item osd.1 weight 2 item zed }
host g { alg straw2 item osd.2 weight 0.00001 }
root r { id -40 alg straw2 item h item g weight 3 }
root b { alg straw2 }
rule one { id 0 type replicated min_size 1 max_size 3 step take r
           step chooseleaf firstn 0 type host step emit }
rule two { id 2 type erasure min_size 3 max_size 4 step set_chooseleaf_tries 5 step take r class ssd
           step choose indep 0 type host step chooseleaf indep 1 type osd step emit }
choose_args 3 { { bucket_id -1 weight_set [ [ 7 8 9 ] [ 0.333 2 3 ] ] } }
)";

const char* const questions[] = {
    "-i MAP --tree",
    "-i MAP --dump",
    "-i MAP --dump -f json",
    "-i MAP --dump --format=xml",
    "-i MAP --dump -f xml-pretty",
    "-i MAP --dump -f html",
    "-i MAP --dump -f html-pretty",
    "-i MAP --dump -f other",
    "-d MAP",
    "-d MAP -o OUT",
    "-d MAP --set-choose-total-tries 77",
    "-i MAP --check",
    "-i MAP --check 2",
    "-i MAP --check 100",
    "-i MAP --show-location 0",
    "-i MAP --show-location 99",
    "-i MAP --bucket-tree --bucket-name r",
    "-i MAP --bucket-tree --bucket-name rack1",
    "-i MAP --bucket-tree",
    "-i MAP --test",
    "-i MAP --test --show-mappings",
    "-i MAP -t --show_mappings --x=5 --pool-id 3",
    "-i MAP --test --show-statistics --rule 1",
    "-i MAP --test --show-utilization --num-rep 3 --weight 0 0.5 --weight 1 0",
    "-i MAP --test --show-utilization-all --min-x 5 --max-x 99",
    "-i MAP --test --show-bad-mappings --min-rule 0 --max-rule 1",
    "-i MAP --test --show-choose-tries --ruleset 0",
    "-i MAP --test --show-mappings --simulate --num-rep 2",
    "-i MAP --test --show-utilization --simulate --weight 1 0",
    "-i MAP --test --show-statistics --batches 7",
    "-i MAP --test --show-mappings --min-x 3 --max-x 1",
    "-i MAP --compare MAP",
    "-i MAP --set-choose-total-tries 3 --compare MAP --num-rep 2",
};

TEST_F(CrushtoolTest, ShowsAndTestsABuiltMapAsCephDoes) {
    given_built_map();
    for (const char* line : questions) expect_equal(line);
    expect_equal("-i MAP --compare OTHER");
}

TEST_F(CrushtoolTest, ShowsAndTestsClassesAndWeightSetsAsCephDoes) {
    given_map_of(classes);
    for (const char* line : questions) expect_equal(line);
}

/// What odd maps make of the options that look into a map or its walks.
TEST_F(CrushtoolTest, ShowsAndTestsRandomMapsAsCephDoes) {
    const char* lines[] = {
        "-i MAP --test --simulate --show-mappings --min-x 0 --max-x 30",
        "-i MAP --test --show-choose-tries --min-x 0 --max-x 100",
        "-i MAP --test --show-statistics --show-utilization-all --min-x 0 --max-x 50",
        "-i MAP --tree",
        "-i MAP --check",
        "-i MAP --check 3",
        "-i MAP --check 100",
    };
    for_random_maps(seeds_to_run(15), [&](Random&, const CrushMap& map) {
        write("MAP", encode_crush_map(map));
        for (const char* line : lines) {
            SCOPED_TRACE(line);
            auto theirs = try_crushtool(words(line, "theirs"));
            if (!theirs || theirs->exit_status.signal) continue; // it hangs or crashes
            Ran ours = run_ours(words(line, "ours"));
            EXPECT_EQ(ours.out, theirs->out);
            EXPECT_EQ(ours.status, theirs->exit_status.code);
        }
    });
}

TEST_F(CrushtoolTest, ChangesAMapAsCephDoes) {
    given_built_map();
    for (const char* line : {
             "-i MAP --add-item 12 1.5 osd.12",
             "-i MAP --add-item 12 1.5 osd.12 --loc host host0 -o OUT",
             "-i MAP --add-item 12 1.5 osd.12 --loc host new --loc rack n --loc root root -o OUT",
             "-i MAP --add-item 3 1.5 osd.3 --loc host host3 -o OUT",
             "-i MAP --update-item 3 1.5 osd.3 --loc host host3 --tree -o OUT",
             "-i MAP --update-item 3 1.5 osd.33 --loc host host1 -o OUT",
             "-i MAP --remove-item osd.3 -o OUT",
             "-i MAP --remove-item host1",
             "-i MAP --remove-item foo",
             "-i MAP --reweight-item osd.3 2 -o OUT",
             "-i MAP --reweight-item host1 7 -o OUT",
             "-i MAP --reweight-item nope 7",
             "-i MAP --reweight-item nope 7 --remove-item nope",
             "-i MAP --move host0 --loc rack rack1 --tree -o OUT",
             "-i MAP --move osd.3 --loc host host0 -o OUT",
             "-i MAP --move root --loc rack rack1",
             "-i MAP --move foo --loc rack rack1",
             "-i MAP --move host0",
             "-i MAP --move rack0 --loc root newroot -o OUT",
             "-i MAP --add-bucket host9 host --loc rack rack0 -o OUT",
             "-i MAP --add-bucket host0 host",
             "-i MAP --add-bucket h foo",
             "-i MAP --create-simple-rule foo root host indep -o OUT",
             "-i MAP --create-simple-rule foo nope host firstn",
             "-i MAP --create-simple-rule foo root nope firstn",
             "-i MAP --create-simple-rule foo root host nope",
             "-i MAP --create-simple-rule replicated_rule root host firstn",
             "-i MAP --create-replicated-rule foo root rack -o OUT",
             "-i MAP --create-replicated-rule foo root rack --device-class nope",
             "-i MAP --remove-rule foo",
             "-i MAP --remove-rule replicated_rule -o OUT",
             "-i MAP --set-choose-local-tries 1 --set-chooseleaf-vary-r 3 -o OUT",
             "-i MAP --set-straw-calc-version 0 --reweight -o OUT",
             "-i MAP --rebuild-class-roots -o OUT",
         })
        expect_equal(line);
}

TEST_F(CrushtoolTest, BuildsMapsAsCephDoes) {
    for (const char* line : {
             "--build --num_osds 6 host straw2 2 root straw2 0 --tree -o OUT",
             "--build --num-osds 7 host straw 2 rack list 2 row tree 2 root uniform 0 -o OUT",
             "--build --num_osds 5 host uniform 2 -o OUT",
             "--build --num_osds 6 host",
             "--build --num_osds 6",
             "--build --num_osds 6 host foo 2",
         })
        expect_equal(line);
}

TEST_F(CrushtoolTest, RefusesWhatCephRefuses) {
    given_built_map();
    write("NONE", "no map");
    for (const char* line : {
             "",
             "--foo",
             "--version",
             "-i MAP",
             "-i MAP --tree foo",
             "-i",
             "-d NONE",
             "-d NONE/x",
             "-c NONE/x",
             "-c NONE",
             "-c NONE -d MAP",
             "-i MAP --test --x abc",
             "-i MAP --test --weight 3",
             "-i MAP --add-item 12 1.5",
             "-i MAP --move host0 --loc rack",
             "--tree",
             "--dump",
         })
        expect_equal(line);
}

TEST_F(CrushtoolTest, RefusesTablesInsteadOfWritingAnotherFormat) {
    given_built_map();
    for (const char* format : {"table", "table-kv"}) {
        Ran ran = run_ours({"-i", path("MAP"), "--dump", "-f", format});
        EXPECT_NE(ran.status, 0);
        EXPECT_THAT(ran.out, IsEmpty());
        EXPECT_THAT(ran.err, HasSubstr("use json"));
    }
}

TEST_F(CrushtoolTest, WritesTheSameCsvFiles) {
    given_built_map();
    auto before = std::filesystem::current_path();
    for (const std::string name : {"theirs", "ours"}) {
        std::filesystem::create_directory(path(name));
        std::filesystem::current_path(path(name));
        std::vector<std::string> line = {"-i",        path("MAP"), "--test",        "--output-csv",
                                         "--num-rep", "2",         "--batches",     "3",
                                         "--weight",  "3",         "0.5",           "--weight",
                                         "4",         "0",         "--output-name", "x",
                                         "--max-x",   "20",        "--min-x",       "0"};
        if (name == "ours")
            EXPECT_EQ(run_ours(line).status, 0);
        else
            crushtool(line);
        std::filesystem::current_path(before);
    }
    int files = 0;
    for (const auto& file : std::filesystem::directory_iterator(path("theirs"))) {
        std::string name = file.path().filename();
        EXPECT_EQ(read("ours/" + name), read("theirs/" + name)) << name;
        ++files;
    }
    EXPECT_EQ(files, 8);
}

// The mistakes that everybody makes once; Ceph prints only that mappings are bad.
TEST_F(CrushtoolTest, NamesTheCauseWhenAllWeightsAreZero) {
    given_map_of("device 0 osd.0 type 0 osd type 1 host host h { alg straw2 item osd.0 weight 0 } "
                 "rule r { id 0 type replicated min_size 1 max_size 3 step take h "
                 "step choose firstn 0 type osd step emit }");
    Ran ran = run_ours(words("-i MAP --test --num-rep 1 --show-bad-mappings", ""));
    EXPECT_THAT(ran.err, HasSubstr("all devices below h have weight 0"));
    EXPECT_THAT(ran.err, HasSubstr("--reweight-item NAME WEIGHT"));
}

TEST_F(CrushtoolTest, NamesTheCauseWhenOneHostIsLeftForTwoReplicas) {
    given_map_of("device 0 osd.0 device 1 osd.1 type 0 osd type 1 host type 2 root "
                 "host a { alg straw2 item osd.0 item osd.1 } root top { alg straw2 item a } "
                 "rule r { id 0 type replicated min_size 1 max_size 3 step take top "
                 "step chooseleaf firstn 0 type host step emit }");
    Ran ran = run_ours(words("-i MAP --test --num-rep 2 --show-bad-mappings", ""));
    EXPECT_THAT(ran.err, HasSubstr("needs 2 of type host below top, but only 1 has"));
    EXPECT_THAT(ran.err, HasSubstr("--create-replicated-rule NAME top osd"));
}

TEST_F(CrushtoolTest, NamesTheCauseWhenOldTunablesGiveUpAmongFewHosts) {
    given_built_map();
    Ran ran = run_ours(words("-i MAP --set-choose-local-tries 2 --set-choose-total-tries 1 "
                             "--set-chooseleaf-descend-once 0 --test --num-rep 4 "
                             "--show-bad-mappings",
                             ""));
    EXPECT_THAT(ran.err, HasSubstr("the tunables are old"));
    EXPECT_THAT(ran.err, HasSubstr("--set-choose-total-tries 50"));
}

TEST_F(CrushtoolTest, IsQuietWhenEverythingIsPlaced) {
    given_built_map();
    Ran ran = run_ours(words("-i MAP --test --num-rep 3 --show-bad-mappings", ""));
    EXPECT_THAT(ran.err, IsEmpty());
    EXPECT_THAT(ran.out, IsEmpty());
}

} // namespace
} // namespace cloudlet::rados
