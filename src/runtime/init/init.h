#ifndef CLOUDLET_RUNTIME_INIT_H
#define CLOUDLET_RUNTIME_INIT_H
// cloudlet-init: carries out a plan (launch/plan_format.h) and becomes the container's program.
// Static, without allocation, one thread. Every step either succeeds or ends the process through
// die(), which tells the launcher why.

#include <stddef.h>
#include <stdint.h>

#include "../launch/launch.h"

struct init {
    struct cl_plan plan;
    int root;    // the container's root folder, from CL_OP_ROOT on
    int proc;    // a procfs of our pid namespace that nobody else can reach; -1 until needed
    int listens; // CL_FD_START was there at birth
    int report;  // where errors go: control, or the connection that passed the barrier
    const struct cl_op_credentials* filter; // its seccomp filter is loaded right before execve
};

// main.c
_Noreturn void die(struct init* init, int exit_code, int error, const char* format, ...)
    __attribute__((format(printf, 4, 5)));
void receive_message(struct init* init, uint32_t kind);

// paths.c
#define RESOLVE_FOLLOW 0   // symbolic links are followed, inside the root
#define RESOLVE_NO_LINKS 1 // none may be met
int open_in_root(int root, const char* path, int flags, int links); // openat2; -1 and errno
// Opens (O_PATH) a path in the root, making what is missing: folders, and at the end a folder or
// file.
int make_in_root(int root, const char* path, int folder, int links);
// Opens (O_PATH) the folder that holds `path`, making it; `name` gets the last component.
int make_parent(int root, const char* path, const char** name);
int is_on(int fd, long magic); // the file system's type

// mounts.c
void do_root(struct init* init, const struct cl_op_root* op);
void do_mount(struct init* init, const struct cl_op_mount* op);
void do_read_only(struct init* init, uint32_t list);
void do_mask(struct init* init, uint32_t list);
void do_seal(struct init* init, const char* path);
void do_pivot(struct init* init, int read_only);
int attach_tree(int tree, int target);

// files.c
void do_device(struct init* init, const struct cl_op_device* op);
void do_symlink(struct init* init, const struct cl_op_link* op);
void do_sysctl(struct init* init, const struct cl_op_link* op);
void do_oom_score(struct init* init, int64_t score);

// terminal.c
void do_terminal(struct init* init, const struct cl_op_terminal* op);

// program.c
void do_cwd(struct init* init, const char* path);
void do_credentials(struct init* init, const struct cl_op_credentials* op);
_Noreturn void do_exec(struct init* init, const struct cl_op_exec* op);

#endif
