#pragma once
// The store of one machine: one SQLite file, one connection, one thread that writes. See README.md.

#include <cstddef>
#include <memory>
#include <string>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/store/disk.h"
#include "cloudlet/store/store.h"

namespace cloudlet::store {

struct SqliteOptions {
    std::string path;             // the database file; its folder is made (0700) when absent
    const Clock* clock = nullptr; // null: the system's; only the monotonic time of leases
    Disk* disk = nullptr;         // null: the machine's own
    size_t queue_limit = 8192;    // waiting requests beyond it are refused (Code::unavailable)
    size_t wal_bytes = 8 << 20; // size of the write-ahead log that is allocated up front and reused
};

/// Opens or makes a store; everything that any reader ever saw is there, and durable. Errors:
/// Code::conflict when another process has it open, Code::unsupported when a newer version wrote
/// it, Code::io with the path when the file is damaged.
Result<std::unique_ptr<Store>> open_sqlite_store(const SqliteOptions& options);

} // namespace cloudlet::store
