// The union of layers against a reference: a plain directory in which, layer by layer, deletions
// are carried out by hand and the rest is unpacked by the system's tar.
#include <random>

#include "test_world.h"

namespace cloudlet::image {
namespace {

using namespace testing_world;
namespace fs = std::filesystem;

struct MadeLayer {
    Items entries;
    std::vector<std::string> deletions; // "a/.wh.b", "a/.wh..wh..opq"
    bool deletions_last = false;

    std::string tar() const {
        Items all;
        for (const auto& path : deletions) all.push_back(file(path));
        all.insert(deletions_last ? all.begin() : all.end(), entries.begin(), entries.end());
        return tar_of(all);
    }
};

// The reference: a directory that layers are applied to one after the other.
class Reference {
public:
    explicit Reference(std::string root) : root_(std::move(root)) { fs::create_directory(root_); }

    void apply(const MadeLayer& layer) {
        for (const auto& path : layer.deletions) {
            fs::path parent = fs::canonical(root_ + "/" + fs::path(path).parent_path().string());
            std::string name = fs::path(path).filename();
            if (name != ".wh..wh..opq") {
                fs::remove_all(parent / name.substr(4));
                continue;
            }
            for (const auto& child : fs::directory_iterator(parent)) fs::remove_all(child.path());
        }
        for (const auto& item :
             layer.entries) { // tar itself does not put a file where a directory is
            std::string path = root_ + "/" + item.entry.path;
            bool is_directory = item.entry.type == Type::directory;
            if (fs::is_directory(fs::symlink_status(path)) != is_directory) fs::remove_all(path);
        }
        std::ofstream(root_ + ".tar", std::ios::binary) << tar_of(layer.entries);
        std::string command = fmt::format("tar -C {0} -xpf {0}.tar --same-owner --numeric-owner "
                                          "--xattrs --xattrs-include='*' 2>&1",
                                          root_);
        ASSERT_EQ(std::system(command.c_str()), 0);
    }

private:
    std::string root_;
};

// Makes layers that fit on what the ones before have left.
class Generator {
public:
    explicit Generator(unsigned seed) : random_(seed) {}

    MadeLayer next() {
        MadeLayer layer;
        layer.deletions_last = below(2);
        may_replace_ = !layer.deletions_last;
        made_.clear();
        last_file_.clear();
        for (size_t i = below(5); i > 0 && !nodes_.empty(); --i) add_deletion(layer);
        for (size_t i = 3 + below(12); i > 0; --i) add_entry(layer);
        return layer;
    }

private:
    size_t below(size_t bound) { return random_() % bound; }

    void add_deletion(MadeLayer& layer) {
        auto picked = std::next(nodes_.begin(), static_cast<ptrdiff_t>(below(nodes_.size())));
        std::string path = picked->first;
        bool opaque = picked->second == Type::directory && below(3) == 0;
        auto parent = fs::path(path).parent_path().string();
        std::erase_if(nodes_, [&](const auto& node) {
            return node.first.starts_with(path + "/") || (!opaque && node.first == path);
        });
        layer.deletions.push_back(opaque ? path + "/.wh..wh..opq"
                                         : (parent.empty() ? "" : parent + "/") + ".wh." +
                                               fs::path(path).filename().string());
    }

    std::string pick_parent() {
        std::vector<std::string> parents = {""};
        for (const auto& [path, type] : nodes_)
            if (type == Type::directory && std::count(path.begin(), path.end(), '/') < 3)
                parents.push_back(path + "/");
        return parents[below(parents.size())];
    }

    void add_entry(MadeLayer& layer) {
        std::string path = pick_parent() + static_cast<char>('a' + below(6));
        if (made_.contains(path)) return;
        bool replaces_directory = nodes_.contains(path) && nodes_[path] == Type::directory;
        size_t kind = below(10);
        Item item = kind < 4 || (replaces_directory && !may_replace_)
                        ? directory(path, 0700 + static_cast<uint32_t>(below(64)))
                    : kind < 8
                        ? file(path, std::string(below(9000), static_cast<char>('a' + below(26))),
                               0600 + static_cast<uint32_t>(below(64)))
                    : kind == 8 ? symlink_to(path, below(2) ? "a" : "nowhere/b")
                                : node(path, Type::fifo, 0640);
        if (kind == 9 && !last_file_.empty() && made_.contains(last_file_) && last_file_ != path &&
            !replaces_directory)
            item = hard_link(path, last_file_);
        item.entry.uid = static_cast<uint32_t>(below(3));
        item.entry.gid = static_cast<uint32_t>(below(3)) * 1000;
        item.entry.modified = WallTime{std::chrono::nanoseconds{
            1'600'000'000'000'000'000 + static_cast<int64_t>(below(1u << 30))}};
        if (item.entry.type == Type::file && below(4) == 0)
            item.entry.xattrs = {{"user.tag", std::to_string(below(100))}};
        if (item.entry.type != Type::directory) {
            for (const auto& made : made_)
                if (made.starts_with(path + "/")) return; // would delete what this layer has made
            std::erase_if(nodes_,
                          [&](const auto& node) { return node.first.starts_with(path + "/"); });
        }
        if (item.entry.type == Type::file) last_file_ = path;
        nodes_[path] = item.entry.type;
        made_.insert(path);
        layer.entries.push_back(std::move(item));
    }

    std::mt19937 random_;
    std::map<std::string, Type> nodes_; // what the image holds so far
    std::set<std::string> made_;        // in the present layer
    std::string last_file_;
    bool may_replace_ = false;
};

TEST(Union, OfRandomLayersIsWhatASequentialUnpackerLeaves) {
    for (unsigned seed = 1; seed <= 30; ++seed) {
        World world;
        Generator generator(seed);
        Reference reference(world.root + "/reference");
        std::vector<std::string> layers;
        for (int i = 0; i < 6; ++i) {
            MadeLayer layer = generator.next();
            layers.push_back(layer.tar());
            reference.apply(layer);
        }
        std::string root = world.mounted(layers);
        ASSERT_FALSE(root.empty()) << "seed " << seed;
        auto ours = describe(root, false), theirs = describe(world.root + "/reference", false);
        ours.erase(ours.begin()); // the root directory itself is the test's
        theirs.erase(theirs.begin());
        ASSERT_EQ(ours, theirs) << "seed " << seed;
    }
}

TEST(Union, ARealTreeComesBackWithDirectoryTimes) {
    World world;
    std::string command =
        fmt::format("cd {} && mkdir tree && cp -a /usr/share/doc/bash /usr/share/zoneinfo/Europe "
                    "tree/ && ln tree/Europe/Berlin tree/hard && "
                    "tar -C tree --format=pax --xattrs -czf tree.tar.gz .",
                    world.root);
    ASSERT_EQ(std::system(command.c_str()), 0);
    auto image = world.store->import(world.root + "/tree.tar.gz", "tree", {.command = {"/bin/sh"}});
    ASSERT_TRUE(image) << image.error().to_string();
    auto root = world.store->prepare_snapshot("tree", image->id);
    ASSERT_TRUE(root) << root.error().to_string();
    EXPECT_EQ(describe(*root), describe(world.root + "/tree"));
}

} // namespace
} // namespace cloudlet::image
