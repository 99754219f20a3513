#include "vfs.h"

#include <atomic>
#include <cstring>
#include <ctime>

#include <sqlite3.h>

#include "cloudlet/base/random.h"

namespace cloudlet::store {

namespace {

/// SQLite allocates it (szOsFile bytes) and knows only its first member.
struct File {
    sqlite3_file base;
    DiskFile* file;
    Vfs* vfs;
};

File* as_file(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
Vfs* as_vfs(sqlite3_vfs* vfs) { return static_cast<Vfs*>(vfs->pAppData); }

int file_close(sqlite3_file* file) {
    delete as_file(file)->file;
    as_file(file)->file = nullptr;
    return SQLITE_OK;
}

int file_read(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
    const size_t wanted = static_cast<size_t>(amount);
    auto got =
        as_file(file)->file->read(static_cast<uint64_t>(offset), static_cast<char*>(out), wanted);
    if (!got) return as_file(file)->vfs->remember(got.error(), SQLITE_IOERR_READ);
    if (*got == wanted) return SQLITE_OK;
    std::memset(static_cast<char*>(out) + *got, 0, wanted - *got);
    return SQLITE_IOERR_SHORT_READ;
}

int file_write(sqlite3_file* file, const void* bytes, int amount, sqlite3_int64 offset) {
    Vfs* vfs = as_file(file)->vfs;
    if (vfs->poison()) return SQLITE_IOERR_WRITE;
    auto done =
        as_file(file)->file->write(static_cast<uint64_t>(offset),
                                   {static_cast<const char*>(bytes), static_cast<size_t>(amount)});
    return done ? SQLITE_OK : vfs->remember(done.error(), SQLITE_IOERR_WRITE);
}

int file_truncate(sqlite3_file* file, sqlite3_int64 size) {
    Vfs* vfs = as_file(file)->vfs;
    if (vfs->poison()) return SQLITE_IOERR_TRUNCATE;
    auto done = as_file(file)->file->truncate(static_cast<uint64_t>(size));
    return done ? SQLITE_OK : vfs->remember(done.error(), SQLITE_IOERR_TRUNCATE);
}

int file_sync(sqlite3_file* file, int) {
    Vfs* vfs = as_file(file)->vfs;
    if (vfs->poison()) return SQLITE_IOERR_FSYNC;
    auto done = as_file(file)->file->sync();
    if (done) return SQLITE_OK;
    vfs->poison(done.error());
    return vfs->remember(done.error(), SQLITE_IOERR_FSYNC);
}

int file_size(sqlite3_file* file, sqlite3_int64* out) {
    auto size = as_file(file)->file->size();
    if (!size) return as_file(file)->vfs->remember(size.error(), SQLITE_IOERR_FSTAT);
    *out = static_cast<sqlite3_int64>(*size);
    return SQLITE_OK;
}

// The database has one connection and DiskFile keeps other processes out: nothing is left to lock.
int file_lock(sqlite3_file*, int) { return SQLITE_OK; }
int file_check_lock(sqlite3_file*, int* out) {
    *out = 0;
    return SQLITE_OK;
}

int file_control(sqlite3_file*, int what, void* argument) {
    if (what != SQLITE_FCNTL_PERSIST_WAL) return SQLITE_NOTFOUND;
    *static_cast<int*>(argument) = 1; // closing keeps the log and its blocks
    return SQLITE_OK;
}

int file_sector_size(sqlite3_file*) { return 4096; }
int file_characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

const sqlite3_io_methods file_methods = [] {
    sqlite3_io_methods methods{};
    methods.iVersion = 1; // no shared memory: the connection is exclusive
    methods.xClose = file_close;
    methods.xRead = file_read;
    methods.xWrite = file_write;
    methods.xTruncate = file_truncate;
    methods.xSync = file_sync;
    methods.xFileSize = file_size;
    methods.xLock = file_lock;
    methods.xUnlock = file_lock;
    methods.xCheckReservedLock = file_check_lock;
    methods.xFileControl = file_control;
    methods.xSectorSize = file_sector_size;
    methods.xDeviceCharacteristics = file_characteristics;
    return methods;
}();

/// Extends the write-ahead log with zeros, which no reader takes for frames (their salt is random).
Result<> allocate(DiskFile& file, size_t bytes) {
    const std::string zeros(256 << 10, '\0');
    uint64_t at = TRY(file.size());
    if (at >= bytes) return {};
    while (at < bytes) {
        const size_t step = std::min<uint64_t>(zeros.size(), bytes - at);
        TRY(file.write(at, std::string_view(zeros).substr(0, step)));
        at += step;
    }
    return file.sync();
}

Result<std::unique_ptr<DiskFile>> open_file(Vfs& vfs, const std::string& path, int flags) {
    const bool existed = TRY(vfs.disk().exists(path));
    auto file = TRY(vfs.disk().open(path, (flags & SQLITE_OPEN_MAIN_DB) != 0));
    if (flags & SQLITE_OPEN_WAL) TRY(allocate(*file, vfs.wal_bytes()));
    if (!existed) TRY(vfs.disk().sync_folder_of(path));
    return file;
}

int vfs_open(sqlite3_vfs* vfs, const char* name, sqlite3_file* out, int flags, int* out_flags) {
    out->pMethods = nullptr;
    if (!name || as_vfs(vfs)->poison()) return SQLITE_CANTOPEN; // temporary files live in memory
    auto file = open_file(*as_vfs(vfs), name, flags);
    if (!file) return as_vfs(vfs)->remember(file.error(), SQLITE_CANTOPEN);
    as_file(out)->file = file->release();
    as_file(out)->vfs = as_vfs(vfs);
    out->pMethods = &file_methods;
    if (out_flags) *out_flags = flags;
    return SQLITE_OK;
}

int vfs_delete(sqlite3_vfs* vfs, const char* name, int sync_folder) {
    if (as_vfs(vfs)->poison()) return SQLITE_IOERR_DELETE;
    auto done = as_vfs(vfs)->disk().remove(name);
    if (!done && done.error().code == Code::not_found) return SQLITE_IOERR_DELETE_NOENT;
    if (done && sync_folder) done = as_vfs(vfs)->disk().sync_folder_of(name);
    return done ? SQLITE_OK : as_vfs(vfs)->remember(done.error(), SQLITE_IOERR_DELETE);
}

int vfs_access(sqlite3_vfs* vfs, const char* name, int, int* out) {
    auto exists = as_vfs(vfs)->disk().exists(name);
    if (!exists) return as_vfs(vfs)->remember(exists.error(), SQLITE_IOERR_ACCESS);
    *out = *exists ? 1 : 0;
    return SQLITE_OK;
}

int vfs_full_path(sqlite3_vfs*, const char* name, int size, char* out) {
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
}

int vfs_randomness(sqlite3_vfs*, int size, char* out) {
    std::string bytes = secure_random_bytes(static_cast<size_t>(size));
    std::memcpy(out, bytes.data(), bytes.size());
    return size;
}

int vfs_sleep(sqlite3_vfs*, int) { return 0; }

int vfs_time(sqlite3_vfs*, double* out) {
    *out = static_cast<double>(std::time(nullptr)) / 86400.0 + 2440587.5; // Julian day of the epoch
    return SQLITE_OK;
}

std::string next_name() {
    static std::atomic<uint64_t> count{0};
    return "cloudlet-" + std::to_string(count++);
}

} // namespace

Vfs::Vfs(Disk& disk, size_t wal_bytes)
    : disk_(disk), wal_bytes_(wal_bytes), name_(next_name()),
      vfs_(std::make_unique<sqlite3_vfs>()) {
    *vfs_ = {};
    vfs_->iVersion = 1;
    vfs_->szOsFile = sizeof(File);
    vfs_->mxPathname = 4096;
    vfs_->zName = name_.c_str();
    vfs_->pAppData = this;
    vfs_->xOpen = vfs_open;
    vfs_->xDelete = vfs_delete;
    vfs_->xAccess = vfs_access;
    vfs_->xFullPathname = vfs_full_path;
    vfs_->xRandomness = vfs_randomness;
    vfs_->xSleep = vfs_sleep;
    vfs_->xCurrentTime = vfs_time;
    sqlite3_vfs_register(vfs_.get(), 0);
}

Vfs::~Vfs() { sqlite3_vfs_unregister(vfs_.get()); }

void Vfs::poison(Error error) {
    if (!poison_) poison_ = std::move(error);
}

int Vfs::remember(const Error& error, int sqlite_code) {
    error_ = error;
    return error.code == Code::exhausted ? SQLITE_FULL : sqlite_code;
}

} // namespace cloudlet::store
