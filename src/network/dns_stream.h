#pragma once
// DNS over TCP (RFC 7766): messages with a two-byte length, many on one connection. Lives on the
// DNS thread; the owner's epoll set carries the connections.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "cloudlet/base/clock.h"
#include "cloudlet/io/fd.h"

namespace cloudlet::network::dns {

class StreamServer {
public:
    /// Called with every message; `answer` may be called later or never, and is harmless after the
    /// connection has gone.
    using Handler =
        std::function<void(std::string_view message, std::function<void(std::string)> answer)>;

    StreamServer(int epoll, Handler handler) : epoll_(epoll), handler_(std::move(handler)) {}

    void accept_all(int listener);
    bool handle(int fd, uint32_t events);
    void handle_time(); // closes connections that say nothing
    std::optional<MonotonicTime> next_deadline() const;

private:
    struct Connection {
        io::UniqueFd fd;
        std::string incoming, outgoing;
        MonotonicTime deadline;
    };
    using Connections = std::unordered_map<int, std::shared_ptr<Connection>>;

    bool read(const std::shared_ptr<Connection>& connection);
    void answer(const std::weak_ptr<Connection>& target, const std::string& message);
    bool write(Connection& connection);

    int epoll_;
    Handler handler_;
    Connections connections_;
};

} // namespace cloudlet::network::dns
