#include "storage_commands.h"

#include "cloudlet/codec/json.h"
#include "cloudlet/io/file.h"
#include "cloudlet/rados/crush_codec.h"
#include "cloudlet/rados/osd_map_codec.h"
#include "cloudlet/rados/osd_map_create.h"

namespace cloudlet::app {
namespace {

using testing::HasSubstr;

/// A folder with a map of six OSDs in one host, as `osdmaptool --createsimple` makes it.
class StoragePlan : public testing::Test {
protected:
    StoragePlan() {
        auto map = rados::create_simple_map({.osds = 6, .with_default_pool = true, .now = {}});
        EXPECT_TRUE(map);
        EXPECT_TRUE(io::write_file_atomic(path("osdmap"), rados::encode_osd_map(*map)));
        EXPECT_TRUE(io::write_file_atomic(path("crush"), rados::encode_crush_map(*map->crush)));
    }
    ~StoragePlan() override { EXPECT_TRUE(io::remove_tree(folder_)); }

    std::string path(const std::string& name) const { return folder_ + "/" + name; }

    StoragePlanOptions options(std::string changes) const {
        StoragePlanOptions options;
        options.map = path("osdmap");
        options.changes = {std::move(changes)};
        options.mark_up_in = true;
        return options;
    }
    static std::string output_of(const StoragePlanOptions& options) {
        testing::internal::CaptureStdout();
        auto done = storage_plan(options);
        std::string output = testing::internal::GetCapturedStdout();
        EXPECT_TRUE(done) << (done ? "" : done.error().to_string());
        return output;
    }
    static std::string error_of(const StoragePlanOptions& options) {
        auto done = storage_plan(options);
        EXPECT_FALSE(done);
        return done ? "" : done.error().to_string();
    }

    std::string folder_ = io::make_temporary_directory("/tmp/cloudlet-app-").value();
};

TEST_F(StoragePlan, PrintsATableAndNamesTheMistakeOfASingleHost) {
    std::string text = output_of(options("out osd.3"));
    EXPECT_THAT(text, HasSubstr("6 OSDs on 1 host"));
    EXPECT_THAT(text, HasSubstr("only one host below 'default' has devices that are in"));
    EXPECT_THAT(text, HasSubstr("create-replicated by-osd default osd"));
}

TEST_F(StoragePlan, PrintsJsonAndWritesThePictureBesideIt) {
    auto json_options = options("replace osd.3");
    json_options.output = "json";
    json_options.svg = path("plan.svg");
    json_options.pool_bytes = {"rbd=6T"};
    auto json = codec::parse_json(output_of(json_options));
    ASSERT_TRUE(json);
    EXPECT_EQ((*json)["unit"].as_string(), "bytes");
    auto svg = io::read_file(path("plan.svg"));
    ASSERT_TRUE(svg);
    EXPECT_THAT(*svg, HasSubstr("<title>osd.5"));
    auto svg_options = options("replace osd.3");
    svg_options.output = "svg";
    EXPECT_TRUE(output_of(svg_options).starts_with("<svg "));
}

TEST_F(StoragePlan, RefusesBadInputAndSaysWhatToDo) {
    auto bad = options("out osd.3");
    bad.map = path("crush");
    EXPECT_THAT(error_of(bad), HasSubstr("is a CRUSH map, and a plan needs the OSD map"));
    bad.map = path("nothing");
    EXPECT_THAT(error_of(bad), HasSubstr("No such file"));
    ASSERT_TRUE(io::write_file_atomic(path("torn"), "not a map"));
    bad.map = path("torn");
    EXPECT_THAT(error_of(bad), HasSubstr("is no OSD map"));
    bad = options("out osd.3");
    bad.mark_up_in = false;
    EXPECT_THAT(error_of(bad), HasSubstr("say --mark-up-in"));
    bad = options("out osd.3");
    bad.pool_bytes = {"rbd"};
    EXPECT_THAT(error_of(bad), HasSubstr("write NAME=SIZE, as in rbd=10T"));
    bad.pool_bytes = {"rbd=ten"};
    EXPECT_THAT(error_of(bad), HasSubstr("'ten' is not a size"));
}

} // namespace
} // namespace cloudlet::app
