#include "backup.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include <fmt/format.h>

#include "cloudlet/store/disk.h"

namespace cloudlet::store {

namespace {
constexpr int kPagesPerStep = 128;
} // namespace

struct Backup::Impl {
    std::string path;
    std::string temporary;
    sqlite3* to = nullptr;
    sqlite3_backup* copy = nullptr;

    ~Impl() {
        if (copy) sqlite3_backup_finish(copy);
        sqlite3_close(to);
        ::unlink(temporary.c_str());
    }

    tl::unexpected<Error> failure() const {
        const int code = sqlite3_errcode(to);
        const std::string what = fmt::format("cannot back up to {}: {}", path, sqlite3_errmsg(to));
        return fail(code == SQLITE_FULL ? Code::exhausted : Code::io, what);
    }

    Result<> finish() {
        const int code = sqlite3_backup_finish(std::exchange(copy, nullptr));
        if (code != SQLITE_OK) return failure();
        sqlite3_close(std::exchange(to, nullptr));
        auto file = TRY(system_disk().open(temporary, false));
        TRY(file->sync());
        if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0)
            return fail_errno("rename the backup to " + path);
        return system_disk().sync_folder_of(path);
    }
};

Backup::Backup(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Backup::~Backup() = default;

Result<std::unique_ptr<Backup>> Backup::start(sqlite3* from, const std::string& path) {
    if (TRY(system_disk().exists(path)))
        return fail(Code::already_exists,
                    fmt::format("{} exists: name a new file for the backup", path));
    auto impl = std::make_unique<Impl>();
    impl->path = path;
    impl->temporary = path + ".incomplete";
    ::unlink(impl->temporary.c_str());
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(impl->temporary.c_str(), &impl->to, flags, "unix") != SQLITE_OK)
        return impl->failure();
    ::chmod(impl->temporary.c_str(), 0600);
    // Durability comes from the one sync at the end.
    sqlite3_exec(impl->to, "PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF", nullptr, nullptr,
                 nullptr);
    impl->copy = sqlite3_backup_init(impl->to, "main", from, "main");
    if (!impl->copy) return impl->failure();
    return std::unique_ptr<Backup>(new Backup(std::move(impl)));
}

Result<bool> Backup::step() {
    const int code = sqlite3_backup_step(impl_->copy, kPagesPerStep);
    if (code == SQLITE_OK) return false;
    if (code != SQLITE_DONE)
        return fail(code == SQLITE_FULL ? Code::exhausted : Code::io,
                    fmt::format("cannot back up to {}: {}", impl_->path, sqlite3_errstr(code)));
    TRY(impl_->finish());
    return true;
}

} // namespace cloudlet::store
