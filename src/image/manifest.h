#pragma once
// The JSON documents of images, as values: OCI image-spec 1.1 (manifest.md, image-index.md,
// config.md), Docker's schema 2 of the same shape, and the manifest.json of `docker save`. Pure: no
// I/O.

#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/codec/json.h"
#include "cloudlet/image/image_store.h"

namespace cloudlet::image {

struct Descriptor {
    std::string media_type{};
    std::string digest{}; // "sha256:<64 hex>"
    uint64_t size = 0;
    std::string os{}, architecture{}; // empty: for any machine
    std::string name{};               // an image name from the annotations, or empty
};

struct Manifest {
    Descriptor config;
    std::vector<Descriptor> layers; // lowest first
};

/// The configuration of an image.
struct ConfigFile {
    ImageConfig config;
    std::vector<std::string> diff_ids; // digests of the uncompressed layers, lowest first
    WallTime created{};
    std::string architecture, os;
};

/// One image of a `docker save` archive; paths inside the archive.
struct SavedImage {
    std::string config;
    std::vector<std::string> names, layers;
};

/// True when the document lists manifests instead of being one.
bool is_index(const codec::Json& document);

/// Error of each: Code::invalid, saying which member is wrong.
Result<std::vector<Descriptor>> parse_index(const codec::Json& document);
Result<Manifest> parse_manifest(const codec::Json& document);
Result<ConfigFile> parse_config(std::string_view text);
Result<std::vector<SavedImage>> parse_saved_images(std::string_view text);

/// Manifests of an index that fit this machine.
std::vector<Descriptor> fitting_this_machine(const std::vector<Descriptor>& index);
/// "amd64", "arm64": Go's name of this machine's processor.
std::string_view this_architecture();

/// Error: Code::invalid unless it is "sha256:" and 64 lower-case hex digits.
Result<void> check_digest(std::string_view digest);

/// The identity of a layer on top of others (OCI image-spec 1.1, config.md, "Layer ChainID").
std::string chain_id(std::string_view parent, std::string_view diff_id);

std::string write_manifest(const Manifest& manifest);
std::string write_config(const ConfigFile& config);

} // namespace cloudlet::image
