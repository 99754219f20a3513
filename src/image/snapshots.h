#pragma once
// Writable file systems over images, in <root>/image/snapshots/<key>/: upper/ and work/ for
// overlayfs, merged/ where it is mounted, and two symbolic links that say what it was made from,
// `image` (an id) and `layer` (the directory of the topmost layer). Links need no fsync to be
// whole: a container that starts must not wait for the disk. Thread-safe.

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cloudlet/base/result.h"
#include "keyed_lock.h"
#include "layer_store.h"

namespace cloudlet::image {

class Snapshots {
public:
    struct Directories {
        std::string snapshots, layers_short, empty, temporary;
    };
    struct Source {
        std::string image_id;
        std::vector<std::string> layers; // chain ids, topmost first
    };

    Snapshots(Directories directories, const LayerStore& layers)
        : directories_(std::move(directories)), layers_(layers) {}

    /// Reads what is there; a snapshot whose layers are gone is removed with a line in the log.
    Result<void> load();

    /// `resolve` gives the image when the snapshot has to be made, and keeps its layers pinned
    /// until this returns.
    Result<std::string> prepare(const std::string& key, const std::string& image_id,
                                const std::function<Result<Source>()>& resolve);
    Result<std::string> mount(const std::string& key);
    Result<void> unmount(const std::string& key);
    Result<void> remove(const std::string& key);

    std::vector<std::string> keys() const;
    /// Copies, for marking what is in use.
    std::vector<Source> sources() const;
    std::string merged_path(std::string_view key) const;

private:
    Result<Source> read(const std::string& key) const;
    Result<void> make(const std::string& key, const Source& source) const;
    Result<void> mount_now(const std::string& key, const Source& source) const;
    Result<void> erase(const std::string& key);
    std::string path_of(std::string_view key) const;

    Directories directories_;
    const LayerStore& layers_;
    KeyedLock busy_;
    mutable std::mutex mutex_; // known_
    std::map<std::string, Source> known_;
};

/// Error: Code::invalid unless it is 1 to 128 of [A-Za-z0-9_.-] and starts with no dot.
Result<void> check_snapshot_key(std::string_view key);

} // namespace cloudlet::image
