#include "service_rules.h"

#include <algorithm>
#include <charconv>

namespace cloudlet::network {

namespace nft = linux::nft;
using nft::reg;

namespace {

constexpr uint32_t client_seed =
    0x636c6f75; // the same on every node, so that a client may change nodes

// Enough places that each of `endpoints` gets about its share.
size_t place_count(size_t endpoints) { return endpoints <= 16 ? 64 : endpoints <= 64 ? 256 : 1024; }

uint64_t score(const Endpoint& endpoint, size_t place) {
    uint64_t x = (uint64_t{endpoint.address.value} << 16 | endpoint.port) ^
                 (place + 1) * 0x9E3779B97F4A7C15ULL;
    for (uint64_t factor : {0xBF58476D1CE4E5B9ULL, 0x94D049BB133111EBULL})
        x = (x ^ x >> 30) * factor; // splitmix64
    return x ^ x >> 31;
}

} // namespace

bool ServiceElement::is_verdict() const {
    return map == names::services || map == names::node_ports;
}

std::vector<Endpoint> ready_endpoints(const ServicePort& service) {
    std::vector<Endpoint> ready;
    for (const Endpoint& endpoint : service.endpoints)
        if (endpoint.ready) ready.push_back(endpoint);
    std::sort(ready.begin(), ready.end());
    ready.erase(std::unique(ready.begin(), ready.end()), ready.end());
    return ready;
}

std::vector<Front> fronts_of(const ServicePort& service) {
    std::vector<Front> fronts;
    if (!service.cluster_ip.is_unspecified())
        fronts.push_back({service.cluster_ip, service.protocol, service.port});
    for (Ipv4 address : service.external_ips)
        fronts.push_back({address, service.protocol, service.port});
    if (service.node_port != 0) fronts.push_back({Ipv4{}, service.protocol, service.node_port});
    return fronts;
}

std::vector<Endpoint> places_of(const ServicePort& service) {
    std::vector<Endpoint> ready = ready_endpoints(service);
    if (service.affinity <= Duration{} || ready.empty()) return ready;
    std::vector<Endpoint> places;
    for (size_t place = 0; place < place_count(ready.size()); ++place)
        places.push_back(*std::ranges::max_element(
            ready, {}, [place](const Endpoint& endpoint) { return score(endpoint, place); }));
    return places;
}

std::vector<ServiceElement> elements_of(const ServicePort& service) {
    std::vector<Endpoint> places = places_of(service);
    std::vector<ServiceElement> elements;
    if (places.empty()) return elements;
    for (const Front& front : fronts_of(service)) {
        elements.push_back(
            {front.of_node() ? names::node_ports : names::services, front_key(front),
             chain_name(front.of_node(), places.size(), service.affinity > Duration{})});
        const char* map = front.of_node() ? names::node_endpoints : names::endpoints;
        for (uint32_t i = 0; i < places.size(); ++i)
            elements.push_back(
                {map, endpoint_key(front, i), target_value(places[i].address, places[i].port)});
    }
    std::sort(elements.begin(), elements.end(),
              [](const auto& a, const auto& b) { return a.identity() < b.identity(); });
    return elements;
}

ElementChanges difference(const std::vector<ServiceElement>& old_elements,
                          const std::vector<ServiceElement>& new_elements) {
    ElementChanges changes;
    auto before = old_elements.begin();
    auto after = new_elements.begin();
    while (before != old_elements.end() || after != new_elements.end()) {
        bool only_old = after == new_elements.end() ||
                        (before != old_elements.end() && before->identity() < after->identity());
        bool only_new =
            !only_old && (before == old_elements.end() || after->identity() < before->identity());
        bool changed = !only_old && !only_new && before->value != after->value;
        if (only_old || changed) changes.removed.push_back(*before);
        if (only_new || changed) changes.added.push_back(*after);
        if (!only_new) ++before;
        if (!only_old) ++after;
    }
    return changes;
}

std::string chain_name(bool of_node, size_t places, bool sticky) {
    return fmt::format("{}{}{}", of_node ? 'n' : 'c', places, sticky ? "s" : "");
}

namespace {

struct ChainMeaning {
    bool of_node = false;
    uint32_t places = 0;
    bool sticky = false;
};

std::optional<ChainMeaning> read_chain_name(std::string_view name) {
    if (name.size() < 2 || (name[0] != 'c' && name[0] != 'n')) return std::nullopt;
    ChainMeaning meaning{name[0] == 'n', 0, name.back() == 's'};
    const char* end = name.data() + name.size() - (meaning.sticky ? 1 : 0);
    auto count = std::from_chars(name.data() + 1, end, meaning.places);
    if (count.ec != std::errc{} || count.ptr != end || meaning.places == 0) return std::nullopt;
    return meaning;
}

// The key of the endpoint map but for the number; returns the register after it.
unsigned load_front(nft::Expressions& rule, bool of_node) {
    unsigned next = 0;
    if (!of_node) rule.load_ip_destination(reg(next++));
    rule.load_protocol(reg(next)).load_destination_port(reg(next + 1));
    return next + 2;
}

} // namespace

bool is_service_chain(std::string_view name) { return read_chain_name(name).has_value(); }

void add_service_chain(nft::Batch& batch, const std::string& name) {
    auto meaning = read_chain_name(name);
    check(meaning.has_value(), "a service chain has a well-formed name");
    const char* map = meaning->of_node ? names::node_endpoints : names::endpoints;
    batch.add_chain(name);
    nft::Expressions draw;
    unsigned number = load_front(draw, meaning->of_node);
    if (meaning->sticky)
        draw.load_ip_source(reg(8)).load_hash(reg(8), 4, meaning->places, client_seed, reg(number));
    else
        draw.load_random(meaning->places, reg(number));
    batch.add_rule(name, draw.map(map, reg(0), reg(8)).dnat(reg(8), reg(9)));
    // A packet that is between the two lookups when the service shrinks may have drawn a number
    // that is gone: the second rule takes place 0, which is there as long as there is any.
    nft::Expressions first;
    number = load_front(first, meaning->of_node);
    batch.add_rule(name,
                   first.load_random(1, reg(number)).map(map, reg(0), reg(8)).dnat(reg(8), reg(9)));
}

} // namespace cloudlet::network
