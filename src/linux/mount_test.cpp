#include "cloudlet/linux/mount.h"

#include <sys/mount.h>

#include <fmt/format.h>

#include "cloudlet/io/file.h"

namespace cloudlet::linux {
namespace {

using ::testing::HasSubstr;

class MountTest : public ::testing::Test {
protected:
    void SetUp() override { folder_ = io::make_temporary_directory("/tmp/mount-test-").value(); }
    void TearDown() override {
        EXPECT_TRUE(unmount_all(folder_));
        EXPECT_TRUE(io::remove_tree(folder_));
    }
    std::string make(const std::string& name, const std::string& file = {}) {
        EXPECT_TRUE(io::make_directories(folder_ + "/" + name));
        if (!file.empty()) {
            EXPECT_TRUE(io::write_file_atomic(folder_ + "/" + name + "/" + file, name));
        }
        return folder_ + "/" + name;
    }
    std::string folder_;
};

TEST_F(MountTest, AnOverlayShowsTheTopmostLayerAndWritesToUpper) {
    OverlayMount overlay{
        {make("top", "a"), make("bottom", "a")}, make("upper"), make("work"), make("merged"), {}};
    ASSERT_TRUE(io::write_file_atomic(folder_ + "/bottom/b", "b"));
    ASSERT_TRUE(mount_overlay(overlay));
    EXPECT_EQ(io::read_file(overlay.target + "/a").value(), "top");
    EXPECT_EQ(io::read_file(overlay.target + "/b").value(), "b");
    ASSERT_TRUE(io::write_file_atomic(overlay.target + "/new", "x"));
    EXPECT_TRUE(io::exists(overlay.upper + "/new"));
    EXPECT_TRUE(is_mount_point(overlay.target).value());
    EXPECT_TRUE(unmount(overlay.target));
    EXPECT_TRUE(unmount(overlay.target)); // not mounted is success
    EXPECT_FALSE(is_mount_point(overlay.target).value());
}

TEST_F(MountTest, AsManyLayersAsAnImageMayHaveFit) {
    OverlayMount overlay{{}, make("upper"), make("work"), make("merged"), {}};
    for (int i = 0; i < 120; i++)
        overlay.lower.push_back(make(fmt::format("layers/{:064x}", i), fmt::format("file{}", i)));
    const auto mounted = mount_overlay(overlay);
    EXPECT_FALSE(mounted); // 120 names of 64 characters are more than a page
    EXPECT_EQ(mounted.error().code, Code::too_large);
    overlay.lower.clear();
    for (int i = 0; i < 120; i++)
        overlay.lower.push_back(make(fmt::format("layers/{}", i), fmt::format("file{}", i)));
    for (int i = 0; i < 3; i++)
        overlay.lower.push_back(
            make(fmt::format("layers/{}", std::string(200, 'a' + static_cast<char>(i)))));
    ASSERT_TRUE(mount_overlay(overlay));
    EXPECT_TRUE(io::exists(overlay.target + "/file119"));
}

TEST_F(MountTest, RefusesLayersThatTheKernelWouldMisread) {
    for (const char* name : {"a,b", "a:b", "a\\b"}) {
        const auto mounted = mount_overlay({{folder_ + "/" + name}, "", "", make("merged"), {}});
        ASSERT_FALSE(mounted);
        EXPECT_EQ(mounted.error().code, Code::invalid);
    }
    EXPECT_EQ(mount_overlay({{}, "", "", folder_, {}}).error().code, Code::invalid);
}

TEST_F(MountTest, AReadOnlyBindCannotBeWritten) {
    const std::string source = make("source", "file"), target = make("target");
    ASSERT_TRUE(bind_mount(source, target, {true, true}));
    EXPECT_EQ(io::read_file(target + "/file").value(), "source");
    EXPECT_FALSE(io::write_file_atomic(target + "/new", "x"));
    EXPECT_TRUE(io::write_file_atomic(source + "/new", "x"));
}

TEST_F(MountTest, UnmountAllTakesMountsBelowAndOnTopOfEachOther) {
    const std::string target = make("target");
    ASSERT_TRUE(mount_filesystem("tmpfs", "tmpfs", target, MS_NOSUID, "size=64k,mode=700"));
    ASSERT_TRUE(mount_filesystem("tmpfs", "tmpfs", make("target/inner"), 0, "size=64k"));
    ASSERT_TRUE(mount_filesystem("tmpfs", "tmpfs", target, 0, "size=64k"));
    ASSERT_TRUE(unmount_all(target));
    EXPECT_FALSE(is_mount_point(target).value());
    EXPECT_FALSE(mount_filesystem("nosuchfs", "x", target, 0, ""));
}

TEST(MountTable, ReadsALineWithEscapesAndOptionalFields) {
    const auto entry = parse_mount_entry("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 "
                                         "- ext3 /dev/root rw,errors=continue");
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->id, 36);
    EXPECT_EQ(entry->major, 98u);
    EXPECT_EQ(entry->mount_point, "/mnt 2");
    EXPECT_EQ(entry->propagation, "master:1 shared:2");
    EXPECT_EQ(entry->type, "ext3");
    EXPECT_EQ(entry->super_options, "rw,errors=continue");
    for (const char* bad : {"", "36", "x 35 98:0 / / rw - a b c", "36 35 98 / / rw - a b c",
                            "36 35 98:0 / / rw shared:1"})
        EXPECT_FALSE(parse_mount_entry(bad)) << bad;
}

} // namespace
} // namespace cloudlet::linux
