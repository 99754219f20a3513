#include "database.h"

#include <sqlite3.h>

#include <fmt/format.h>

#include "cloudlet/base/check.h"

namespace cloudlet::store {

namespace {

constexpr int64_t kSchema = 1;
constexpr int64_t kApplicationId = 0x436c6474; // "Cldt"

constexpr const char* kStatements[] = {
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "INSERT INTO history(id, key, value, create_revision, version, lease) VALUES(?1, ?2, ?3, ?4, "
    "?5, ?6)",
    "DELETE FROM history WHERE id = ?1",
    "SELECT id, key, value, create_revision, version, lease FROM history WHERE id = ?1",
    "SELECT id, key, value, create_revision, version, lease FROM history WHERE id >= ?1 ORDER BY "
    "id",
    "INSERT INTO leases(id, ttl) VALUES(?1, ?2)",
    "DELETE FROM leases WHERE id = ?1",
    "INSERT OR REPLACE INTO numbers(name, value) VALUES('compacted', ?1)",
};

/// Resets a statement when the scope ends, whichever way.
class Resetting {
public:
    explicit Resetting(sqlite3_stmt* statement) : statement_(statement) {}
    ~Resetting() {
        sqlite3_reset(statement_);
        sqlite3_clear_bindings(statement_);
    }
    Resetting(const Resetting&) = delete;
    Resetting& operator=(const Resetting&) = delete;

private:
    sqlite3_stmt* statement_;
};

void bind_blob(sqlite3_stmt* statement, int place, const std::string& bytes) {
    sqlite3_bind_blob64(statement, place, bytes.data(), bytes.size(), SQLITE_STATIC);
}

std::string blob_of(sqlite3_stmt* statement, int column) {
    const void* bytes = sqlite3_column_blob(statement, column);
    const int size = sqlite3_column_bytes(statement, column);
    return bytes ? std::string(static_cast<const char*>(bytes), static_cast<size_t>(size))
                 : std::string();
}

int on_wal(void* pages, sqlite3*, const char*, int count) {
    *static_cast<size_t*>(pages) = static_cast<size_t>(count);
    return SQLITE_OK;
}

} // namespace

Database::Database(std::string path, Disk& disk, size_t wal_bytes)
    : path_(std::move(path)), vfs_(disk, wal_bytes) {}

Database::~Database() {
    for (sqlite3_stmt* statement : statements_) sqlite3_finalize(statement);
    sqlite3_close(db_);
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, Disk& disk,
                                                 size_t wal_bytes) {
    std::unique_ptr<Database> database(new Database(path, disk, wal_bytes));
    TRY(database->connect());
    TRY(database->make_schema());
    TRY(database->prepare());
    // What a killed process wrote but did not sync would be read here and could still be lost with
    // the power, names of files too: all of it becomes durable before anybody sees it.
    TRY(database->checkpoint());
    TRY(disk.sync_folder_of(path));
    return database;
}

Result<> Database::connect() {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    const int code = sqlite3_open_v2(path_.c_str(), &db_, flags, vfs_.name());
    if (code != SQLITE_OK) return failure("open", code);
    sqlite3_extended_result_codes(db_, 1);
    sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    sqlite3_wal_hook(db_, on_wal, &wal_pages_); // replaces the automatic checkpoint of each commit
    TRY(execute("PRAGMA locking_mode=EXCLUSIVE"));
    TRY(execute("PRAGMA temp_store=MEMORY"));
    TRY(execute("PRAGMA cache_size=-1024"));
    TRY(execute("PRAGMA journal_mode=WAL"));
    return execute("PRAGMA synchronous=FULL");
}

Result<> Database::make_schema() {
    const int64_t schema = TRY(number("PRAGMA user_version"));
    if (schema > kSchema)
        return fail(Code::unsupported,
                    fmt::format("{} has schema {}, written by a newer cloudlet (this one "
                                "knows {}): run that version",
                                path_, schema, kSchema));
    if (schema == kSchema) return {};
    const int64_t tables = TRY(number("SELECT count(*) FROM sqlite_master"));
    if (tables != 0)
        return fail(Code::invalid,
                    fmt::format("{} is a database, but not cloudlet's: name another file", path_));
    TRY(execute("BEGIN"));
    TRY(execute(
        "CREATE TABLE history(id INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB, "
        "create_revision INTEGER NOT NULL, version INTEGER NOT NULL, lease INTEGER NOT NULL)"));
    TRY(execute("CREATE TABLE leases(id INTEGER PRIMARY KEY, ttl INTEGER NOT NULL)"));
    TRY(execute(
        "CREATE TABLE numbers(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"));
    TRY(execute(fmt::format("PRAGMA application_id={}", kApplicationId).c_str()));
    TRY(execute(fmt::format("PRAGMA user_version={}", kSchema).c_str()));
    return execute("COMMIT");
}

Result<> Database::prepare() {
    static_assert(std::size(kStatements) == count_);
    for (int i = 0; i < count_; ++i) {
        const int code = sqlite3_prepare_v3(db_, kStatements[i], -1, SQLITE_PREPARE_PERSISTENT,
                                            &statements_[i], nullptr);
        if (code != SQLITE_OK) return failure("read the tables of", code);
    }
    return {};
}

Result<> Database::execute(const char* sql) {
    const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return failure("prepare", code);
    return {};
}

Result<int64_t> Database::number(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    int code = sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr);
    int64_t value = 0;
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) value = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) return failure("read", code);
    return value;
}

tl::unexpected<Error> Database::failure(std::string_view doing, int code) {
    const std::optional<Error> disk_error = vfs_.take_error();
    if (vfs_.poison())
        return fail(
            Code::io,
            fmt::format("the store {} has stopped, because the disk failed to make data durable "
                        "({}): check the disk, then restart",
                        path_, vfs_.poison()->to_string()));
    if ((code & 0xff) == SQLITE_FULL)
        return fail(Code::exhausted,
                    fmt::format("cannot {} {}: the disk is full: free some space and try again",
                                doing, path_));
    if (disk_error) {
        Error error = *disk_error;
        error.context.push_back(fmt::format("cannot {} the store {}", doing, path_));
        return tl::unexpected(error);
    }
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB)
        return fail(
            Code::io,
            fmt::format(
                "cannot {} {}: the file is damaged or not a database ({}): restore a backup", doing,
                path_, sqlite3_errmsg(db_)));
    return fail(Code::io, fmt::format("cannot {} {}: {}", doing, path_, sqlite3_errmsg(db_)));
}

Result<> Database::run(Statement which) {
    Resetting resetting(statements_[which]);
    const int code = sqlite3_step(statements_[which]);
    if (code != SQLITE_DONE && code != SQLITE_ROW) return failure("write", code);
    return {};
}

Result<> Database::begin() { return run(begin_); }
Result<> Database::commit() { return run(commit_); }

void Database::rollback() {
    if (!sqlite3_get_autocommit(db_)) (void)run(rollback_);
}

Result<> Database::insert(const Row& row) {
    sqlite3_stmt* statement = statements_[insert_];
    const Version& version = row.version;
    sqlite3_bind_int64(statement, 1, version.id);
    bind_blob(statement, 2, row.key);
    if (!version.removed()) bind_blob(statement, 3, *version.value);
    sqlite3_bind_int64(statement, 4, version.create_revision);
    sqlite3_bind_int64(statement, 5, version.version);
    sqlite3_bind_int64(statement, 6, version.lease);
    return run(insert_);
}

Result<> Database::remove_row(int64_t id) {
    sqlite3_bind_int64(statements_[remove_], 1, id);
    return run(remove_);
}

Result<> Database::add_lease(int64_t lease, int64_t ttl) {
    sqlite3_bind_int64(statements_[add_lease_], 1, lease);
    sqlite3_bind_int64(statements_[add_lease_], 2, ttl);
    return run(add_lease_);
}

Result<> Database::remove_lease(int64_t lease) {
    sqlite3_bind_int64(statements_[remove_lease_], 1, lease);
    return run(remove_lease_);
}

Result<> Database::set_compacted(int64_t revision) {
    sqlite3_bind_int64(statements_[set_], 1, revision);
    return run(set_);
}

Row Database::row_of(sqlite3_stmt* statement) {
    Row row;
    row.version.id = sqlite3_column_int64(statement, 0);
    row.key = blob_of(statement, 1);
    if (sqlite3_column_type(statement, 2) != SQLITE_NULL)
        row.version.value = share(blob_of(statement, 2));
    row.version.create_revision = sqlite3_column_int64(statement, 3);
    row.version.version = sqlite3_column_int64(statement, 4);
    row.version.lease = sqlite3_column_int64(statement, 5);
    return row;
}

Result<> Database::scan(int64_t first_id, const std::function<bool(Row&&)>& visit) {
    sqlite3_stmt* statement = statements_[scan_];
    Resetting resetting(statement);
    sqlite3_bind_int64(statement, 1, first_id);
    for (;;) {
        const int code = sqlite3_step(statement);
        if (code == SQLITE_DONE) return {};
        if (code != SQLITE_ROW) return failure("read", code);
        if (!visit(row_of(statement))) return {};
    }
}

Result<Row> Database::fetch(int64_t id) {
    sqlite3_stmt* statement = statements_[fetch_];
    Resetting resetting(statement);
    sqlite3_bind_int64(statement, 1, id);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) return row_of(statement);
    if (code != SQLITE_DONE) return failure("read", code);
    return fail(Code::expired,
                fmt::format("revision {} is compacted away: read a newer one", revision_of(id)));
}

Result<std::vector<std::pair<int64_t, int64_t>>> Database::leases() {
    std::vector<std::pair<int64_t, int64_t>> found;
    sqlite3_stmt* statement = nullptr;
    int code = sqlite3_prepare_v2(db_, "SELECT id, ttl FROM leases", -1, &statement, nullptr);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
            found.emplace_back(sqlite3_column_int64(statement, 0),
                               sqlite3_column_int64(statement, 1));
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE) return failure("read", code);
    return found;
}

Result<int64_t> Database::compacted() {
    return number("SELECT value FROM numbers WHERE name = 'compacted'");
}

Result<> Database::checkpoint() {
    int pages = 0;
    int copied = 0;
    const int code =
        sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, &pages, &copied);
    if (code != SQLITE_OK) return failure("checkpoint", code);
    if (pages == copied) wal_pages_ = 0; // the next commit starts the log from its beginning
    return {};
}

} // namespace cloudlet::store
