// The container's first process: making it, starting it, reaping it, recording its end.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor.h"

static int make_pipe(int ends[2], struct cl_message* error) {
    if (pipe2(ends, O_CLOEXEC) == 0) return 0;
    error->kind = CL_MSG_ERROR;
    snprintf(error->text, sizeof error->text, "make a pipe: %s", strerror(errno));
    return -1;
}

static int open_stdio(struct monitor* m, int stdio[3], struct cl_message* error) {
    int ends[2];
    if (m->keep_stdin) {
        if (make_pipe(ends, error) != 0) return -1;
        stdio[0] = ends[0];
        m->stdin_end = ends[1];
    } else {
        stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (make_pipe(ends, error) != 0) return -1;
    m->out.fd = ends[0];
    stdio[1] = ends[1];
    if (make_pipe(ends, error) != 0) return -1;
    m->err.fd = ends[0];
    stdio[2] = ends[1];
    return 0;
}

static void close_stdio(int stdio[3]) {
    for (int i = 0; i < 3; i++)
        if (stdio[i] >= 0) close(stdio[i]);
}

// A container with a terminal has no pipes: its terminal is what is logged, as stdout.
static void adopt_terminal(struct monitor* m, int fd) {
    if (m->out.fd >= 0) close(m->out.fd);
    if (m->err.fd >= 0) close(m->err.fd);
    if (m->stdin_end >= 0) close(m->stdin_end);
    m->out.fd = m->terminal = fd;
    m->err.fd = m->stdin_end = -1;
}

int container_create(struct monitor* m, struct cl_message* error) {
    int stdio[3] = {-1, -1, -1};
    struct cl_launch launch = {m->plan, CL_MONITOR_FD_PLAN, m->init_fd, {-1, -1, -1}, -1, -1, -1,
                               -1};
    if (open_stdio(m, stdio, error) != 0) return -1;
    memcpy(launch.stdio, stdio, sizeof stdio);
    int begun = cl_launch_begin(&launch, error);
    close_stdio(stdio);
    if (begun != 0) return -1;
    m->pid = launch.pid;
    close(launch.pidfd);
    launch.pidfd = -1;
    for (;;) {
        struct cl_message message;
        int fd = -1;
        int got = cl_launch_receive(launch.control, &message, &fd);
        if (got == 1 && message.kind == CL_MSG_READY) break;
        if (got == 1 && message.kind == CL_MSG_TERMINAL && fd >= 0) {
            adopt_terminal(m, fd);
            continue;
        }
        if (fd >= 0) close(fd);
        *error = message;
        if (got != 1) {
            memset(error, 0, sizeof *error);
            error->exit_code = 1;
            snprintf(error->text, sizeof error->text,
                     "the container's init ended while it was set up");
        }
        cl_launch_abort(&launch);
        m->pid = -1;
        return -1;
    }
    m->control = launch.control;
    return 0;
}

int container_start(struct monitor* m) {
    m->started = 1;
    m->started_ns = now_ns();
    return cl_launch_send(m->control, CL_MSG_START);
}

int container_control(struct monitor* m) {
    struct cl_message message;
    int fd = -1;
    int got = cl_launch_receive(m->control, &message, &fd);
    if (fd >= 0) close(fd);
    if (got == 1 && message.kind == CL_MSG_ERROR) {
        snprintf(m->error, sizeof m->error, "%s", message.text);
        m->exit_code = message.exit_code;
    }
    close(m->control);
    m->control = -1;
    return 1;
}

// Members that outlive the first process (a container that shares the host's pid namespace).
void container_kill_all(const struct monitor* m) {
    const char* kill_file = cl_plan_string(&m->plan, m->plan.header->kill_file);
    const char* procs = cl_plan_string(&m->plan, m->plan.header->procs_file);
    int fd = kill_file != NULL ? open(kill_file, O_WRONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        ssize_t n = write(fd, "1", 1);
        close(fd);
        if (n == 1) return;
    }
    for (int round = 0; procs != NULL && round < 8; round++) { // each catches what forked meanwhile
        char text[4096];
        fd = open(procs, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return;
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        if (n <= 0) return;
        text[n] = 0;
        for (char* at = text; *at != 0;) {
            char* end;
            long pid = strtol(at, &end, 10);
            if (end == at) break;
            if (pid > 1 && pid != getpid()) kill((pid_t)pid, SIGKILL);
            at = *end != 0 ? end + 1 : end;
        }
    }
}

// The group is the container's own and new, so any kill the kernel counted there is one of ours. A
// shell reports a killed child as 137.
static int was_oom_killed(const struct monitor* m, int code) {
    const char* path = cl_plan_string(&m->plan, m->plan.header->oom_file);
    char text[1024];
    if (path == NULL || code != 128 + SIGKILL) return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char* line = strstr(text, "oom_kill ");
    return line != NULL && strtol(line + 9, NULL, 10) > 0;
}

void reap(struct monitor* m) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        int code = signal != 0 ? 128 + signal : WEXITSTATUS(status);
        if (pid != m->pid || m->ended) {
            exec_ended(m, pid, code);
            continue;
        }
        m->ended = 1;
        m->finished_ns = now_ns();
        m->signal = signal;
        m->exit_code = code;
        m->oom_killed = was_oom_killed(m, code);
        container_kill_all(m);
    }
}

uint32_t monitor_phase(const struct monitor* m) {
    return m->ended ? CL_STOPPED : m->started ? CL_RUNNING : CL_CREATED;
}

// Text without the characters that JSON would want escaped.
static void plain(char* text) {
    for (; *text != 0; text++)
        if ((unsigned char)*text < 32 || *text == '"' || *text == '\\') *text = '\'';
}

// Complete or absent, and durable before anybody is told.
int write_record(const struct monitor* m) {
    char text[1200], error[500];
    snprintf(error, sizeof error, "%s", m->error);
    plain(error);
    int length =
        snprintf(text, sizeof text,
                 "{\"version\":1,\"pid\":%d,\"exitCode\":%d,\"signal\":%d,\"oomKilled\":%s,"
                 "\"startedAt\":%lld,\"finishedAt\":%lld,\"error\":\"%s\"}\n",
                 (int)m->pid, m->exit_code, m->signal, m->oom_killed ? "true" : "false",
                 (long long)m->started_ns, (long long)m->finished_ns, error);
    int fd = open("exit.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return -1;
    int ok = write(fd, text, (size_t)length) == length && fsync(fd) == 0;
    close(fd);
    if (!ok || rename("exit.new", "exit") != 0) return -1;
    fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    return ok ? 0 : -1;
}
