// Layers as a container sees them: every test loads an image and looks at the mounted overlay.
#include "layer_writer.h"

#include "test_world.h"

namespace cloudlet::image {
namespace {

using namespace testing_world;
using testing::HasSubstr;

std::vector<std::string> names_in(const std::string& path) { return *io::list_directory(path); }

TEST(Layers, MetadataOfEveryKindOfNodeIsKept) {
    World world;
    Items items = {directory("d", 01777), file("d/setuid", "x", 06755),
                   symlink_to("d/link", "../nowhere"), node("d/fifo", Type::fifo, 0600),
                   hard_link("d/hard", "d/setuid")};
    items[0].entry.modified = WallTime{std::chrono::nanoseconds{1'600'000'000'000'000'001}};
    items[1].entry.uid = 1234;
    items[1].entry.gid = 5678;
    items[1].entry.modified = WallTime{std::chrono::nanoseconds{1'500'000'000'123'456'789}};
    // cap_net_bind_service=ep, vfs_cap_data revision 2
    std::string capability(
        "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
    items[1].entry.xattrs = {
        {"security.capability", capability}, {"user.note", "hi"}, {"trusted.overlay.opaque", "y"}};
    items[2].entry.uid = 7;
    items[2].entry.modified = WallTime{std::chrono::seconds{1'000'000'000}};
    Item null = node("null", Type::character_device, 0666);
    null.entry.device_major = 1;
    null.entry.device_minor = 3;
    items.push_back(null);
    std::string root = world.mounted({tar_of(items)});
    struct stat status {};
    ASSERT_EQ(lstat((root + "/d/setuid").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 06755u);
    EXPECT_EQ(status.st_uid, 1234u);
    EXPECT_EQ(status.st_nlink, 2u);
    EXPECT_EQ(status.st_mtim.tv_nsec, 123'456'789);
    EXPECT_EQ(xattrs_of(root + "/d/setuid"),
              " security.capability=" + capability + " user.note=hi");
    ASSERT_EQ(lstat((root + "/d").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 01777u);
    EXPECT_EQ(status.st_mtim.tv_nsec, 1);
    ASSERT_EQ(lstat((root + "/d/link").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 7u);
    EXPECT_EQ(status.st_mtim.tv_sec, 1'000'000'000);
    ASSERT_EQ(lstat((root + "/null").c_str(), &status), 0);
    EXPECT_EQ(status.st_rdev, makedev(1, 3));
    EXPECT_EQ(status.st_mode & 0777, 0666u);
}

TEST(Layers, WhiteoutsDeleteWhatIsBelow) {
    World world;
    std::string root = world.mounted(
        {tar_of({directory("a"), file("a/gone", "1"), file("a/stays", "2"), directory("b"),
                 file("b/deep", "3"), file("top")}),
         tar_of({file("a/.wh.gone"), file(".wh.b"), file(".wh.never-was"), file(".wh..wh.plnk")})});
    EXPECT_THAT(names_in(root), testing::ElementsAre("a", "top"));
    EXPECT_THAT(names_in(root + "/a"), testing::ElementsAre("stays"));
}

TEST(Layers, OpaqueDirectoriesHideLowerLayersWhereverTheMarkStands) {
    for (bool mark_first : {true, false}) {
        World world;
        Items upper = {directory("d"), file("d/new", "n")};
        upper.insert(mark_first ? upper.begin() + 1 : upper.end(), file("d/.wh..wh..opq"));
        std::string root = world.mounted({tar_of({directory("d"), file("d/old")}), tar_of(upper)});
        EXPECT_THAT(names_in(root + "/d"), testing::ElementsAre("new"));
    }
}

TEST(Layers, AnOpaqueRootHidesEverythingBelow) {
    World world;
    std::string root =
        world.mounted({tar_of({file("old")}), tar_of({file(".wh..wh..opq"), file("new")}),
                       tar_of({file("newer")})});
    EXPECT_THAT(names_in(root), testing::ElementsAre("new", "newer"));
}

TEST(Layers, ADirectoryDeletedAndMadeAgainIsEmptyOfOldThings) {
    for (bool deleted_first : {true, false}) {
        World world;
        Items upper = {directory("d"), file("d/new")};
        upper.insert(deleted_first ? upper.begin() : upper.end(), file(".wh.d"));
        std::string root = world.mounted({tar_of({directory("d"), file("d/old")}), tar_of(upper)});
        EXPECT_THAT(names_in(root + "/d"), testing::ElementsAre("new"));
    }
    World world; // the directory is only implied by an entry in it
    std::string root = world.mounted(
        {tar_of({directory("d"), file("d/old")}), tar_of({file(".wh.d"), file("d/x/new")})});
    EXPECT_THAT(names_in(root + "/d"), testing::ElementsAre("x"));
}

TEST(Layers, ADeletionBelowADeletionIsNoEntry) {
    for (bool outer_last : {true, false}) {
        World world;
        Items upper = {file("d/.wh.old"), file("d/sub/.wh.x"), file("stays")};
        upper.insert(outer_last ? upper.end() : upper.begin(), file(".wh.d"));
        std::string root = world.mounted(
            {tar_of({directory("d/sub"), file("d/old"), file("d/sub/x")}), tar_of(upper)});
        EXPECT_THAT(names_in(root), testing::ElementsAre("stays")) << outer_last;
    }
}

TEST(Layers, AnOpaqueDirectoryShowsNoMarksOfDeletedNames) {
    World world;
    std::string root = world.mounted(
        {tar_of({directory("d"), file("d/old"), file("d/sub/x")}),
         tar_of({directory("d"), file("d/.wh.old"), file("d/sub/.wh.x"), file("d/.wh..wh..opq")})});
    EXPECT_THAT(names_in(root + "/d"), testing::IsEmpty());
}

TEST(Layers, ParentsThatAreNotListedKeepOwnerAndModeOfLowerLayers) {
    World world;
    Items lower = {directory(".", 0711), directory("tmp", 01777), directory("home/user", 0700)};
    lower[2].entry.uid = 1000;
    std::string root = world.mounted(
        {tar_of(lower), tar_of({file("tmp/x"), file("home/user/y"), file("fresh/z")})});
    struct stat status {};
    stat((root + "/tmp").c_str(), &status);
    EXPECT_EQ(status.st_mode & 07777, 01777u);
    stat((root + "/home/user").c_str(), &status);
    EXPECT_EQ(status.st_uid, 1000u);
    stat((root + "/fresh").c_str(), &status);
    EXPECT_EQ(status.st_mode & 07777, 0755u);
    stat(root.c_str(), &status);
    EXPECT_EQ(status.st_mode & 07777, 0711u);
}

TEST(Layers, LinksOfLowerLayersAreFollowedInsideTheImage) {
    World world;
    std::string root =
        world.mounted({tar_of({directory("usr/bin", 0750), symlink_to("bin", "usr/bin"),
                               symlink_to("abs", "/usr/bin")}),
                       tar_of({file("bin/one", "1"), file("abs/two", "2")})});
    EXPECT_THAT(names_in(root + "/usr/bin"), testing::ElementsAre("one", "two"));
    EXPECT_TRUE(std::filesystem::is_symlink(root + "/bin"));
    struct stat status {};
    stat((root + "/usr/bin").c_str(), &status);
    EXPECT_EQ(status.st_mode & 07777, 0750u);
}

TEST(Layers, HardLinksReachIntoLowerLayersAndToLinks) {
    World world;
    Items lower = {file("bin/busybox", "code", 04755), symlink_to("sh", "busybox")};
    lower[0].entry.uid = 9;
    std::string root =
        world.mounted({tar_of(lower), tar_of({hard_link("bin/ls", "bin/busybox"),
                                              hard_link("sh2", "sh"), hard_link("sh2", "/sh")})});
    EXPECT_EQ(content_of(root + "/bin/ls"), "code");
    struct stat a {
    }, b{};
    stat((root + "/bin/ls").c_str(), &a);
    stat((root + "/bin/busybox").c_str(), &b);
    EXPECT_EQ(a.st_ino, b.st_ino);
    EXPECT_EQ(a.st_mode & 07777, 04755u);
    EXPECT_EQ(a.st_uid, 9u);
    EXPECT_EQ(std::filesystem::read_symlink(root + "/sh2"), "busybox");
}

TEST(Layers, KindsReplaceEachOther) {
    World world;
    std::string root =
        world.mounted({tar_of({directory("a/b"), file("a/b/c"), file("f"), symlink_to("l", "a"),
                               directory("d"), file("d/old")}),
                       tar_of({file("a", "now a file"), directory("f"), file("f/x"), directory("l"),
                               file("l/y"), file("d"), directory("d")})});
    EXPECT_EQ(content_of(root + "/a"), "now a file");
    EXPECT_THAT(names_in(root + "/f"), testing::ElementsAre("x"));
    EXPECT_THAT(names_in(root + "/l"), testing::ElementsAre("y"));
    EXPECT_THAT(names_in(root + "/d"), testing::IsEmpty());
}

TEST(HostileLayers, CannotNameAnythingOutside) {
    World world;
    std::string outside = world.root + "/outside";
    std::filesystem::create_directory(outside);
    world.write("outside/secret", "secret");
    std::string root = world.mounted({tar_of(
        {file("/absolute", "1"), symlink_to("out", outside), file("out/planted", "2"),
         symlink_to("up", "../../../../../../../.."), file("up/tmp/planted", "3"),
         symlink_to("magic", "/proc/self/root"), file("magic/tmp/planted", "4"),
         symlink_to("config", "/etc"), directory("config/sub"), file("config/.wh.passwd")})});
    EXPECT_THAT(names_in(outside), testing::ElementsAre("secret"));
    EXPECT_FALSE(io::exists("/tmp/planted"));
    EXPECT_TRUE(io::exists("/etc/passwd"));
    EXPECT_EQ(content_of(root + "/absolute"), "1");
    EXPECT_EQ(content_of(root + outside + "/planted"), "2"); // the link leads inside the image
    EXPECT_EQ(content_of(root + "/tmp/planted"), "3");
    EXPECT_EQ(content_of(root + "/proc/self/root/tmp/planted"), "4");
}

TEST(HostileLayers, AreRefusedAndLeaveNothing) {
    Item whiteout_device = node("dev", Type::character_device);
    std::string deep = "d";
    for (int i = 0; i < 3000; ++i) deep += "/d";
    const std::vector<std::pair<Items, std::string>> table = {
        {{file("../escape")}, "leads out of the image"},
        {{file("a/../../escape")}, "leads out of the image"},
        {{hard_link("h", "../../etc/passwd")}, "leads out of the image"},
        {{hard_link("h", "/etc/passwd")}, "which is not there"},
        {{symlink_to("l", "/etc"), hard_link("h", "l/passwd")}, "which is not there"},
        {{directory("d"), hard_link("h", "d")}, "hard link to the directory"},
        {{symlink_to("a", "b"), symlink_to("b", "a"), file("a/x")}, "too many symbolic links"},
        {{file("f"), file("f/x")}, "is no directory"},
        {{whiteout_device}, "means a deleted name"},
        {{file(".wh...")}, "deletes a name that cannot be"},
        {{file(".")}, "would replace the root"},
        {{file(deep)}, "longer than 4095 bytes"},
        {{file(std::string(300, 'n'))}, "File name too long"},
    };
    for (const auto& [items, message] : table) {
        World world;
        EXPECT_THAT(world.error_of({tar_of(items)}), HasSubstr(message));
        world.expect_nothing_left();
    }
}

TEST(HostileLayers, BombsAreStopped) {
    ImageLimits limits;
    limits.layer_bytes = 1 << 20;
    limits.layer_entries = 100;
    World world(limits);
    EXPECT_THAT(world.error_of({tar_of({file("big", std::string(2 << 20, 'x'))})}),
                HasSubstr("more than 1048576 bytes"));
    Items many;
    for (int i = 0; i < 200; ++i) many.push_back(file(std::to_string(i)));
    EXPECT_THAT(world.error_of({tar_of(many)}), HasSubstr("more than 100 entries"));
    world.expect_nothing_left();
}

std::string sparse_tar(const std::string& folder) {
    std::string command = fmt::format("cd {} && truncate -s 4G hole && printf x >>hole && tar "
                                      "--format=pax -S -cf sparse.tar hole && rm hole",
                                      folder);
    EXPECT_EQ(std::system(command.c_str()), 0);
    return content_of(folder + "/sparse.tar");
}

TEST(HostileLayers, AHugeSparseFileStaysSparseAndCountsForTheLimit) {
    World world;
    std::string layer = sparse_tar(world.root);
    std::string root = world.mounted({layer});
    struct stat status {};
    ASSERT_EQ(stat((root + "/hole").c_str(), &status), 0);
    EXPECT_EQ(status.st_size, (int64_t{4} << 30) + 1);
    EXPECT_LT(status.st_blocks * 512, 1 << 20);
    World small({.layer_bytes = 1 << 30});
    EXPECT_THAT(small.error_of({layer}), HasSubstr("decompression bomb"));
    small.expect_nothing_left();
}

} // namespace
} // namespace cloudlet::image
