#pragma once
// The disk as the store needs it: a few files that are read and written in place and made durable
// on request. A simulator stands under the same interface and loses power at every step.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cloudlet/base/result.h"

namespace cloudlet::store {

/// An open file. Used by one thread at a time.
class DiskFile {
public:
    virtual ~DiskFile() = default;
    /// Reads up to `length` bytes; fewer only at the end of the file.
    virtual Result<size_t> read(uint64_t offset, char* out, size_t length) = 0;
    /// Writes all bytes, growing the file if needed. Code::exhausted when the disk is full.
    virtual Result<> write(uint64_t offset, std::string_view bytes) = 0;
    virtual Result<> truncate(uint64_t size) = 0;
    /// Returns once everything written is durable. After an error nothing may be assumed.
    virtual Result<> sync() = 0;
    virtual Result<uint64_t> size() = 0;
};

class Disk {
public:
    virtual ~Disk() = default;
    /// Opens a file for reading and writing, made (0600) when absent. `exclusive` refuses a file
    /// that another process has open so (Code::conflict).
    virtual Result<std::unique_ptr<DiskFile>> open(const std::string& path, bool exclusive) = 0;
    virtual Result<> remove(const std::string& path) = 0; // Code::not_found
    virtual Result<bool> exists(const std::string& path) = 0;
    /// Makes creations and removals beside `path` durable.
    virtual Result<> sync_folder_of(const std::string& path) = 0;
};

/// The machine's own: pread, pwrite, fdatasync, flock.
Disk& system_disk();

} // namespace cloudlet::store
