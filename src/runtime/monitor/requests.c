// What daemons ask. A client is one connection with one request; exec, watch and start are answered
// when their event comes.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../launch/wire.h"
#include "monitor.h"

void fill_answer(const struct monitor* m, struct cl_answer* answer, uint32_t kind) {
    memset(answer, 0, sizeof *answer);
    answer->magic = CL_MONITOR_MAGIC;
    answer->version = CL_MONITOR_VERSION;
    answer->kind = kind;
    answer->pid = m->pid;
    answer->monitor_pid = getpid();
    answer->phase = monitor_phase(m);
    answer->exit_code = m->exit_code;
    answer->signal = m->signal;
    answer->oom_killed = (uint32_t)m->oom_killed;
    answer->started_ns = m->started_ns;
    answer->finished_ns = m->finished_ns;
}

static void drop(struct client* c) {
    if (c->fd >= 0) close(c->fd);
    if (c->control >= 0) close(c->control);
    if (c->terminal >= 0) close(c->terminal);
    c->fd = c->control = c->terminal = -1;
    c->role = CLIENT_ASKING;
    c->pid = 0;
}

static void answer_ok(struct monitor* m, struct client* c) {
    struct cl_answer answer;
    fill_answer(m, &answer, CL_OK);
    cl_send(c->fd, &answer, sizeof answer, NULL, 0);
    drop(c);
}

static void refuse(struct monitor* m, struct client* c, uint32_t code, const char* text) {
    struct cl_answer answer;
    fill_answer(m, &answer, CL_REFUSED);
    answer.code = code;
    snprintf(answer.text, sizeof answer.text, "%s", text);
    cl_send(c->fd, &answer, sizeof answer, NULL, 0);
    drop(c);
}

void accept_client(struct monitor* m) {
    for (int i = 0; i < MAX_CLIENTS; i++) {
        struct client* c = &m->clients[i];
        if (c->fd >= 0 || c->pid > 0) continue;
        c->fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        c->role = CLIENT_ASKING;
        c->control = c->terminal = -1;
        c->ended = c->pid = 0;
        return;
    }
}

static uint32_t refusal_of(int exit_code) {
    return exit_code == 127 ? CL_NOT_FOUND : exit_code == 126 ? CL_NOT_EXECUTABLE : CL_FAILED;
}

static void ask_start(struct monitor* m, struct client* c) {
    if (m->started || m->ended) {
        refuse(m, c, CL_CONFLICT, "the container was started before");
        return;
    }
    c->role = CLIENT_START;
    if (container_start(m) != 0) refuse(m, c, CL_FAILED, "the container's init is gone");
}

// Everybody who asked for the start hears how the exec went.
void answer_starters(struct monitor* m) {
    for (int i = 0; i < MAX_CLIENTS; i++) {
        struct client* c = &m->clients[i];
        if (c->fd < 0 || c->role != CLIENT_START) continue;
        if (m->error[0] != 0)
            refuse(m, c, refusal_of(m->exit_code), m->error);
        else
            answer_ok(m, c);
    }
}

static void ask_resize(struct monitor* m, struct client* c, const struct cl_request* request) {
    struct winsize size = {(unsigned short)request->a, (unsigned short)request->b, 0, 0};
    if (m->terminal < 0 || ioctl(m->terminal, TIOCSWINSZ, &size) != 0)
        refuse(m, c, CL_CONFLICT, "the container has no terminal");
    else
        answer_ok(m, c);
}

static void ask_stdin(struct monitor* m, struct client* c) {
    struct cl_answer answer;
    int fd = m->terminal >= 0 ? m->terminal : m->stdin_end;
    if (fd < 0) {
        refuse(m, c, CL_CONFLICT, "the container's stdin is not open, or was taken");
        return;
    }
    fill_answer(m, &answer, CL_OK);
    cl_send(c->fd, &answer, sizeof answer, &fd, 1);
    if (m->terminal < 0) { // ours must go, or the reader never sees the end
        close(m->stdin_end);
        m->stdin_end = -1;
    }
    drop(c);
}

static void ask_watch(struct monitor* m, struct client* c) {
    struct cl_answer answer;
    fill_answer(m, &answer, CL_OK);
    c->role = CLIENT_WATCH;
    if (cl_send(c->fd, &answer, sizeof answer, NULL, 0) != 0) drop(c);
}

// The plan lives in a file that came along; it is mapped only while the process is made.
static int begin_exec(struct monitor* m, struct client* c, const int fds[4],
                      struct cl_message* error) {
    struct stat info;
    struct cl_launch launch = {
        {NULL, 0, NULL}, fds[0], m->init_fd, {fds[1], fds[2], fds[3]}, -1, -1, -1, -1};
    memset(error, 0, sizeof *error);
    snprintf(error->text, sizeof error->text, "the exec plan is damaged");
    if (fstat(fds[0], &info) != 0 || info.st_size <= 0 || info.st_size > CL_PLAN_MAX_SIZE)
        return -1;
    void* bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fds[0], 0);
    if (bytes == MAP_FAILED) return -1;
    int begun = cl_plan_check(&launch.plan, bytes, (size_t)info.st_size);
    if (begun == 0) begun = cl_launch_begin(&launch, error);
    munmap(bytes, (size_t)info.st_size);
    if (begun != 0) return -1;
    close(launch.pidfd);
    c->role = CLIENT_EXEC;
    c->pid = launch.pid;
    c->control = launch.control;
    return 0;
}

static void ask_exec(struct monitor* m, struct client* c, const int* fds, int count) {
    struct cl_message error;
    if (m->ended || !m->started || m->control >= 0)
        refuse(m, c, CL_CONFLICT, "the container is not running");
    else if (count != 4)
        refuse(m, c, CL_BAD_REQUEST, "an exec needs a plan and three descriptors");
    else if (begin_exec(m, c, fds, &error) != 0)
        refuse(m, c, CL_FAILED, error.text);
}

static void end_exec(struct monitor* m, struct client* c, int exit_code) {
    struct cl_answer answer;
    fill_answer(m, &answer, CL_ENDED);
    answer.pid = c->pid;
    answer.exit_code = exit_code;
    if (c->fd >= 0) cl_send(c->fd, &answer, sizeof answer, NULL, 0);
    drop(c);
}

void serve_exec(struct monitor* m, struct client* c) {
    struct cl_message message;
    struct cl_answer answer;
    int fd = -1;
    int got = cl_launch_receive(c->control, &message, &fd);
    if (got == 1 && message.kind == CL_MSG_TERMINAL && fd >= 0) {
        if (c->terminal >= 0) close(c->terminal);
        c->terminal = fd;
        return;
    }
    if (fd >= 0) close(fd);
    close(c->control);
    c->control = -1;
    if (got == 1 && message.kind == CL_MSG_ERROR) {
        refuse(m, c, refusal_of(message.exit_code), message.text);
        return;
    }
    fill_answer(m, &answer, CL_OK);
    answer.pid = c->pid;
    if (c->fd >= 0) cl_send(c->fd, &answer, sizeof answer, &c->terminal, c->terminal >= 0 ? 1 : 0);
    if (c->terminal >= 0) close(c->terminal);
    c->terminal = -1;
    if (c->ended) end_exec(m, c, c->exit_code);
}

void exec_ended(struct monitor* m, pid_t pid, int exit_code) {
    for (int i = 0; i < MAX_CLIENTS; i++) {
        struct client* c = &m->clients[i];
        if (c->pid != pid) continue;
        if (c->control < 0) {
            end_exec(m, c, exit_code);
        } else { // what happened to the exec is still to be read
            c->ended = 1;
            c->exit_code = exit_code;
        }
        return;
    }
}

void announce_end(struct monitor* m) {
    struct cl_answer answer;
    fill_answer(m, &answer, CL_ENDED);
    snprintf(answer.text, sizeof answer.text, "%s", m->error);
    for (int i = 0; i < MAX_CLIENTS; i++) {
        struct client* c = &m->clients[i];
        if (c->fd < 0) continue;
        if (c->role == CLIENT_WATCH) {
            cl_send(c->fd, &answer, sizeof answer, NULL, 0);
            drop(c);
        } else if (c->role == CLIENT_ASKING) {
            serve_client(m, c);
        }
    }
}

static void serve_request(struct monitor* m, struct client* c, const struct cl_request* request,
                          const int* fds, int count) {
    switch (request->kind) {
    case CL_ASK_STATE: answer_ok(m, c); break;
    case CL_ASK_START: ask_start(m, c); break;
    case CL_ASK_KILL:
        if (m->ended || kill(m->pid, request->a) != 0)
            refuse(m, c, CL_CONFLICT, m->ended ? "the container has ended" : strerror(errno));
        else
            answer_ok(m, c);
        break;
    case CL_ASK_EXEC: ask_exec(m, c, fds, count); break;
    case CL_ASK_RESIZE: ask_resize(m, c, request); break;
    case CL_ASK_STDIN: ask_stdin(m, c); break;
    case CL_ASK_WATCH: ask_watch(m, c); break;
    case CL_ASK_REOPEN:
        log_open(&m->log);
        answer_ok(m, c);
        break;
    case CL_ASK_SHUTDOWN:
        if (!m->ended) kill(m->pid, SIGKILL);
        answer_ok(m, c);
        break;
    default: refuse(m, c, CL_BAD_REQUEST, "this monitor does not know the request");
    }
}

void serve_client(struct monitor* m, struct client* c) {
    struct cl_request request;
    int fds[CL_WIRE_MAX_FDS], count = 0;
    memset(&request, 0, sizeof request);
    // A second message, or the end: the client went away. An exec goes on without its audience.
    if (c->role != CLIENT_ASKING) {
        close(c->fd);
        c->fd = -1;
        if (c->role != CLIENT_EXEC) drop(c);
        return;
    }
    ssize_t n = cl_receive(c->fd, &request, sizeof request, fds, CL_WIRE_MAX_FDS, &count);
    if (n <= 0)
        drop(c);
    else if ((size_t)n < sizeof request || request.magic != CL_MONITOR_MAGIC)
        refuse(m, c, CL_BAD_REQUEST, "not a request to a monitor");
    else
        serve_request(m, c, &request, fds, count);
    for (int i = 0; i < count; i++) close(fds[i]);
}
