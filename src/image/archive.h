#pragma once
// Image archives: reads a `docker save` archive or an OCI layout in a tar and puts its blobs into
// the store. What the images in it are is decided when everything was read, because the documents
// that say so may stand anywhere in the archive.

#include <functional>
#include <string>
#include <vector>

#include "blob_store.h"
#include "cloudlet/image/image_store.h"
#include "manifest.h"

namespace cloudlet::image {

/// An image whose blobs are in the store.
struct StagedImage {
    std::string manifest_digest;
    Manifest manifest;
    std::vector<std::string> names; // normalized
};

/// Called with each digest before its blob is looked for or written, so that no collection takes
/// it.
using PinBlob = std::function<void(const std::string& digest)>;

/// Error: Code::invalid for an archive that is damaged or holds no images.
Result<std::vector<StagedImage>> stage_archive(const std::string& path, const BlobStore& blobs,
                                               const ImageLimits& limits, const PinBlob& pin);

} // namespace cloudlet::image
