// cloudlet-init reads its plan from descriptor 4, waits until the launcher has moved it to its
// control groups, and carries the plan out.

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../launch/wire.h"
#include "init.h"

_Noreturn void die(struct init* init, int exit_code, int error, const char* format, ...) {
    struct cl_message message;
    memset(&message, 0, sizeof message);
    message.kind = CL_MSG_ERROR;
    message.exit_code = exit_code;
    message.os_errno = error;
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(message.text, sizeof message.text, format, arguments);
    va_end(arguments);
    if (error != 0 && used > 0 && (size_t)used < sizeof message.text)
        snprintf(message.text + used, sizeof message.text - (size_t)used, ": %s", strerror(error));
    cl_send(init->report, &message, sizeof message, NULL, 0);
    _exit(exit_code);
}

// The launcher is the only one at the other end. Its death before the program runs ends us too.
void receive_message(struct init* init, uint32_t kind) {
    struct cl_message message;
    int fd = -1;
    int got = cl_launch_receive(CL_FD_CONTROL, &message, &fd);
    if (fd >= 0) close(fd);
    if (got <= 0) _exit(1);
    if (message.kind != kind)
        die(init, 1, 0, "cloudlet-init got message %u instead of %u", message.kind, kind);
}

static void load_plan(struct init* init) {
    struct stat info;
    if (fstat(CL_FD_PLAN, &info) != 0) die(init, 1, errno, "read the plan");
    void* bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, CL_FD_PLAN, 0);
    if (bytes == MAP_FAILED) die(init, 1, errno, "read the plan");
    if (cl_plan_check(&init->plan, bytes, (size_t)info.st_size) != 0)
        die(init, 1, 0, "the plan is damaged or of another version of cloudlet");
    close(CL_FD_PLAN);
}

// Nothing of the launcher's may reach the program: descriptors, signal actions, the signal mask.
static void shed_inheritance(void) {
    syscall(SYS_close_range, CL_FD_START + 1u, ~0u, 0u);
    for (int fd = CL_FD_CONTROL; fd <= CL_FD_START; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < _NSIG; number++) sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    // Nobody in a namespace that we enter may look into this process before it is the program.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NAME, "cloudlet-init", 0, 0, 0);
    setsid();
    umask(022); // of the folders we make; the program gets its own
}

static void join_path(struct init* init, const struct cl_op_one* op) {
    const char* path = cl_plan_string(&init->plan, op->ref);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) die(init, 1, errno, "open namespace %s", path);
    if (setns(fd, (int)op->number) != 0) die(init, 1, errno, "join namespace %s", path);
    close(fd);
}

// `start` connects to our listening socket and then hears how the exec went on that connection.
static void wait_for_start(struct init* init) {
    struct cl_message message;
    memset(&message, 0, sizeof message);
    message.kind = CL_MSG_READY;
    if (cl_send(CL_FD_CONTROL, &message, sizeof message, NULL, 0) != 0) _exit(1);
    if (!init->listens) {
        receive_message(init, CL_MSG_START);
        return;
    }
    for (;;) {
        int caller = accept4(CL_FD_START, NULL, NULL, SOCK_CLOEXEC);
        if (caller < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (caller < 0) _exit(1);
        int fd = -1;
        int got = cl_launch_receive(caller, &message, &fd);
        if (fd >= 0) close(fd);
        if (got == 1 && message.kind == CL_MSG_START) {
            init->report = caller;
            return;
        }
        close(caller); // a caller that went away; the next one may mean it
    }
}

static void set_limit(struct init* init, const struct cl_op_rlimit* op) {
    struct rlimit limit = {op->soft, op->hard};
    if (setrlimit((int)op->resource, &limit) != 0)
        die(init, 1, errno, "set resource limit %u to %llu/%llu", (unsigned)op->resource,
            (unsigned long long)op->soft, (unsigned long long)op->hard);
}

static void set_name(struct init* init, const struct cl_op_one* op) {
    const char* name = cl_plan_string(&init->plan, op->ref);
    int host = op->op.kind == CL_OP_HOSTNAME;
    if ((host ? sethostname(name, strlen(name)) : setdomainname(name, strlen(name))) != 0)
        die(init, 1, errno, "set the %s to \"%s\"", host ? "hostname" : "domain name", name);
}

static void carry_out(struct init* init, const struct cl_op* op) {
    const struct cl_op_one* one = (const struct cl_op_one*)op;
    const struct cl_op_number* number = (const struct cl_op_number*)op;
    switch (op->kind) {
    case CL_OP_OOM_SCORE: do_oom_score(init, number->number); break;
    case CL_OP_JOIN_PROCESS:
        if (setns(CL_FD_TARGET, (int)number->number) != 0)
            die(init, 1, errno, "join the container's namespaces");
        close(CL_FD_TARGET);
        break;
    case CL_OP_JOIN_PATH: join_path(init, one); break;
    case CL_OP_CGROUP_NS:
        if (unshare(CLONE_NEWCGROUP) != 0) die(init, 1, errno, "make a cgroup namespace");
        break;
    case CL_OP_HOSTNAME:
    case CL_OP_DOMAINNAME: set_name(init, one); break;
    case CL_OP_ROOT: do_root(init, (const struct cl_op_root*)op); break;
    case CL_OP_MOUNT: do_mount(init, (const struct cl_op_mount*)op); break;
    case CL_OP_DEVICE: do_device(init, (const struct cl_op_device*)op); break;
    case CL_OP_SYMLINK: do_symlink(init, (const struct cl_op_link*)op); break;
    case CL_OP_SYSCTL: do_sysctl(init, (const struct cl_op_link*)op); break;
    case CL_OP_READ_ONLY: do_read_only(init, one->ref); break;
    case CL_OP_MASK: do_mask(init, one->ref); break;
    case CL_OP_SEAL: do_seal(init, cl_plan_string(&init->plan, one->ref)); break;
    case CL_OP_PIVOT: do_pivot(init, (int)number->number); break;
    case CL_OP_RLIMIT: set_limit(init, (const struct cl_op_rlimit*)op); break;
    case CL_OP_CWD: do_cwd(init, cl_plan_string(&init->plan, one->ref)); break;
    case CL_OP_TERMINAL: do_terminal(init, (const struct cl_op_terminal*)op); break;
    case CL_OP_BARRIER: wait_for_start(init); break;
    case CL_OP_CREDENTIALS: do_credentials(init, (const struct cl_op_credentials*)op); break;
    case CL_OP_EXEC: do_exec(init, (const struct cl_op_exec*)op);
    default: die(init, 1, 0, "the plan has an unknown step %u", op->kind);
    }
}

int main(void) {
    struct init init = {{NULL, 0, NULL}, -1,  -1, fcntl(CL_FD_START, F_GETFD) >= 0,
                        CL_FD_CONTROL,   NULL};
    shed_inheritance();
    load_plan(&init);
    receive_message(&init, CL_MSG_GO);
    uint32_t at = init.plan.header->first_op;
    for (uint32_t i = 0; i < init.plan.header->op_count; i++) {
        const struct cl_op* op = (const struct cl_op*)(const void*)(init.plan.bytes + at);
        carry_out(&init, op);
        at += op->size;
    }
    die(&init, 1, 0, "the plan has no program to execute");
}
