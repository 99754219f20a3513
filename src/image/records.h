#pragma once
// Which images there are and what they are called. An image is one file, images/<id>.json, written
// when everything it needs is on disk and never changed; a name is one file, names/<hash>.json,
// that is replaced as a whole, so that a name always means exactly one image. Not thread-safe.

#include <map>
#include <string>
#include <vector>

#include "blob_store.h"
#include "cloudlet/image/image_store.h"

namespace cloudlet::image {

class Records {
public:
    /// Directories that exist.
    Records(std::string images, std::string names)
        : images_directory_(std::move(images)), names_directory_(std::move(names)) {}

    /// Reads everything. A record that is damaged, or whose configuration is gone, is dropped with
    /// a line in the log: its image has to be loaded again.
    Result<void> load(const BlobStore& blobs, size_t config_limit);

    /// Makes the image known, durably; the same image twice is success. `blobs`: digests it needs.
    Result<void> add(const Image& image, const std::vector<std::string>& blobs);
    /// Points a name at an image, durably.
    Result<void> set_name(const std::string& name, const std::string& id);
    Result<void> drop_name(const std::string& name);
    /// Forgets the image and its names.
    Result<void> remove(const std::string& id);

    const std::map<std::string, Image>& images() const {
        return images_;
    } // by id, with names filled in
    const std::vector<std::string>& blobs_of(const std::string& id) const { return blobs_.at(id); }
    /// The id that a normalized name means, or empty.
    std::string id_of(const std::string& name) const;

private:
    Result<void> read_image(const std::string& path, const BlobStore& blobs, size_t config_limit);
    Result<void> read_name(const std::string& path);
    std::string image_path(const std::string& id) const;
    std::string name_path(const std::string& name) const;

    std::string images_directory_, names_directory_;
    std::map<std::string, Image> images_;
    std::map<std::string, std::vector<std::string>> blobs_; // id -> digests
    std::map<std::string, std::string> names_;              // name -> id
};

} // namespace cloudlet::image
