#pragma once
// Addresses as text, and the three socket calls that servers, clients and probes share.

#include <string>

#include <sys/socket.h>

#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::net {

struct SocketAddress {
    sockaddr_storage storage = {};
    socklen_t size = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    int family() const { return storage.ss_family; }
};

/// Numeric IPv4 or IPv6, or "localhost" (127.0.0.1). Error: Code::invalid.
Result<SocketAddress> tcp_address(const std::string& host, uint16_t port);
/// Error: Code::invalid when the path is longer than the 107 bytes that a socket address holds.
Result<SocketAddress> unix_address(const std::string& path);
/// "10.0.0.1" or "fd00::1"; empty for a unix socket.
std::string address_text(const sockaddr_storage& address);
uint16_t port_of(const sockaddr_storage& address);

/// A non-blocking socket whose connect began. Error: Code::unavailable when it failed at once.
Result<io::UniqueFd> begin_connect(const SocketAddress& address, const std::string& shown);
/// "10.0.0.1:80" or "[fd00::1]:80".
std::string host_and_port(const std::string& host, uint16_t port);

} // namespace cloudlet::net
