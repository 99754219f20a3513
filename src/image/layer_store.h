#pragma once
// Unpacked layers, in <root>/image/layers/<chain id>/: the tree in fs/, and layer.json with the
// layer below, the digest of the archive and the size. A layer directory appears by a rename once
// it is whole and its archive's digest was right. Thread-safe; each layer is unpacked by one
// thread.

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "blob_store.h"
#include "cloudlet/image/image_store.h"
#include "keyed_lock.h"
#include "layer_writer.h"

namespace cloudlet::image {

struct Layer {
    std::string chain_id; // "sha256:..."
    std::string parent;   // chain id of the layer below, or empty
    std::string diff_id;
    int64_t bytes = 0;
    bool opaque_root = false; // nothing of the layers below shows
    std::string blob;         // the archive that it was unpacked from
};

class LayerStore {
public:
    LayerStore(std::string directory, std::string temporary, const ImageLimits& limits)
        : directory_(std::move(directory)), temporary_(std::move(temporary)), limits_(limits) {}

    /// Unpacks the blob on top of `parent`, or checks that it is that layer when it is there
    /// already. Error: Code::invalid when the archive is damaged or has another digest than
    /// `diff_id`.
    Result<Layer> ensure(const BlobStore& blobs, const std::string& blob, const std::string& parent,
                         const std::string& diff_id);

    Result<std::optional<Layer>> find(const std::string& chain_id) const;
    /// Directories for an overlay, topmost first; a root marked opaque ends the list.
    Result<std::vector<std::string>> directories(const std::string& top_chain_id) const;
    /// Chain ids of a layer and all below, topmost first.
    Result<std::vector<std::string>> chain(const std::string& top_chain_id) const;
    Result<std::vector<std::string>> list() const;
    /// Renames the layer's directory to `trash`, so that it is gone at once.
    Result<void> take_away(const std::string& chain_id, const std::string& trash);
    std::string path_of(std::string_view chain_id) const;

private:
    Result<void> check_blob(const BlobStore& blobs, const std::string& blob,
                            const Layer& layer) const;
    Result<Layer> unpack(const BlobStore& blobs, const std::string& blob, Layer layer,
                         const std::string& into) const;

    std::string directory_, temporary_;
    ImageLimits limits_;
    KeyedLock unpacking_;
    mutable std::mutex mutex_;                   // known_
    mutable std::map<std::string, Layer> known_; // records that were read; they never change
};

} // namespace cloudlet::image
