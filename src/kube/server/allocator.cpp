#include "allocator.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace cloudlet::kube::server {

namespace {

uint64_t fresh_seed() {
    const std::string bytes = secure_random_bytes(sizeof(uint64_t));
    uint64_t seed = 0;
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(&seed));
    return seed;
}

} // namespace

Allocator::Allocator(std::string prefix, Range range)
    : prefix_(std::move(prefix)), range_(range), random_(fresh_seed()) {}

Allocator::Reservation::~Reservation() { allocator_.unreserve(number_); }

std::shared_ptr<Allocator::Reservation> Allocator::reserve(uint32_t number) {
    if (taken_.contains(number) || !reserved_.insert(number).second) return nullptr;
    return std::make_shared<Reservation>(*this, number);
}

std::shared_ptr<Allocator::Reservation> Allocator::search(uint32_t first, uint32_t last) {
    if (first > last) return nullptr;
    const uint64_t count = uint64_t{last} - first + 1;
    const uint64_t start = random_.below(count);
    for (uint64_t step = 0; step < count; ++step)
        if (auto got = reserve(first + static_cast<uint32_t>((start + step) % count))) return got;
    return nullptr;
}

std::shared_ptr<Allocator::Reservation> Allocator::take_any() {
    std::lock_guard lock(mutex_);
    const uint32_t dynamic = std::max(range_.first, range_.static_until);
    if (auto got = search(dynamic, range_.last)) return got;
    return dynamic > range_.first ? search(range_.first, dynamic - 1) : nullptr;
}

std::shared_ptr<Allocator::Reservation> Allocator::take(uint32_t number) {
    std::lock_guard lock(mutex_);
    return reserve(number);
}

void Allocator::unreserve(uint32_t number) {
    std::lock_guard lock(mutex_);
    reserved_.erase(number);
}

void Allocator::add_claim(store::Transaction& transaction, uint32_t number,
                          std::string_view owner) const {
    transaction.compares.push_back(
        {key(number), store::Compare::Target::exists, store::Compare::Op::equal, 0});
    transaction.then.emplace_back(store::Put{key(number), share(std::string(owner)), 0});
}

void Allocator::add_release(store::Transaction& transaction, uint32_t number) const {
    transaction.then.emplace_back(store::Delete{key(number), {}});
}

bool Allocator::apply(const store::Event& event) {
    const std::string& key = event.current.key;
    if (!key.starts_with(prefix_)) return false;
    uint32_t number = 0;
    auto [end, error] =
        std::from_chars(key.data() + prefix_.size(), key.data() + key.size(), number);
    if (error != std::errc() || end != key.data() + key.size()) return true;
    std::lock_guard lock(mutex_);
    if (event.type == store::Event::Type::put)
        taken_.insert(number);
    else
        taken_.erase(number);
    return true;
}

size_t Allocator::taken() const {
    std::lock_guard lock(mutex_);
    return taken_.size();
}

std::optional<uint32_t> parse_ipv4(std::string_view text) {
    uint32_t address = 0;
    const char* at = text.data();
    const char* const end = at + text.size();
    for (int part = 0; part < 4; ++part) {
        unsigned value = 0;
        auto [next, error] = std::from_chars(at, end, value);
        if (error != std::errc() || value > 255 || next - at > 3) return std::nullopt;
        address = address << 8 | value;
        at = next;
        if (part < 3 && (at == end || *at++ != '.')) return std::nullopt;
    }
    if (at != end) return std::nullopt;
    return address;
}

std::string format_ipv4(uint32_t address) {
    return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 255, address >> 8 & 255,
                       address & 255);
}

Result<Ipv4Range> parse_ipv4_range(std::string_view cidr) {
    const size_t slash = cidr.find('/');
    auto address = parse_ipv4(cidr.substr(0, slash));
    int bits = -1;
    if (slash != std::string_view::npos)
        std::from_chars(cidr.data() + slash + 1, cidr.data() + cidr.size(), bits);
    if (!address || bits < 8 || bits > 28)
        return fail(Code::invalid,
                    fmt::format("service range \"{}\": give an IPv4 range of /8 to /28, such as "
                                "10.96.0.0/16",
                                cidr));
    const uint32_t size = 1u << (32 - bits);
    return Ipv4Range{*address & ~(size - 1), size};
}

Allocator::Range cluster_ip_range(const Ipv4Range& range) {
    // The lower band is for addresses asked for by number, as kube-apiserver keeps it: a sixteenth
    // of the range, at least 16 and at most 256 addresses (KEP-3070).
    const uint32_t band = std::clamp(range.size / 16, std::min(16u, range.size / 2), 256u);
    return {range.network + 1, range.network + range.size - 2, range.network + band};
}

} // namespace cloudlet::kube::server
