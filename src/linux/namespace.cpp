#include "cloudlet/linux/namespace.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <thread>

#include <fmt/format.h>

#include "cloudlet/io/file.h"

namespace cloudlet::linux {
namespace {

struct KindNames {
    NamespaceKind kind;
    uint64_t flag;
    std::string_view proc;
    std::string_view oci;
};

constexpr KindNames kKinds[] = {{NamespaceKind::mount, CLONE_NEWNS, "mnt", "mount"},
                                {NamespaceKind::pid, CLONE_NEWPID, "pid", "pid"},
                                {NamespaceKind::network, CLONE_NEWNET, "net", "network"},
                                {NamespaceKind::ipc, CLONE_NEWIPC, "ipc", "ipc"},
                                {NamespaceKind::uts, CLONE_NEWUTS, "uts", "uts"},
                                {NamespaceKind::cgroup, CLONE_NEWCGROUP, "cgroup", "cgroup"},
                                {NamespaceKind::time, CLONE_NEWTIME, "time", "time"},
                                {NamespaceKind::user, CLONE_NEWUSER, "user", "user"}};

const KindNames& names_of(NamespaceKind kind) { return kKinds[static_cast<size_t>(kind)]; }

bool on_nsfs(int fd) {
    struct statfs info {};
    return fstatfs(fd, &info) == 0 && info.f_type == NSFS_MAGIC;
}

// On a thread of its own, which ends afterwards: unshare(2) and setns(2) change one thread only.
Result<> on_fresh_thread(const std::function<Result<>()>& work) {
    Result<> result;
    std::thread([&] { result = work(); }).join();
    return result;
}

Result<> pin(const PinnedNamespace& wanted) {
    const io::UniqueFd file =
        TRY(io::open_file(wanted.pin_path, O_RDONLY | O_CREAT | O_NOFOLLOW, 0444));
    if (on_nsfs(file.get()))
        return fail(Code::already_exists,
                    fmt::format("{} already pins a namespace", wanted.pin_path));
    const std::string source = fmt::format("/proc/thread-self/ns/{}", names_of(wanted.kind).proc);
    if (mount(source.c_str(), wanted.pin_path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
        const int saved = errno;
        ::unlink(wanted.pin_path.c_str());
        return fail_errno(fmt::format("pin a namespace at {}", wanted.pin_path), saved);
    }
    return {};
}

Result<> make_and_pin(const std::vector<PinnedNamespace>& pins, const std::string& hostname) {
    uint64_t flags = 0;
    for (const PinnedNamespace& wanted : pins) flags |= clone_flag(wanted.kind);
    if (unshare(static_cast<int>(flags)) != 0) return fail_errno("make new namespaces");
    if (!hostname.empty() && sethostname(hostname.data(), hostname.size()) != 0)
        return fail_errno(fmt::format("set the hostname to \"{}\"", hostname));
    for (size_t i = 0; i < pins.size(); i++) {
        auto done = pin(pins[i]);
        if (done) continue;
        for (size_t made = 0; made < i; made++)
            static_cast<void>(remove_pinned_namespace(pins[made].pin_path));
        return done;
    }
    return {};
}

} // namespace

uint64_t clone_flag(NamespaceKind kind) { return names_of(kind).flag; }
std::string_view proc_name(NamespaceKind kind) { return names_of(kind).proc; }

Result<NamespaceKind> parse_namespace_kind(std::string_view name) {
    for (const KindNames& kind : kKinds)
        if (kind.oci == name) return kind.kind;
    return fail(Code::invalid, fmt::format("unknown namespace \"{}\"", name));
}

Result<> make_pinned_namespaces(const std::vector<PinnedNamespace>& pins,
                                const std::string& hostname) {
    bool has_uts = false;
    for (const PinnedNamespace& wanted : pins) {
        has_uts = has_uts || wanted.kind == NamespaceKind::uts;
        if (wanted.kind != NamespaceKind::network && wanted.kind != NamespaceKind::ipc &&
            wanted.kind != NamespaceKind::uts)
            return fail(Code::invalid,
                        fmt::format("a {} namespace cannot be pinned without a process",
                                    names_of(wanted.kind).oci));
    }
    if (!hostname.empty() && !has_uts)
        return fail(Code::invalid, "a hostname needs a uts namespace among the pins");
    return on_fresh_thread([&] { return make_and_pin(pins, hostname); });
}

Result<> make_pinned_namespace(NamespaceKind kind, const std::string& pin_path) {
    return make_pinned_namespaces({{kind, pin_path}});
}

Result<> remove_pinned_namespace(const std::string& pin_path) {
    // A path may have been pinned twice by a crash between two attempts: peel all.
    while (umount2(pin_path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    }
    if (errno != EINVAL && errno != ENOENT) return fail_errno(fmt::format("unmount {}", pin_path));
    return io::remove_file(pin_path);
}

bool is_namespace(const std::string& path) {
    const io::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    return fd && on_nsfs(fd.get());
}

Result<io::UniqueFd> open_namespace(const std::string& path, NamespaceKind kind) {
    io::UniqueFd fd = TRY(io::open_file(path, O_RDONLY | O_NONBLOCK));
    if (!on_nsfs(fd.get()))
        return fail(Code::invalid, fmt::format("{} is no namespace (lost at a reboot?)", path));
    const int type = ioctl(fd.get(), NS_GET_NSTYPE);
    if (type < 0) return fail_errno(fmt::format("look at namespace {}", path));
    if (static_cast<uint64_t>(type) != clone_flag(kind))
        return fail(Code::invalid, fmt::format("{} is no {} namespace", path, names_of(kind).oci));
    return fd;
}

Result<uint64_t> namespace_id(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0)
        return fail_errno(fmt::format("look at namespace {}", path));
    return static_cast<uint64_t>(info.st_ino);
}

Result<> run_in_namespaces(const std::vector<int>& namespace_fds,
                           const std::function<Result<>()>& work) {
    return on_fresh_thread([&]() -> Result<> {
        // A mount namespace can only be joined by a thread that shares its root folder with no
        // other.
        if (unshare(CLONE_FS) != 0) return fail_errno("prepare to enter a namespace");
        for (const int fd : namespace_fds)
            if (setns(fd, 0) != 0) return fail_errno("enter a namespace");
        return work();
    });
}

} // namespace cloudlet::linux
