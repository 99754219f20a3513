#pragma once
// Files as a crash-only program needs them: complete or absent. Paths are the caller's own; a name
// that comes from outside is resolved elsewhere (openat2). All functions block and are thread-safe.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::io {

/// Opens close-on-exec; `flags` and `mode` as open(2).
Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode = 0644);

/// The whole file, also of /proc and /sys. Error: Code::too_large beyond `limit` bytes.
Result<std::string> read_file(const std::string& path, size_t limit = 64 << 20);

/// The file holds either its old or the new content, also after a power failure: a temporary file
/// in the same folder, fsync, rename, fsync of the folder. An fsync error is returned and never
/// retried: the caller must not go on as if the data were there. `mode` is exact (no umask).
Result<> write_file_atomic(const std::string& path, std::string_view bytes, unsigned mode = 0644);

/// Removes the temporary files of atomic writes that were killed half-way. For the start-up of the
/// one process that writes in this folder: a write that is under way would lose its file. An absent
/// folder is success.
Result<> sweep_temporary_files(const std::string& folder);

/// Writes to an existing file in one write(2) without replacing it: for /proc, /sys and cgroups.
Result<> write_control_file(const std::string& path, std::string_view bytes);

/// Appends and fdatasyncs; makes the file when it is absent. A torn tail is possible after a crash.
Result<> append_file(const std::string& path, std::string_view bytes, unsigned mode = 0644);

/// mkdir -p; existing folders keep their mode. Error: something on the way is no folder.
Result<> make_directories(const std::string& path, unsigned mode = 0755);

/// Removes a file, link or folder with all below; absent is success. Never follows a symbolic link
/// and never goes into another mount: that is an error (EBUSY from the mount point), and what could
/// be removed is gone.
Result<> remove_tree(const std::string& path);
/// Removes one file; absent is success.
Result<> remove_file(const std::string& path);

/// Names in a folder, sorted, without "." and "..".
Result<std::vector<std::string>> list_directory(const std::string& path);

/// True when something has this name (a dangling link too).
bool exists(const std::string& path);
bool is_directory(const std::string& path);

/// Makes names in the folder durable (fsync of the folder).
Result<> sync_directory(const std::string& path);

/// Makes an empty folder `prefix` + six random letters, mode 0700, and returns its path.
Result<std::string> make_temporary_directory(const std::string& prefix);

/// Takes the exclusive lock (flock) of an open file, waiting at most `patience` for its holder.
/// False: it is still held. Patience is for a killed holder's child: between fork and exec it
/// shares the lock, and the kernel gives it back only when the child has come to its exec.
Result<bool> lock_within(int fd, Duration patience);

/// An advisory lock (flock) on a file that names its holder; the kernel drops it when the process
/// ends, however it ends. Held until destruction.
class FileLock {
public:
    /// Makes the file if needed and writes our pid into it. Does not wait for a living holder:
    /// Code::conflict names its pid. After one that was killed it waits up to a second, until the
    /// child that was just being started has let go.
    static Result<FileLock> acquire(const std::string& path);

private:
    explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

} // namespace cloudlet::io
