#include "dns_forward.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cloudlet/base/random.h"
#include "cloudlet/io/file.h"
#include "dns_message.h"

namespace cloudlet::network::dns {

namespace {

constexpr size_t rounds = 2;             // every server is asked this often at most
constexpr size_t questions_limit = 1000; // in flight; beyond, the asker is told to try again
constexpr size_t resolv_conf_limit = 3;  // MAXNS of resolv.conf(5)

uint16_t random_id() {
    std::string bytes = secure_random_bytes(2);
    return id_of(bytes);
}

} // namespace

Result<Upstream> parse_upstream(const std::string& text) {
    size_t hash = text.find('#');
    std::string host = text.substr(0, hash),
                port = hash == std::string::npos ? "53" : text.substr(hash + 1);
    addrinfo hints{}, *found = nullptr;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_DGRAM;
    if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0)
        return fail(Code::invalid,
                    fmt::format("\"{}\" is no name server; write 192.0.2.1 or 192.0.2.1#53", text));
    Upstream upstream;
    std::memcpy(&upstream.address, found->ai_addr, found->ai_addrlen);
    upstream.length = found->ai_addrlen;
    upstream.text = host;
    ::freeaddrinfo(found);
    return upstream;
}

Result<UpstreamList> UpstreamList::make(const DnsOptions& options) {
    UpstreamList list;
    list.options_ = options;
    if (options.upstreams)
        for (const std::string& text : *options.upstreams)
            list.servers_.push_back(TRY(parse_upstream(text)));
    return list;
}

bool UpstreamList::leads_to_us(const std::string& text) const {
    auto address = linux::parse_ipv4(text);
    if (!address) return false;
    return std::ranges::find(options_.listen, *address) != options_.listen.end() ||
           options_.pod_block.contains(*address) || options_.service_block.contains(*address);
}

void UpstreamList::read_again() {
    servers_.clear();
    auto text = io::read_file(options_.resolv_conf, 1 << 20);
    if (!text) return;
    for (size_t at = 0; at < text->size() && servers_.size() < resolv_conf_limit;) {
        size_t end = std::min(text->find('\n', at), text->size());
        std::string line = text->substr(at, end - at);
        at = end + 1;
        if (!line.starts_with("nameserver")) continue;
        size_t start = line.find_first_not_of(" \t", 10);
        if (start == std::string::npos || start == 10) continue;
        std::string address = line.substr(start, line.find_first_of(" \t\r", start) - start);
        if (auto server = parse_upstream(address); server && !leads_to_us(address))
            servers_.push_back(*server);
    }
}

const std::vector<Upstream>& UpstreamList::current() {
    if (options_.upstreams) return servers_;
    struct stat file {};
    int64_t modified = -2; // no file
    if (::stat(options_.resolv_conf.c_str(), &file) == 0)
        modified = file.st_mtim.tv_sec * 1'000'000'000 + file.st_mtim.tv_nsec;
    if (modified != modified_) read_again();
    modified_ = modified;
    return servers_;
}

Forwarder::Forwarder(int epoll, Duration timeout, UpstreamList servers)
    : epoll_(epoll), timeout_(timeout), servers_(std::move(servers)) {}

void Forwarder::ask(std::string query, bool over_tcp, Done done) {
    if (open_.size() >= questions_limit) return done(std::nullopt);
    ++forwarded;
    Question question;
    question.client_id = id_of(query);
    question.query = std::move(query);
    question.over_tcp = over_tcp;
    question.done = std::move(done);
    question.servers = servers_.current();
    try_next(std::move(question));
}

void Forwarder::try_next(Question question) {
    question.fd.reset(); // leaves the epoll set by itself
    while (question.tries < question.servers.size() * rounds) {
        const Upstream& server = question.servers[question.tries % question.servers.size()];
        ++question.tries;
        set_id(question.query, random_id());
        if (!open_socket(question, server)) continue;
        question.deadline = system_clock().monotonic() + timeout_;
        int fd = question.fd.get();
        open_.insert_or_assign(fd, std::move(question));
        return;
    }
    auto refusal = std::move(question.last_refusal);
    if (!refusal) ++failed;
    finish(std::move(question), std::move(refusal));
}

bool Forwarder::open_socket(Question& question, const Upstream& server) {
    int type = question.over_tcp ? SOCK_STREAM : SOCK_DGRAM;
    io::UniqueFd fd(::socket(server.address.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return false;
    int connected =
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&server.address), server.length);
    if (connected < 0 && errno != EINPROGRESS) return false;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd.get();
    if (question.over_tcp) {
        event.events |= EPOLLOUT;
        question.incoming.clear();
        question.outgoing = {static_cast<char>(question.query.size() >> 8),
                             static_cast<char>(question.query.size())};
        question.outgoing += question.query;
    } else if (::send(fd.get(), question.query.data(), question.query.size(), MSG_NOSIGNAL) < 0) {
        return false;
    }
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd.get(), &event) < 0) return false;
    question.fd = std::move(fd);
    return true;
}

bool Forwarder::handle(int fd, uint32_t) {
    auto found = open_.find(fd);
    if (found == open_.end()) return false;
    receive(found->second);
    return true;
}

void Forwarder::receive(Question& question) {
    bool dead = false;
    auto reply =
        question.over_tcp ? progress_stream(question, dead) : receive_datagram(question, dead);
    if (!reply && !dead) return;
    Question taken = std::move(question);
    open_.erase(taken.fd.get());
    if (!reply) return try_next(std::move(taken));
    set_id(*reply, taken.client_id);
    bool helpful = rcode_of(*reply) != server_failure && rcode_of(*reply) != refused;
    if (helpful) return finish(std::move(taken), std::move(reply));
    taken.last_refusal = std::move(reply);
    try_next(std::move(taken));
}

std::optional<std::string> Forwarder::receive_datagram(Question& question, bool& dead) {
    char buffer[4096];
    for (;;) {
        ssize_t count = ::recv(question.fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            dead = errno != EAGAIN; // ECONNREFUSED: nobody listens there
            return std::nullopt;
        }
        std::string_view message(buffer, static_cast<size_t>(count));
        if (is_reply_to(message, question.query)) return std::string(message);
    }
}

std::optional<std::string> Forwarder::progress_stream(Question& question, bool& dead) {
    while (!question.outgoing.empty()) {
        ssize_t sent = ::send(question.fd.get(), question.outgoing.data(), question.outgoing.size(),
                              MSG_NOSIGNAL);
        if (sent < 0) {
            dead = errno != EAGAIN && errno != EINTR;
            return std::nullopt;
        }
        question.outgoing.erase(0, static_cast<size_t>(sent));
        if (!question.outgoing.empty()) continue;
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = question.fd.get();
        ::epoll_ctl(epoll_, EPOLL_CTL_MOD, question.fd.get(), &event);
    }
    char buffer[16384];
    ssize_t count = ::recv(question.fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (count <= 0) {
        dead = count == 0 || (errno != EAGAIN && errno != EINTR);
        return std::nullopt;
    }
    std::string& incoming = question.incoming;
    incoming.append(buffer, static_cast<size_t>(count));
    if (incoming.size() < 2 || incoming.size() < 2u + id_of(incoming)) return std::nullopt;
    std::string message = incoming.substr(2, id_of(incoming));
    dead = !is_reply_to(message, question.query);
    if (dead) return std::nullopt;
    return message;
}

void Forwarder::finish(Question question, std::optional<std::string> reply) {
    question.done(std::move(reply));
}

void Forwarder::handle_time() {
    MonotonicTime now = system_clock().monotonic();
    std::vector<Question> late;
    for (auto at = open_.begin(); at != open_.end();) {
        if (at->second.deadline > now) {
            ++at;
            continue;
        }
        late.push_back(std::move(at->second));
        at = open_.erase(at);
    }
    for (Question& question : late) try_next(std::move(question));
}

std::optional<MonotonicTime> Forwarder::next_deadline() const {
    std::optional<MonotonicTime> next;
    for (const auto& [fd, question] : open_)
        if (!next || question.deadline < *next) next = question.deadline;
    return next;
}

} // namespace cloudlet::network::dns
