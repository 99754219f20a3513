#include "sockets.h"

#include <arpa/inet.h>
#include <cerrno>
#include <netinet/in.h>
#include <sys/un.h>

namespace cloudlet::net {

Result<SocketAddress> tcp_address(const std::string& host, uint16_t port) {
    SocketAddress address;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    const char* text = host == "localhost" ? "127.0.0.1" : host.c_str();
    if (::inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        address.size = sizeof *v4;
    } else if (::inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        address.size = sizeof *v6;
    } else {
        return fail(Code::invalid,
                    fmt::format("\"{}\" is no IP address; names are not looked up here", host));
    }
    return address;
}

Result<SocketAddress> unix_address(const std::string& path) {
    SocketAddress address;
    auto* local = reinterpret_cast<sockaddr_un*>(&address.storage);
    if (path.empty() || path.size() >= sizeof local->sun_path)
        return fail(Code::invalid, fmt::format("socket path {} must have 1 to {} bytes", path,
                                               sizeof local->sun_path - 1));
    local->sun_family = AF_UNIX;
    path.copy(local->sun_path, path.size());
    address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return address;
}

std::string address_text(const sockaddr_storage& address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address.ss_family == AF_INET)
        ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text,
                    sizeof text);
    if (address.ss_family == AF_INET6)
        ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, text,
                    sizeof text);
    return text;
}

uint16_t port_of(const sockaddr_storage& address) {
    if (address.ss_family == AF_INET)
        return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
    if (address.ss_family == AF_INET6)
        return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    return 0;
}

Result<io::UniqueFd> begin_connect(const SocketAddress& address, const std::string& shown) {
    io::UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno("make a socket");
    if (::connect(fd.get(), address.get(), address.size) == 0 || errno == EINPROGRESS) return fd;
    auto failed = fail_errno("connect to " + shown);
    failed.value().code = Code::unavailable;
    return failed;
}

std::string host_and_port(const std::string& host, uint16_t port) {
    return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                               : fmt::format("[{}]:{}", host, port);
}

} // namespace cloudlet::net
