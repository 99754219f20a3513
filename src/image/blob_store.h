#pragma once
// Files named by the SHA-256 of their content, in <root>/image/blobs/sha256/. A blob is written
// under a temporary name and appears only once its digest is known to be right. Thread-safe.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/codec/digest.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::image {

class BlobStore {
public:
    /// Both directories exist, on one file system.
    BlobStore(std::string directory, std::string temporary)
        : directory_(std::move(directory)), temporary_(std::move(temporary)) {}

    /// A blob in the making; dropped unless committed. One thread.
    class Writer {
    public:
        ~Writer();
        Writer(Writer&& other) noexcept;
        Writer& operator=(Writer&&) = delete;
        Result<void> write(std::string_view bytes);
        uint64_t size() const { return size_; }
        /// Makes the blob visible and returns its digest, "sha256:...". Error: Code::invalid when
        /// `expected` is not empty and differs.
        /// `before` is told the digest before the blob becomes visible.
        Result<std::string> commit(std::string_view expected = {},
                                   const std::function<void(const std::string&)>& before = {});

    private:
        friend class BlobStore;
        Writer(const BlobStore& store, std::string path, io::UniqueFd file);
        const BlobStore& store_;
        std::string path_; // empty once it is gone
        io::UniqueFd file_;
        codec::Sha256 digest_;
        uint64_t size_ = 0;
    };

    Result<Writer> begin() const;
    bool contains(std::string_view digest) const;
    Result<io::UniqueFd> open(std::string_view digest) const;
    /// The whole blob, its digest checked again. Error: Code::too_large past `limit` bytes.
    Result<std::string> read(std::string_view digest, size_t limit) const;
    Result<std::vector<std::string>> list() const; // digests
    std::string path_of(std::string_view digest) const;

private:
    std::string directory_, temporary_;
};

} // namespace cloudlet::image
