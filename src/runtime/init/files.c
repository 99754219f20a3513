// Small files: device nodes, links, sysctls, the OOM score.

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "init.h"

void do_device(struct init* init, const struct cl_op_device* op) {
    const char* path = cl_plan_string(&init->plan, op->path);
    const char* name;
    int parent = make_parent(init->root, path, &name);
    if (parent < 0) die(init, 1, errno, "make the folder of device %s", path);
    dev_t number = makedev(op->major, op->minor);
    struct stat info;
    mode_t old = umask(0);
    int made = mknodat(parent, name, (mode_t)op->mode, number);
    int saved = errno;
    umask(old);
    if (made != 0 && saved != EEXIST) die(init, 1, saved, "make device %s", path);
    if (made != 0) { // the image brings its own: it must be the same thing
        if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            die(init, 1, errno, "look at device %s", path);
        if ((info.st_mode & S_IFMT) != (op->mode & S_IFMT) ||
            (!S_ISFIFO(info.st_mode) && info.st_rdev != number))
            die(init, 1, 0, "device %s exists in the image and is something else", path);
    }
    if ((op->uid != 0 || op->gid != 0) &&
        fchownat(parent, name, op->uid, op->gid, AT_SYMLINK_NOFOLLOW) != 0)
        die(init, 1, errno, "change the owner of device %s", path);
    close(parent);
}

void do_symlink(struct init* init, const struct cl_op_link* op) {
    const char* path = cl_plan_string(&init->plan, op->name);
    const char* name;
    int parent = make_parent(init->root, path, &name);
    if (parent < 0) die(init, 1, errno, "make the folder of link %s", path);
    if (symlinkat(cl_plan_string(&init->plan, op->text), parent, name) != 0 && errno != EEXIST)
        die(init, 1, errno, "make link %s", path);
    close(parent);
}

// Sysctls are written through a procfs of our own that was never attached anywhere: what the image
// or a mount put at /proc cannot redirect the write (CVE-2025-52881).
static int own_proc(struct init* init) {
    if (init->proc >= 0) return init->proc;
    int context = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
    if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        die(init, 1, errno, "open a procfs for sysctls");
    init->proc = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
    if (init->proc < 0 || !is_on(init->proc, PROC_SUPER_MAGIC))
        die(init, 1, errno, "open a procfs for sysctls");
    close(context);
    return init->proc;
}

void do_sysctl(struct init* init, const struct cl_op_link* op) {
    const char* name = cl_plan_string(&init->plan, op->name);
    const char* value = cl_plan_string(&init->plan, op->text);
    char path[512];
    if (snprintf(path, sizeof path, "sys/%s", name) >= (int)sizeof path)
        die(init, 1, ENAMETOOLONG, "sysctl %s", name);
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = O_WRONLY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    int fd = (int)syscall(SYS_openat2, own_proc(init), path, &how, sizeof how);
    if (fd < 0) die(init, 1, errno, "sysctl %s", name);
    size_t length = strlen(value);
    if (write(fd, value, length) != (ssize_t)length)
        die(init, 1, errno, "set sysctl %s to \"%s\"", name, value);
    close(fd);
}

void do_oom_score(struct init* init, int64_t score) {
    char digits[16];
    int length = snprintf(digits, sizeof digits, "%d", (int)score);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, digits, (size_t)length) != length)
        die(init, 1, errno, "set oom_score_adj to %s", digits);
    close(fd);
}
