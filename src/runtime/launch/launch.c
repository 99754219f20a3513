#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010u
#endif

static int fail_with(struct cl_message* error, const char* format, ...) {
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    memset(error, 0, sizeof *error);
    error->kind = CL_MSG_ERROR;
    error->exit_code = 1;
    error->os_errno = saved;
    int used = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (used > 0 && (size_t)used < sizeof error->text)
        snprintf(error->text + used, sizeof error->text - (size_t)used, ": %s", strerror(saved));
    errno = saved;
    return -1;
}

int cl_sealed_file(const char* name, const void* bytes, size_t size) {
    int fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) // before Linux 6.3 every memory file was executable
        fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char*)bytes + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            close(fd);
            return -1;
        }
        done += (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

// In the child: puts each descriptor at its number. All are first copied above the targets, so that
// no dup2 closes one that is still to be placed.
static void place_descriptors(const int* sources, int count) {
    int high[8];
    for (int i = 0; i < count; i++)
        high[i] = sources[i] < 0 ? -1 : fcntl(sources[i], F_DUPFD_CLOEXEC, 32);
    for (int i = 0; i < count; i++) {
        if (high[i] >= 0)
            dup2(high[i], i);
        else
            close(i);
    }
}

static void become_init(const struct cl_launch* launch, int control, int target) {
    char* const argv[] = {"cloudlet-init", NULL};
    char* const env[] = {NULL};
    int init = fcntl(launch->init_fd, F_DUPFD_CLOEXEC, 32);
    const int sources[] = {launch->stdio[0], launch->stdio[1], launch->stdio[2], control,
                           launch->plan_fd,  target,           launch->start_fd};
    place_descriptors(sources, 7);
    syscall(SYS_execveat, init, "", argv, env, AT_EMPTY_PATH);
    struct cl_message error;
    fail_with(&error, "execute cloudlet-init");
    send(CL_FD_CONTROL, &error, sizeof error, MSG_NOSIGNAL);
    _exit(1);
}

// clone3(2) with the plan's flags, born in the pid namespace that it names.
static int clone_child(const struct cl_launch* launch, int cgroup, int pid_ns, int* pidfd) {
    struct clone_args args;
    memset(&args, 0, sizeof args);
    args.flags = launch->plan.header->clone_flags | CLONE_PIDFD;
    args.pidfd = (uint64_t)(uintptr_t)pidfd;
    args.exit_signal = SIGCHLD;
    if (cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)cgroup;
    }
    int home = -1;
    if (pid_ns >= 0) {
        home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
        if (home < 0 || setns(pid_ns, CLONE_NEWPID) != 0) {
            if (home >= 0) close(home);
            return -1;
        }
    }
    int pid = (int)syscall(SYS_clone3, &args, sizeof args);
    int saved = errno;
    if (home >= 0 && pid != 0) {
        setns(home, CLONE_NEWPID);
        close(home);
    }
    errno = saved;
    return pid;
}

static int write_pid(const char* folder, pid_t pid, struct cl_message* error) {
    char path[4096], digits[16];
    int length = snprintf(digits, sizeof digits, "%d", (int)pid);
    if (snprintf(path, sizeof path, "%s/cgroup.procs", folder) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return fail_with(error, "join cgroup %.100s", folder);
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return fail_with(error, "open %s", path);
    ssize_t n = write(fd, digits, (size_t)length);
    int saved = errno;
    close(fd);
    errno = saved;
    return n == length ? 0 : fail_with(error, "write %s to %s", digits, path);
}

struct places {
    int pair[2];
    int cgroup;
    int target; // pidfd of join_pid
    int pid_ns;
};

static void close_places(struct places* p) {
    int all[] = {p->pair[0], p->pair[1], p->cgroup, p->target,
                 p->pid_ns == p->target ? -1 : p->pid_ns};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] >= 0) close(all[i]);
}

static int open_places(const struct cl_launch* launch, struct places* p, struct cl_message* error) {
    const struct cl_plan_header* header = launch->plan.header;
    const char* v2 = cl_plan_string(&launch->plan, header->v2_folder);
    const char* pid_ns = cl_plan_string(&launch->plan, header->pid_ns_path);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p->pair) != 0)
        return fail_with(error, "make a socket pair");
    if (v2 != NULL && (p->cgroup = open(v2, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        return fail_with(error, "open cgroup %s", v2);
    if (header->join_pid > 0) {
        p->target = (int)syscall(SYS_pidfd_open, header->join_pid, 0);
        if (p->target < 0)
            return fail_with(error, "find process %d of the container", header->join_pid);
        p->pid_ns = p->target;
    }
    if ((header->flags & CL_PLAN_HOST_MOUNTS) != 0 && p->target < 0 &&
        (p->target = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)) < 0)
        return fail_with(error, "open our mount namespace");
    if (pid_ns != NULL && (p->pid_ns = open(pid_ns, O_RDONLY | O_CLOEXEC)) < 0)
        return fail_with(error, "open pid namespace %s", pid_ns);
    return 0;
}

int cl_launch_begin(struct cl_launch* launch, struct cl_message* error) {
    const struct cl_plan_header* header = launch->plan.header;
    struct places p = {{-1, -1}, -1, -1, -1};
    launch->pid = -1;
    launch->pidfd = -1;
    launch->control = -1;
    if (open_places(launch, &p, error) != 0) {
        close_places(&p);
        return -1;
    }
    pid_t pid = clone_child(launch, p.cgroup, p.pid_ns, &launch->pidfd);
    if (pid == 0) become_init(launch, p.pair[1], p.target);
    if (pid < 0) {
        fail_with(error, "make the container's process and namespaces");
        close_places(&p);
        return -1;
    }
    launch->pid = pid;
    launch->control = p.pair[0];
    p.pair[0] = -1;
    close_places(&p);
    uint32_t folders = cl_plan_count(&launch->plan, header->v1_folders);
    for (uint32_t i = 0; i < folders; i++) {
        if (write_pid(cl_plan_item(&launch->plan, header->v1_folders, i), pid, error) != 0) {
            cl_launch_abort(launch);
            return -1;
        }
    }
    if (cl_launch_send(launch->control, CL_MSG_GO) != 0) {
        fail_with(error, "start cloudlet-init");
        cl_launch_abort(launch);
        return -1;
    }
    return 0;
}

int cl_launch_send(int control, uint32_t kind) {
    struct cl_message message;
    memset(&message, 0, sizeof message);
    message.kind = kind;
    return cl_send(control, &message, sizeof message, NULL, 0);
}

int cl_launch_receive(int control, struct cl_message* message, int* fd) {
    int count = 0;
    memset(message, 0, sizeof *message);
    *fd = -1;
    ssize_t n = cl_receive(control, message, sizeof *message, fd, 1, &count);
    if (n < 0 && errno == ECONNRESET) return 0; // it ended before it read what we sent
    if (n <= 0) return (int)n;
    if (n != (ssize_t)sizeof *message) {
        if (*fd >= 0) close(*fd);
        *fd = -1;
        errno = EPROTO;
        return -1;
    }
    message->text[sizeof message->text - 1] = 0;
    return 1;
}

void cl_launch_abort(struct cl_launch* launch) {
    if (launch->pid > 0) {
        kill(launch->pid, SIGKILL);
        while (waitpid(launch->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (launch->pidfd >= 0) close(launch->pidfd);
    if (launch->control >= 0) close(launch->control);
    launch->pid = launch->pidfd = launch->control = -1;
}
