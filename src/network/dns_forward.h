#pragma once
// Questions that are not ours, asked of the node's name servers: each over a socket of its own (so
// that every question has a random port), from one server to the next until one answers or time is
// over. Everything happens on the DNS thread; the owner's epoll set carries the sockets.

#include <sys/socket.h>

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cloudlet/base/clock.h"
#include "cloudlet/io/fd.h"
#include "cloudlet/network/dns_server.h"

namespace cloudlet::network::dns {

struct Upstream {
    sockaddr_storage address{};
    socklen_t length = 0;
    std::string text;
};

/// "192.0.2.1", "192.0.2.1#5353" or an IPv6 address in the same way. Error: invalid.
Result<Upstream> parse_upstream(const std::string& text);

/// The servers to ask: fixed ones, or those of resolv.conf, read again when the file changes.
/// Addresses of ours are left out, as asking them would come round to us.
class UpstreamList {
public:
    static Result<UpstreamList> make(const DnsOptions& options);
    const std::vector<Upstream>& current();

private:
    void read_again();
    bool leads_to_us(const std::string& text) const;

    DnsOptions options_;
    std::vector<Upstream> servers_;
    int64_t modified_ = -1; // nanoseconds of the file's last change
};

class Forwarder {
public:
    /// The whole answer with the asker's id, or nothing when nobody answered.
    using Done = std::function<void(std::optional<std::string> reply)>;

    Forwarder(int epoll, Duration timeout, UpstreamList servers);

    bool has_servers() { return !servers_.current().empty(); }
    /// `over_tcp` asks over TCP, for answers that do not fit a datagram. Calls `done` once, perhaps
    /// at once.
    void ask(std::string query, bool over_tcp, Done done);
    /// True when the descriptor was one of the forwarder's.
    bool handle(int fd, uint32_t events);
    void handle_time();
    std::optional<MonotonicTime> next_deadline() const;

    uint64_t forwarded = 0;
    uint64_t failed = 0;

private:
    struct Question {
        std::string query; // with our id
        uint16_t client_id = 0;
        bool over_tcp = false;
        Done done;
        io::UniqueFd fd;
        std::vector<Upstream> servers;
        size_t tries = 0;
        std::optional<std::string> last_refusal; // what a server said when it could not help
        std::string outgoing, incoming;          // TCP
        MonotonicTime deadline;
    };

    void try_next(Question question);
    bool open_socket(Question& question, const Upstream& server);
    void receive(Question& question);
    std::optional<std::string> receive_datagram(Question& question, bool& dead);
    std::optional<std::string> progress_stream(Question& question, bool& dead);
    void finish(Question question, std::optional<std::string> reply);

    int epoll_;
    Duration timeout_;
    UpstreamList servers_;
    std::unordered_map<int, Question> open_; // by descriptor
};

} // namespace cloudlet::network::dns
