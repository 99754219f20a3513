#pragma once
// Pulls from a plain HTTP registry (OCI distribution-spec 1.1) on this machine into the blob store.

#include "archive.h"
#include "cloudlet/image/name.h"

namespace cloudlet::image {

/// Fetches manifest, configuration and layers that are not in the store yet, up to three layers at
/// a time. Every document and blob is checked against its digest.
Result<StagedImage> stage_from_registry(const ImageName& name, const BlobStore& blobs,
                                        const ImageLimits& limits, const PinBlob& pin,
                                        const PullProgress& progress);

} // namespace cloudlet::image
