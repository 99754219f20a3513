// Mounts by the file-descriptor API of Linux 5.2 (fsopen, open_tree, move_mount) and 5.12
// (mount_setattr): a mount is made detached, gets its attributes, and is attached to an opened
// target.

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

// From sys/mount.h, which cannot be included beside linux/mount.h.
int mount(const char*, const char*, const char*, unsigned long, const void*);
int umount2(const char*, int);
#define MNT_DETACH 2

static int open_tree(int dir, const char* path, unsigned flags) {
    return (int)syscall(SYS_open_tree, dir, path, flags | OPEN_TREE_CLOEXEC | OPEN_TREE_CLONE);
}

int attach_tree(int tree, int target) {
    return (int)syscall(SYS_move_mount, tree, "", target, "",
                        MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int set_attributes(int tree, uint64_t set, uint64_t clear, uint64_t propagation,
                          int recursive) {
    struct mount_attr attr = {set, clear, propagation, 0};
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0u);
    return (int)syscall(SYS_mount_setattr, tree, "", flags, &attr, sizeof attr);
}

void do_root(struct init* init, const struct cl_op_root* op) {
    const char* path = cl_plan_string(&init->plan, op->path);
    if (mount(NULL, "/", NULL, op->old_propagation, NULL) != 0)
        die(init, 1, errno, "change the propagation of the host's mounts");
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) die(init, 1, errno, "open the root file system %s", path);
    int tree = open_tree(folder, "", AT_EMPTY_PATH | AT_RECURSIVE);
    if (tree < 0) die(init, 1, errno, "clone the mount of %s", path);
    if (set_attributes(tree, 0, 0, MS_PRIVATE, 1) != 0)
        die(init, 1, errno, "make %s private", path);
    if (attach_tree(tree, folder) != 0) die(init, 1, errno, "mount %s on itself", path);
    close(folder);
    init->root = tree;
}

// One option: "key" or "key=value". fsconfig takes values of at most 255 bytes.
static int set_option(int context, const char* option) {
    char key[256];
    const char* equals = strchr(option, '=');
    if (equals == NULL)
        return (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, option, NULL, 0);
    size_t length = (size_t)(equals - option);
    if (length >= sizeof key) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(key, option, length);
    key[length] = 0;
    return (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, equals + 1, 0);
}

// The kernel explains a refused option on the context; appended to `text` when it does.
static void read_explanation(int context, char* text, size_t size) {
    ssize_t n = read(context, text, size - 1);
    text[n > 0 ? n : 0] = 0;
    for (char* c = text; *c != 0; c++)
        if (*c == '\n') *c = 0;
}

static int new_file_system(struct init* init, const struct cl_op_mount* op) {
    const char* type = cl_plan_string(&init->plan, op->type);
    const char* source = cl_plan_string(&init->plan, op->source);
    const char* target = cl_plan_string(&init->plan, op->target);
    char why[128];
    int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
    if (context < 0) die(init, 1, errno, "mount %s: file system \"%s\"", target, type);
    if (source != NULL) syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "source", source, 0);
    uint32_t count = cl_plan_count(&init->plan, op->options);
    for (uint32_t i = 0; i < count; i++) {
        const char* option = cl_plan_item(&init->plan, op->options, i);
        if (set_option(context, option) == 0) continue;
        int saved = errno;
        read_explanation(context, why, sizeof why);
        die(init, 1, saved, "mount %s: option \"%s\" of %s%s%s", target, option, type,
            *why ? ": " : "", why);
    }
    if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) {
        int saved = errno;
        read_explanation(context, why, sizeof why);
        die(init, 1, saved, "mount %s on %s%s%s", type, target, *why ? ": " : "", why);
    }
    int tree = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, op->attr_set);
    if (tree < 0) die(init, 1, errno, "mount %s on %s", type, target);
    close(context);
    return tree;
}

// Our copies of the host's mounts are slaves: what is mounted in the container would not show on
// the host. The source is therefore cloned in the host's own mount namespace, where it is a peer.
static int clone_as_peer(struct init* init, const char* source, unsigned flags) {
    int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (home < 0 || setns(CL_FD_TARGET, CLONE_NEWNS) != 0)
        die(init, 1, errno, "bind %s: enter the host's mount namespace", source);
    int tree = open_tree(AT_FDCWD, source, flags);
    int saved = errno;
    if (setns(home, CLONE_NEWNS) != 0)
        die(init, 1, errno, "bind %s: come back to our mount namespace", source);
    close(home);
    errno = saved;
    return tree;
}

static int bound_tree(struct init* init, const struct cl_op_mount* op, int* folder) {
    const char* source = cl_plan_string(&init->plan, op->source);
    struct stat info;
    unsigned recursive = op->flags & CL_MOUNT_RECURSIVE ? AT_RECURSIVE : 0;
    int tree = (op->flags & CL_MOUNT_HOST_PEER) != 0 ? clone_as_peer(init, source, recursive)
                                                     : open_tree(AT_FDCWD, source, recursive);
    if (tree < 0 || fstat(tree, &info) != 0) die(init, 1, errno, "bind %s", source);
    int whole = (op->flags & CL_MOUNT_ATTR_RECURSIVE) != 0;
    if ((op->attr_set != 0 || op->attr_clear != 0) &&
        set_attributes(tree, op->attr_set, op->attr_clear, 0, whole) != 0)
        die(init, 1, errno, "set the mount flags of %s", source);
    *folder = S_ISDIR(info.st_mode);
    return tree;
}

void do_mount(struct init* init, const struct cl_op_mount* op) {
    const char* path = cl_plan_string(&init->plan, op->target);
    int folder = 1;
    int tree = (op->flags & CL_MOUNT_BIND) != 0 ? bound_tree(init, op, &folder)
                                                : new_file_system(init, op);
    uint64_t propagation = op->propagation != 0 ? op->propagation : MS_PRIVATE;
    int bound = (op->flags & CL_MOUNT_BIND) != 0;
    if ((bound || op->propagation != 0) && set_attributes(tree, 0, 0, propagation, bound) != 0)
        die(init, 1, errno, "set the propagation of %s", path);
    int links = op->flags & CL_MOUNT_PLAIN_TARGET ? RESOLVE_NO_LINKS : RESOLVE_FOLLOW;
    int target = make_in_root(init->root, path, folder, links);
    if (target < 0 && errno == ELOOP && links == RESOLVE_NO_LINKS)
        die(init, 1, 0,
            "mount %s: it is a symbolic link in the image; it must be an ordinary folder", path);
    if (target < 0) die(init, 1, errno, "make the mount point %s", path);
    if ((op->flags & CL_MOUNT_ON_PROC) == 0 && is_on(target, PROC_SUPER_MAGIC))
        die(init, 1, 0, "mount %s: it leads into /proc, where nothing may be mounted", path);
    if (attach_tree(tree, target) != 0) die(init, 1, errno, "mount on %s", path);
    close(target);
    close(tree);
}

void do_read_only(struct init* init, uint32_t list) {
    uint32_t count = cl_plan_count(&init->plan, list);
    for (uint32_t i = 0; i < count; i++) {
        const char* path = cl_plan_item(&init->plan, list, i);
        int target = open_in_root(init->root, path, O_PATH, RESOLVE_FOLLOW);
        if (target < 0 && (errno == ENOENT || errno == ENOTDIR)) continue;
        if (target < 0) die(init, 1, errno, "open %s to make it read-only", path);
        int tree = open_tree(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
        if (tree < 0 || set_attributes(tree, MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, 1) != 0 ||
            attach_tree(tree, target) != 0)
            die(init, 1, errno, "make %s read-only", path);
        close(tree);
        close(target);
    }
}

// The host's /dev/null, looked at: a path in the image could be anything (CVE-2025-31133).
// Read-only, so that the container cannot change the owner or mode of the host's node; writing
// still works.
static int null_file(struct init* init) {
    struct stat info;
    int tree = open_tree(AT_FDCWD, "/dev/null", 0);
    if (tree < 0 || fstat(tree, &info) != 0) die(init, 1, errno, "open /dev/null of the host");
    if (!S_ISCHR(info.st_mode) || info.st_rdev != ((1u << 8) | 3u))
        die(init, 1, 0, "/dev/null of the host is not the character device 1:3; repair /dev");
    if (set_attributes(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0,
                       MS_PRIVATE, 0) != 0)
        die(init, 1, errno, "make /dev/null read-only");
    return tree;
}

static int empty_folder(struct init* init) {
    int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (context < 0 || set_option(context, "nr_blocks=1") != 0 ||
        set_option(context, "nr_inodes=1") != 0 ||
        syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        die(init, 1, errno, "make an empty file system for masked folders");
    int tree =
        (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
                     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (tree < 0) die(init, 1, errno, "make an empty file system for masked folders");
    close(context);
    return tree;
}

// What lies over masked paths of one kind. The first path takes the mount itself and the others get
// copies of it: before Linux 6.15 a mount can be cloned only once it is attached.
struct mask {
    int tree; // -1 until needed
    int attached;
};

static int attach_mask(struct mask* mask, int target) {
    if (!mask->attached) {
        mask->attached = 1;
        return attach_tree(mask->tree, target);
    }
    int copy = open_tree(mask->tree, "", AT_EMPTY_PATH);
    if (copy < 0) return -1;
    int result = attach_tree(copy, target), saved = errno;
    close(copy);
    errno = saved;
    return result;
}

void do_mask(struct init* init, uint32_t list) {
    uint32_t count = cl_plan_count(&init->plan, list);
    struct mask file = {-1, 0}, folder = {-1, 0};
    for (uint32_t i = 0; i < count; i++) {
        const char* path = cl_plan_item(&init->plan, list, i);
        struct stat info;
        int target = open_in_root(init->root, path, O_PATH, RESOLVE_FOLLOW);
        if (target < 0 && (errno == ENOENT || errno == ENOTDIR)) continue;
        if (target < 0 || fstat(target, &info) != 0)
            die(init, 1, errno, "open %s to mask it", path);
        struct mask* mask = S_ISDIR(info.st_mode) ? &folder : &file;
        if (mask->tree < 0) mask->tree = mask == &folder ? empty_folder(init) : null_file(init);
        if (attach_mask(mask, target) != 0) die(init, 1, errno, "mask %s", path);
        close(target);
    }
    if (file.tree >= 0) close(file.tree);
    if (folder.tree >= 0) close(folder.tree);
}

void do_seal(struct init* init, const char* path) {
    int target = open_in_root(init->root, path, O_PATH, RESOLVE_FOLLOW);
    if (target < 0 || set_attributes(target, MOUNT_ATTR_RDONLY, 0, 0, 0) != 0)
        die(init, 1, errno, "make %s read-only", path);
    close(target);
}

void do_pivot(struct init* init, int read_only) {
    if (read_only && set_attributes(init->root, MOUNT_ATTR_RDONLY, 0, 0, 0) != 0)
        die(init, 1, errno, "make the root file system read-only");
    int old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old_root < 0) die(init, 1, errno, "open the host's root");
    if (fchdir(init->root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0)
        die(init, 1, errno, "pivot_root");
    // The old root lies over the new one now: detach it without telling the host's mounts.
    if (fchdir(old_root) != 0 || mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) != 0 ||
        umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
        die(init, 1, errno, "leave the host's root");
    close(old_root);
}
