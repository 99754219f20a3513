#ifndef CLOUDLET_RUNTIME_LAUNCH_H
#define CLOUDLET_RUNTIME_LAUNCH_H
// Starting cloudlet-init with a plan: the part that the monitor (C, musl) and cloudlet-runtime
// (C++) share. Single-threaded callers only: being born in another pid namespace changes the
// caller's pid_for_children for a moment.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan_format.h"

#ifdef __cplusplus
extern "C" {
#endif

// A plan in memory whose header, operations and offsets were checked.
struct cl_plan {
    const uint8_t* bytes;
    uint32_t size;
    const struct cl_plan_header* header;
};

// 0, or -1 when the bytes are no plan that we can carry out.
int cl_plan_check(struct cl_plan* plan, const void* bytes, size_t size);
// The string at an offset; NULL for 0.
const char* cl_plan_string(const struct cl_plan* plan, uint32_t offset);
// A list: its count, and its i-th string. An absent list is empty.
uint32_t cl_plan_count(const struct cl_plan* plan, uint32_t list);
const char* cl_plan_item(const struct cl_plan* plan, uint32_t list, uint32_t i);

struct cl_launch {
    struct cl_plan plan;
    int plan_fd; // a file with the same bytes
    int init_fd; // the init program
    int stdio[3];
    int start_fd; // listening socket for the barrier, or -1
    // Results:
    pid_t pid;
    int pidfd;
    int control;
};

// Makes the process, moves it to its cgroup and lets it go. On failure -1: no process is left and
// `error` says why. On success pidfd and control are the caller's to close and pid is to be reaped.
int cl_launch_begin(struct cl_launch* launch, struct cl_message* error);

// Receives one message; `fd` gets a descriptor that came along, or -1. Returns 1, 0 at the end of
// the stream, -1 on a failure (errno).
int cl_launch_receive(int control, struct cl_message* message, int* fd);
int cl_launch_send(int control, uint32_t kind);

// Kills and reaps a process that was begun.
void cl_launch_abort(struct cl_launch* launch);

// A sealed, executable memory file with these bytes, close-on-exec; -1 and errno.
int cl_sealed_file(const char* name, const void* bytes, size_t size);

#ifdef __cplusplus
}
#endif
#endif
