// Paths that lie in the container's root are hostile: an image, or another container with the same
// volume, may put a symbolic link anywhere at any time (CVE-2021-30465). The kernel resolves them
// for us inside the root, and what is opened is used by descriptor only.

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "init.h"

int open_in_root(int root, const char* path, int flags, int links) {
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = (uint64_t)(flags | O_CLOEXEC);
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    if (links == RESOLVE_NO_LINKS) how.resolve |= RESOLVE_NO_SYMLINKS;
    int fd;
    do { // EAGAIN: something was renamed on the way while the kernel looked
        fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    } while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return fd;
}

int is_on(int fd, long magic) {
    struct statfs info;
    return fstatfs(fd, &info) == 0 && (long)info.f_type == magic;
}

static int make_folders(int root, const char* path, size_t length, int links, int depth);

// A name that exists and yet leads nowhere is a symbolic link: what it points to, inside the root,
// is made instead. `folder` is the part of the path before the name, with its slash.
static int make_behind_link(int root, int parent, const char* folder, size_t folder_length,
                            const char* name, int depth) {
    char link[4096], target[8192];
    ssize_t n = readlinkat(parent, name, link, sizeof link - 1);
    if (n < 0 || depth > 40) {
        errno = n < 0 ? errno : ELOOP;
        return -1;
    }
    link[n] = 0;
    int length = link[0] == '/'
                     ? snprintf(target, sizeof target, "%s", link)
                     : snprintf(target, sizeof target, "%.*s%s", (int)folder_length, folder, link);
    return make_folders(root, target, (size_t)length, RESOLVE_FOLLOW, depth + 1);
}

// Opens the first `length` bytes of a path as a folder, making missing folders.
static int make_folders(int root, const char* path, size_t length, int links, int depth) {
    char partial[4096];
    if (length >= sizeof partial) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(partial, path, length);
    partial[length] = 0;
    while (length > 0 && partial[length - 1] == '/') partial[--length] = 0;
    const char* whole = length == 0 ? "/" : partial;
    int fd = open_in_root(root, whole, O_PATH | O_DIRECTORY, links);
    if (fd >= 0 || errno != ENOENT || length == 0) return fd;
    size_t start = length;
    while (start > 0 && partial[start - 1] != '/') start--;
    int parent = make_folders(root, path, start, links, depth);
    if (parent < 0) return -1;
    int made = mkdirat(parent, partial + start, 0755);
    int saved = errno;
    fd = made == 0 || saved == EEXIST ? open_in_root(root, whole, O_PATH | O_DIRECTORY, links) : -1;
    if (fd < 0 && made != 0 && saved == EEXIST && errno == ENOENT && links == RESOLVE_FOLLOW) {
        fd = make_behind_link(root, parent, path, start, partial + start, depth);
        saved = errno;
    } else if (fd < 0 && (made == 0 || saved == EEXIST)) {
        saved = errno;
    }
    close(parent);
    errno = saved;
    return fd;
}

int make_parent(int root, const char* path, const char** name) {
    const char* slash = strrchr(path, '/');
    *name = slash == NULL ? path : slash + 1;
    if (**name == 0 || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0) {
        errno = EINVAL;
        return -1;
    }
    return make_folders(root, path, slash == NULL ? 0 : (size_t)(slash - path), RESOLVE_FOLLOW, 0);
}

int make_in_root(int root, const char* path, int folder, int links) {
    int fd = open_in_root(root, path, O_PATH, links);
    if (fd >= 0 || errno != ENOENT) return fd;
    if (folder) return make_folders(root, path, strlen(path), links, 0);
    const char* name;
    int parent = make_parent(root, path, &name);
    if (parent < 0) return -1;
    fd = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, 0644);
    int saved = errno;
    if (fd >= 0) close(fd);
    close(parent);
    if (fd < 0 && saved != EEXIST) {
        errno = saved;
        return -1;
    }
    return open_in_root(root, path, O_PATH, links);
}
