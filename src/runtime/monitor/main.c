// cloudlet-monitor --folder DIR [--log FILE --log-bytes N --log-files N] [--stdin] [--cgroup-procs
// FILE]... Descriptors: see protocol.h. It leaves its parent at once, makes the container, and
// serves its socket until the container's end is on disk.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "../launch/wire.h"
#include "monitor.h"

static struct monitor monitor;

static void report(const struct monitor* m, uint32_t kind, const char* text) {
    struct cl_answer answer;
    fill_answer(m, &answer, kind);
    if (kind == CL_REFUSED) answer.code = CL_FAILED;
    snprintf(answer.text, sizeof answer.text, "%s", text);
    cl_send(CL_MONITOR_FD_REPORT, &answer, sizeof answer, NULL, 0);
    close(CL_MONITOR_FD_REPORT);
}

static _Noreturn void give_up(struct monitor* m, const char* what) {
    char text[256];
    snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    unlink("monitor.sock"); // first: whoever hears of the failure finds nothing left
    report(m, CL_REFUSED, text);
    _exit(1);
}

// The daemon's own cgroup may be killed with it (systemd's KillMode=control-group): we move out.
static void move_to(struct monitor* m, const char* procs_file) {
    int fd = open(procs_file, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) give_up(m, procs_file);
    close(fd);
}

static void read_arguments(struct monitor* m, int argc, char** argv) {
    for (int i = 1; i < argc; i++) {
        const char* name = argv[i];
        const char* value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--stdin") == 0) {
            m->keep_stdin = 1;
            continue;
        }
        if (strcmp(name, "--folder") == 0) m->folder = value;
        if (strcmp(name, "--log") == 0) m->log.path = value;
        if (strcmp(name, "--log-bytes") == 0) m->log.max_bytes = strtoull(value, NULL, 10);
        if (strcmp(name, "--log-files") == 0) m->log.max_files = (unsigned)strtoul(value, NULL, 10);
        if (strcmp(name, "--cgroup-procs") == 0) move_to(m, value);
        i++;
    }
}

static void load_plan(struct monitor* m) {
    struct stat info;
    if (fstat(CL_MONITOR_FD_PLAN, &info) != 0) give_up(m, "read the plan");
    void* bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, CL_MONITOR_FD_PLAN, 0);
    if (bytes == MAP_FAILED) give_up(m, "read the plan");
    errno = EINVAL;
    if (cl_plan_check(&m->plan, bytes, (size_t)info.st_size) != 0)
        give_up(m, "the plan is damaged");
}

// Relative to the folder that we stand in, because a socket's path has only 108 bytes.
static void listen_here(struct monitor* m) {
    struct sockaddr_un address = {AF_UNIX, "monitor.sock"};
    m->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    unlink(address.sun_path);
    mode_t old = umask(0177);
    int bound = bind(m->listener, (const struct sockaddr*)&address, sizeof address);
    umask(old);
    if (m->listener < 0 || bound != 0 || listen(m->listener, 128) != 0)
        give_up(m, "listen on monitor.sock");
}

static void prepare(struct monitor* m) {
    sigset_t children;
    // The daemon waits for the process it made, not for us: we are the child that goes on.
    pid_t pid = fork();
    if (pid < 0) give_up(m, "leave the daemon");
    if (pid > 0) _exit(0);
    setsid();
    prctl(PR_SET_NAME, "cloudlet-monitor", 0, 0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (int fd = CL_MONITOR_FD_PLAN; fd <= CL_MONITOR_FD_REPORT; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    for (const int* s =
             (const int[]){SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT, SIGUSR1, SIGUSR2, 0};
         *s != 0; s++)
        signal(*s, SIG_IGN);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_SETMASK, &children, NULL);
    m->signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    close(CL_MONITOR_FD_SELF);
    m->init_fd = CL_MONITOR_FD_INIT;
    if (m->signals < 0) give_up(m, "watch children");
    if (m->folder == NULL || chdir(m->folder) != 0) give_up(m, "enter the container's folder");
    umask(077);
}

static void drain_signals(const struct monitor* m) {
    struct signalfd_siginfo info;
    while (read(m->signals, &info, sizeof info) > 0) {
    }
}

// Descriptors of one round, and whom each belongs to.
struct round {
    struct pollfd polls[5 + 2 * MAX_CLIENTS];
    struct client* owners[5 + 2 * MAX_CLIENTS];
    int count;
};

static void add(struct round* r, int fd, struct client* owner) {
    if (fd < 0) return;
    r->polls[r->count] = (struct pollfd){fd, POLLIN, 0};
    r->owners[r->count++] = owner;
}

static void serve(struct monitor* m, struct round* r, int i) {
    int fd = r->polls[i].fd;
    struct client* c = r->owners[i];
    if (c != NULL && fd == c->control) {
        serve_exec(m, c);
    } else if (c != NULL && fd == c->fd) {
        serve_client(m, c);
    } else if (fd == m->signals) {
        drain_signals(m);
        reap(m);
    } else if (fd == m->listener) {
        accept_client(m);
    } else if (fd == m->out.fd) {
        log_pump(m, &m->out);
    } else if (fd == m->err.fd) {
        log_pump(m, &m->err);
    } else if (fd == m->control && container_control(m)) {
        answer_starters(m);
    }
}

static void one_round(struct monitor* m) {
    static struct round r;
    r.count = 0;
    add(&r, m->signals, NULL);
    add(&r, m->control, NULL);
    add(&r, m->out.fd, NULL);
    add(&r, m->err.fd, NULL);
    add(&r, m->listener, NULL);
    for (int i = 0; i < MAX_CLIENTS; i++) {
        add(&r, m->clients[i].control, &m->clients[i]);
        add(&r, m->clients[i].fd, &m->clients[i]);
    }
    if (poll(r.polls, (nfds_t)r.count, -1) < 0) return;
    for (int i = r.count - 1; i >= 0;
         i--) // children last: what they said before they ended comes first
        if (r.polls[i].revents != 0) serve(m, &r, i);
}

// The end: everything that is left of the output, the record on disk, then the news.
static int finish(struct monitor* m) {
    if (m->control >= 0 && container_control(m)) answer_starters(m);
    log_finish(m, &m->out);
    log_finish(m, &m->err);
    int written = write_record(m);
    unlink("monitor.sock"); // from here on the record speaks
    announce_end(m);
    return written == 0 ? 0 : 1;
}

int main(int argc, char** argv) {
    struct monitor* m = &monitor;
    struct cl_message error;
    m->out.name = "stdout";
    m->err.name = "stderr";
    m->pid = m->control = m->stdin_end = m->terminal = m->out.fd = m->err.fd = m->log.fd = -1;
    m->log.max_files = 1;
    for (int i = 0; i < MAX_CLIENTS; i++)
        m->clients[i].fd = m->clients[i].control = m->clients[i].terminal = -1;
    read_arguments(m, argc, argv);
    prepare(m);
    load_plan(m);
    log_open(&m->log);
    listen_here(m);
    if (container_create(m, &error) != 0) {
        unlink("monitor.sock");
        report(m, CL_REFUSED, error.text);
        return 1;
    }
    report(m, CL_OK, "");
    close(CL_MONITOR_FD_PLAN);
    while (!m->ended) one_round(m);
    return finish(m);
}
