// The last steps: working folder, user, capabilities, seccomp, and the program itself.

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

#define LAST_CAPABILITY 63

// getcwd(2) says "(unreachable)/..." when we stand outside our root (CVE-2024-21626).
static void check_cwd(struct init* init, const char* path) {
    char now[4096];
    long n = syscall(SYS_getcwd, now, sizeof now);
    if (n < 0 && errno == ENOENT) die(init, 1, 0, "the working folder %s was removed", path);
    if (n < 0) die(init, 1, errno, "find the working folder");
    if (now[0] != '/') die(init, 1, 0, "the working folder %s lies outside the container", path);
}

void do_cwd(struct init* init, const char* path) {
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int folder = make_in_root(root, path, 1, RESOLVE_FOLLOW);
    if (folder < 0) die(init, 1, errno, "make the working folder %s", path);
    if (fchdir(folder) != 0 &&
        errno != EACCES) // its user may enter what we may not: tried again below
        die(init, 1, errno, "enter the working folder %s", path);
    check_cwd(init, path);
    close(folder);
    close(root);
}

// A pipe that belongs to root cannot be opened again as /dev/stdout by another user.
static void give_stdio(struct init* init, uint32_t uid) {
    for (int fd = 0; fd < 3 && uid != 0; fd++) {
        struct stat info;
        if (fstat(fd, &info) != 0 || !(S_ISFIFO(info.st_mode) || isatty(fd)) || info.st_uid == uid)
            continue;
        if (fchown(fd, uid, (gid_t)-1) != 0 && errno != EPERM && errno != EINVAL && errno != EROFS)
            die(init, 1, errno, "give descriptor %d to user %u", fd, uid);
    }
}

static void drop_bounding(struct init* init, uint64_t keep) {
    for (int number = 0; number <= LAST_CAPABILITY; number++) {
        int held = prctl(PR_CAPBSET_READ, number, 0, 0, 0);
        if (held < 0) return; // past the last one that this kernel knows
        if (held == 1 && (keep >> number & 1) == 0 && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0)
            die(init, 1, errno, "drop capability %d", number);
    }
}

static void set_capabilities(struct init* init, uint64_t effective, uint64_t permitted,
                             uint64_t inheritable) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
        {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)}};
    if (syscall(SYS_capset, &header, data) != 0) die(init, 1, errno, "set capabilities");
}

static uint64_t permitted_now(struct init* init) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0) die(init, 1, errno, "read capabilities");
    return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

static void load_seccomp(struct init* init, const struct cl_op_credentials* op) {
    if (op->seccomp == 0) return;
    struct sock_fprog program = {(unsigned short)op->seccomp_count, NULL};
    program.filter = (struct sock_filter*)(uintptr_t)(init->plan.bytes + op->seccomp);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, op->seccomp_flags, &program) != 0)
        die(init, 1, errno, "load the seccomp filter");
}

static void set_user(struct init* init, const struct cl_op_credentials* op) {
    const uint32_t* groups = (const uint32_t*)(const void*)(init->plan.bytes + op->groups);
    uint32_t count = op->groups == 0 ? 0 : *groups;
    // The raw calls: only this thread exists, and musl's wrappers would look for others.
    if (syscall(SYS_setgroups, (size_t)count, groups + 1) != 0)
        die(init, 1, errno, "set %u supplementary groups", count);
    if (syscall(SYS_setresgid, op->gid, op->gid, op->gid) != 0)
        die(init, 1, errno, "become group %u", op->gid);
    if (syscall(SYS_setresuid, op->uid, op->uid, op->uid) != 0)
        die(init, 1, errno, "become user %u", op->uid);
}

// Without no_new_privs the filter needs CAP_SYS_ADMIN, so it is loaded before that goes; with it,
// as the last thing, so that it need allow nothing but execve of what we do ourselves.
void do_credentials(struct init* init, const struct cl_op_credentials* op) {
    umask((mode_t)op->umask);
    give_stdio(init, op->uid);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) die(init, 1, errno, "keep capabilities");
    drop_bounding(init, op->bounding);
    set_user(init, op);
    uint64_t held = permitted_now(init);
    if (!op->no_new_privileges) {
        set_capabilities(init, held, held, held & op->inheritable);
        load_seccomp(init, op);
    }
    set_capabilities(init, op->effective & held, op->permitted & held, op->inheritable & held);
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    if (op->ambient != 0)
        for (int number = 0; number <= LAST_CAPABILITY; number++)
            if ((op->ambient >> number & 1) != 0 &&
                prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) != 0)
                die(init, 1, errno, "raise ambient capability %d", number);
    if (op->no_new_privileges) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die(init, 1, errno, "set no_new_privs");
        init->filter = op;
    }
}

// Lists in the plan are offsets; execve wants pointers.
static char** pointers(struct init* init, uint32_t list, char** out, size_t capacity) {
    uint32_t count = cl_plan_count(&init->plan, list);
    if (count >= capacity) die(init, 1, E2BIG, "exec: %u arguments or variables", count);
    for (uint32_t i = 0; i < count; i++)
        out[i] = (char*)(uintptr_t)cl_plan_item(&init->plan, list, i);
    out[count] = NULL;
    return out;
}

static _Noreturn void refuse(struct init* init, const char* name, int error) {
    if (error == ENOENT || error == ENOTDIR)
        die(init, 127, 0, "exec: \"%s\": no such file or directory", name);
    if (error == EACCES) die(init, 126, 0, "exec: \"%s\": permission denied", name);
    if (error == ENOEXEC) die(init, 126, 0, "exec: \"%s\": exec format error", name);
    die(init, 126, error, "exec: \"%s\"", name);
}

// Regular files that we may execute; a folder of that name is passed over, as execvp does.
static int is_program(const char* path) {
    struct stat info;
    if (stat(path, &info) != 0) return -1;
    if (S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS);
}

// Finds a bare name in the directories of $PATH; `found` has room for a path.
static const char* search_path(struct init* init, const char* name, const char* directories,
                               char* found, size_t size) {
    int denied = 0;
    for (const char* at = directories; at != NULL;) {
        const char* colon = strchr(at, ':');
        int length = colon != NULL ? (int)(colon - at) : (int)strlen(at);
        int used = length == 0 ? snprintf(found, size, "./%s", name)
                               : snprintf(found, size, "%.*s/%s", length, at, name);
        if (used > 0 && (size_t)used < size) {
            if (is_program(found) == 0) return found;
            if (errno == EACCES) denied = 1;
        }
        at = colon != NULL ? colon + 1 : NULL;
    }
    if (denied) refuse(init, name, EACCES);
    die(init, 127, 0, "exec: \"%s\": executable file not found in $PATH", name);
}

_Noreturn void do_exec(struct init* init, const struct cl_op_exec* op) {
    static char *argv[16384], *env[16384];
    static char found[4096];
    const char* cwd = cl_plan_string(&init->plan, op->cwd);
    pointers(init, op->arguments, argv, sizeof argv / sizeof *argv);
    pointers(init, op->environment, env, sizeof env / sizeof *env);
    if (chdir(cwd) != 0) die(init, 126, errno, "enter the working folder %s as its user", cwd);
    check_cwd(init, cwd);
    const char* program = argv[0];
    if (*program == 0) die(init, 127, 0, "exec: \"\": the name of the program is empty");
    if (strchr(program, '/') == NULL)
        program =
            search_path(init, program, cl_plan_string(&init->plan, op->path), found, sizeof found);
    else if (is_program(program) != 0)
        refuse(init, program, errno);
    if (syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) != 0)
        die(init, 1, errno, "close descriptors");
    if (init->filter != NULL) load_seccomp(init, init->filter);
    execve(program, argv, env);
    refuse(init, argv[0], errno);
}
