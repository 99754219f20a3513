#include "dns_zone.h"

#include <algorithm>
#include <charconv>

namespace cloudlet::network::dns {

namespace {

constexpr uint32_t time_to_live = 5; // seconds; endpoints come and go
constexpr std::string_view reverse_suffix = ".in-addr.arpa";
constexpr const char* specification_version = "1.1.0";

std::string protocol_label(Protocol protocol) {
    return protocol == Protocol::udp ? "_udp" : protocol == Protocol::sctp ? "_sctp" : "_tcp";
}

// "5.0.244.10" (the octets reversed) or a shorter piece of it.
struct ReverseName {
    uint32_t address = 0;
    unsigned octets = 0;
};

std::optional<ReverseName> parse_reverse(std::string_view name) {
    if (!name.ends_with(reverse_suffix)) return std::nullopt;
    name.remove_suffix(reverse_suffix.size());
    ReverseName reverse;
    while (!name.empty()) {
        size_t dot = name.rfind('.');
        std::string_view label = dot == std::string_view::npos ? name : name.substr(dot + 1);
        unsigned octet = 256;
        auto parsed = std::from_chars(label.data(), label.data() + label.size(), octet);
        bool canonical = label.size() == 1 || (!label.empty() && label[0] != '0');
        if (parsed.ptr != label.data() + label.size() || octet > 255 || !canonical ||
            reverse.octets == 4)
            return std::nullopt;
        reverse.address |= octet << (24 - 8 * reverse.octets++);
        name = dot == std::string_view::npos ? std::string_view{} : name.substr(0, dot);
    }
    return reverse;
}

// The in-addr.arpa name of the whole octets of a block: 10.244.0.0/16 -> "244.10.in-addr.arpa".
std::string reverse_zone(Ipv4Block block) {
    std::string name(reverse_suffix.substr(1));
    for (unsigned i = 0; i < block.prefix / 8; ++i)
        name = fmt::format("{}.{}", block.base.value >> (24 - 8 * i) & 255, name);
    return name;
}

} // namespace

std::string dashed(Ipv4 address) {
    std::string text = address.to_string();
    std::replace(text.begin(), text.end(), '.', '-');
    return text;
}

Zone::Zone(ZoneOptions options, const DnsRecords& records, uint32_t serial)
    : options_(std::move(options)), serial_(serial), every_namespace_(records.namespaces.empty()) {
    nodes_.reserve(records.services.size() * 2 + 16);
    node("");
    node("svc");
    node("pod");
    node("dns-version").text = specification_version;
    if (options_.server) node("ns.dns").addresses.push_back(*options_.server);
    for (const std::string& name : records.namespaces) {
        node(name + ".svc");
        node(name + ".pod");
    }
    for (const DnsService& service : records.services) add_service(service);
    for (const DnsPod& pod : records.pods)
        if (!reverse_.contains(pod.address))
            reverse_[pod.address].push_back(
                full(fmt::format("{}.{}.pod", dashed(pod.address), pod.ns)));
}

std::string Zone::full(const std::string& name) const {
    return name.empty() ? options_.domain : name + "." + options_.domain;
}

// Makes the node and those above it: an empty one answers "no such record" and not "no such name".
Zone::Node& Zone::node(const std::string& name) {
    for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1))
        if (!nodes_.try_emplace(name.substr(dot + 1)).second) break;
    return nodes_[name];
}

void Zone::add_service(const DnsService& service) {
    std::string base = fmt::format("{}.{}.svc", service.name, service.ns);
    Node& own = node(base);
    own.canonical = service.external_name;
    while (own.canonical.ends_with('.')) own.canonical.pop_back();
    if (!service.external_name.empty()) return;
    if (service.cluster_ip) {
        own.addresses.push_back(*service.cluster_ip);
        reverse_[*service.cluster_ip] = {full(base)};
        for (const DnsPort& port : service.ports)
            if (!port.name.empty())
                node(fmt::format("_{}.{}.{}", port.name, protocol_label(port.protocol), base))
                    .services.emplace_back(port.port, full(base));
    }
    for (const DnsEndpoint& endpoint : service.endpoints) add_endpoint(service, endpoint, base);
}

void Zone::add_endpoint(const DnsService& service, const DnsEndpoint& endpoint,
                        const std::string& base) {
    std::string name =
        (endpoint.hostname.empty() ? dashed(endpoint.address) : endpoint.hostname) + "." + base;
    node(name).addresses.push_back(endpoint.address);
    reverse_[endpoint.address].push_back(full(name));
    if (service.cluster_ip) return;
    nodes_[base].addresses.push_back(endpoint.address);
    for (const DnsPort& port : service.ports)
        if (!port.name.empty())
            node(fmt::format("_{}.{}.{}", port.name, protocol_label(port.protocol), base))
                .services.emplace_back(port.port, full(name));
}

std::optional<Reply> Zone::answer(const Query& query, uint32_t turn) const {
    const std::string& name = query.name;
    if (name == options_.domain) return answer_forward(query, "", turn);
    bool below = name.size() > options_.domain.size() && name.ends_with(options_.domain) &&
                 name[name.size() - options_.domain.size() - 1] == '.';
    if (below)
        return answer_forward(query, name.substr(0, name.size() - options_.domain.size() - 1),
                              turn);
    auto reverse = parse_reverse(name);
    if (!reverse) return std::nullopt;
    for (Ipv4Block block : {options_.pod_block, options_.service_block}) {
        bool inside = reverse->octets >= block.prefix / 8 && block.contains({reverse->address});
        if (!inside) continue;
        std::optional<Ipv4> address;
        if (reverse->octets == 4) address = Ipv4{reverse->address};
        return answer_reverse(query, reverse_zone(block), address);
    }
    return std::nullopt;
}

std::optional<std::string> Zone::external_target(const std::string& name) const {
    if (name.size() <= options_.domain.size()) return std::nullopt;
    auto found = nodes_.find(name.substr(0, name.size() - options_.domain.size() - 1));
    if (found == nodes_.end() || found->second.canonical.empty()) return std::nullopt;
    return found->second.canonical;
}

Record Zone::soa_record(const std::string& zone, uint32_t ttl) const {
    return {zone, soa, ttl,
            data_soa("ns.dns." + options_.domain, "hostmaster." + options_.domain, serial_,
                     time_to_live)};
}

// RFC 2308: the SOA tells how long the absence may be remembered.
Reply Zone::empty(Rcode rcode, const std::string& zone) const {
    return {rcode, true, {}, {soa_record(zone, time_to_live)}, {}};
}

// <a-b-c-d>.<namespace>.pod
std::optional<Ipv4> Zone::pod_address(const std::string& name) const {
    size_t dot = name.find('.');
    if (dot == std::string::npos || !name.ends_with(".pod")) return std::nullopt;
    if (dot + 4 >= name.size()) return std::nullopt;
    std::string ns = name.substr(dot + 1, name.size() - dot - 5);
    if (ns.empty() || ns.find('.') != std::string::npos) return std::nullopt;
    if (!every_namespace_ && !nodes_.contains(ns + ".pod")) return std::nullopt;
    std::string dotted = name.substr(0, dot);
    std::replace(dotted.begin(), dotted.end(), '-', '.');
    auto address = linux::parse_ipv4(dotted);
    if (!address || !options_.pod_block.contains(*address)) return std::nullopt;
    return *address;
}

Reply Zone::answer_forward(const Query& query, const std::string& name, uint32_t turn) const {
    Node pod;
    auto found = nodes_.find(name);
    const Node* node = found == nodes_.end() ? nullptr : &found->second;
    if (auto address = pod_address(name)) {
        pod.addresses.push_back(*address);
        node = &pod;
    }
    if (!node) return empty(name_error, options_.domain);
    Reply reply;
    reply.authoritative = true;
    if (name.empty() && (query.type == soa || query.type == any))
        reply.answers.push_back(soa_record(options_.domain, time_to_live));
    if (name.empty() && (query.type == ns || query.type == any))
        reply.answers.push_back(
            {query.name, ns, time_to_live, encode_name("ns.dns." + options_.domain)});
    add_answers(reply, query, *node, turn);
    if (reply.answers.empty()) return empty(no_error, options_.domain);
    return reply;
}

void Zone::add_answers(Reply& reply, const Query& query, const Node& found, uint32_t turn) const {
    bool all = query.type == any;
    if (!found.canonical.empty()) {
        reply.answers.push_back({query.name, cname, time_to_live, encode_name(found.canonical)});
        return;
    }
    size_t count = found.addresses.size();
    for (size_t i = 0; i < count && (all || query.type == a); ++i)
        reply.answers.push_back(
            {query.name, a, time_to_live, data_a(found.addresses[(i + turn) % count])});
    if (!found.text.empty() && (all || query.type == txt))
        reply.answers.push_back({query.name, txt, time_to_live, data_txt(found.text)});
    if (!all && query.type != srv) return;
    for (const auto& [port, target] : found.services) {
        reply.answers.push_back({query.name, srv, time_to_live, data_srv(port, target)});
        auto known = nodes_.find(target.substr(0, target.size() - options_.domain.size() - 1));
        if (known == nodes_.end()) continue;
        for (Ipv4 address : known->second.addresses)
            reply.additional.push_back({target, a, time_to_live, data_a(address)});
    }
}

Reply Zone::answer_reverse(const Query& query, const std::string& zone,
                           std::optional<Ipv4> address) const {
    if (!address) return empty(no_error, zone);
    auto known = reverse_.find(*address);
    if (known == reverse_.end()) return empty(name_error, zone);
    if (query.type != ptr && query.type != any) return empty(no_error, zone);
    Reply reply;
    reply.authoritative = true;
    for (const std::string& name : known->second)
        reply.answers.push_back({query.name, ptr, time_to_live, encode_name(name)});
    return reply;
}

} // namespace cloudlet::network::dns
