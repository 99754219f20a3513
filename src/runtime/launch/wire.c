#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union control {
    char bytes[CMSG_SPACE(sizeof(int) * CL_WIRE_MAX_FDS)];
    struct cmsghdr align;
};

int cl_send(int socket, const void* bytes, size_t size, const int* fds, int fd_count) {
    struct iovec iov = {(void*)bytes, size};
    union control control;
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    if (fd_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fd_count);
        struct cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)fd_count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * (size_t)fd_count);
    }
    ssize_t n;
    do {
        n = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

// Hands out the descriptors of a received message.
static int take_descriptors(struct msghdr* message, int* fds, int max_fds) {
    int taken = 0;
    for (struct cmsghdr* h = CMSG_FIRSTHDR(message); h != NULL; h = CMSG_NXTHDR(message, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof fd);
            if (taken < max_fds)
                fds[taken++] = fd;
            else
                close(fd);
        }
    }
    return taken;
}

ssize_t cl_receive(int socket, void* bytes, size_t size, int* fds, int max_fds, int* fd_count) {
    struct iovec iov = {bytes, size};
    union control control;
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    ssize_t n;
    do {
        n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    *fd_count = 0;
    if (n < 0) return -1;
    *fd_count = take_descriptors(&message, fds, max_fds);
    if ((message.msg_flags & MSG_TRUNC) == 0) return n;
    for (int i = 0; i < *fd_count; i++) close(fds[i]);
    *fd_count = 0;
    errno = EMSGSIZE;
    return -1;
}
