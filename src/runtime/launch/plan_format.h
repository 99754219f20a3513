#ifndef CLOUDLET_RUNTIME_PLAN_FORMAT_H
#define CLOUDLET_RUNTIME_PLAN_FORMAT_H
// The plan: what cloudlet-init does to become a container's process, as flat bytes.
//
// A header, then operations one after the other, then strings and lists that operations name by
// their offset from the start. Offset 0 means "absent". The last byte of a plan is NUL, so that
// every offset inside it names a terminated string. Numbers are of the machine's byte order: a plan
// never leaves the machine. Both C and C++ include this file.

#include <stdint.h>

#define CL_PLAN_MAGIC 0x314c5043u // "CPL1"
#define CL_PLAN_VERSION 1u
#define CL_PLAN_MAX_SIZE (4u << 20)

// Flags of the header.
#define CL_PLAN_WAITS 1u       // has a CL_OP_BARRIER
#define CL_PLAN_TERMINAL 2u    // has a CL_OP_TERMINAL
#define CL_PLAN_HOST_MOUNTS 4u // has a CL_MOUNT_HOST_PEER

struct cl_plan_header {
    uint32_t magic;
    uint32_t version;
    uint32_t size; // of the whole plan
    uint32_t flags;
    uint64_t clone_flags; // CLONE_NEW... that clone3(2) makes at birth
    uint32_t first_op;    // offset
    uint32_t op_count;
    // For the launcher; init does not look at these.
    uint32_t v1_folders;  // list: the new pid is written to cgroup.procs in each
    uint32_t v2_folder;   // string: CLONE_INTO_CGROUP
    uint32_t oom_file;    // string
    uint32_t kill_file;   // string
    uint32_t procs_file;  // string
    uint32_t pid_ns_path; // string: the pid namespace to be born in
    int32_t join_pid;     // or the one of this process; init gets a pidfd of it
    uint32_t reserved;
};

// A list is a uint32_t count, then so many uint32_t offsets of strings, aligned to 4.

enum cl_op_kind {
    CL_OP_OOM_SCORE = 1, // number
    CL_OP_JOIN_PROCESS,  // namespaces: enter those of the process whose pidfd we were given
    CL_OP_JOIN_PATH,     // one: string, number = CLONE_NEW... flag
    CL_OP_CGROUP_NS,     // none: unshare(CLONE_NEWCGROUP), after the launcher moved us
    CL_OP_HOSTNAME,      // one: string
    CL_OP_DOMAINNAME,    // one: string
    CL_OP_ROOT,          // root
    CL_OP_MOUNT,         // mount
    CL_OP_DEVICE,        // device
    CL_OP_SYMLINK,       // link
    CL_OP_SYSCTL,        // link: name = path below /proc/sys, text = value
    CL_OP_READ_ONLY,     // one: list of paths
    CL_OP_MASK,          // one: list of paths
    CL_OP_SEAL,          // one: string: a mount point becomes read-only, mounts below it stay
    CL_OP_PIVOT,         // number: 1 = make the root read-only
    CL_OP_RLIMIT,        // rlimit
    CL_OP_CWD,           // one: string
    CL_OP_TERMINAL,      // terminal
    CL_OP_BARRIER,       // none: report ready, wait for the start
    CL_OP_CREDENTIALS,   // credentials
    CL_OP_EXEC,          // exec
};

struct cl_op {
    uint32_t kind;
    uint32_t size; // of this struct and its payload, a multiple of 8
};

struct cl_op_number {
    struct cl_op op;
    int64_t number;
};

struct cl_op_one {
    struct cl_op op;
    uint32_t ref; // string or list
    uint32_t reserved;
    uint64_t number;
};

struct cl_op_root {
    struct cl_op op;
    uint32_t path;
    uint32_t reserved;
    uint64_t old_propagation; // MS_SLAVE | MS_REC, ...: set on our copy of the host's mounts
};

// Flags of a mount.
#define CL_MOUNT_BIND 1u            // source is a path; else type is a file system
#define CL_MOUNT_RECURSIVE 2u       // of a bind
#define CL_MOUNT_PLAIN_TARGET 4u    // no symbolic link on the way to the target (proc and sysfs)
#define CL_MOUNT_ON_PROC 8u         // the target may lie in a procfs
#define CL_MOUNT_ATTR_RECURSIVE 16u // attributes are for the whole tree
#define CL_MOUNT_HOST_PEER 32u      // a bind that shares mounts with the host in both directions

struct cl_op_mount {
    struct cl_op op;
    uint32_t flags;
    uint32_t target;  // string, in the container's root
    uint32_t source;  // string
    uint32_t type;    // string
    uint32_t options; // list of "key" and "key=value" for the file system
    uint32_t reserved;
    uint64_t attr_set; // MOUNT_ATTR_...
    uint64_t attr_clear;
    uint64_t propagation; // MS_PRIVATE, MS_SLAVE, ... (0: private)
};

struct cl_op_device {
    struct cl_op op;
    uint32_t path;
    uint32_t mode; // with S_IFCHR, S_IFBLK or S_IFIFO
    uint32_t major;
    uint32_t minor;
    uint32_t uid;
    uint32_t gid;
};

struct cl_op_link {
    struct cl_op op;
    uint32_t name;
    uint32_t text;
};

struct cl_op_rlimit {
    struct cl_op op;
    uint64_t resource;
    uint64_t soft;
    uint64_t hard;
};

struct cl_op_terminal {
    struct cl_op op;
    uint32_t rows;
    uint32_t columns;
    uint32_t uid;     // owner of the terminal
    uint32_t console; // 1: bind it to /dev/console too
};

struct cl_op_credentials {
    struct cl_op op;
    uint32_t uid;
    uint32_t gid;
    uint32_t groups; // offset of uint32_t count, then so many uint32_t group numbers
    uint32_t umask;
    uint64_t bounding;
    uint64_t effective;
    uint64_t permitted;
    uint64_t inheritable;
    uint64_t ambient;
    uint32_t no_new_privileges;
    uint32_t seccomp;       // offset of struct sock_filter[], aligned to 8; 0: none
    uint32_t seccomp_count; // of instructions
    uint32_t seccomp_flags;
};

struct cl_op_exec {
    struct cl_op op;
    uint32_t arguments;   // list, not empty
    uint32_t environment; // list
    uint32_t path;        // string: the directories for a bare name
    uint32_t cwd;         // string: where we must be
};

// Descriptors that cloudlet-init is born with, beside 0, 1 and 2.
#define CL_FD_CONTROL 3 // SOCK_SEQPACKET to the launcher
#define CL_FD_PLAN 4
#define CL_FD_TARGET                                                                               \
    5 // pidfd of join_pid, or with CL_PLAN_HOST_MOUNTS the launcher's mount namespace
#define CL_FD_START 6 // a listening socket: the barrier waits for a connection instead of control

enum cl_message_kind {
    CL_MSG_GO = 1,   // launcher -> init: you are in your cgroup
    CL_MSG_START,    // launcher -> init: pass the barrier
    CL_MSG_READY,    // init -> launcher: at the barrier
    CL_MSG_TERMINAL, // init -> launcher, with the terminal's master side
    CL_MSG_ERROR,    // init -> launcher: it ends now
};

// Exec itself is reported by the end of the stream: every descriptor of init is close-on-exec.
struct cl_message {
    uint32_t kind;
    int32_t exit_code; // 127: not found; 126: cannot be executed; 1: set-up failed
    int32_t os_errno;
    char text[500];
};

#endif
