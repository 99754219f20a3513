#pragma once
// The SQLite file in typed calls: rows of history, leases, a few numbers. One thread at a time.
//
// Tables (schema 1):
//   history(id INTEGER PRIMARY KEY, key, value, create_revision, version, lease)   value NULL:
//   removed leases(id INTEGER PRIMARY KEY, ttl) nanoseconds numbers(name TEXT PRIMARY KEY, value)
//   WITHOUT ROWID                            "compacted"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "version.h"
#include "vfs.h"

struct sqlite3;
struct sqlite3_stmt;

namespace cloudlet::store {

class Database {
public:
    /// Opens or makes the file, recovers its log and brings all of it into the main file.
    static Result<std::unique_ptr<Database>> open(const std::string& path, Disk& disk,
                                                  size_t wal_bytes);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    Result<> begin();
    Result<> insert(const Row& row);
    Result<> remove_row(int64_t id);
    Result<> add_lease(int64_t lease, int64_t ttl);
    Result<> remove_lease(int64_t lease);
    Result<> set_compacted(int64_t revision);
    Result<> commit(); // durable when it returns
    void rollback();

    /// Calls back with the rows from `first_id` on, in order, as long as `visit` returns true.
    Result<> scan(int64_t first_id, const std::function<bool(Row&&)>& visit);
    /// Error: Code::expired when the row is gone.
    Result<Row> fetch(int64_t id);
    Result<std::vector<std::pair<int64_t, int64_t>>> leases();
    Result<int64_t> compacted();

    /// Copies the log into the main file so that the log starts anew. PASSIVE in SQLite's terms.
    Result<> checkpoint();
    /// Pages in the log since it last started anew.
    size_t wal_pages() const { return wal_pages_; }

    /// The failure that stopped the disk for good.
    const std::optional<Error>& poison() const { return vfs_.poison(); }
    void stop(const Error& error) { vfs_.poison(error); }

    sqlite3* handle() { return db_; } // for the backup

private:
    Database(std::string path, Disk& disk, size_t wal_bytes);

    enum Statement {
        begin_,
        commit_,
        rollback_,
        insert_,
        remove_,
        fetch_,
        scan_,
        add_lease_,
        remove_lease_,
        set_,
        count_
    };

    std::string path_;
    Vfs vfs_;
    sqlite3* db_ = nullptr;
    sqlite3_stmt* statements_[count_] = {};
    size_t wal_pages_ = 0;

    Result<> connect();
    Result<> make_schema();
    Result<> prepare();
    Result<> execute(const char* sql);
    Result<int64_t> number(const char* sql);
    Result<> run(Statement which);
    tl::unexpected<Error> failure(std::string_view doing, int code);
    static Row row_of(sqlite3_stmt* statement);
};

} // namespace cloudlet::store
