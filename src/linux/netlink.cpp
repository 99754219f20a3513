#include "cloudlet/linux/netlink.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <thread>

#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>

namespace cloudlet::linux {

namespace {

constexpr size_t inbox_bytes = 64 * 1024; // the kernel fills dumps up to 32 KiB a datagram
constexpr int dump_attempts = 20;
constexpr int answer_timeout_ms =
    5000; // the kernel answers in the call itself; this only bounds a bug

size_t align(size_t size) { return NLMSG_ALIGN(size); }

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

} // namespace

// What the kernel said about one message: an errno (0: done) and the extended acknowledgement's
// text.
struct NetlinkSocket::Verdict {
    uint32_t sequence = 0;
    int os_errno = 0;
    std::string text;
};

void NetlinkWriter::finish_message() {
    if (starts_.empty()) return;
    nlmsghdr header;
    std::memcpy(&header, buffer_.data() + starts_.back(), sizeof header);
    header.nlmsg_len = static_cast<uint32_t>(buffer_.size() - starts_.back());
    std::memcpy(buffer_.data() + starts_.back(), &header, sizeof header);
}

void NetlinkWriter::begin(uint16_t type, uint16_t flags, std::span<const std::byte> header) {
    finish_message();
    starts_.push_back(buffer_.size());
    nlmsghdr message{};
    message.nlmsg_type = type;
    message.nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST);
    put_raw(bytes_of(message));
    put_raw(header);
    finish_message();
}

void NetlinkWriter::put_raw(std::span<const std::byte> payload) {
    buffer_.append(reinterpret_cast<const char*>(payload.data()), payload.size());
    buffer_.resize(align(buffer_.size()));
}

void NetlinkWriter::put(uint16_t attribute, std::span<const std::byte> payload) {
    nlattr header{static_cast<uint16_t>(sizeof(nlattr) + payload.size()), attribute};
    put_raw(bytes_of(header));
    put_raw(payload);
}

void NetlinkWriter::put_bytes(uint16_t attribute, std::string_view payload) {
    put(attribute, std::as_bytes(std::span(payload.data(), payload.size())));
}

void NetlinkWriter::put_string(uint16_t attribute, std::string_view text) {
    std::string closed(text);
    put_bytes(attribute, std::string_view(closed.c_str(), closed.size() + 1));
}

void NetlinkWriter::put_u8(uint16_t attribute, uint8_t value) { put(attribute, bytes_of(value)); }
void NetlinkWriter::put_u16(uint16_t attribute, uint16_t value) { put(attribute, bytes_of(value)); }
void NetlinkWriter::put_u32(uint16_t attribute, uint32_t value) { put(attribute, bytes_of(value)); }
void NetlinkWriter::put_be16(uint16_t attribute, uint16_t value) {
    put_u16(attribute, htobe16(value));
}
void NetlinkWriter::put_be32(uint16_t attribute, uint32_t value) {
    put_u32(attribute, htobe32(value));
}
void NetlinkWriter::put_be64(uint16_t attribute, uint64_t value) {
    uint64_t swapped = htobe64(value);
    put(attribute, bytes_of(swapped));
}
void NetlinkWriter::put_address(uint16_t attribute, Ipv4 address) {
    put_be32(attribute, address.value);
}
void NetlinkWriter::put_flag(uint16_t attribute) { put(attribute, {}); }

size_t NetlinkWriter::begin_nest(uint16_t attribute, bool marked) {
    size_t mark = buffer_.size();
    put(static_cast<uint16_t>(marked ? attribute | NLA_F_NESTED : attribute), {});
    return mark;
}

void NetlinkWriter::end_nest(size_t mark) {
    auto length = static_cast<uint16_t>(buffer_.size() - mark);
    std::memcpy(buffer_.data() + mark, &length, sizeof length); // nlattr.nla_len comes first
}

void NetlinkWriter::number(uint32_t first, bool ack_all) {
    finish_message();
    for (size_t i = 0; i < starts_.size(); ++i) {
        nlmsghdr header;
        std::memcpy(&header, buffer_.data() + starts_[i], sizeof header);
        header.nlmsg_seq = first + static_cast<uint32_t>(i);
        if (ack_all || i + 1 == starts_.size()) header.nlmsg_flags |= NLM_F_ACK;
        std::memcpy(buffer_.data() + starts_[i], &header, sizeof header);
    }
}

void NetlinkWriter::clear() {
    buffer_.clear();
    starts_.clear();
}

namespace {

template <typename T>
T read_value(std::span<const std::byte> payload) {
    T value{};
    if (payload.size() >= sizeof value) std::memcpy(&value, payload.data(), sizeof value);
    return value;
}

} // namespace

uint8_t NetlinkAttribute::u8() const { return read_value<uint8_t>(payload); }
uint16_t NetlinkAttribute::u16() const { return read_value<uint16_t>(payload); }
uint32_t NetlinkAttribute::u32() const { return read_value<uint32_t>(payload); }
uint16_t NetlinkAttribute::be16() const { return be16toh(u16()); }
uint32_t NetlinkAttribute::be32() const { return be32toh(u32()); }
uint64_t NetlinkAttribute::be64() const { return be64toh(read_value<uint64_t>(payload)); }
Ipv4 NetlinkAttribute::address() const { return {be32()}; }
std::string_view NetlinkAttribute::text() const {
    std::string_view all(reinterpret_cast<const char*>(payload.data()), payload.size());
    return all.substr(0, all.find('\0'));
}

void for_each_attribute(std::span<const std::byte> payload,
                        const std::function<void(const NetlinkAttribute&)>& each) {
    while (payload.size() >= sizeof(nlattr)) {
        auto header = read_value<nlattr>(payload);
        if (header.nla_len < sizeof(nlattr) || header.nla_len > payload.size()) return;
        each({static_cast<uint16_t>(header.nla_type & NLA_TYPE_MASK),
              payload.subspan(sizeof(nlattr), header.nla_len - sizeof(nlattr))});
        payload = payload.subspan(std::min(align(header.nla_len), payload.size()));
    }
}

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
    io::UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    if (!fd) return fail_errno(fmt::format("netlink socket (protocol {})", protocol));
    int on = 1;
    // Without these two the kernel answers with less text and without checking dumps: still
    // correct.
    ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    int receive_bytes = 4 << 20;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof receive_bytes);
    sockaddr_nl self{};
    self.nl_family = AF_NETLINK;
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&self), sizeof self) < 0)
        return fail_errno("bind a netlink socket");
    return NetlinkSocket(std::move(fd));
}

Result<NetlinkSocket> NetlinkSocket::open_in(int protocol, int netns_fd) {
    std::optional<NetlinkSocket> opened;
    TRY(run_in_netns(netns_fd, [&]() -> Result<> {
        opened = TRY(open(protocol));
        return {};
    }));
    return std::move(*opened);
}

Result<> NetlinkSocket::send(const std::string& bytes, std::string_view subject) {
    // A message larger than the send buffer is refused; batches of thousands of elements need
    // megabytes.
    size_t wanted = bytes.size() + 64 * 1024;
    if (wanted > 128 * 1024 && wanted > send_buffer_) {
        int size = static_cast<int>(std::min<size_t>(wanted, 1u << 30));
        if (::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == 0)
            send_buffer_ = wanted;
    }
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    ssize_t sent;
    do {
        sent = ::sendto(fd_.get(), bytes.data(), bytes.size(), 0,
                        reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return fail_errno(fmt::format("{}: send to the kernel", subject));
    return {};
}

Result<std::span<const std::byte>> NetlinkSocket::receive(std::string_view subject, int flags) {
    if (inbox_.empty()) inbox_.resize(inbox_bytes);
    pollfd ready{fd_.get(), POLLIN, 0};
    if (!(flags & MSG_DONTWAIT) && ::poll(&ready, 1, answer_timeout_ms) == 0)
        return fail(Code::timeout, fmt::format("{}: the kernel did not answer", subject));
    ssize_t count;
    do {
        count = ::recv(fd_.get(), inbox_.data(), inbox_.size(), flags);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EAGAIN) return std::span<const std::byte>{};
    if (count < 0) return fail_errno(fmt::format("{}: receive from the kernel", subject));
    return std::span<const std::byte>(inbox_.data(), static_cast<size_t>(count));
}

namespace {

// Calls `each` for the messages of one datagram until it says stop.
void for_each_message(std::span<const std::byte> datagram,
                      const std::function<bool(const NetlinkMessage&)>& each) {
    while (datagram.size() >= sizeof(nlmsghdr)) {
        auto header = read_value<nlmsghdr>(datagram);
        if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > datagram.size()) return;
        NetlinkMessage message{
            header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq,
            datagram.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr))};
        if (!each(message)) return;
        datagram = datagram.subspan(std::min(align(header.nlmsg_len), datagram.size()));
    }
}

// NLMSG_ERROR and NLMSG_DONE carry an errno, and after the echoed header perhaps NLMSGERR_ATTR_*.
std::pair<int, std::string> read_verdict(const NetlinkMessage& message) {
    int error = -static_cast<int>(read_value<int32_t>(message.payload));
    std::string text;
    size_t fixed = message.type == NLMSG_DONE ? sizeof(int) : sizeof(nlmsgerr);
    if ((message.flags & NLM_F_ACK_TLVS) && message.payload.size() > fixed) {
        if (message.type == NLMSG_ERROR && !(message.flags & NLM_F_CAPPED)) {
            auto echoed = read_value<nlmsgerr>(message.payload);
            fixed = std::min(message.payload.size(),
                             fixed + align(echoed.msg.nlmsg_len) - sizeof(nlmsghdr));
        }
        for_each_attribute(message.payload.subspan(fixed), [&](const NetlinkAttribute& attribute) {
            if (attribute.type == NLMSGERR_ATTR_MSG) text = attribute.text();
        });
    }
    return {error, text};
}

tl::unexpected<Error> refusal(std::string_view subject, int error, const std::string& text) {
    auto failure = fail_errno(subject, error);
    if (!text.empty()) failure.value().message += fmt::format(" ({})", text);
    if (error == EPERM || error == EACCES) failure.value().code = Code::forbidden;
    if (error == EOPNOTSUPP || error == EAFNOSUPPORT || error == EPROTONOSUPPORT)
        failure.value().code = Code::unsupported;
    return failure;
}

} // namespace

Result<std::vector<NetlinkSocket::Verdict>>
NetlinkSocket::collect(uint32_t first, size_t count, std::string_view subject, bool wait) {
    std::vector<Verdict> verdicts;
    bool complete = false;
    while (!complete) {
        auto datagram = TRY(receive(subject, wait ? 0 : MSG_DONTWAIT));
        if (datagram.empty()) break;
        for_each_message(datagram, [&](const NetlinkMessage& message) {
            if (message.type != NLMSG_ERROR || message.sequence - first >= count) return true;
            auto [error, text] = read_verdict(message);
            verdicts.push_back({message.sequence, error, std::move(text)});
            return true;
        });
        complete = wait && verdicts.size() >= count;
    }
    return verdicts;
}

Result<> NetlinkSocket::request(NetlinkWriter& messages, std::span<const std::string> subjects) {
    size_t count = messages.message_count();
    uint32_t first = sequence_;
    sequence_ += static_cast<uint32_t>(count);
    messages.number(first, true);
    TRY(send(messages.buffer(), subjects[0]));
    auto verdicts = TRY(collect(first, count, subjects[0], true));
    for (const Verdict& verdict : verdicts)
        if (verdict.os_errno != 0)
            return refusal(
                subjects[std::min<size_t>(verdict.sequence - first, subjects.size() - 1)],
                verdict.os_errno, verdict.text);
    return {};
}

Result<> NetlinkSocket::request(NetlinkWriter& message, std::string_view subject) {
    std::string one(subject);
    return request(message, std::span(&one, 1));
}

Result<> NetlinkSocket::request_tolerating(NetlinkWriter& message, std::string_view subject,
                                           std::vector<int> tolerated) {
    auto result = request(message, subject);
    if (!result &&
        std::find(tolerated.begin(), tolerated.end(), result.error().os_errno) != tolerated.end())
        return {};
    return result;
}

Result<> NetlinkSocket::query(NetlinkWriter& message, std::string_view subject,
                              const std::function<void(const NetlinkMessage&)>& answer) {
    uint32_t sequence = sequence_++;
    message.number(sequence, true);
    TRY(send(message.buffer(), subject));
    std::optional<Verdict> verdict;
    while (!verdict) {
        auto datagram = TRY(receive(subject, 0));
        for_each_message(datagram, [&](const NetlinkMessage& received) {
            if (received.sequence != sequence) return true;
            if (received.type == NLMSG_ERROR) {
                auto [error, text] = read_verdict(received);
                verdict = Verdict{sequence, error, text};
            } else {
                answer(received);
            }
            return true;
        });
    }
    if (verdict->os_errno != 0) return refusal(subject, verdict->os_errno, verdict->text);
    return {};
}

// True: complete. False: the dump was interrupted and must be repeated.
Result<bool> NetlinkSocket::dump_once(NetlinkWriter& message, std::string_view subject,
                                      const std::function<void(const NetlinkMessage&)>& each) {
    uint32_t sequence = sequence_++;
    message.number(sequence, false);
    TRY(send(message.buffer(), subject));
    bool interrupted = false;
    std::optional<std::pair<int, std::string>> end;
    while (!end) {
        auto datagram = receive(subject, 0);
        if (!datagram && datagram.error().os_errno == ENOBUFS) {
            interrupted = true; // something was lost; the rest of this dump still has to be read
            continue;
        }
        if (!datagram) return tl::unexpected(datagram.error());
        for_each_message(*datagram, [&](const NetlinkMessage& received) {
            if (received.sequence != sequence) return true; // left over from an earlier dump
            if (received.flags & NLM_F_DUMP_INTR) interrupted = true;
            if (received.type == NLMSG_DONE || received.type == NLMSG_ERROR)
                end = read_verdict(received);
            else if (!interrupted)
                each(received);
            return true;
        });
    }
    if (end->first == EINTR || end->first == EAGAIN) return false;
    if (end->first != 0) return refusal(subject, end->first, end->second);
    return !interrupted;
}

Result<> NetlinkSocket::dump(NetlinkWriter& message, std::string_view subject,
                             const std::function<void()>& restart,
                             const std::function<void(const NetlinkMessage&)>& each) {
    for (int attempt = 0; attempt < dump_attempts; ++attempt) {
        restart();
        if (TRY(dump_once(message, subject, each))) return {};
    }
    return fail(Code::unavailable, fmt::format("{}: it kept changing while being read", subject));
}

Result<> NetlinkSocket::transaction(NetlinkWriter& batch,
                                    const std::function<std::string(size_t)>& subject_of) {
    size_t count = batch.message_count();
    uint32_t first = sequence_;
    sequence_ += static_cast<uint32_t>(count);
    batch.number(first, false);
    TRY(send(batch.buffer(), "nf_tables transaction"));
    // nf_tables works inside the send call: whatever it has to say is queued by now.
    auto verdicts = collect(first, count, "nf_tables transaction", false);
    if (!verdicts && verdicts.error().os_errno == ENOBUFS)
        return fail(Code::io, "nf_tables transaction: more errors than the kernel could report");
    if (!verdicts) return tl::unexpected(verdicts.error());
    for (const Verdict& verdict : *verdicts)
        if (verdict.os_errno != 0)
            return refusal(subject_of(verdict.sequence - first), verdict.os_errno, verdict.text);
    return {};
}

Result<> run_in_netns(int netns_fd, const std::function<Result<>()>& work) {
    Result<> outcome;
    std::thread visitor([&] {
        if (::setns(netns_fd, CLONE_NEWNET) < 0)
            outcome = fail_errno("enter a network namespace");
        else
            outcome = work();
    });
    visitor.join();
    return outcome;
}

Result<io::UniqueFd> create_netns() {
    Result<io::UniqueFd> made = io::UniqueFd();
    std::thread maker([&] {
        if (::unshare(CLONE_NEWNET) < 0) {
            made = fail_errno("make a network namespace");
            if (made.error().os_errno == EPERM) made.error().code = Code::forbidden;
            return;
        }
        made = io::UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
        if (made && !*made) made = fail_errno("open a new network namespace");
    });
    maker.join();
    return made;
}

Result<io::UniqueFd> open_netns(const std::string& path) {
    io::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail_errno(fmt::format("network namespace {}", path));
    struct statfs where {};
    if (::fstatfs(fd.get(), &where) < 0)
        return fail_errno(fmt::format("network namespace {}", path));
    bool is_namespace = where.f_type == NSFS_MAGIC;
    if (!is_namespace || ::ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET)
        return fail(Code::invalid,
                    fmt::format("{} is no network namespace; was its pin unmounted?", path));
    return fd;
}

} // namespace cloudlet::linux
