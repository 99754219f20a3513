#ifndef CLOUDLET_RUNTIME_WIRE_H
#define CLOUDLET_RUNTIME_WIRE_H
// Messages with descriptors over SOCK_SEQPACKET sockets: whole or not at all.

#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CL_WIRE_MAX_FDS 4

// 0, or -1 and errno. SIGPIPE is never raised.
int cl_send(int socket, const void* bytes, size_t size, const int* fds, int fd_count);

// The size of the message, 0 at the end, -1 and errno (EMSGSIZE when it was longer than `size`).
// Descriptors are close-on-exec; those beyond `max_fds` are closed.
ssize_t cl_receive(int socket, void* bytes, size_t size, int* fds, int max_fds, int* fd_count);

#ifdef __cplusplus
}
#endif
#endif
