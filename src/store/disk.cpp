#include "cloudlet/store/disk.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/io/file.h"

namespace cloudlet::store {

namespace {

// The child that a killed holder was just starting keeps the lock until its exec.
constexpr Duration kPatience = std::chrono::milliseconds(200);

std::string folder_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

class SystemFile final : public DiskFile {
public:
    SystemFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
    ~SystemFile() override { ::close(fd_); }
    SystemFile(const SystemFile&) = delete;
    SystemFile& operator=(const SystemFile&) = delete;

    Result<size_t> read(uint64_t offset, char* out, size_t length) override {
        size_t done = 0;
        while (done < length) {
            const ssize_t got =
                ::pread(fd_, out + done, length - done, static_cast<off_t>(offset + done));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return fail_errno("read " + path_);
            if (got == 0) break;
            done += static_cast<size_t>(got);
        }
        return done;
    }

    Result<> write(uint64_t offset, std::string_view bytes) override {
        while (!bytes.empty()) {
            const ssize_t put =
                ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return fail_errno("write " + path_);
            bytes.remove_prefix(static_cast<size_t>(put));
            offset += static_cast<uint64_t>(put);
        }
        return {};
    }

    Result<> truncate(uint64_t size) override {
        if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return fail_errno("truncate " + path_);
        return {};
    }

    Result<> sync() override {
        if (::fdatasync(fd_) != 0) return fail_errno("fdatasync " + path_);
        return {};
    }

    Result<uint64_t> size() override {
        struct stat status {};
        if (::fstat(fd_, &status) != 0) return fail_errno("stat " + path_);
        return static_cast<uint64_t>(status.st_size);
    }

private:
    std::string path_;
    int fd_;
};

class SystemDisk final : public Disk {
public:
    Result<std::unique_ptr<DiskFile>> open(const std::string& path, bool exclusive) override {
        const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) return fail_errno("open " + path);
        auto file = std::make_unique<SystemFile>(path, fd);
        if (exclusive && !TRY(with_context(io::lock_within(fd, kPatience), path)))
            return fail(Code::conflict,
                        fmt::format("{} is in use by another process; stop that one first", path));
        return file;
    }

    Result<> remove(const std::string& path) override {
        if (::unlink(path.c_str()) != 0) return fail_errno("remove " + path);
        return {};
    }

    Result<bool> exists(const std::string& path) override {
        if (::access(path.c_str(), F_OK) == 0) return true;
        if (errno == ENOENT || errno == ENOTDIR) return false;
        return fail_errno("look for " + path);
    }

    Result<> sync_folder_of(const std::string& path) override {
        const std::string folder = folder_of(path);
        const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return fail_errno("open " + folder);
        const int failed = ::fsync(fd);
        const int error = errno;
        ::close(fd);
        if (failed) return fail_errno("sync " + folder, error);
        return {};
    }
};

} // namespace

Disk& system_disk() {
    static SystemDisk disk;
    return disk;
}

} // namespace cloudlet::store
