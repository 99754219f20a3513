#include <string.h>

#include "launch.h"

// The size an operation must have at least, by kind.
static uint32_t least_size(uint32_t kind) {
    switch (kind) {
    case CL_OP_OOM_SCORE:
    case CL_OP_JOIN_PROCESS:
    case CL_OP_PIVOT: return sizeof(struct cl_op_number);
    case CL_OP_CGROUP_NS:
    case CL_OP_BARRIER: return sizeof(struct cl_op);
    case CL_OP_JOIN_PATH:
    case CL_OP_HOSTNAME:
    case CL_OP_DOMAINNAME:
    case CL_OP_READ_ONLY:
    case CL_OP_MASK:
    case CL_OP_SEAL:
    case CL_OP_CWD: return sizeof(struct cl_op_one);
    case CL_OP_ROOT: return sizeof(struct cl_op_root);
    case CL_OP_MOUNT: return sizeof(struct cl_op_mount);
    case CL_OP_DEVICE: return sizeof(struct cl_op_device);
    case CL_OP_SYMLINK:
    case CL_OP_SYSCTL: return sizeof(struct cl_op_link);
    case CL_OP_RLIMIT: return sizeof(struct cl_op_rlimit);
    case CL_OP_TERMINAL: return sizeof(struct cl_op_terminal);
    case CL_OP_CREDENTIALS: return sizeof(struct cl_op_credentials);
    case CL_OP_EXEC: return sizeof(struct cl_op_exec);
    default: return UINT32_MAX;
    }
}

static int string_ok(const struct cl_plan* plan, uint32_t offset) { return offset < plan->size; }

static int needed_ok(const struct cl_plan* plan, uint32_t offset) {
    return offset != 0 && string_ok(plan, offset);
}

// A uint32_t count, then so many uint32_t.
static int array_ok(const struct cl_plan* plan, uint32_t offset) {
    if (offset == 0) return 1;
    if (offset % 4 != 0 || offset > plan->size - 4) return 0;
    uint32_t count;
    memcpy(&count, plan->bytes + offset, 4);
    return count <= (plan->size - offset - 4) / 4;
}

static int list_ok(const struct cl_plan* plan, uint32_t offset) {
    if (!array_ok(plan, offset)) return 0;
    uint32_t count = cl_plan_count(plan, offset);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t item;
        memcpy(&item, plan->bytes + offset + 4 + 4 * i, 4);
        if (item == 0 || !string_ok(plan, item)) return 0;
    }
    return 1;
}

static int filter_ok(const struct cl_plan* plan, const struct cl_op_credentials* op) {
    if (op->seccomp == 0) return op->seccomp_count == 0;
    return op->seccomp % 8 == 0 && op->seccomp < plan->size && op->seccomp_count > 0 &&
           op->seccomp_count <= (plan->size - op->seccomp) / 8;
}

static int references_ok(const struct cl_plan* plan, const struct cl_op* op) {
    switch (op->kind) {
    case CL_OP_JOIN_PATH:
    case CL_OP_HOSTNAME:
    case CL_OP_DOMAINNAME:
    case CL_OP_SEAL:
    case CL_OP_CWD: return needed_ok(plan, ((const struct cl_op_one*)op)->ref);
    case CL_OP_READ_ONLY:
    case CL_OP_MASK: return list_ok(plan, ((const struct cl_op_one*)op)->ref);
    case CL_OP_ROOT: return needed_ok(plan, ((const struct cl_op_root*)op)->path);
    case CL_OP_MOUNT: {
        const struct cl_op_mount* m = (const struct cl_op_mount*)op;
        int named = (m->flags & CL_MOUNT_BIND) != 0 ? m->source != 0 : m->type != 0;
        return named && needed_ok(plan, m->target) && string_ok(plan, m->source) &&
               string_ok(plan, m->type) && list_ok(plan, m->options);
    }
    case CL_OP_DEVICE: return needed_ok(plan, ((const struct cl_op_device*)op)->path);
    case CL_OP_SYMLINK:
    case CL_OP_SYSCTL: {
        const struct cl_op_link* l = (const struct cl_op_link*)op;
        return needed_ok(plan, l->name) && needed_ok(plan, l->text);
    }
    case CL_OP_CREDENTIALS: {
        const struct cl_op_credentials* c = (const struct cl_op_credentials*)op;
        return array_ok(plan, c->groups) && filter_ok(plan, c);
    }
    case CL_OP_EXEC: {
        const struct cl_op_exec* e = (const struct cl_op_exec*)op;
        return list_ok(plan, e->arguments) && cl_plan_count(plan, e->arguments) > 0 &&
               list_ok(plan, e->environment) && needed_ok(plan, e->path) && needed_ok(plan, e->cwd);
    }
    default: return 1;
    }
}

static int operations_ok(const struct cl_plan* plan) {
    const struct cl_plan_header* header = plan->header;
    uint32_t at = header->first_op;
    if (at % 8 != 0 || at < sizeof *header) return 0;
    for (uint32_t i = 0; i < header->op_count; i++) {
        if (at > plan->size || plan->size - at < sizeof(struct cl_op)) return 0;
        const struct cl_op* op = (const struct cl_op*)(plan->bytes + at);
        if (op->size % 8 != 0 || op->size > plan->size - at || op->size < least_size(op->kind))
            return 0;
        if (!references_ok(plan, op)) return 0;
        at += op->size;
    }
    return 1;
}

int cl_plan_check(struct cl_plan* plan, const void* bytes, size_t size) {
    const struct cl_plan_header* header = bytes;
    if (size < sizeof *header || size > CL_PLAN_MAX_SIZE || (uintptr_t)bytes % 8 != 0) return -1;
    if (header->magic != CL_PLAN_MAGIC || header->version != CL_PLAN_VERSION) return -1;
    if (header->size != size || ((const uint8_t*)bytes)[size - 1] != 0) return -1;
    plan->bytes = bytes;
    plan->size = (uint32_t)size;
    plan->header = header;
    const uint32_t strings[] = {header->v2_folder, header->oom_file, header->kill_file,
                                header->procs_file, header->pid_ns_path};
    for (unsigned i = 0; i < sizeof strings / sizeof *strings; i++)
        if (!string_ok(plan, strings[i])) return -1;
    return list_ok(plan, header->v1_folders) && operations_ok(plan) ? 0 : -1;
}

const char* cl_plan_string(const struct cl_plan* plan, uint32_t offset) {
    return offset == 0 ? NULL : (const char*)plan->bytes + offset;
}

uint32_t cl_plan_count(const struct cl_plan* plan, uint32_t list) {
    if (list == 0) return 0;
    uint32_t count;
    memcpy(&count, plan->bytes + list, 4);
    return count;
}

const char* cl_plan_item(const struct cl_plan* plan, uint32_t list, uint32_t i) {
    uint32_t offset;
    memcpy(&offset, plan->bytes + list + 4 + 4 * i, 4);
    return cl_plan_string(plan, offset);
}
