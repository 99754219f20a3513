#include "cloudlet/image/image_store.h"

#include <signal.h>
#include <sys/wait.h>

#include <random>
#include <thread>

#include "cloudlet/codec/compression.h"
#include "test_world.h"

namespace cloudlet::image {
namespace {

using namespace testing_world;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string base_layer = tar_of({directory("bin"), file("bin/sh", "shell", 0755)});
const std::string app_layer = tar_of({file("app", "version 1")});

std::string gzip(const std::string& bytes) { return codec::gzip_compress(bytes); }

TEST(Load, ADockerArchiveBecomesAnImage) {
    World world;
    auto images =
        world.load(docker_archive({base_layer, app_layer}, {"app:1", "localhost:5000/app"}));
    ASSERT_TRUE(images) << images.error().to_string();
    ASSERT_EQ(images->size(), 1u);
    const Image& image = images->front();
    EXPECT_EQ(image.id, digest_of(config_of({base_layer, app_layer})));
    EXPECT_THAT(image.names, ElementsAre("docker.io/library/app:1", "localhost:5000/app:latest"));
    EXPECT_THAT(image.config.command, ElementsAre("/bin/sh"));
    EXPECT_THAT(image.config.env, ElementsAre("A=b"));
    EXPECT_EQ(image.config.working_dir, "/w");
    EXPECT_EQ(image.layers.size(), 2u);
    EXPECT_EQ(image.layers[0],
              digest_of(base_layer)); // the chain id of the lowest layer is its DiffID
    EXPECT_EQ(image.size, 14);
    EXPECT_EQ(format_time(image.created), "2026-01-02T03:04:05Z");
}

TEST(Load, OciLayoutsAreReadInEveryCompression) {
    for (auto pack : {+[](const std::string& b) { return b; },
                      +[](const std::string& b) { return codec::gzip_compress(b); },
                      +[](const std::string& b) { return codec::zstd_compress(b); },
                      +[](const std::string& b) {
                          return codec::gzip_compress(b.substr(0, 100)) +
                                 codec::gzip_compress(b.substr(100));
                      }}) {
        World world;
        auto layout = oci_layout({base_layer, app_layer}, "app:2", pack);
        auto images = world.store->load(world.write("oci.tar.gz", gzip(tar_of(layout.items))));
        ASSERT_TRUE(images) << images.error().to_string();
        EXPECT_EQ(images->front().digest, digest_of(layout.manifest));
        EXPECT_EQ(world.store->find("app:2")->id, digest_of(layout.config));
        auto root = world.store->prepare_snapshot("s", "app:2");
        ASSERT_TRUE(root) << root.error().to_string();
        EXPECT_EQ(content_of(*root + "/app"), "version 1");
    }
}

TEST(Load, LayersThatAreLinksInTheArchiveAreFound) {
    World world;
    Items archive = docker_archive({base_layer}, {"old"});
    archive[0].entry.path = "first/layer.tar";
    archive.push_back(symlink_to("0/layer.tar", "../first/layer.tar"));
    EXPECT_TRUE(world.load(archive));
}

TEST(Load, AnotherImageTakesTheNameAndTheOldOneKeepsItsId) {
    World world;
    auto first = world.load(docker_archive({base_layer}, {"app"}, "/one"));
    auto second = world.load(docker_archive({base_layer}, {"app"}, "/two"));
    EXPECT_EQ(world.store->find("app")->id, second->front().id);
    EXPECT_THAT(world.store->find(first->front().id)->names, testing::IsEmpty());
    EXPECT_EQ(world.left_in("layers").size(), 1u) << "the layer is shared";
    world.open();
    EXPECT_EQ(world.store->find("app")->id, second->front().id);
    EXPECT_EQ(world.store->list().size(), 2u);
}

TEST(Load, DamagedArchivesAreRefusedAndLeaveNothing) {
    auto layout = oci_layout({base_layer, app_layer}, "app", gzip);
    Items wrong_blob = layout.items;
    wrong_blob[1].content[30] ^= 1;
    Items missing_blob = layout.items;
    missing_blob.erase(missing_blob.begin());
    Items wrong_layer = docker_archive({base_layer}, {"app"});
    wrong_layer[0].content = app_layer; // not what the configuration says
    Items no_documents = {file("etc/passwd", "root")};
    Items bad_json = docker_archive({base_layer}, {"app"});
    bad_json.back().content = "[{]";
    Items bad_name = docker_archive({base_layer}, {"NOT a name"});
    Items lost = docker_archive({base_layer}, {"app"});
    lost.erase(lost.begin());
    const std::vector<std::pair<Items, std::string>> table = {
        {wrong_blob, "it is corrupt; fetch it again"},
        {missing_blob, "is missing"},
        {wrong_layer, "but the image says"},
        {no_documents, "neither manifest.json"},
        {bad_json, "manifest.json"},
        {bad_name, "is no image name"},
        {lost, "the archive lacks \"0/layer.tar\""}};
    for (const auto& [archive, message] : table) {
        World world;
        auto loaded = world.load(archive);
        ASSERT_FALSE(loaded) << message;
        EXPECT_THAT(loaded.error().to_string(), HasSubstr(message));
        EXPECT_EQ(loaded.error().code, message == "is missing" ? Code::not_found : Code::invalid);
        world.expect_nothing_left();
    }
    World world;
    EXPECT_EQ(world.store->load("/no/such/file").error().code, Code::not_found);
    std::string cut = gzip(tar_of(layout.items));
    EXPECT_FALSE(world.store->load(world.write("cut.tar.gz", cut.substr(0, cut.size() / 2))));
    EXPECT_FALSE(world.store->load(world.write("text", "not an archive")));
    world.expect_nothing_left();
}

TEST(Load, ADamagedLayerIsRefusedAlsoWhenTheRightOneIsThereAlready) {
    World world;
    auto good = world.load(docker_archive({base_layer}, {"good"}))->front();
    Items bad = docker_archive({base_layer}, {"bad"});
    bad[0].content[600] ^= 1;
    auto loaded = world.load(bad);
    ASSERT_FALSE(loaded);
    EXPECT_THAT(loaded.error().to_string(), HasSubstr("it is corrupt; fetch it again"));
    EXPECT_EQ(world.store->find("good")->digest, good.digest);
    EXPECT_FALSE(world.store->find("bad"));
    // The same layer in another compression is the same layer.
    EXPECT_TRUE(world.load(oci_layout({base_layer}, "packed", gzip).items));
}

TEST(Load, AFailedLoadTouchesNoOtherImage) {
    World world;
    ASSERT_TRUE(world.load(docker_archive({base_layer}, {"good"})));
    Items bad = docker_archive({base_layer, app_layer}, {"bad"});
    bad[1].content = tar_of({file("../escape")});
    ASSERT_FALSE(world.load(bad));
    EXPECT_TRUE(world.store->prepare_snapshot("s", "good"));
    EXPECT_EQ(world.left_in("layers").size(), 1u);
    EXPECT_EQ(world.store->list().size(), 1u);
}

TEST(Load, SeveralImagesAtOnceShareTheirLayers) {
    World world;
    std::vector<std::thread> threads;
    std::atomic<int> loaded = 0;
    for (int i = 0; i < 6; ++i)
        threads.emplace_back([&, i] {
            std::string own = tar_of({file("own", std::to_string(i))});
            auto path =
                world.write(fmt::format("{}.tar", i),
                            tar_of(docker_archive({base_layer, own}, {fmt::format("app:{}", i)})));
            auto images = world.store->load(path);
            if (!images) return ADD_FAILURE() << images.error().to_string(), void();
            auto root = world.store->prepare_snapshot(fmt::format("s{}", i), images->front().id);
            if (root && content_of(*root + "/own") == std::to_string(i)) ++loaded;
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(loaded, 6);
    EXPECT_EQ(world.left_in("layers").size(), 7u);
}

TEST(Load, AFullDiskIsSaidAndNothingStays) {
    World outer;
    std::string small = outer.root + "/small";
    std::filesystem::create_directory(small);
    ASSERT_EQ(mount("tmpfs", small.c_str(), "tmpfs", 0, "size=3m"), 0);
    std::mt19937 random(1);
    std::string noise(8 << 20, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    {
        auto store = ImageStore::open(small);
        ASSERT_TRUE(store);
        auto loaded = (*store)->load(outer.write(
            "big.tar", tar_of(docker_archive({tar_of({file("noise", noise)})}, {"big"}))));
        ASSERT_FALSE(loaded);
        EXPECT_EQ(loaded.error().code, Code::exhausted);
        EXPECT_THAT(loaded.error().to_string(), HasSubstr("no space left on the disk of " + small));
        for (auto part : {"blobs/sha256", "layers", "tmp"})
            EXPECT_TRUE(io::list_directory(small + "/image/" + part)->empty()) << part;
        EXPECT_TRUE((*store)->load(
            outer.write("fits.tar", tar_of(docker_archive({base_layer}, {"fits"})))));
    }
    EXPECT_EQ(umount2(small.c_str(), MNT_DETACH), 0);
}

TEST(Import, MakesAnImageOfOneLayer) {
    World world;
    auto image = world.store->import(world.write("root.tar", base_layer), "mine:v1",
                                     {.entrypoint = {"/bin/sh"},
                                      .env = {"PATH=/bin"},
                                      .working_dir = "/srv",
                                      .exposed_ports = {"80/tcp"},
                                      .labels = {{"a", "b"}}});
    ASSERT_TRUE(image) << image.error().to_string();
    EXPECT_THAT(image->names, ElementsAre("docker.io/library/mine:v1"));
    world.open();
    auto again = world.store->find("mine:v1");
    ASSERT_TRUE(again);
    EXPECT_EQ(again->id, image->id);
    EXPECT_THAT(again->config.entrypoint, ElementsAre("/bin/sh"));
    EXPECT_THAT(again->config.exposed_ports, ElementsAre("80/tcp"));
    EXPECT_EQ(again->config.labels.at("a"), "b");
    EXPECT_FALSE(world.store->import(
        world.write("x", "no tar, but long enough to be looked at as if it were one........"),
        "x"));
    EXPECT_THAT(world.left_in("tmp"), testing::IsEmpty());
}

TEST(Names, AreFoundAsTheyAreTyped) {
    World world;
    auto image = world.load(docker_archive({base_layer}, {"nginx:1"}))->front();
    ASSERT_TRUE(world.store->tag("nginx:1", "localhost:5000/web"));
    for (auto name : {"nginx:1", "docker.io/library/nginx:1", "localhost:5000/web:latest",
                      "localhost:5000/web"})
        EXPECT_EQ(world.store->find(name)->id, image.id) << name;
    for (std::string id : {image.id, image.id.substr(7), image.id.substr(7, 12),
                           image.id.substr(0, 15), "nginx@" + image.digest})
        EXPECT_EQ(world.store->find(id)->id, image.id) << id;
    EXPECT_EQ(world.store->find("nginx").error().code, Code::not_found);
    EXPECT_EQ(world.store->find("UPPER").error().code, Code::invalid);
    EXPECT_THAT(world.store->find("nginx").error().message, HasSubstr("cloudlet image ls"));
}

TEST(Remove, UntagsThenDeletesWithTheLastName) {
    World world;
    auto image = world.load(docker_archive({base_layer}, {"a", "b"}))->front();
    EXPECT_EQ(world.store->remove(image.id, false).error().code, Code::conflict)
        << "it has two names";
    auto report = world.store->remove("a", false);
    EXPECT_THAT(report->untagged, ElementsAre("docker.io/library/a:latest"));
    EXPECT_EQ(report->removed_id, "");
    report = world.store->remove("b", false);
    EXPECT_EQ(report->removed_id, image.id);
    EXPECT_GT(report->freed_bytes, 0);
    world.expect_nothing_left();
    EXPECT_EQ(world.store->remove("b", false).error().code, Code::not_found);
}

TEST(Remove, AnImageInUseStaysUnlessForcedAndItsLayersStayWithTheSnapshot) {
    World world;
    std::string root = world.mounted({base_layer}, "user");
    EXPECT_EQ(world.store->remove("test", false).error().code, Code::conflict);
    ASSERT_TRUE(world.store->remove("test", true));
    EXPECT_EQ(content_of(root + "/bin/sh"), "shell");
    ASSERT_TRUE(world.store->unmount_snapshot("user"));
    world.open(); // recovery keeps them too
    auto again = world.store->mount_snapshot("user");
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(content_of(*again + "/bin/sh"), "shell");
    ASSERT_TRUE(world.store->remove_snapshot("user"));
    auto report = world.store->collect_garbage();
    EXPECT_EQ(report->layers, 1u);
    world.expect_nothing_left();
}

TEST(Snapshots, KeepTheirWritesAndAreIdempotent) {
    World world;
    std::string root = world.mounted({base_layer, app_layer}, "pod-1.web");
    world.mounted({base_layer, app_layer}, "pod-2.web");
    std::ofstream(root + "/app") << "changed";
    EXPECT_EQ(*world.store->prepare_snapshot("pod-1.web", "test"), root);
    EXPECT_EQ(content_of(world.store->snapshot_path("pod-2.web") + "/app"), "version 1");
    ASSERT_TRUE(world.store->unmount_snapshot("pod-1.web"));
    ASSERT_TRUE(world.store->unmount_snapshot("pod-1.web"));
    world.open();
    EXPECT_THAT(world.store->snapshots(), ElementsAre("pod-1.web", "pod-2.web"));
    EXPECT_EQ(content_of(*world.store->mount_snapshot("pod-1.web") + "/app"), "changed");
    ASSERT_TRUE(world.store->remove_snapshot("pod-1.web"));
    ASSERT_TRUE(world.store->remove_snapshot("pod-1.web"));
    EXPECT_FALSE(io::exists(root));
    EXPECT_EQ(world.store->mount_snapshot("pod-1.web").error().code, Code::not_found);
    for (auto key : {"", ".", "..", "a/b", "a:b", ".hidden"})
        EXPECT_EQ(world.store->prepare_snapshot(key, "test").error().code, Code::invalid) << key;
}

TEST(Snapshots, OfAnotherImageUnderTheSameKeyAreAConflict) {
    World world;
    world.mounted({base_layer}, "key");
    ASSERT_TRUE(world.load(docker_archive({app_layer}, {"other"})));
    EXPECT_EQ(world.store->prepare_snapshot("key", "other").error().code, Code::conflict);
}

TEST(Snapshots, HoldAsManyLayersAsDockerAllows) {
    World world;
    std::vector<std::string> layers;
    for (int i = 0; i < 127; ++i)
        layers.push_back(tar_of(
            {file(fmt::format("file-{}", i), std::to_string(i)), file("same", std::to_string(i))}));
    std::string root = world.mounted(layers);
    EXPECT_EQ(io::list_directory(root)->size(), 128u);
    EXPECT_EQ(content_of(root + "/same"), "126");
}

TEST(Snapshots, AnImageWithoutLayersIsAnEmptyRoot) {
    World world;
    std::string root = world.mounted({});
    EXPECT_TRUE(io::list_directory(root)->empty());
    std::ofstream(root + "/new") << "x";
    EXPECT_EQ(content_of(root + "/new"), "x");
}

TEST(Recovery, ASecondProcessIsRefused) {
    World world;
    auto second = ImageStore::open(world.root + "/cloud");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::conflict);
}

TEST(Recovery, DamagedRecordsAreDroppedAndSwept) {
    World world;
    auto image = world.load(docker_archive({base_layer}, {"a"}))->front();
    std::ofstream(world.root + "/cloud/image/images/" + image.id.substr(7) + ".json") << "{";
    world.open();
    EXPECT_TRUE(world.store->list().empty());
    world.expect_nothing_left();
}

TEST(Recovery, ARecordThatWasWrittenButNeverRenamedIsNoImage) {
    World world;
    auto image = world.load(docker_archive({base_layer}, {"a"}))->front();
    std::string record = world.root + "/cloud/image/images/" + image.id.substr(7) + ".json";
    std::string half_made = fmt::format("{}/cloud/image/images/.{}.json.tmp-0123456789ab",
                                        world.root, image.id.substr(7));
    world.store.reset();
    std::filesystem::rename(record, half_made); // the picture after kill -9 just before the rename
    world.open();
    EXPECT_TRUE(world.store->list().empty());
    world.expect_nothing_left();
}

// Loads in a child that is killed after so many microseconds; true when it had finished before.
bool load_and_die(const std::string& root, const std::string& archive, unsigned microseconds) {
    pid_t child = fork();
    if (child == 0) {
        auto store = ImageStore::open(root);
        bool fine = store && (*store)->load(archive);
        _exit(fine ? 0 : 1);
    }
    usleep(microseconds); // a random moment is the point of it
    kill(child, SIGKILL);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    return WIFEXITED(status);
}

TEST(Recovery, AKillAtAnyMomentLeavesAllOrNothing) {
    World world;
    Items many = {directory("d")};
    for (int i = 0; i < 2000; ++i)
        many.push_back(file(fmt::format("d/{}", i), std::string(1000, 'x')));
    std::string archive = world.write(
        "big.tar", tar_of(docker_archive({base_layer, tar_of(many), app_layer}, {"big"})));
    world.store.reset();
    std::mt19937 random(3);
    int finished = 0, cut = 0;
    for (int round = 0; round < 20; ++round) {
        (load_and_die(world.root + "/cloud", archive, random() % 150'000) ? finished : cut)++;
        world.open();
        EXPECT_THAT(world.left_in("tmp"), testing::IsEmpty());
        auto images = world.store->list();
        if (images.empty()) {
            world.expect_nothing_left();
        } else {
            auto root = world.store->prepare_snapshot("check", images[0].id);
            ASSERT_TRUE(root) << root.error().to_string();
            EXPECT_EQ(io::list_directory(*root + "/d")->size(), 2000u);
            ASSERT_TRUE(world.store->remove_snapshot("check"));
            ASSERT_TRUE(world.store->remove(images[0].id, true));
        }
        world.store.reset();
    }
    EXPECT_GT(cut, 0);
    world.open();
    EXPECT_TRUE(world.store->load(archive));
}

} // namespace
} // namespace cloudlet::image
