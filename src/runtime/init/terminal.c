// The container's terminal comes from its own devpts, and is checked to do so; its master side goes
// to the launcher, its slave side becomes 0, 1, 2 and the controlling terminal.

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../launch/wire.h"
#include "init.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif
#define PTMX_MAJOR 5
#define PTMX_MINOR 2

static int open_master(struct init* init) {
    struct stat info;
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int master = open_in_root(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, RESOLVE_NO_LINKS);
    if (master < 0)
        die(init, 1, errno, "open /dev/pts/ptmx for a terminal (is devpts among the mounts?)");
    close(root);
    if (fstat(master, &info) != 0 || !S_ISCHR(info.st_mode) ||
        info.st_rdev != makedev(PTMX_MAJOR, PTMX_MINOR) || !is_on(master, DEVPTS_SUPER_MAGIC))
        die(init, 1, 0, "/dev/pts/ptmx in the container is no terminal of a devpts");
    return master;
}

// /dev/console is a bind of the terminal by descriptor, on a file that is made in the same folder
// that was opened (CVE-2025-52565).
static void bind_console(struct init* init, int slave) {
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int target = make_in_root(root, "/dev/console", 0, RESOLVE_NO_LINKS);
    if (target < 0) die(init, 1, errno, "make /dev/console");
    int tree =
        (int)syscall(SYS_open_tree, slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree < 0 || attach_tree(tree, target) != 0)
        die(init, 1, errno, "bind the terminal to /dev/console");
    close(tree);
    close(target);
    close(root);
}

void do_terminal(struct init* init, const struct cl_op_terminal* op) {
    int unlock = 0;
    int master = open_master(init);
    if (ioctl(master, TIOCSPTLCK, &unlock) != 0) die(init, 1, errno, "unlock the terminal");
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) die(init, 1, errno, "open the terminal");
    if (op->uid != 0 && fchown(slave, op->uid, (gid_t)-1) != 0)
        die(init, 1, errno, "give the terminal to its user");
    if (op->rows != 0 || op->columns != 0) {
        struct winsize size = {(unsigned short)op->rows, (unsigned short)op->columns, 0, 0};
        if (ioctl(master, TIOCSWINSZ, &size) != 0)
            die(init, 1, errno, "set the size of the terminal");
    }
    if (op->console) bind_console(init, slave);
    struct cl_message message;
    memset(&message, 0, sizeof message);
    message.kind = CL_MSG_TERMINAL;
    if (cl_send(CL_FD_CONTROL, &message, sizeof message, &master, 1) != 0)
        die(init, 1, errno, "hand the terminal over");
    close(master);
    for (int fd = 0; fd < 3; fd++)
        if (dup2(slave, fd) < 0) die(init, 1, errno, "put the terminal on descriptor %d", fd);
    close(slave);
    if (ioctl(0, TIOCSCTTY, 0) != 0)
        die(init, 1, errno, "take the terminal as controlling terminal");
}
