#include "machine.h"

#include <arpa/inet.h>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <sstream>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cloudlet/io/fd.h"
#include "cloudlet/io/file.h"
#include "cloudlet/linux/link.h"

namespace cloudlet::app {
namespace {

/// The names in /proc that are pids.
std::vector<int> pids() {
    std::vector<int> found;
    for (const auto& name : io::list_directory("/proc").value_or(std::vector<std::string>{})) {
        int pid = 0;
        auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (error == std::errc() && end == name.data() + name.size()) found.push_back(pid);
    }
    return found;
}

std::string process_name(int pid) {
    auto name = io::read_file(fmt::format("/proc/{}/comm", pid)).value_or("");
    while (!name.empty() && name.back() == '\n') name.pop_back();
    return name;
}

/// The inode of the socket that listens on a port, from /proc/net/tcp and tcp6.
std::optional<std::string> listening_inode(uint16_t port) {
    std::string wanted = fmt::format(":{:04X}", port);
    for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
        std::istringstream lines(io::read_file(table).value_or(""));
        std::string line;
        std::getline(lines, line);
        while (std::getline(lines, line)) {
            std::istringstream words(line);
            std::string slot, local, remote, state, skip, inode;
            words >> slot >> local >> remote >> state;
            for (int i = 0; i < 5; ++i) words >> skip;
            words >> inode;
            if (state == "0A" && local.ends_with(wanted)) return inode;
        }
    }
    return std::nullopt;
}

std::string holder_of_port(uint16_t port) {
    auto inode = listening_inode(port);
    if (!inode) return "another program";
    std::string wanted = "socket:[" + *inode + "]";
    for (int pid : pids()) {
        std::string folder = fmt::format("/proc/{}/fd", pid);
        for (const auto& fd : io::list_directory(folder).value_or(std::vector<std::string>{})) {
            char target[64];
            ssize_t size = readlink((folder + "/" + fd).c_str(), target, sizeof target);
            if (size > 0 && wanted == std::string_view(target, static_cast<size_t>(size)))
                return fmt::format("{} (pid {})", process_name(pid), pid);
        }
    }
    return "another program";
}

/// A field of /proc/<pid>/smaps_rollup in KiB.
uint64_t pss_of(int pid) {
    std::istringstream lines(io::read_file(fmt::format("/proc/{}/smaps_rollup", pid)).value_or(""));
    std::string line;
    while (std::getline(lines, line))
        if (line.starts_with("Pss:")) return std::strtoull(line.c_str() + 4, nullptr, 10);
    return 0;
}

} // namespace

std::string host_name() {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    std::string clean;
    for (char c : std::string_view(name)) {
        char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        clean += std::isalnum(static_cast<unsigned char>(lower)) || lower == '.' ? lower : '-';
    }
    while (!clean.empty() && !std::isalnum(static_cast<unsigned char>(clean.back())))
        clean.pop_back();
    while (!clean.empty() && !std::isalnum(static_cast<unsigned char>(clean.front())))
        clean.erase(0, 1);
    return clean.empty() ? "node" : clean;
}

std::string find_node_address(const std::string& otherwise) {
    auto socket = linux::RouteSocket::open();
    if (!socket) return otherwise;
    auto addresses = socket->addresses();
    auto routes = socket->routes();
    if (!addresses || !routes) return otherwise;
    int default_link = 0;
    for (const auto& route : *routes)
        if (route.destination.prefix == 0 && route.link_index) default_link = route.link_index;
    std::string any = otherwise;
    for (const auto& address : *addresses) {
        if (address.address.is_loopback() || address.prefix == 32)
            continue; // /32: a gateway of ours
        if (address.link_index == default_link) return address.address.to_string();
        if (any == otherwise) any = address.address.to_string();
    }
    return any;
}

Result<> require_free_port(const std::string& address, uint16_t port) {
    io::UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!probe) return fail_errno("socket");
    int on = 1;
    setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_port = htons(port);
    inet_pton(AF_INET, address.c_str(), &place.sin_addr);
    if (bind(probe.get(), reinterpret_cast<sockaddr*>(&place), sizeof place) == 0 &&
        listen(probe.get(), 1) == 0)
        return {};
    if (errno == EADDRINUSE)
        return fail(
            Code::conflict,
            fmt::format("port {} is taken by {}: stop it, or choose another port with --port", port,
                        holder_of_port(port)));
    if (errno == EADDRNOTAVAIL)
        return fail(
            Code::invalid,
            fmt::format("{} is no address of this machine: choose another with --listen", address));
    return fail_errno(fmt::format("listen on {}:{}", address, port));
}

std::vector<OwnProcess> own_processes(int daemon_pid, const std::string& run_dir,
                                      const std::string& root) {
    std::vector<OwnProcess> found;
    for (int pid : pids()) {
        std::string name = process_name(pid);
        if (!name.starts_with("cloudlet")) continue;
        auto command = io::read_file(fmt::format("/proc/{}/cmdline", pid)).value_or("");
        // A process that is just ending has no command line any more, only its name.
        bool ending = command.empty() && name.starts_with("cloudlet-monito");
        bool ours = pid == daemon_pid || ending ||
                    command.find(run_dir + "/") != std::string::npos ||
                    command.find(root + "/") != std::string::npos;
        if (ours) found.push_back({pid, name, pss_of(pid)});
    }
    return found;
}

Result<> wait_for_end(int pid, Duration deadline) {
    io::UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!process) return {}; // gone already
    pollfd ended{process.get(), POLLIN, 0};
    int milliseconds = static_cast<int>(deadline / std::chrono::milliseconds(1));
    if (poll(&ended, 1, milliseconds) == 1) return {};
    return fail(Code::timeout,
                fmt::format("process {} did not end within {} s; look at its log, or "
                            "end it with kill -9",
                            pid, milliseconds / 1000));
}

} // namespace cloudlet::app
