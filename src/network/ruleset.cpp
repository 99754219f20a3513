#include "ruleset.h"

#include <algorithm>

namespace cloudlet::network {

namespace nft = linux::nft;
using nft::Compare;
using nft::reg;

namespace {

// Raised when the fixed chains below change.
constexpr int layout_version = 1;

constexpr Ipv4Block loopback_block{{0x7F000000}, 8};
constexpr int raw_priority = -300, dnat_priority = -100, filter_priority = 0,
              snat_priority = 100; // nft(8)

std::string block_name(Ipv4Block block) {
    return fmt::format("{}_{}", block.base.to_string(), block.prefix);
}

std::string layout_blocks(const NetworkOptions& options) {
    return fmt::format("{}_{}_{}", block_name(options.pod_block), block_name(options.cluster_block),
                       block_name(options.service_block));
}

// An empty chain whose name says what the table was made for.
std::string layout_mark(const NetworkOptions& options) {
    return fmt::format("layout_{}_{}", layout_version, layout_blocks(options));
}

constexpr const char* fixed_chains[] = {"guard",       "prerouting", "output",        "translate",
                                        "postrouting", "forward",    "filter_output", "refuse"};

void add_sets(nft::Batch& batch) {
    using enum nft::DataType;
    batch.add_set({names::services, {ipv4, inet_proto, inet_service}, {}, true});
    batch.add_set({names::node_ports, {inet_proto, inet_service}, {}, true});
    batch.add_set(
        {names::endpoints, {ipv4, inet_proto, inet_service, mark}, {ipv4, inet_service}, false});
    batch.add_set(
        {names::node_endpoints, {inet_proto, inet_service, mark}, {ipv4, inet_service}, false});
    batch.add_set({names::hairpins, {ipv4, ipv4}, {}, false});
    batch.add_set(
        {names::host_ports, {ipv4, inet_proto, inet_service}, {ipv4, inet_service}, false});
    batch.add_set({names::host_ports_any, {inet_proto, inet_service}, {ipv4, inet_service}, false});
    batch.add_set({names::host_port_hairpins, {ipv4, ipv4}, {}, false});
}

void add_chains(nft::Batch& batch) {
    batch.add_chain("translate");
    batch.add_chain("refuse");
    batch.add_base_chain({"guard", "filter", nft::Hook::prerouting, raw_priority});
    batch.add_base_chain({"prerouting", "nat", nft::Hook::prerouting, dnat_priority});
    batch.add_base_chain({"output", "nat", nft::Hook::output, dnat_priority});
    batch.add_base_chain({"postrouting", "nat", nft::Hook::postrouting, snat_priority});
    batch.add_base_chain({"forward", "filter", nft::Hook::forward, filter_priority});
    batch.add_base_chain({"filter_output", "filter", nft::Hook::output, filter_priority});
}

// {destination . protocol . port} in reg(0)..reg(2).
nft::Expressions load_front() {
    nft::Expressions rule;
    rule.load_ip_destination(reg(0)).load_protocol(reg(1)).load_destination_port(reg(2));
    return rule;
}

// {protocol . port} in reg(0) and reg(1).
nft::Expressions load_port() {
    nft::Expressions rule;
    rule.load_protocol(reg(0)).load_destination_port(reg(1));
    return rule;
}

void add_translate_rules(nft::Batch& batch) {
    using nft::Expressions;
    batch.add_rule("prerouting", Expressions().jump("translate"));
    batch.add_rule("output", Expressions().jump("translate"));
    batch.add_rule("translate", load_front().verdict_map(names::services, reg(0)));
    batch.add_rule("translate",
                   Expressions()
                       .load_destination_type(reg(0))
                       .compare(reg(0), Compare::not_equal, nft::field_u32(2)) // RTN_LOCAL
                       .leave());
    batch.add_rule("translate",
                   load_front().map(names::host_ports, reg(0), reg(8)).dnat(reg(8), reg(9)));
    batch.add_rule("translate",
                   load_port().map(names::host_ports_any, reg(0), reg(8)).dnat(reg(8), reg(9)));
    batch.add_rule("translate", load_port().verdict_map(names::node_ports, reg(0)));
}

void add_postrouting_rules(nft::Batch& batch, const NetworkOptions& options) {
    using nft::Expressions;
    // A pod that reaches itself through a service must see the answer come from outside.
    for (const char* set : {names::hairpins, names::host_port_hairpins})
        batch.add_rule("postrouting", Expressions()
                                          .load_ip_source(reg(0))
                                          .load_ip_destination(reg(1))
                                          .in_set(set, reg(0))
                                          .when_destination_changed()
                                          .masquerade());
    // 127.0.0.1:<node port>: a pod cannot answer to 127.0.0.1.
    batch.add_rule("postrouting", Expressions()
                                      .when_source(loopback_block)
                                      .when_output("lo", Compare::not_equal)
                                      .when_destination_changed()
                                      .masquerade());
    // Pods going out of the pods' network.
    batch.add_rule("postrouting", Expressions()
                                      .when_source(options.pod_block)
                                      .when_destination(options.cluster_block, Compare::not_equal)
                                      .when_output("lo", Compare::not_equal)
                                      .when_output_prefix(options.link_prefix(), Compare::not_equal)
                                      .masquerade());
    // Clients from outside whose endpoint is elsewhere: the answer has to come back through us.
    batch.add_rule("postrouting", Expressions()
                                      .when_source(options.cluster_block, Compare::not_equal)
                                      .when_destination(options.pod_block, Compare::not_equal)
                                      .when_output("lo", Compare::not_equal)
                                      .when_destination_changed()
                                      .masquerade());
}

void add_filter_rules(nft::Batch& batch, const NetworkOptions& options) {
    using nft::Expressions;
    // The pods' links route 127/8 so that node ports work there; pods themselves may not use it.
    batch.add_rule("guard", Expressions()
                                .when_input_prefix(options.link_prefix())
                                .when_destination(loopback_block)
                                .drop());
    batch.add_rule(
        "guard",
        Expressions().when_input_prefix(options.link_prefix()).when_source(loopback_block).drop());
    batch.add_rule("forward", Expressions().jump("refuse"));
    batch.add_rule("filter_output", Expressions().jump("refuse"));
    // What still goes to a cluster IP after translation has no service or no endpoint.
    batch.add_rule("refuse", Expressions()
                                 .when_destination(options.service_block)
                                 .when_protocol(static_cast<uint8_t>(Protocol::tcp))
                                 .reject_tcp_reset());
    batch.add_rule("refuse",
                   Expressions().when_destination(options.service_block).reject_port_unreachable());
}

} // namespace

std::string front_key(const Front& front) {
    std::string port =
        nft::field_u8(static_cast<uint8_t>(front.protocol)) + nft::field_be16(front.port);
    return front.of_node() ? port : nft::field(front.address) + port;
}
std::string endpoint_key(const Front& front, uint32_t number) {
    return front_key(front) + nft::field_u32(number);
}
std::string target_value(Ipv4 address, uint16_t port) {
    return nft::field(address) + nft::field_be16(port);
}
std::string hairpin_key(Ipv4 address) { return nft::field(address) + nft::field(address); }

namespace {

uint32_t read_be(std::string_view bytes, size_t at, size_t count) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
    return value;
}

} // namespace

std::optional<Target> read_target(std::string_view value) {
    if (value.size() != 8) return std::nullopt;
    return Target{{read_be(value, 0, 4)}, static_cast<uint16_t>(read_be(value, 4, 2))};
}

std::optional<Front> read_front(std::string_view key, bool of_node) {
    size_t at = of_node ? 0 : 4;
    if (key.size() < at + 8) return std::nullopt;
    Ipv4 address{of_node ? 0 : read_be(key, 0, 4)};
    return Front{address, static_cast<Protocol>(key[at]),
                 static_cast<uint16_t>(read_be(key, at + 4, 2))};
}

Result<bool> has_table(linux::NetlinkSocket& socket, const NetworkOptions& options) {
    auto tables = nft::list_tables(socket);
    if (!tables && (tables.error().code == Code::unsupported || tables.error().os_errno == EINVAL))
        return fail(Code::unsupported,
                    "this kernel has no nf_tables, which services and host ports are made of; "
                    "use a kernel with CONFIG_NF_TABLES");
    return std::ranges::any_of(TRY(std::move(tables)), [&](const nft::Table& table) {
        return table.family == table_family && table.name == options.table();
    });
}

Result<> ensure_ruleset(linux::NetlinkSocket& socket, const NetworkOptions& options) {
    std::string old_mark;
    for (const nft::Chain& chain : TRY(nft::list_chains(socket, table_family)))
        if (chain.table == options.table() && chain.name.starts_with("layout_"))
            old_mark = chain.name;
    std::string mark = layout_mark(options);
    if (old_mark == mark) return {};
    if (!old_mark.empty() && !old_mark.ends_with("_" + layout_blocks(options)))
        return fail(
            Code::conflict,
            fmt::format(
                "nft table {} was made for other address blocks ({}); end the cloud that uses "
                "them (cloudlet down --purge) before changing the blocks",
                options.table(), old_mark));
    nft::Batch batch(table_family, options.table());
    batch.add_table();
    if (old_mark.empty()) add_sets(batch);
    add_chains(batch);
    if (!old_mark.empty()) {
        for (const char* chain : fixed_chains) batch.flush_chain(chain);
        batch.delete_chain(old_mark);
    }
    add_translate_rules(batch);
    add_postrouting_rules(batch, options);
    add_filter_rules(batch, options);
    batch.add_chain(mark);
    return batch.commit(socket);
}

Result<> delete_ruleset(linux::NetlinkSocket& socket, const NetworkOptions& options) {
    if (!TRY(has_table(socket, options))) return {};
    nft::Batch batch(table_family, options.table());
    batch.delete_table();
    return batch.commit(socket);
}

} // namespace cloudlet::network
