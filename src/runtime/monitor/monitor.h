#ifndef CLOUDLET_RUNTIME_MONITOR_H
#define CLOUDLET_RUNTIME_MONITOR_H
// cloudlet-monitor: one container's keeper. Static, one thread, no allocation: everything it ever
// holds is in struct monitor. It ignores SIGTERM, SIGINT and SIGHUP: it ends when its container has
// ended and that is on disk, or by CL_ASK_SHUTDOWN, which kills the container first.

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../launch/launch.h"
#include "protocol.h"

#define LOG_LINE 16384 // CRI: longer lines are logged in parts
#define MAX_CLIENTS 64 // connections at once; more wait in the socket's backlog

struct log_stream {
    int fd;           // the reading end; -1 once at its end
    const char* name; // "stdout"
    size_t used;
    char line[LOG_LINE];
};

struct log_file {
    int fd; // -1: output is discarded
    const char* path;
    uint64_t size;
    uint64_t max_bytes;
    unsigned max_files;
};

enum client_role { CLIENT_ASKING = 0, CLIENT_EXEC, CLIENT_WATCH, CLIENT_START };

struct client {
    int fd; // -1: free
    enum client_role role;
    pid_t pid;   // of an exec
    int control; // of an exec whose program has not been executed yet; else -1
    int ended;   // the exec'd process ended before its exec was reported
    int exit_code;
    int terminal; // to hand over with the answer; -1
};

struct monitor {
    const char* folder;
    struct cl_plan plan;
    int listener;
    int signals; // signalfd of SIGCHLD
    int init_fd;
    int stdin_end; // our end of the container's stdin; -1
    int keep_stdin;
    int terminal; // the container's terminal; -1
    struct log_file log;
    struct log_stream out, err;
    pid_t pid;   // the container's first process; its end is in `ended`
    int control; // to cloudlet-init until the program is executed; then -1
    int started; // the barrier was opened
    int ended;
    int exit_code, signal, oom_killed;
    int64_t started_ns, finished_ns;
    char error[500]; // why the program could not be executed
    struct client clients[MAX_CLIENTS];
};

// log.c
int64_t now_ns(void);
void log_open(struct log_file* log);
void log_pump(struct monitor* m, struct log_stream* stream);   // one read; closes it at its end
void log_finish(struct monitor* m, struct log_stream* stream); // what is left, without waiting

// container.c
int container_create(struct monitor* m, struct cl_message* error);
int container_start(struct monitor* m);   // opens the barrier; the end of control tells how it went
int container_control(struct monitor* m); // control is readable; 1 once the program runs or failed
void container_kill_all(const struct monitor* m);
void reap(struct monitor* m);
int write_record(const struct monitor* m);
uint32_t monitor_phase(const struct monitor* m);

// requests.c
void accept_client(struct monitor* m);
void serve_client(struct monitor* m, struct client* c);
void serve_exec(struct monitor* m, struct client* c); // control of an exec is readable
void exec_ended(struct monitor* m, pid_t pid, int exit_code);
void answer_starters(struct monitor* m);
void announce_end(struct monitor* m);
void fill_answer(const struct monitor* m, struct cl_answer* answer, uint32_t kind);

#endif
