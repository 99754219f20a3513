#pragma once
// Addresses of Services: cluster IPs and node ports, each given to one Service at a time.
//
// A number that is taken is a key in the store, put in the same transaction that writes its Service
// and compared to be absent, so two Services can never get the same. The set in memory only finds a
// free one fast; it follows the store, also at a restart.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "cloudlet/base/random.h"
#include "cloudlet/base/result.h"
#include "cloudlet/store/store.h"

namespace cloudlet::kube::server {

/// Numbers of one kind, [first, last]. Thread-safe.
class Allocator {
public:
    struct Range {
        uint32_t first = 0;
        uint32_t last = 0;
        uint32_t static_until = 0; // lower ones are given only when asked for by number
    };
    /// Keys are `prefix` + decimal number.
    Allocator(std::string prefix, Range range);

    /// Keeps numbers from others until the write that wants them is decided.
    class Reservation {
    public:
        Reservation(Allocator& allocator, uint32_t number)
            : allocator_(allocator), number_(number) {}
        ~Reservation();
        Reservation(const Reservation&) = delete;
        Reservation& operator=(const Reservation&) = delete;
        uint32_t number() const { return number_; }

    private:
        Allocator& allocator_;
        uint32_t number_;
    };
    /// Any free number; null when there is none.
    std::shared_ptr<Reservation> take_any();
    /// This number; null when it is taken.
    std::shared_ptr<Reservation> take(uint32_t number);
    bool contains(uint32_t number) const { return number >= range_.first && number <= range_.last; }

    std::string key(uint32_t number) const { return prefix_ + std::to_string(number); }
    /// Adds to a transaction that the number is taken by `owner` ("ns/name").
    void add_claim(store::Transaction& transaction, uint32_t number, std::string_view owner) const;
    void add_release(store::Transaction& transaction, uint32_t number) const;

    /// An event of the store; true when it was about this allocator's keys.
    bool apply(const store::Event& event);
    size_t taken() const;

private:
    std::shared_ptr<Reservation> reserve(uint32_t number);
    std::shared_ptr<Reservation> search(uint32_t first, uint32_t last);
    void unreserve(uint32_t number);

    const std::string prefix_;
    const Range range_;
    mutable std::mutex mutex_;
    std::unordered_set<uint32_t> taken_;
    std::unordered_set<uint32_t> reserved_;
    Random random_;
};

/// "10.96.0.0/16" as numbers. Error: Code::invalid.
struct Ipv4Range {
    uint32_t network = 0;
    uint32_t size = 0;
};
Result<Ipv4Range> parse_ipv4_range(std::string_view cidr);
std::optional<uint32_t> parse_ipv4(std::string_view text);
std::string format_ipv4(uint32_t address);

/// Cluster IPs of a service range, first usable address (the API's own) not included in dynamic
/// ones.
Allocator::Range cluster_ip_range(const Ipv4Range& range);

} // namespace cloudlet::kube::server
