#include "cloudlet/io/file.h"

#include <thread>

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/id.h"

namespace cloudlet::io {
namespace {

std::string folder_of(const std::string& path) {
    auto slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_in_folder(const std::string& path) {
    auto slash = path.find_last_of('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

// Far more than a child needs from its fork to its exec, also on a busy machine.
constexpr Duration orphan_patience = std::chrono::seconds(1);

// `.<name>.tmp-<12 hexadecimal digits>`: no file that somebody named is mistaken for one.
constexpr std::string_view temporary_mark = ".tmp-";
constexpr size_t temporary_digits = 12;

bool is_temporary(std::string_view name) {
    if (name.size() < 2 + temporary_mark.size() + temporary_digits || name[0] != '.') return false;
    auto digits = name.substr(name.size() - temporary_digits);
    name.remove_suffix(temporary_digits);
    return name.ends_with(temporary_mark) &&
           digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<> write_durably(int fd, const std::string& path, std::string_view bytes, unsigned mode) {
    TRY(with_context(write_all(fd, bytes), "write " + path));
    if (::fchmod(fd, mode) != 0) return fail_errno("set the mode of " + path);
    if (::fsync(fd) != 0) return fail_errno("fsync " + path);
    return {};
}

} // namespace

Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode) {
    int fd;
    do {
        fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return fail_errno("open " + path);
    return UniqueFd(fd);
}

Result<std::string> read_file(const std::string& path, size_t limit) {
    auto fd = TRY(open_file(path, O_RDONLY));
    return with_context(read_all(fd.get(), limit), path);
}

Result<> write_file_atomic(const std::string& path, std::string_view bytes, unsigned mode) {
    std::string folder = folder_of(path);
    std::string temporary = fmt::format("{}/.{}{}{}", folder, name_in_folder(path), temporary_mark,
                                        new_hex_id(temporary_digits));
    auto fd = TRY(open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
    auto written = write_durably(fd.get(), path, bytes, mode);
    if (written && ::rename(temporary.c_str(), path.c_str()) != 0)
        written = fail_errno(fmt::format("rename {} to {}", temporary, path));
    if (!written) {
        ::unlink(temporary.c_str());
        return written;
    }
    return sync_directory(folder);
}

Result<> sweep_temporary_files(const std::string& folder) {
    auto names = list_directory(folder);
    if (!names && names.error().code == Code::not_found) return {};
    for (const auto& name : TRY(std::move(names)))
        if (is_temporary(name)) TRY(remove_file(folder + "/" + name));
    return {};
}

Result<> write_control_file(const std::string& path, std::string_view bytes) {
    auto fd = TRY(open_file(path, O_WRONLY));
    ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
    if (written < 0)
        return fail_errno(fmt::format("write \"{}\" to {}", bytes.substr(0, 64), path));
    if (static_cast<size_t>(written) != bytes.size())
        return fail(Code::io, fmt::format("{} took {} of {} bytes", path, written, bytes.size()));
    return {};
}

Result<> append_file(const std::string& path, std::string_view bytes, unsigned mode) {
    auto fd = TRY(open_file(path, O_WRONLY | O_CREAT | O_APPEND, mode));
    TRY(with_context(write_all(fd.get(), bytes), path));
    if (::fdatasync(fd.get()) != 0) return fail_errno("fdatasync " + path);
    return {};
}

Result<> make_directories(const std::string& path, unsigned mode) {
    for (size_t at = 1; at <= path.size(); ++at) {
        if (at != path.size() && path[at] != '/') continue;
        std::string part = path.substr(0, at);
        if (::mkdir(part.c_str(), mode) == 0) continue;
        int error = errno;
        // A file system may be read-only above a folder that exists: what counts is that it is
        // there.
        if (is_directory(part)) continue;
        if (error == EEXIST)
            return fail_errno(fmt::format("make folder {}: {} is in the way", path, part), ENOTDIR);
        return fail_errno("make folder " + part, error);
    }
    return {};
}

Result<> remove_file(const std::string& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + path);
    return {};
}

bool exists(const std::string& path) {
    struct stat facts;
    return ::lstat(path.c_str(), &facts) == 0;
}

bool is_directory(const std::string& path) {
    struct stat facts;
    return ::stat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode);
}

Result<> sync_directory(const std::string& path) {
    auto fd = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
    if (::fsync(fd.get()) != 0) return fail_errno("fsync folder " + path);
    return {};
}

Result<std::string> make_temporary_directory(const std::string& prefix) {
    std::string path = prefix + "XXXXXX";
    if (!::mkdtemp(path.data())) return fail_errno("make a folder " + path);
    return path;
}

Result<bool> lock_within(int fd, Duration patience) {
    const auto limit = system_clock().monotonic() + patience;
    for (;;) {
        if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK) return fail_errno("flock");
        if (system_clock().monotonic() >= limit) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

Result<FileLock> FileLock::acquire(const std::string& path) {
    auto fd = TRY(open_file(path, O_RDWR | O_CREAT, 0644));
    bool locked = TRY(with_context(lock_within(fd.get(), Duration::zero()), path));
    std::string holder;
    if (!locked) {
        holder = read_all(fd.get(), 64).value_or("");
        while (!holder.empty() && holder.back() == '\n') holder.pop_back();
        const int pid = atoi(holder.c_str());
        const bool gone = pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH;
        if (gone) locked = TRY(with_context(lock_within(fd.get(), orphan_patience), path));
    }
    if (!locked)
        return fail(Code::conflict,
                    fmt::format("{} is locked by process {}", path, holder.empty() ? "?" : holder));
    // The holder's name is a courtesy: a full disk must not keep anyone from the lock.
    std::string pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(fd.get(), 0) == 0 && ::lseek(fd.get(), 0, SEEK_SET) == 0)
        (void)write_all(fd.get(), pid);
    return FileLock(std::move(fd));
}

} // namespace cloudlet::io
