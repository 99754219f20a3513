#include "dns_stream.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace cloudlet::network::dns {

namespace {

constexpr size_t connection_limit = 200;
constexpr size_t outgoing_limit = 1 << 20; // a client that asks and does not read is closed
constexpr auto idle_time = std::chrono::seconds(10);

size_t length_prefix(const std::string& bytes) {
    return static_cast<size_t>(static_cast<uint8_t>(bytes[0]) << 8 |
                               static_cast<uint8_t>(bytes[1]));
}

} // namespace

void StreamServer::accept_all(int listener) {
    for (;;) {
        io::UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) return;
        if (connections_.size() >= connection_limit) continue;
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd.get();
        if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd.get(), &event) < 0) continue;
        auto connection = std::make_shared<Connection>();
        connection->fd = std::move(fd);
        connection->deadline = system_clock().monotonic() + idle_time;
        connections_[connection->fd.get()] = connection;
    }
}

bool StreamServer::handle(int fd, uint32_t events) {
    auto found = connections_.find(fd);
    if (found == connections_.end()) return false;
    auto connection = found->second;
    bool alive = !(events & EPOLLERR);
    if (alive && (events & EPOLLOUT)) alive = write(*connection);
    if (alive && (events & (EPOLLIN | EPOLLHUP))) alive = read(connection);
    if (!alive) connections_.erase(fd);
    return true;
}

// False: the connection is over.
bool StreamServer::read(const std::shared_ptr<Connection>& connection) {
    char buffer[16384];
    ssize_t count = ::recv(connection->fd.get(), buffer, sizeof buffer, 0);
    if (count <= 0) return count < 0 && (errno == EAGAIN || errno == EINTR);
    connection->deadline = system_clock().monotonic() + idle_time;
    connection->incoming.append(buffer, static_cast<size_t>(count));
    size_t at = 0;
    std::string& incoming = connection->incoming;
    while (incoming.size() - at >= 2) {
        size_t length = length_prefix(incoming.substr(at, 2));
        if (incoming.size() - at < 2 + length) break;
        std::string message = incoming.substr(at + 2, length);
        at += 2 + length;
        std::weak_ptr<Connection> target = connection;
        handler_(message, [this, target](std::string reply) { answer(target, reply); });
    }
    incoming.erase(0, at);
    return write(*connection);
}

void StreamServer::answer(const std::weak_ptr<Connection>& target, const std::string& message) {
    auto connection = target.lock();
    if (!connection) return;
    connection->outgoing += static_cast<char>(message.size() >> 8);
    connection->outgoing += static_cast<char>(message.size());
    connection->outgoing += message;
    if (!write(*connection)) connections_.erase(connection->fd.get());
}

bool StreamServer::write(Connection& connection) {
    std::string& outgoing = connection.outgoing;
    while (!outgoing.empty()) {
        ssize_t sent = ::send(connection.fd.get(), outgoing.data(), outgoing.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) return false;
        if (sent < 0) break;
        outgoing.erase(0, static_cast<size_t>(sent));
    }
    if (outgoing.size() > outgoing_limit) return false;
    epoll_event event{};
    event.events = outgoing.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT;
    event.data.fd = connection.fd.get();
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd.get(), &event);
    return true;
}

void StreamServer::handle_time() {
    MonotonicTime now = system_clock().monotonic();
    std::erase_if(connections_, [now](const auto& entry) { return entry.second->deadline <= now; });
}

std::optional<MonotonicTime> StreamServer::next_deadline() const {
    std::optional<MonotonicTime> next;
    for (const auto& [fd, connection] : connections_)
        if (!next || connection->deadline < *next) next = connection->deadline;
    return next;
}

} // namespace cloudlet::network::dns
