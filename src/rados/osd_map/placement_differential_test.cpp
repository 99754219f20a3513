// Where every PG of random maps is must equal what Ceph's osdmaptool (Debian's ceph-base) says of
// the same file.
#include "cloudlet/rados/placement.h"
#include "crush/crush_random_map.h"
#include "osd_map_random.h"
#include "osdmaptool_oracle.h"

namespace cloudlet::rados {
namespace {

TEST_F(OsdmaptoolDifferential, agrees_on_every_pg_of_random_maps) {
    uint64_t seed = first_seed();
    for (uint64_t left = seeds_to_run(1000); left > 0; --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Random random(seed);
        OsdMap map = random_osd_map(random);
        write("map", map);
        expect_same({path("map"), "--test-map-pgs-dump-all"});
        auto pool = std::next(map.pools.begin(), static_cast<long>(random.below(map.pools.size())));
        expect_same({path("map"), "--pool", std::to_string(pool->first), "--test-map-object",
                     fmt::format("object-{}", random.next())});
        ASSERT_FALSE(HasFailure());
    }
}

TEST_F(OsdmaptoolDifferential, prints_random_maps_the_same) {
    uint64_t seed = first_seed();
    for (uint64_t left = seeds_to_run(1000) / 20; left > 0; --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Random random(seed);
        write("map", random_osd_map(random));
        expect_same({path("map"), "--print"});
        for (const char* format :
             {"json", "json-pretty", "xml", "xml-pretty", "html", "html-pretty", "other"}) {
            expect_same({path("map"), "--dump", format});
            expect_same({path("map"), fmt::format("--tree={}", format)});
        }
        expect_same({path("map"), "--tree"});
        ASSERT_FALSE(HasFailure());
    }
}

/// Ceph makes weight sets for buckets that have none as it weighs an item; ours has none to begin.
OsdMap without_weight_sets(OsdMap map) {
    CrushMap crush = *map.crush;
    crush.choose_args.clear();
    map.set_crush(std::move(crush));
    return map;
}

TEST_F(OsdmaptoolDifferential, marks_osds_the_same) {
    uint64_t seed = first_seed();
    for (uint64_t left = seeds_to_run(1000) / 50; left > 0; --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Random random(seed);
        OsdMap map = without_weight_sets(random_osd_map(random));
        write("map", map);
        std::string osd = std::to_string(random.below(map.osd_state.size()));
        expect_same({path("map"), "--mark-up-in", "--test-map-pgs"});
        expect_same({path("map"), "--mark-out", osd, "--test-map-pgs-dump"});
        expect_same({path("map"), "--mark-up", osd, "--mark-in", osd, "--dump", "json"});
        expect_same({path("map"), "--mark-up-in", "--clear-temp", "--test-map-pgs-dump", "--pool",
                     std::to_string(map.pools.rbegin()->first)});
        ASSERT_FALSE(HasFailure());
    }
}

TEST_F(OsdmaptoolDifferential, writes_changed_maps_byte_for_byte_the_same) {
    uint64_t seed = first_seed();
    for (uint64_t left = seeds_to_run(1000) / 50; left > 0; --left, ++seed) {
        SCOPED_TRACE(fmt::format("CLOUDLET_SEED={}", seed));
        Random random(seed);
        OsdMap map = without_weight_sets(random_osd_map(random));
        std::string crush = path("crush");
        std::vector<std::vector<std::string>> changes = {
            {path("map"), "--adjust-crush-weight", "0:1.5", "--save"},
            {path("map"), "--export-crush", crush},
            {path("map"), "--import-crush", crush}};
        for (const auto& change : changes) {
            SCOPED_TRACE(fmt::format("{}", fmt::join(change, " ")));
            if (change[1] != "--import-crush") std::filesystem::remove(crush);
            write("map", map);
            ToolRun ceph = theirs(change);
            std::string ceph_map = *io::read_file(path("map"));
            std::string ceph_crush = io::read_file(crush).value_or("");
            if (change[1] != "--import-crush") std::filesystem::remove(crush);
            write("map", map);
            ToolRun cloudlet = ours(change);
            EXPECT_EQ(cloudlet.out, ceph.out) << ceph.err;
            EXPECT_EQ(*io::read_file(path("map")), ceph_map);
            EXPECT_EQ(io::read_file(crush).value_or(""), ceph_crush);
        }
        ASSERT_FALSE(HasFailure());
    }
}

TEST_F(OsdmaptoolDifferential, creates_the_same_maps) {
    for (const char* count : {"1", "3", "40"}) {
        std::vector<std::string> options = {
            "--createsimple", count, "--clobber",          "--pg-bits", "5",
            "--pgp-bits",     "4",   "--with-default-pool"};
        options.insert(options.begin(), path("map"));
        ToolRun ceph = theirs(options);
        OsdMap made = *decode_osd_map(*io::read_file(path("map")));
        ToolRun cloudlet = ours(options);
        EXPECT_EQ(cloudlet.out, ceph.out);
        OsdMap ours_made = *decode_osd_map(*io::read_file(path("map")));
        ours_made.created = made.created;
        ours_made.modified = made.modified;
        EXPECT_EQ(encode_osd_map(ours_made), encode_osd_map(made));
    }
}

TEST_F(OsdmaptoolDifferential, ends_with_the_same_status_and_refuses_what_ceph_refuses) {
    write("map", OsdMap());
    std::ofstream(path("cut"), std::ios::binary) << encode_osd_map(OsdMap()).substr(0, 50);
    const std::vector<std::string> lines[] = {{path("none"), "--print"},
                                              {path("cut"), "--print"},
                                              {path("map"), "--createsimple", "3"},
                                              {path("map"), "--test-map-object", "o"},
                                              {path("map"), "--test-map-pgs", "--pool", "3"},
                                              {path("map"), "--import-crush", path("none")},
                                              {path("map"), "--test-map-pg", "1.3"}};
    for (const auto& line : lines) {
        SCOPED_TRACE(fmt::format("{}", fmt::join(line, " ")));
        EXPECT_EQ(ours(line).status, theirs(line).status);
    }
}

TEST_F(OsdmaptoolDifferential, names_the_cause_and_the_remedy_where_pgs_come_out_short) {
    ToolRun made = ours({path("map"), "--createsimple", "3", "--with-default-pool"});
    ASSERT_EQ(made.status, 0) << made.err;
    auto said = [&](std::vector<std::string> options) {
        options.insert(options.begin(), {path("map"), "--test-map-pgs"});
        return ours(options).err;
    };
    EXPECT_THAT(said({}), testing::HasSubstr("is out"));
    EXPECT_THAT(said({"--mark-up-in"}), testing::HasSubstr("add a host with OSDs"));
    EXPECT_THAT(said({"--mark-up-in", "--adjust-crush-weight", "0:0,1:0,2:0"}),
                testing::AllOf(testing::HasSubstr("weight 0"),
                               testing::HasSubstr("ceph osd crush reweight osd.0 1.0")));
}

TEST_F(OsdmaptoolDifferential, reads_a_range_of_maps_and_does_nothing_else) {
    for (const char* name : {"map", "4", "5"}) write(name, OsdMap());
    std::ofstream(path("7"), std::ios::binary) << encode_osd_map(OsdMap()).substr(0, 50);
    expect_same({folder_, "--print", "--range-first", "4", "--range-last", "5"});
    expect_same({folder_, "--print", "--range-first", "5", "--range-last", "4"});
    expect_same({folder_, "--print", "--range-first", "4", "--range-last", "6"}); // no such file
    expect_same({path("map"), "--print", "--range-first", "4"});                  // no range
    ToolRun cut = ours({folder_, "--range-first", "7", "--range-last", "7"});     // Ceph's aborts
    EXPECT_EQ(cut.status, 1);
    EXPECT_THAT(cut.err, testing::HasSubstr(path("7")));
}

TEST_F(OsdmaptoolDifferential, says_what_to_do_instead_of_what_it_refuses) {
    write("map", OsdMap());
    const std::pair<std::vector<std::string>, const char*> lines[] = {
        {{path("map"), "--dump", "table"}, "use json"},
        {{path("map"), "--tree=table-kv"}, "use json"},
        {{path("map"), "--test-crush"}, "--test-map-pgs-dump"}};
    for (const auto& [line, remedy] : lines) {
        ToolRun run = ours(line);
        EXPECT_EQ(run.status, 1);
        EXPECT_EQ(run.out, "");
        EXPECT_THAT(run.err, testing::HasSubstr(remedy));
    }
}

} // namespace
} // namespace cloudlet::rados
