#include "cloudlet/network/dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>

#include "cloudlet/io/fd.h"
#include "dns_forward.h"
#include "dns_message.h"
#include "dns_stream.h"
#include "dns_zone.h"

namespace cloudlet::network {

namespace {

constexpr size_t batch_size = 32;
constexpr size_t datagram_limit = 4096;
constexpr uint16_t class_in = 1;

sockaddr_in socket_address(Ipv4 address, uint16_t port) {
    sockaddr_in result{};
    result.sin_family = AF_INET;
    result.sin_addr.s_addr = htonl(address.value);
    result.sin_port = htons(port);
    return result;
}

Result<io::UniqueFd> bind_socket(Ipv4 address, uint16_t port, int type) {
    io::UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno("DNS socket");
    int on = 1;
    if (type == SOCK_STREAM) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in where = socket_address(address, port);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) < 0) {
        auto failure = fail_errno(fmt::format("DNS on {}:{}", address.to_string(), port));
        if (failure.value().os_errno == EADDRINUSE) {
            failure.value().code = Code::already_exists;
            failure.value().message +=
                "; another name server listens there or on every address: end it or bind "
                "it to its own addresses";
        }
        return failure;
    }
    if (type == SOCK_STREAM && ::listen(fd.get(), 128) < 0) return fail_errno("DNS listen");
    return fd;
}

uint16_t port_of(int fd) {
    sockaddr_in where{};
    socklen_t size = sizeof where;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&where), &size);
    return ntohs(where.sin_port);
}

// The buffers of one recvmmsg call.
struct Batch {
    std::array<std::array<char, datagram_limit>, batch_size> bytes;
    std::array<sockaddr_in, batch_size> peers;
    std::array<iovec, batch_size> vectors;
    std::array<mmsghdr, batch_size> messages;

    int receive(int fd) {
        for (size_t i = 0; i < batch_size; ++i) {
            vectors[i] = {bytes[i].data(), datagram_limit};
            messages[i] = {};
            messages[i].msg_hdr.msg_name = &peers[i];
            messages[i].msg_hdr.msg_namelen = sizeof peers[i];
            messages[i].msg_hdr.msg_iov = &vectors[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        return ::recvmmsg(fd, messages.data(), batch_size, MSG_DONTWAIT, nullptr);
    }
    std::string_view text(int i) const {
        auto at = static_cast<size_t>(i);
        return {bytes[at].data(), messages[at].msg_len};
    }
};

} // namespace

struct DnsServer::Impl {
    DnsOptions options;
    io::UniqueFd epoll, wake;
    std::vector<io::UniqueFd> udp, tcp;
    std::unique_ptr<dns::Forwarder> forwarder;
    std::unique_ptr<dns::StreamServer> streams;
    std::unique_ptr<Batch> batch = std::make_unique<Batch>();
    uint32_t turn = 0;

    std::mutex update_mutex;
    uint32_t serial = 0; // guarded by update_mutex
    mutable std::mutex mutex;
    std::shared_ptr<const dns::Zone> zone; // guarded by mutex
    std::atomic<bool> stopping = false;
    std::atomic<uint64_t> queries = 0, forwarded = 0, failed_forwards = 0;
    std::thread thread;

    using Answer = std::function<void(std::string)>;

    Result<> bind();
    Result<> watch(int fd);
    void run();
    int wait_time() const;
    void receive_datagrams(int fd);
    void handle(std::string_view message, bool over_tcp, Answer answer);
    void forward(const dns::Query& query, std::string_view message, bool over_tcp, Answer answer);
    void follow_external_name(const dns::Query& query, dns::Reply reply, size_t limit,
                              Answer answer);
    std::shared_ptr<const dns::Zone> current_zone() const;
};

DnsServer::DnsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<DnsServer>> DnsServer::start(const DnsOptions& options) {
    auto impl = std::make_unique<Impl>();
    impl->options = options;
    impl->epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
    impl->wake.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!impl->epoll || !impl->wake) return fail_errno("DNS event queue");
    TRY(impl->watch(impl->wake.get()));
    impl->forwarder = std::make_unique<dns::Forwarder>(impl->epoll.get(), options.upstream_timeout,
                                                       TRY(dns::UpstreamList::make(options)));
    Impl* self = impl.get();
    impl->streams = std::make_unique<dns::StreamServer>(
        impl->epoll.get(),
        [self](std::string_view message, std::function<void(std::string)> answer) {
            self->handle(message, true, std::move(answer));
        });
    TRY(impl->bind());
    auto server = std::unique_ptr<DnsServer>(new DnsServer(std::move(impl)));
    server->update({});
    self->thread = std::thread([self] { self->run(); });
    return server;
}

DnsServer::~DnsServer() {
    impl_->stopping = true;
    uint64_t one = 1;
    (void)!::write(impl_->wake.get(), &one, sizeof one);
    if (impl_->thread.joinable()) impl_->thread.join();
}

Result<> DnsServer::Impl::watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) < 0)
        return fail_errno("DNS event queue");
    return {};
}

Result<> DnsServer::Impl::bind() {
    if (options.listen.empty()) return fail(Code::invalid, "DNS: no address to listen on");
    for (Ipv4 address : options.listen) {
        udp.push_back(TRY(bind_socket(address, options.port, SOCK_DGRAM)));
        options.port = port_of(udp.back().get()); // port 0: the first socket chose
        tcp.push_back(TRY(bind_socket(address, options.port, SOCK_STREAM)));
        TRY(watch(udp.back().get()));
        TRY(watch(tcp.back().get()));
    }
    return {};
}

void DnsServer::update(DnsRecords records) {
    dns::ZoneOptions zone_options{impl_->options.domain, impl_->options.pod_block,
                                  impl_->options.service_block, impl_->options.listen.front()};
    std::lock_guard one_update_at_a_time(impl_->update_mutex);
    auto zone =
        std::make_shared<const dns::Zone>(std::move(zone_options), records, ++impl_->serial);
    std::lock_guard lock(impl_->mutex);
    impl_->zone = std::move(zone);
}

uint16_t DnsServer::port() const { return impl_->options.port; }

DnsStats DnsServer::stats() const {
    return {impl_->queries, impl_->forwarded, impl_->failed_forwards};
}

std::shared_ptr<const dns::Zone> DnsServer::Impl::current_zone() const {
    std::lock_guard lock(mutex);
    return zone;
}

int DnsServer::Impl::wait_time() const {
    auto next = forwarder->next_deadline();
    if (auto idle = streams->next_deadline(); idle && (!next || *idle < *next)) next = idle;
    if (!next) return -1;
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(*next - system_clock().monotonic()).count();
    return static_cast<int>(std::max<int64_t>(left, 0));
}

void DnsServer::Impl::run() {
    std::array<epoll_event, 64> events;
    while (!stopping) {
        int count = ::epoll_wait(epoll.get(), events.data(), events.size(), wait_time());
        for (int i = 0; i < count && !stopping; ++i) {
            int fd = events[static_cast<size_t>(i)].data.fd;
            uint32_t what = events[static_cast<size_t>(i)].events;
            if (fd == wake.get()) continue;
            bool is_udp =
                std::ranges::any_of(udp, [fd](const io::UniqueFd& own) { return own.get() == fd; });
            bool is_tcp =
                std::ranges::any_of(tcp, [fd](const io::UniqueFd& own) { return own.get() == fd; });
            if (is_udp)
                receive_datagrams(fd);
            else if (is_tcp)
                streams->accept_all(fd);
            else if (!forwarder->handle(fd, what))
                streams->handle(fd, what);
        }
        forwarder->handle_time();
        streams->handle_time();
        forwarded = forwarder->forwarded;
        failed_forwards = forwarder->failed;
    }
}

// Answers from memory leave in one sendmmsg; what is forwarded is answered when it is known.
void DnsServer::Impl::receive_datagrams(int fd) {
    for (;;) {
        int count = batch->receive(fd);
        if (count <= 0) return;
        std::array<std::string, batch_size> answers;
        std::array<iovec, batch_size> vectors;
        std::array<mmsghdr, batch_size> ready{};
        unsigned ready_count = 0;
        for (int i = 0; i < count; ++i) {
            sockaddr_in peer = batch->peers[static_cast<size_t>(i)];
            auto direct = std::make_shared<std::string*>(&answers[static_cast<size_t>(i)]);
            handle(batch->text(i), false, [fd, peer, direct](std::string answer) {
                if (*direct)
                    **direct = std::move(answer);
                else
                    ::sendto(fd, answer.data(), answer.size(), MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&peer), sizeof peer);
            });
            *direct = nullptr; // later than this the batch is gone
            std::string& answer = answers[static_cast<size_t>(i)];
            if (answer.empty()) continue;
            vectors[ready_count] = {answer.data(), answer.size()};
            msghdr& header = ready[ready_count++].msg_hdr;
            header.msg_name = &batch->peers[static_cast<size_t>(i)];
            header.msg_namelen = sizeof(sockaddr_in);
            header.msg_iov = &vectors[ready_count - 1];
            header.msg_iovlen = 1;
        }
        if (ready_count > 0) ::sendmmsg(fd, ready.data(), ready_count, MSG_DONTWAIT);
        if (count < static_cast<int>(batch_size)) return;
    }
}

void DnsServer::Impl::handle(std::string_view message, bool over_tcp, Answer answer) {
    auto query = dns::parse_query(message);
    if (!query) return;
    ++queries;
    size_t limit = over_tcp ? dns::tcp_limit : query->udp_limit();
    if (query->problem != dns::no_error)
        return answer(dns::encode_reply(*query, {query->problem, false, {}, {}, {}}, limit));
    auto reply = query->klass == class_in ? current_zone()->answer(*query, turn++) : std::nullopt;
    if (!reply) return forward(*query, message, over_tcp, std::move(answer));
    bool external = !reply->answers.empty() && reply->answers[0].type == dns::cname;
    bool wants_address = query->type == dns::a || query->type == dns::aaaa;
    if (external && wants_address)
        return follow_external_name(*query, std::move(*reply), limit, std::move(answer));
    answer(dns::encode_reply(*query, *reply, limit));
}

void DnsServer::Impl::forward(const dns::Query& query, std::string_view message, bool over_tcp,
                              Answer answer) {
    size_t limit = over_tcp ? dns::tcp_limit : query.udp_limit();
    if (query.klass != class_in || !query.recursion_desired || !forwarder->has_servers())
        return answer(dns::encode_reply(query, {dns::refused, false, {}, {}, {}}, limit));
    forwarder->ask(
        std::string(message), over_tcp,
        [query, limit, answer = std::move(answer)](std::optional<std::string> reply) {
            if (!reply)
                reply = dns::encode_reply(query, {dns::server_failure, false, {}, {}, {}}, limit);
            answer(std::move(*reply));
        });
}

// A service that stands for a name outside: the asker wants its address, not another question.
void DnsServer::Impl::follow_external_name(const dns::Query& query, dns::Reply reply, size_t limit,
                                           Answer answer) {
    std::string target = current_zone()->external_target(query.name).value_or("");
    dns::Query inner = query;
    inner.name = target;
    if (auto ours = current_zone()->answer(inner, turn)) {
        for (dns::Record& record : ours->answers) reply.answers.push_back(std::move(record));
        return answer(dns::encode_reply(query, reply, limit));
    }
    if (!forwarder->has_servers()) return answer(dns::encode_reply(query, reply, limit));
    forwarder->ask(dns::encode_query(query.id, target, query.type), false,
                   [=, answer = std::move(answer)](std::optional<std::string> found) {
                       dns::Reply whole = reply;
                       if (!found) whole = {dns::server_failure, false, {}, {}, {}};
                       if (found)
                           for (dns::Record record : dns::answers_of_type(*found, query.type)) {
                               record.name = target;
                               whole.answers.push_back(std::move(record));
                           }
                       answer(dns::encode_reply(query, whole, limit));
                   });
}

} // namespace cloudlet::network
