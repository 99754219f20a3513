#include "blob_store.h"

#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/base/id.h"
#include "cloudlet/io/file.h"

namespace cloudlet::image {

namespace {

constexpr std::string_view algorithm = "sha256:";

} // namespace

BlobStore::Writer::Writer(const BlobStore& store, std::string path, io::UniqueFd file)
    : store_(store), path_(std::move(path)), file_(std::move(file)) {}

BlobStore::Writer::Writer(Writer&& other) noexcept
    : store_(other.store_), path_(std::exchange(other.path_, {})), file_(std::move(other.file_)),
      digest_(std::move(other.digest_)), size_(other.size_) {}

BlobStore::Writer::~Writer() {
    if (!path_.empty()) unlink(path_.c_str());
}

Result<void> BlobStore::Writer::write(std::string_view bytes) {
    digest_.update(bytes);
    size_ += bytes.size();
    return io::write_all(file_.get(), bytes);
}

Result<std::string>
BlobStore::Writer::commit(std::string_view expected,
                          const std::function<void(const std::string&)>& before) {
    std::string digest = fmt::format("{}{}", algorithm, digest_.finish_hex());
    if (!expected.empty() && digest != expected)
        return fail(
            Code::invalid,
            fmt::format("the content of {} has the digest {}: it is corrupt; fetch it again",
                        expected, digest));
    if (before) before(digest);
    if (rename(path_.c_str(), store_.path_of(digest).c_str())) return fail_errno("rename " + path_);
    path_.clear();
    return digest;
}

Result<BlobStore::Writer> BlobStore::begin() const {
    std::string path = fmt::format("{}/blob-{}", temporary_, new_hex_id(16));
    auto file = TRY(io::open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
    return Writer(*this, std::move(path), std::move(file));
}

std::string BlobStore::path_of(std::string_view digest) const {
    return fmt::format("{}/{}", directory_, digest.substr(algorithm.size()));
}

bool BlobStore::contains(std::string_view digest) const { return io::exists(path_of(digest)); }

Result<io::UniqueFd> BlobStore::open(std::string_view digest) const {
    auto file = io::open_file(path_of(digest), O_RDONLY);
    if (!file && file.error().code == Code::not_found)
        return fail(Code::not_found, fmt::format("the blob {} is missing", digest));
    return file;
}

Result<std::string> BlobStore::read(std::string_view digest, size_t limit) const {
    auto file = TRY(open(digest));
    auto bytes = TRY(with_context(io::read_all(file.get(), limit), fmt::format("blob {}", digest)));
    if (std::string(algorithm) + codec::sha256_hex(bytes) != digest)
        return fail(
            Code::invalid,
            fmt::format("the blob {} is corrupt on disk; remove the image and load it again",
                        digest));
    return bytes;
}

Result<std::vector<std::string>> BlobStore::list() const {
    auto names = TRY(io::list_directory(directory_));
    for (auto& name : names) name.insert(0, algorithm);
    return names;
}

} // namespace cloudlet::image
