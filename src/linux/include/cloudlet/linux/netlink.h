#pragma once
// Netlink: the kernel's message protocol for links, routes, nf_tables and conntrack (RFC 3549;
// linux/Documentation/userspace-api/netlink). A NetlinkRequest is one message being written, a
// NetlinkSocket carries requests to the kernel of one network namespace and brings back its
// verdicts.
//
// A socket belongs to the namespace it was opened in, whatever thread uses it later; open_in()
// opens one inside another namespace without moving the caller. A socket is not thread-safe.
//
// Errors name the object: each request says what it is about ("route 10.244.0.5/32"), and the text
// of the kernel's extended acknowledgement is part of the message.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cloudlet/base/result.h"
#include "cloudlet/io/fd.h"
#include "cloudlet/linux/ipv4.h"

namespace cloudlet::linux {

/// One or several netlink messages in one buffer. Attributes are appended to the last message.
class NetlinkWriter {
public:
    /// Starts a message. `header` is the family's fixed header (ifinfomsg, nfgenmsg, ...).
    void begin(uint16_t type, uint16_t flags, std::span<const std::byte> header);
    template <typename Header>
    void begin(uint16_t type, uint16_t flags, const Header& header) {
        begin(type, flags, std::as_bytes(std::span(&header, 1)));
    }
    void put(uint16_t attribute, std::span<const std::byte> payload);
    void put_bytes(uint16_t attribute, std::string_view payload);
    void put_string(uint16_t attribute, std::string_view text); // with the closing NUL
    void put_u8(uint16_t attribute, uint8_t value);
    void put_u16(uint16_t attribute, uint16_t value);
    void put_u32(uint16_t attribute, uint32_t value); // host order
    void put_be16(uint16_t attribute, uint16_t value);
    void put_be32(uint16_t attribute, uint32_t value);
    void put_be64(uint16_t attribute, uint64_t value);
    void put_address(uint16_t attribute, Ipv4 address);
    void put_flag(uint16_t attribute);
    /// Raw bytes without an attribute header: the fixed part of a nested attribute (veth's peer).
    void put_raw(std::span<const std::byte> payload);
    /// Opens a nested attribute; give the returned mark to end_nest().
    size_t begin_nest(uint16_t attribute, bool marked = true);
    void end_nest(size_t mark);
    size_t nest_size(size_t mark) const { return buffer_.size() - mark; }

    size_t message_count() const { return starts_.size(); }
    std::string& buffer() { return buffer_; }
    const std::string& buffer() const { return buffer_; }
    /// Numbers the messages first, first+1, ... and sets NLM_F_ACK on those that `ack_all` asks for
    /// (or on the last alone).
    void number(uint32_t first, bool ack_all);
    void clear();

private:
    void finish_message();

    std::string buffer_;
    std::vector<size_t> starts_;
};

/// One attribute of a received message.
struct NetlinkAttribute {
    uint16_t type = 0; // without the nested and byte-order flags
    std::span<const std::byte> payload;

    uint8_t u8() const;
    uint16_t u16() const;
    uint32_t u32() const;
    uint16_t be16() const;
    uint32_t be32() const;
    uint64_t be64() const;
    Ipv4 address() const;
    std::string_view text() const; // up to the first NUL
};

/// Calls `each` for every well-formed attribute of `payload`; stops at the first malformed one.
void for_each_attribute(std::span<const std::byte> payload,
                        const std::function<void(const NetlinkAttribute&)>& each);

/// One message as received; it points into the socket's buffer and is valid during the callback.
struct NetlinkMessage {
    uint16_t type = 0;
    uint16_t flags = 0;
    uint32_t sequence = 0;
    std::span<const std::byte> payload; // after nlmsghdr

    /// The family's fixed header; all zero when the message is too short.
    template <typename Header>
    Header header() const {
        Header result{};
        if (payload.size() >= sizeof(Header))
            std::copy_n(payload.data(), sizeof(Header), reinterpret_cast<std::byte*>(&result));
        return result;
    }
    template <typename Header>
    std::span<const std::byte> attributes() const {
        constexpr size_t aligned = (sizeof(Header) + 3) & ~size_t{3};
        return payload.size() < aligned ? std::span<const std::byte>{} : payload.subspan(aligned);
    }
};

class NetlinkSocket {
public:
    /// `protocol` is NETLINK_ROUTE or NETLINK_NETFILTER; in the caller's network namespace.
    static Result<NetlinkSocket> open(int protocol);
    /// The same inside the network namespace that `netns_fd` refers to (a short-lived thread enters
    /// it).
    static Result<NetlinkSocket> open_in(int protocol, int netns_fd);

    /// Sends every message and waits for each acknowledgement. `subjects[i]` names what message i
    /// is about; the error is that of the first refused message (later ones have still been tried).
    Result<> request(NetlinkWriter& messages, std::span<const std::string> subjects);
    Result<> request(NetlinkWriter& message, std::string_view subject);
    /// As request(), but a refusal with one of these errno values counts as done (EEXIST when
    /// adding what may be there, ENOENT or ESRCH when deleting what may be gone).
    Result<> request_tolerating(NetlinkWriter& message, std::string_view subject,
                                std::vector<int> tolerated);

    /// Sends one message without NLM_F_DUMP and hands over the single answer.
    Result<> query(NetlinkWriter& message, std::string_view subject,
                   const std::function<void(const NetlinkMessage&)>& answer);

    /// Dumps: `each` gets every message. A dump that the kernel marks as interrupted (the tables
    /// changed under it), or that overran the receive buffer, is started again: `restart` is called
    /// first and must forget what `each` collected.
    Result<> dump(NetlinkWriter& message, std::string_view subject,
                  const std::function<void()>& restart,
                  const std::function<void(const NetlinkMessage&)>& each);

    /// Sends an nf_tables batch (BATCH_BEGIN ... BATCH_END) as one transaction: all or nothing.
    /// `subject_of(i)` names message i of the buffer for the error text.
    Result<> transaction(NetlinkWriter& batch,
                         const std::function<std::string(size_t)>& subject_of);

    int fd() const { return fd_.get(); }

private:
    struct Verdict;
    explicit NetlinkSocket(io::UniqueFd fd) : fd_(std::move(fd)) {}
    Result<> send(const std::string& bytes, std::string_view subject);
    Result<std::span<const std::byte>> receive(std::string_view subject, int flags);
    Result<std::vector<Verdict>> collect(uint32_t first, size_t count, std::string_view subject,
                                         bool wait);
    Result<bool> dump_once(NetlinkWriter& message, std::string_view subject,
                           const std::function<void(const NetlinkMessage&)>& each);

    io::UniqueFd fd_;
    uint32_t sequence_ = 1;
    size_t send_buffer_ = 0;
    std::vector<std::byte> inbox_;
};

/// Runs `work` on a short-lived thread inside the network namespace and returns what it returns.
/// The caller's own namespace is untouched.
Result<> run_in_netns(int netns_fd, const std::function<Result<>()>& work);

/// A new network namespace that lives as long as a descriptor or a mount refers to it; its loopback
/// is down. Error: forbidden without CAP_SYS_ADMIN.
Result<io::UniqueFd> create_netns();

/// Opens a pinned namespace (a file under /run, or /proc/PID/ns/net). Error: not_found; invalid
/// when the file is no network namespace.
Result<io::UniqueFd> open_netns(const std::string& path);

} // namespace cloudlet::linux
