#pragma once
// What the tests of this room share: a store in a folder of its own, archives made in memory, and a
// description of a tree that two trees can be compared by.

#include <dirent.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "cloudlet/codec/digest.h"
#include "cloudlet/codec/json.h"
#include "cloudlet/codec/tar.h"
#include "cloudlet/image/image_store.h"
#include "cloudlet/io/file.h"

namespace cloudlet::image::testing_world {

using codec::Json;
using codec::TarEntry;
using Type = TarEntry::Type;

struct Item {
    TarEntry entry;
    std::string content;
};
using Items = std::vector<Item>;

inline Item file(std::string path, std::string content = "", uint32_t mode = 0644) {
    Item item;
    item.entry.path = std::move(path);
    item.entry.mode = mode;
    item.content = std::move(content);
    return item;
}
inline Item node(std::string path, Type type, uint32_t mode = 0755, std::string target = "") {
    Item item = file(std::move(path), "", mode);
    item.entry.type = type;
    item.entry.link_target = std::move(target);
    return item;
}
inline Item directory(std::string path, uint32_t mode = 0755) {
    return node(std::move(path), Type::directory, mode);
}
inline Item symlink_to(std::string path, std::string target) {
    return node(std::move(path), Type::symlink, 0777, std::move(target));
}
inline Item hard_link(std::string path, std::string target) {
    return node(std::move(path), Type::hard_link, 0644, std::move(target));
}

inline std::string tar_of(const Items& items) {
    std::string bytes;
    codec::TarWriter writer(bytes);
    for (const auto& item : items) writer.add(item.entry, item.content);
    writer.finish();
    return bytes;
}

inline std::string digest_of(std::string_view bytes) {
    return "sha256:" + codec::sha256_hex(bytes);
}

/// The configuration of an image with these layers (uncompressed tars).
inline std::string config_of(const std::vector<std::string>& layers,
                             std::string_view command = "/bin/sh") {
    Json ids = Json::array();
    for (const auto& layer : layers) ids.push_back(digest_of(layer));
    return Json::object({{"architecture", "amd64"},
                         {"os", "linux"},
                         {"created", "2026-01-02T03:04:05Z"},
                         {"config", Json::object({{"Cmd", Json::array({command})},
                                                  {"Env", Json::array({"A=b"})},
                                                  {"WorkingDir", "/w"}})},
                         {"rootfs", Json::object({{"type", "layers"}, {"diff_ids", ids}})}})
        .dump();
}

/// What `docker save` writes.
inline Items docker_archive(const std::vector<std::string>& layers,
                            const std::vector<std::string>& names,
                            std::string_view command = "/bin/sh") {
    Items items;
    Json paths = Json::array(), tags = Json::array();
    for (size_t i = 0; i < layers.size(); ++i) {
        std::string path = fmt::format("{}/layer.tar", i);
        items.push_back(file(path, layers[i]));
        paths.push_back(path);
    }
    for (const auto& name : names) tags.push_back(name);
    items.push_back(file("config.json", config_of(layers, command)));
    items.push_back(
        file("manifest.json",
             Json::array(
                 {Json::object({{"Config", "config.json"}, {"RepoTags", tags}, {"Layers", paths}})})
                 .dump()));
    return items;
}

/// An OCI layout; `pack` compresses each layer.
struct OciLayout {
    Items items;
    std::string manifest, config;
    std::vector<std::string> blobs;
};
template <typename Pack>
OciLayout oci_layout(const std::vector<std::string>& layers, const std::string& name, Pack pack) {
    OciLayout layout;
    auto add = [&](std::string_view type, const std::string& bytes) {
        layout.items.push_back(file("blobs/sha256/" + digest_of(bytes).substr(7), bytes));
        layout.blobs.push_back(bytes);
        return Json::object(
            {{"mediaType", type}, {"digest", digest_of(bytes)}, {"size", bytes.size()}});
    };
    Json descriptors = Json::array();
    for (const auto& layer : layers)
        descriptors.push_back(add("application/vnd.oci.image.layer.v1.tar+gzip", pack(layer)));
    layout.config = config_of(layers);
    Json config = add("application/vnd.oci.image.config.v1+json", layout.config);
    layout.manifest =
        Json::object({{"schemaVersion", 2}, {"config", config}, {"layers", descriptors}}).dump();
    Json manifest = add("application/vnd.oci.image.manifest.v1+json", layout.manifest);
    manifest.set("annotations", Json::object({{"org.opencontainers.image.ref.name", name}}));
    layout.items.push_back(file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
    layout.items.push_back(
        file("index.json",
             Json::object({{"schemaVersion", 2}, {"manifests", Json::array({manifest})}}).dump()));
    return layout;
}

/// A folder with a store in it; everything is unmounted and deleted at the end.
class World {
public:
    explicit World(ImageLimits limits = {}) : limits_(limits) {
        static std::atomic<int> number = 0;
        root = fmt::format("/tmp/cloudlet-image-test-{}-{}", ::getpid(), number++);
        std::filesystem::create_directories(root);
        open();
    }
    ~World() {
        if (store) {
            auto unmounted = store->unmount_all();
            EXPECT_TRUE(unmounted) << unmounted.error().to_string();
        }
        store.reset();
        auto removed = io::remove_tree(root);
        EXPECT_TRUE(removed) << removed.error().to_string();
    }
    void open() {
        store.reset();
        auto opened = ImageStore::open(root + "/cloud", limits_);
        ASSERT_TRUE(opened) << opened.error().to_string();
        store = std::move(*opened);
    }
    std::string write(const std::string& name, const std::string& bytes) const {
        std::ofstream(root + "/" + name, std::ios::binary) << bytes;
        return root + "/" + name;
    }
    Result<std::vector<Image>> load(const Items& archive) const {
        return store->load(write("archive.tar", tar_of(archive)));
    }
    /// Loads an image of these layers and mounts it; the path of its root.
    std::string mounted(const std::vector<std::string>& layers,
                        const std::string& key = "test") const {
        auto loaded = load(docker_archive(layers, {"test"}));
        if (!loaded) {
            ADD_FAILURE() << loaded.error().to_string();
            return {};
        }
        auto path = store->prepare_snapshot(key, loaded->front().id);
        if (!path) ADD_FAILURE() << path.error().to_string();
        return path ? *path : std::string();
    }
    std::string error_of(const std::vector<std::string>& layers) const {
        auto loaded = load(docker_archive(layers, {"test"}));
        return loaded ? "loaded" : loaded.error().to_string();
    }
    /// Files below a part of the store's folder: what a failed call must not leave.
    std::vector<std::string> left_in(const std::string& part) const {
        return *io::list_directory(root + "/cloud/image/" + part);
    }
    void expect_nothing_left() const {
        for (auto part : {"blobs/sha256", "layers", "images", "names", "snapshots", "tmp", "l"})
            EXPECT_THAT(left_in(part), testing::IsEmpty()) << part;
    }

    std::string root;
    std::unique_ptr<ImageStore> store;

private:
    ImageLimits limits_;
};

inline std::string xattrs_of(const std::string& path) {
    std::string names(4096, '\0'), text;
    ssize_t size = llistxattr(path.c_str(), names.data(), names.size());
    std::vector<std::string> sorted;
    for (ssize_t i = 0; i < size; i += static_cast<ssize_t>(sorted.back().size()) + 1)
        sorted.emplace_back(names.c_str() + i);
    std::sort(sorted.begin(), sorted.end());
    for (const auto& name : sorted) {
        char value[256];
        ssize_t length = lgetxattr(path.c_str(), name.c_str(), value, sizeof value);
        text += " " + name + "=" +
                std::string(value, static_cast<size_t>(std::max<ssize_t>(length, 0)));
    }
    return text;
}

/// One line a node: path, type, mode, owner, times, content, links. Equal trees give equal lines.
inline std::vector<std::string> describe(const std::string& root,
                                         bool with_directory_times = true) {
    std::vector<std::string> lines;
    std::map<std::pair<dev_t, ino_t>, std::string> first_names;
    std::vector<std::string> paths = {""};
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
        paths.push_back(entry.path().string().substr(root.size()));
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths) {
        struct stat status {};
        lstat((root + path).c_str(), &status);
        bool is_directory = S_ISDIR(status.st_mode);
        std::string line = fmt::format("{} {:o} {}:{}", path.empty() ? "/" : path, status.st_mode,
                                       status.st_uid, status.st_gid);
        if (!is_directory || with_directory_times)
            line += fmt::format(" @{}.{}", status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
        if (S_ISLNK(status.st_mode))
            line += " -> " + std::filesystem::read_symlink(root + path).string();
        if (S_ISREG(status.st_mode)) {
            std::ifstream content(root + path, std::ios::binary);
            line += fmt::format(
                " {} {}", status.st_size,
                codec::sha256_hex(std::string{std::istreambuf_iterator<char>(content), {}})
                    .substr(0, 8));
            auto [first, fresh] = first_names.try_emplace({status.st_dev, status.st_ino}, path);
            if (!fresh) line += " = " + first->second;
        }
        if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
            line += fmt::format(" {}:{}", major(status.st_rdev), minor(status.st_rdev));
        lines.push_back(line + xattrs_of(root + path));
    }
    return lines;
}

inline std::string content_of(const std::string& path) {
    auto bytes = io::read_file(path);
    return bytes ? *bytes : bytes.error().message;
}

} // namespace cloudlet::image::testing_world
