#pragma once
// A node and pods for tests, in private network namespaces: nothing is seen or left on the machine.

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "cloudlet/io/fd.h"
#include "cloudlet/io/file.h"
#include "cloudlet/io/process.h"
#include "cloudlet/linux/link.h"
#include "cloudlet/linux/netlink.h"
#include "cloudlet/network/pod_network.h"
#include "cloudlet/network/service_proxy.h"

namespace cloudlet::network::testing {

inline Ipv4 ip(const char* text) { return *linux::parse_ipv4(text); }
inline Ipv4Block block(const char* text) { return *linux::parse_ipv4_block(text); }

/// The calling thread is inside a new network namespace, the node, while this lives.
class World {
public:
    World() : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
        node_ = linux::create_netns().value();
        EXPECT_EQ(::setns(node_.get(), CLONE_NEWNET), 0);
        EXPECT_TRUE(linux::RouteSocket::open()->set_up(1));
        run_dir_ = io::make_temporary_directory("/tmp/cloudlet-network-test-").value();
    }
    ~World() {
        EXPECT_EQ(::setns(before_.get(), CLONE_NEWNET), 0);
        EXPECT_TRUE(io::remove_tree(run_dir_));
    }
    NetworkOptions options(const std::string& id = "test1") const {
        NetworkOptions result;
        result.instance_id = id;
        result.dns_service = ip("10.96.0.10");
        result.run_dir = run_dir_ + "/run";
        return result;
    }
    int netns() const { return node_.get(); }

private:
    io::UniqueFd before_, node_;
    std::string run_dir_;
};

/// A network namespace without anything in it.
class Netns {
public:
    Netns() : fd_(linux::create_netns().value()) {}
    int fd() const { return fd_.get(); }
    std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

private:
    io::UniqueFd fd_;
};

inline io::UniqueFd socket_in(int netns, int type) {
    io::UniqueFd made;
    EXPECT_TRUE(linux::run_in_netns(netns, [&]() -> Result<> {
        made = io::UniqueFd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
        return {};
    }));
    return made;
}

inline sockaddr_in socket_address(Ipv4 address, uint16_t port) {
    sockaddr_in result{};
    result.sin_family = AF_INET;
    result.sin_addr.s_addr = htonl(address.value);
    result.sin_port = htons(port);
    return result;
}

inline bool bind_to(int fd, Ipv4 address, uint16_t port) {
    int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in where = socket_address(address, port);
    return ::bind(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0;
}

/// Answers every TCP connection and every datagram on a port with "<name> <address of the asker>".
class Server {
public:
    Server(int netns, std::string name, uint16_t port)
        : name_(std::move(name)), tcp_(socket_in(netns, SOCK_STREAM)),
          udp_(socket_in(netns, SOCK_DGRAM)) {
        EXPECT_TRUE(bind_to(tcp_.get(), Ipv4{}, port) && ::listen(tcp_.get(), 128) == 0);
        EXPECT_TRUE(bind_to(udp_.get(), Ipv4{}, port));
        stop_ = io::make_pipe().value();
        thread_ = std::thread([this] { serve(); });
    }
    ~Server() {
        stop_.write_end.reset();
        thread_.join();
    }

private:
    std::string answer(const sockaddr_in& peer) const {
        return name_ + " " + Ipv4{ntohl(peer.sin_addr.s_addr)}.to_string();
    }
    void serve() {
        pollfd events[] = {
            {stop_.read_end.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}};
        while (::poll(events, 3, -1) >= 0 && !(events[0].revents & (POLLIN | POLLHUP))) {
            sockaddr_in peer{};
            socklen_t size = sizeof peer;
            if (events[1].revents & POLLIN) {
                io::UniqueFd client(
                    ::accept4(tcp_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
                (void)io::write_all(client.get(), answer(peer));
            }
            char byte;
            if ((events[2].revents & POLLIN) &&
                ::recvfrom(udp_.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&peer), &size) >=
                    0) {
                std::string text = answer(peer);
                ::sendto(udp_.get(), text.data(), text.size(), 0,
                         reinterpret_cast<sockaddr*>(&peer), size);
            }
        }
    }
    std::string name_;
    io::UniqueFd tcp_, udp_;
    io::Pipe stop_;
    std::thread thread_;
};

/// What a server says over TCP, or "error: <why>".
inline std::string ask(int netns, Ipv4 address, uint16_t port) {
    io::UniqueFd fd = socket_in(netns, SOCK_STREAM);
    timeval patience{3, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in where = socket_address(address, port);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) < 0)
        return std::string("error: ") + std::strerror(errno);
    auto text = io::read_all(fd.get(), 1000);
    return text ? *text : "error: " + text.error().to_string();
}

/// A UDP client that keeps its port.
class UdpClient {
public:
    explicit UdpClient(int netns) : fd_(socket_in(netns, SOCK_DGRAM)) {
        timeval patience{1, 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    std::string ask(Ipv4 address, uint16_t port) {
        sockaddr_in where = socket_address(address, port);
        if (::sendto(fd_.get(), "?", 1, 0, reinterpret_cast<sockaddr*>(&where), sizeof where) < 0)
            return std::string("error: ") + std::strerror(errno);
        char buffer[200];
        ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
        return count < 0 ? std::string("error: ") + std::strerror(errno)
                         : std::string(buffer, count);
    }

private:
    io::UniqueFd fd_;
};

inline std::string output_of(std::vector<std::string> argv) {
    auto result = io::run(std::move(argv), std::chrono::seconds(20));
    return result ? result->out + result->err : result.error().to_string();
}

} // namespace cloudlet::network::testing
