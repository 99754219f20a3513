#ifndef CLOUDLET_RUNTIME_PROTOCOL_H
#define CLOUDLET_RUNTIME_PROTOCOL_H
// What a daemon and cloudlet-monitor say to each other over monitor.sock (SOCK_SEQPACKET). One
// connection carries one request; the monitor answers once, and for an exec or a watch a second
// time when the process has ended. Fields may be appended in later versions, never moved: a monitor
// lives as long as its container, whatever daemon is installed meanwhile.

#include <stdint.h>

#define CL_MONITOR_MAGIC 0x4d4c4331u // "1CLM"
#define CL_MONITOR_VERSION 1u

enum cl_request_kind {
    CL_ASK_STATE = 1,
    CL_ASK_START,
    CL_ASK_KILL,   // a = signal
    CL_ASK_EXEC,   // descriptors: the plan, stdin, stdout, stderr
    CL_ASK_RESIZE, // a = rows, b = columns
    CL_ASK_STDIN,  // the answer carries the descriptor
    CL_ASK_WATCH,  // answered CL_OK, then CL_ENDED
    CL_ASK_REOPEN, // the log
    CL_ASK_SHUTDOWN,
};

struct cl_request {
    uint32_t magic;
    uint32_t version;
    uint32_t kind;
    int32_t a;
    int32_t b;
    uint32_t reserved;
};

enum cl_answer_kind {
    CL_OK = 1,
    CL_REFUSED, // code and text say why
    CL_ENDED,   // the exec'd process, or the container
};

// Why a request was refused: the daemon maps these to its error codes.
enum cl_refusal {
    CL_BAD_REQUEST = 1, // the plan or the request is damaged
    CL_CONFLICT,        // not in this state
    CL_NOT_FOUND,       // the program does not exist (127)
    CL_NOT_EXECUTABLE,  // (126)
    CL_FAILED,          // set-up failed
    CL_VERSION,
};

enum cl_phase { CL_CREATED = 1, CL_RUNNING, CL_STOPPED };

struct cl_answer {
    uint32_t magic;
    uint32_t version;
    uint32_t kind;
    uint32_t code; // enum cl_refusal
    int32_t pid;   // the container's, or the exec'd process's
    int32_t monitor_pid;
    uint32_t phase;
    int32_t exit_code; // of CL_ENDED: 128 + signal when a signal ended it
    int32_t signal;
    uint32_t oom_killed;
    int64_t started_ns; // since the epoch; 0: never
    int64_t finished_ns;
    char text[500];
};

// Descriptors that the monitor is born with, beside 0, 1 and 2 (/dev/null and the daemon's stderr).
#define CL_MONITOR_FD_PLAN 3
#define CL_MONITOR_FD_INIT 4
#define CL_MONITOR_FD_REPORT 5 // one cl_answer: CL_OK once the container is created, or CL_REFUSED
#define CL_MONITOR_FD_SELF 6   // its own program, which it closes

#endif
