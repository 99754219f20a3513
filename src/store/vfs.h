#pragma once
// SQLite's view of a Disk: an sqlite3_vfs whose files are DiskFiles.
//
// It adds three things. The write-ahead log is filled with zeros up front and never shrinks, so
// that a commit overwrites allocated blocks and its fdatasync touches no metadata. The first failed
// sync stops the file system for good: nothing is written or synced afterwards. And the last error
// of the disk is kept, because SQLite reduces it to a number.

#include <memory>
#include <optional>
#include <string>

#include "cloudlet/store/disk.h"

struct sqlite3_vfs;

namespace cloudlet::store {

class Vfs {
public:
    Vfs(Disk& disk, size_t wal_bytes);
    ~Vfs();
    Vfs(const Vfs&) = delete;
    Vfs& operator=(const Vfs&) = delete;

    const char* name() const { return name_.c_str(); }

    /// The failed sync that stopped everything, if one did.
    const std::optional<Error>& poison() const { return poison_; }
    void poison(Error error);
    /// The disk's last error since the previous call.
    std::optional<Error> take_error() { return std::exchange(error_, std::nullopt); }

    // For the callbacks in vfs.cpp.
    Disk& disk() { return disk_; }
    size_t wal_bytes() const { return wal_bytes_; }
    int remember(const Error& error, int sqlite_code);

private:
    Disk& disk_;
    size_t wal_bytes_;
    std::string name_;
    std::unique_ptr<sqlite3_vfs> vfs_;
    std::optional<Error> poison_;
    std::optional<Error> error_;
};

} // namespace cloudlet::store
