#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

#include "cloudlet/linux/nftables.h"

namespace cloudlet::linux::nft {

namespace {

constexpr uint32_t scratch = reg(15);                           // the conditions' own register
constexpr unsigned source_offset = 12, destination_offset = 16; // in the IPv4 header, RFC 791
constexpr unsigned destination_port_offset = 2;                 // TCP, UDP and SCTP agree
constexpr uint8_t icmp_port_unreachable = 3;                    // RFC 792

std::string_view as_text(const void* data, size_t size) {
    return {static_cast<const char*>(data), size};
}

std::string be32_text(uint32_t value) {
    uint32_t swapped = htobe32(value);
    return std::string(as_text(&swapped, sizeof swapped));
}

} // namespace

std::string pack(std::initializer_list<std::string_view> fields) {
    std::string packed;
    for (std::string_view part : fields) {
        packed.append(part);
        packed.resize((packed.size() + 3) & ~size_t{3});
    }
    return packed;
}

std::string field(Ipv4 address) { return be32_text(address.value); }
std::string field_be16(uint16_t value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value & 255), 0, 0};
}
std::string field_u8(uint8_t value) { return {static_cast<char>(value), 0, 0, 0}; }
std::string field_u32(uint32_t value) { return std::string(as_text(&value, sizeof value)); }

size_t Expressions::open(std::string_view name, size_t& data) {
    size_t element = writer_.begin_nest(NFTA_LIST_ELEM);
    writer_.put_string(NFTA_EXPR_NAME, name);
    data = writer_.begin_nest(NFTA_EXPR_DATA);
    return element;
}

void Expressions::close(size_t element, size_t data) {
    writer_.end_nest(data);
    writer_.end_nest(element);
}

void Expressions::put_data(uint16_t attribute, std::string_view bytes) {
    size_t nest = writer_.begin_nest(attribute);
    writer_.put_bytes(NFTA_DATA_VALUE, bytes);
    writer_.end_nest(nest);
}

Expressions& Expressions::load_meta(uint32_t nft_meta_key, uint32_t to) {
    size_t data, element = open("meta", data);
    writer_.put_be32(NFTA_META_KEY, nft_meta_key);
    writer_.put_be32(NFTA_META_DREG, to);
    close(element, data);
    return *this;
}

Expressions& Expressions::load_ct(uint32_t nft_ct_key, uint32_t to) {
    size_t data, element = open("ct", data);
    writer_.put_be32(NFTA_CT_KEY, nft_ct_key);
    writer_.put_be32(NFTA_CT_DREG, to);
    close(element, data);
    return *this;
}

Expressions& Expressions::load_payload(uint32_t base, uint32_t offset, uint32_t length,
                                       uint32_t to) {
    size_t data, element = open("payload", data);
    writer_.put_be32(NFTA_PAYLOAD_DREG, to);
    writer_.put_be32(NFTA_PAYLOAD_BASE, base);
    writer_.put_be32(NFTA_PAYLOAD_OFFSET, offset);
    writer_.put_be32(NFTA_PAYLOAD_LEN, length);
    close(element, data);
    return *this;
}

Expressions& Expressions::load_ip_source(uint32_t to) {
    return load_payload(NFT_PAYLOAD_NETWORK_HEADER, source_offset, 4, to);
}
Expressions& Expressions::load_ip_destination(uint32_t to) {
    return load_payload(NFT_PAYLOAD_NETWORK_HEADER, destination_offset, 4, to);
}
Expressions& Expressions::load_protocol(uint32_t to) { return load_meta(NFT_META_L4PROTO, to); }
Expressions& Expressions::load_destination_port(uint32_t to) {
    return load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, destination_port_offset, 2, to);
}

Expressions& Expressions::load_bytes(std::string_view bytes, uint32_t to) {
    size_t data, element = open("immediate", data);
    writer_.put_be32(NFTA_IMMEDIATE_DREG, to);
    put_data(NFTA_IMMEDIATE_DATA, bytes);
    close(element, data);
    return *this;
}

Expressions& Expressions::load_destination_type(uint32_t to) {
    size_t data, element = open("fib", data);
    writer_.put_be32(NFTA_FIB_DREG, to);
    writer_.put_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    writer_.put_be32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
    close(element, data);
    return *this;
}

Expressions& Expressions::load_random(uint32_t modulus, uint32_t to) {
    size_t data, element = open("numgen", data);
    writer_.put_be32(NFTA_NG_DREG, to);
    writer_.put_be32(NFTA_NG_MODULUS, modulus);
    writer_.put_be32(NFTA_NG_TYPE, NFT_NG_RANDOM);
    writer_.put_be32(NFTA_NG_OFFSET, 0);
    close(element, data);
    return *this;
}

Expressions& Expressions::load_hash(uint32_t from, uint32_t length, uint32_t modulus, uint32_t seed,
                                    uint32_t to) {
    size_t data, element = open("hash", data);
    writer_.put_be32(NFTA_HASH_SREG, from);
    writer_.put_be32(NFTA_HASH_DREG, to);
    writer_.put_be32(NFTA_HASH_LEN, length);
    writer_.put_be32(NFTA_HASH_MODULUS, modulus);
    writer_.put_be32(NFTA_HASH_SEED, seed);
    writer_.put_be32(NFTA_HASH_OFFSET, 0);
    writer_.put_be32(NFTA_HASH_TYPE, NFT_HASH_JENKINS);
    close(element, data);
    return *this;
}

Expressions& Expressions::mask(uint32_t from, uint32_t to, std::string_view mask_bytes) {
    size_t data, element = open("bitwise", data);
    writer_.put_be32(NFTA_BITWISE_SREG, from);
    writer_.put_be32(NFTA_BITWISE_DREG, to);
    writer_.put_be32(NFTA_BITWISE_LEN, static_cast<uint32_t>(mask_bytes.size()));
    put_data(NFTA_BITWISE_MASK, mask_bytes);
    put_data(NFTA_BITWISE_XOR, std::string(mask_bytes.size(), '\0'));
    close(element, data);
    return *this;
}

Expressions& Expressions::compare(uint32_t slot, Compare operation, std::string_view bytes) {
    size_t data, element = open("cmp", data);
    writer_.put_be32(NFTA_CMP_SREG, slot);
    writer_.put_be32(NFTA_CMP_OP, static_cast<uint32_t>(operation));
    put_data(NFTA_CMP_DATA, bytes);
    close(element, data);
    return *this;
}

Expressions& Expressions::lookup(std::string_view set, uint32_t key_slot,
                                 std::optional<uint32_t> to, bool inverted) {
    size_t data, element = open("lookup", data);
    writer_.put_string(NFTA_LOOKUP_SET, set);
    writer_.put_be32(NFTA_LOOKUP_SREG, key_slot);
    if (to) writer_.put_be32(NFTA_LOOKUP_DREG, *to);
    if (inverted) writer_.put_be32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    close(element, data);
    return *this;
}

Expressions& Expressions::in_set(std::string_view set, uint32_t key_slot) {
    return lookup(set, key_slot, std::nullopt, false);
}
Expressions& Expressions::not_in_set(std::string_view set, uint32_t key_slot) {
    return lookup(set, key_slot, std::nullopt, true);
}
Expressions& Expressions::map(std::string_view set, uint32_t key_slot, uint32_t to) {
    return lookup(set, key_slot, to, false);
}
Expressions& Expressions::verdict_map(std::string_view set, uint32_t key_slot) {
    return lookup(set, key_slot, NFT_REG_VERDICT, false);
}

Expressions& Expressions::verdict(int32_t code, std::string_view chain) {
    size_t data, element = open("immediate", data);
    writer_.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    size_t value = writer_.begin_nest(NFTA_IMMEDIATE_DATA);
    size_t nest = writer_.begin_nest(NFTA_DATA_VERDICT);
    writer_.put_be32(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
    if (!chain.empty()) writer_.put_string(NFTA_VERDICT_CHAIN, chain);
    writer_.end_nest(nest);
    writer_.end_nest(value);
    close(element, data);
    return *this;
}

Expressions& Expressions::accept() { return verdict(1, {}); } // NF_ACCEPT
Expressions& Expressions::drop() { return verdict(0, {}); }   // NF_DROP
Expressions& Expressions::jump(std::string_view chain) { return verdict(NFT_JUMP, chain); }
Expressions& Expressions::go_to(std::string_view chain) { return verdict(NFT_GOTO, chain); }
Expressions& Expressions::leave() { return verdict(NFT_RETURN, {}); }

Expressions& Expressions::dnat(uint32_t address_slot, uint32_t port_slot) {
    size_t data, element = open("nat", data);
    writer_.put_be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
    writer_.put_be32(NFTA_NAT_FAMILY, NFPROTO_IPV4);
    writer_.put_be32(NFTA_NAT_REG_ADDR_MIN, address_slot);
    writer_.put_be32(NFTA_NAT_REG_PROTO_MIN, port_slot);
    close(element, data);
    return *this;
}

Expressions& Expressions::masquerade() {
    size_t data, element = open("masq", data);
    close(element, data);
    return *this;
}

Expressions& Expressions::reject(uint32_t type, uint8_t code) {
    size_t data, element = open("reject", data);
    writer_.put_be32(NFTA_REJECT_TYPE, type);
    writer_.put_u8(NFTA_REJECT_ICMP_CODE, code);
    close(element, data);
    return *this;
}

Expressions& Expressions::reject_tcp_reset() { return reject(NFT_REJECT_TCP_RST, 0); }
Expressions& Expressions::reject_port_unreachable() {
    return reject(NFT_REJECT_ICMP_UNREACH, icmp_port_unreachable);
}

Expressions& Expressions::when_block(unsigned offset, Ipv4Block block, Compare operation) {
    load_payload(NFT_PAYLOAD_NETWORK_HEADER, offset, 4, scratch);
    if (block.prefix < 32) mask(scratch, scratch, be32_text(block.mask()));
    return compare(scratch, operation, be32_text(block.base.value));
}

Expressions& Expressions::when_source(Ipv4Block block, Compare operation) {
    return when_block(source_offset, block, operation);
}
Expressions& Expressions::when_destination(Ipv4Block block, Compare operation) {
    return when_block(destination_offset, block, operation);
}

// Interface names are compared over as many bytes as given: without the closing NUL it is a prefix.
// They fill four registers, so these conditions use NFT_REG_4, which is reg(12)..reg(15).
Expressions& Expressions::when_input_prefix(std::string_view name_prefix, Compare operation) {
    return load_meta(NFT_META_IIFNAME, NFT_REG_4).compare(NFT_REG_4, operation, name_prefix);
}
Expressions& Expressions::when_output_prefix(std::string_view name_prefix, Compare operation) {
    return load_meta(NFT_META_OIFNAME, NFT_REG_4).compare(NFT_REG_4, operation, name_prefix);
}
Expressions& Expressions::when_output(std::string_view name, Compare operation) {
    std::string whole(name);
    whole.resize(16);
    return when_output_prefix(whole, operation);
}

Expressions& Expressions::when_protocol(uint8_t protocol, Compare operation) {
    return load_protocol(scratch).compare(scratch, operation, as_text(&protocol, 1));
}

Expressions& Expressions::when_local_destination() {
    return load_destination_type(scratch).compare(scratch, Compare::equal, field_u32(RTN_LOCAL));
}

Expressions& Expressions::when_destination_changed() {
    return load_ct(NFT_CT_STATUS, scratch)
        .mask(scratch, scratch, field_u32(IPS_DST_NAT))
        .compare(scratch, Compare::not_equal, field_u32(0));
}

} // namespace cloudlet::linux::nft
