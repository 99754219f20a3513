// Whatever arrives on port 53: parsed, answered from a zone, and the answer must itself be
// well-formed and within its limit. The same bytes are also taken as an upstream's answer.
#include <cstdint>
#include <cstdlib>

#include "dns_message.h"
#include "dns_zone.h"

using namespace cloudlet::network;

namespace {

Ipv4Block block(uint32_t base, unsigned prefix) { return {{base}, prefix}; }

const dns::Zone& zone() {
    static const dns::Zone built = [] {
        DnsRecords records;
        records.services.push_back(
            {"web", "default", Ipv4{0x0A600032}, "", {{"http", Protocol::tcp, 80}}, {}});
        DnsService headless{"db", "default", std::nullopt, "", {{"sql", Protocol::tcp, 5432}}, {}};
        for (uint32_t i = 2; i < 60; ++i) headless.endpoints.push_back({{0x0AF40000 + i}, ""});
        records.services.push_back(headless);
        records.services.push_back({"out", "default", std::nullopt, "example.org", {}, {}});
        return dns::Zone(
            {"cluster.local", block(0x0AF40000, 16), block(0x0A600000, 16), Ipv4{0x0AF40001}},
            records, 1);
    }();
    return built;
}

void require(bool condition) {
    if (!condition) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view message(reinterpret_cast<const char*>(data), size);
    dns::answers_of_type(message, dns::a);
    dns::is_reply_to(message, message);
    auto query = dns::parse_query(message);
    if (!query) return 0;
    dns::Reply reply{query->problem, false, {}, {}, {}};
    if (query->problem == dns::no_error)
        if (auto answer = zone().answer(*query, static_cast<uint32_t>(size))) reply = *answer;
    for (size_t limit : {query->udp_limit(), dns::tcp_limit}) {
        std::string bytes = dns::encode_reply(*query, reply, limit);
        require(bytes.size() <= limit);
        require(dns::id_of(bytes) == query->id);
        if (query->problem == dns::no_error) require(dns::is_reply_to(bytes, message));
    }
    return 0;
}
