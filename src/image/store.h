#pragma once
// The inside of ImageStore, shared by the files that implement it.

#include <mutex>
#include <optional>
#include <set>

#include "archive.h"
#include "cloudlet/image/image_store.h"
#include "cloudlet/io/file.h"
#include "layer_store.h"
#include "records.h"
#include "snapshots.h"

namespace cloudlet::image {

struct ImageStore::Impl {
    Impl(std::string root, const ImageLimits& limits);

    std::string root; // <root>/image
    ImageLimits limits;
    BlobStore blobs;
    LayerStore layers;
    Snapshots snapshots;
    std::optional<io::FileLock> lock;

    // Guards records and pins; held for marking and renaming, never while something is unpacked.
    mutable std::mutex mutex;
    Records records;
    std::multiset<std::string> pins; // digests and chain ids that running calls need

    Result<void> recover();
    Result<std::string> id_of(const std::string& name_or_id) const;     // under mutex
    Result<std::string> id_by_prefix(std::string_view prefix) const;    // under mutex
    Result<void> check_removable(const Image& image, bool by_id) const; // under mutex

    struct Unpacked {
        Image image;
        std::vector<std::string> blobs;
    };
    class Lease;
    Result<Unpacked> unpack(const StagedImage& staged, Lease& lease);
    Result<std::vector<Image>> install(const std::vector<StagedImage>& staged, Lease& lease);
    Result<StagedImage> stage_root(const std::string& tar_path, const std::string& name,
                                   const ImageConfig& config, Lease& lease);
    template <typename T>
    Result<T> settle(Result<T> result, std::string_view what);

    Result<CollectReport> collect();
    std::set<std::string> marked() const; // under mutex
};

/// Keeps blobs and layers from being collected while a call needs them. Thread-safe.
class ImageStore::Impl::Lease {
public:
    explicit Lease(Impl& store) : store_(store) {}
    ~Lease() {
        std::lock_guard guard(store_.mutex);
        for (const auto& key : keys_) store_.pins.erase(store_.pins.find(key));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    void pin(const std::string& key) {
        std::lock_guard guard(store_.mutex);
        pin_locked(key);
    }
    void pin_locked(const std::string& key) { // the caller holds the store's mutex
        store_.pins.insert(key);
        keys_.push_back(key);
    }

private:
    Impl& store_;
    std::vector<std::string> keys_;
};

/// Undoes what a failed call has left and says what to do when the disk is full.
template <typename T>
Result<T> ImageStore::Impl::settle(Result<T> result, std::string_view what) {
    if (result) return result;
    Error& error = result.error();
    if (error.os_errno == ENOSPC || error.os_errno == EDQUOT)
        error.message =
            "no space left on the disk of " + root + "; free some space there and try again";
    (void)collect();
    return with_context(std::move(result), what);
}

} // namespace cloudlet::image
