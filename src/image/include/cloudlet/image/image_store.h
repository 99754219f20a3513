#pragma once
// The images of one machine: what they are called, what they hold, and file systems made from them.
//
// An ImageStore owns <root>/image. Blobs (manifests, configurations, layers as they came) are files
// named by their digest; each layer is unpacked once into a directory named by its chain id (OCI
// image-spec 1.1, config.md) in the form overlayfs stacks; a snapshot is a writable overlay on top
// of an image's layers. Every file and directory is complete or absent, so opening a store is its
// recovery: what a crash left half-made is removed. All methods may be called from any thread at
// any time; loads of different images run side by side.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"

namespace cloudlet::image {

/// What an image says about how to run it (OCI image-spec 1.1, config.md, "config").
struct ImageConfig {
    std::vector<std::string> entrypoint{};
    std::vector<std::string> command{};
    std::vector<std::string> env{}; // "KEY=value"
    std::string working_dir{};
    std::string user{}; // "name", "uid", "uid:gid"
    std::string stop_signal{};
    std::vector<std::string> exposed_ports{}; // "80/tcp", sorted
    std::vector<std::string> volumes{};       // paths, sorted
    std::map<std::string, std::string> labels{};
};

struct Image {
    std::string id{};                 // "sha256:<64 hex>", the digest of the configuration
    std::string digest{};             // "sha256:...", the digest of the manifest
    std::vector<std::string> names{}; // normalized, sorted; empty once another image took its names
    ImageConfig config;
    std::vector<std::string> layers{}; // chain ids, lowest first
    int64_t size = 0;                  // bytes of the unpacked layers
    WallTime created{};
    std::string architecture{}, os{};
};

/// Told about a pull as it goes; runs on the thread that pulls.
struct PullEvent {
    std::string what{}; // "manifest", "layer"
    std::string digest{};
    uint64_t done = 0, total = 0; // bytes
};
using PullProgress = std::function<void(const PullEvent&)>;

struct RemoveReport {
    std::vector<std::string> untagged{}; // names taken away
    std::string removed_id{};            // empty when the image keeps other names
    int64_t freed_bytes = 0;
};

struct CollectReport {
    size_t blobs = 0, layers = 0;
    int64_t freed_bytes = 0;
};

/// Bounds on what an archive may unpack to; past one of them it is refused with Code::too_large.
struct ImageLimits {
    uint64_t layer_bytes = 64ull << 30; // file sizes, holes included, and archive headers
    uint64_t layer_entries = 4'000'000;
    size_t layers = 200;              // of one image; their names fit into one mount(2)
    size_t manifest_bytes = 4u << 20; // any manifest, index or configuration
};

class ImageStore {
public:
    /// Opens or makes <root>/image and recovers it. Error: Code::conflict when another process has
    /// it open; Code::io.
    static Result<std::unique_ptr<ImageStore>> open(const std::string& root,
                                                    ImageLimits limits = {});
    ~ImageStore();
    ImageStore(const ImageStore&) = delete;
    ImageStore& operator=(const ImageStore&) = delete;

    /// Loads every image of a `docker save` archive or an OCI layout in a tar, plain, gzip or zstd.
    /// Error: Code::invalid when it is damaged, hostile or neither of the two; Code::too_large;
    /// Code::exhausted when the disk is full. Nothing of a failed load stays behind.
    Result<std::vector<Image>> load(const std::string& archive_path);

    /// Makes an image of one layer from the tar of a root file system.
    Result<Image> import(const std::string& tar_path, const std::string& name,
                         const ImageConfig& config = {});

    /// Fetches an image from a plain HTTP registry (OCI distribution-spec 1.1) on loopback, for
    /// this machine's architecture. Error: Code::unsupported for a registry elsewhere;
    /// Code::not_found; Code::invalid when a digest does not match; Code::unavailable.
    Result<Image> pull(const std::string& reference, const PullProgress& progress = {});

    /// By name ("nginx"), by name@digest, by id or by a prefix of the id (at least 4 digits).
    /// Error: Code::not_found; Code::invalid for an ambiguous prefix or a malformed name.
    Result<Image> find(const std::string& name_or_id) const;
    /// Newest first.
    std::vector<Image> list() const;
    /// Gives an image one more name, taking it from the image that had it.
    Result<void> tag(const std::string& name_or_id, const std::string& new_name);

    /// A name is untagged; with its last name, or by id, the image goes too. Error: Code::conflict
    /// when snapshots use the image or, by id, when it has several names; `force` overrides both
    /// (layers in use by snapshots stay until those are removed).
    Result<RemoveReport> remove(const std::string& name_or_id, bool force);

    /// Makes (or finds) the writable file system `key` over an image and mounts it; returns the
    /// path of its root, <root>/image/snapshots/<key>/merged. Calling it again with the same key
    /// gives the same file system. Key: 1 to 128 of [A-Za-z0-9_.-], not starting with a dot.
    Result<std::string> prepare_snapshot(const std::string& key,
                                         const std::string& image_name_or_id);
    /// Mounts an existing snapshot again, after a reboot; does nothing when it is mounted. Returns
    /// the path.
    Result<std::string> mount_snapshot(const std::string& key);
    /// Takes the mount away and keeps what was written. Done already: success.
    Result<void> unmount_snapshot(const std::string& key);
    /// Unmounts and deletes; success when there is no such snapshot.
    Result<void> remove_snapshot(const std::string& key);
    std::vector<std::string> snapshots() const;
    /// The path that prepare_snapshot() returns for a key.
    std::string snapshot_path(std::string_view key) const;

    /// Deletes blobs and layers that no image, snapshot or running load needs.
    Result<CollectReport> collect_garbage();

    /// Takes every snapshot's mount away (for `down`); the files stay.
    Result<void> unmount_all();

private:
    struct Impl;
    explicit ImageStore(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace cloudlet::image
