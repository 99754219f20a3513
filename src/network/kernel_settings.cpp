#include "kernel_settings.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "cloudlet/base/log.h"
#include "cloudlet/io/fd.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/sysctl.h"

namespace cloudlet::network {

namespace {

constexpr auto forwarding = "net/ipv4/ip_forward";

// Writing ip_forward makes the kernel set these as well (inet_forward_change in
// net/ipv4/devinet.c), so they are restored after it.
Result<std::vector<std::string>> settings_that_follow() {
    std::vector<std::string> names{"net/ipv4/conf/all/accept_redirects",
                                   "net/ipv4/conf/default/forwarding"};
    for (const std::string& link : TRY(io::list_directory("/proc/sys/net/ipv4/conf")))
        if (link != "all" && link != "default")
            names.push_back("net/ipv4/conf/" + link + "/forwarding");
    return names;
}

Result<std::string> memory_path(const std::string& run_dir) {
    struct stat where {};
    if (::stat("/proc/thread-self/ns/net", &where) < 0)
        return fail_errno("look at the network namespace");
    return fmt::format("{}/sysctl-{}", run_dir, where.st_ino);
}

// Holds other instances off while values and memory change together.
Result<io::UniqueFd> lock_directory(const std::string& run_dir) {
    io::UniqueFd fd(::open(run_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return fail_errno(run_dir);
    if (::flock(fd.get(), LOCK_EX) < 0) return fail_errno("lock " + run_dir);
    return fd;
}

} // namespace

Result<> enable_forwarding(const std::string& run_dir) {
    if (TRY(linux::read_sysctl(forwarding)) == "1") return {};
    TRY(io::make_directories(run_dir));
    auto lock = TRY(lock_directory(run_dir));
    TRY(io::sweep_temporary_files(run_dir)); // the lock says that nobody writes
    std::string path = TRY(memory_path(run_dir));
    if (!io::exists(path)) {
        std::string memory =
            fmt::format("{} {}\n", forwarding, TRY(linux::read_sysctl(forwarding)));
        for (const std::string& name : TRY(settings_that_follow()))
            if (auto value = linux::read_sysctl(name))
                memory += fmt::format("{} {}\n", name, *value);
        TRY(io::write_file_atomic(path, memory));
    }
    return with_context(linux::write_sysctl(forwarding, "1"), "pods need IPv4 forwarding");
}

Result<> restore_settings(const std::string& run_dir) {
    if (!io::exists(run_dir)) return {};
    auto lock = TRY(lock_directory(run_dir));
    TRY(io::sweep_temporary_files(run_dir));
    std::string path = TRY(memory_path(run_dir));
    if (!io::exists(path)) {
        ::rmdir(run_dir.c_str()); // when all that was in it was half-made
        return {};
    }
    std::string memory = TRY(io::read_file(path));
    for (size_t at = 0; at < memory.size();) {
        size_t end = std::min(memory.find('\n', at), memory.size());
        std::string_view line = std::string_view(memory).substr(at, end - at);
        at = end + 1;
        size_t space = line.find(' ');
        if (space == std::string_view::npos) continue;
        std::string_view name = line.substr(0, space), value = line.substr(space + 1);
        auto present = linux::read_sysctl(name);
        if (!present || *present == value) continue; // the link is gone, or nothing to do
        if (auto written = linux::write_sysctl(name, value); !written)
            log_warning("network", "{}", written.error().to_string());
    }
    if (::unlink(path.c_str()) < 0) return fail_errno("remove " + path);
    ::rmdir(run_dir.c_str()); // stays when somebody else uses it
    return {};
}

} // namespace cloudlet::network
