#pragma once
// nf_tables in typed calls, encoded by us (linux/netfilter/nf_tables.h; nft(8) for the semantics).
//
// A Batch collects changes to one table and commits them as one transaction: the kernel switches
// from the old generation to the new one at once, or refuses everything. Batches are built in
// order, so an element can be deleted and added again with another value in one batch.
//
// A rule is a list of expressions that pass values through registers, sixteen slots of four bytes
// (reg(0)..reg(15)). A concatenated key is simply consecutive registers; each field is padded to
// four bytes.
//
// Values are plain; sockets are not thread-safe.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloudlet/linux/netlink.h"

namespace cloudlet::linux::nft {

enum class Family : uint8_t {
    unspecified = 0,
    inet = 1,
    ip = 2,
    arp = 3,
    netdev = 5,
    bridge = 7,
    ip6 = 10
};
enum class Hook : uint32_t { prerouting = 0, input = 1, forward = 2, output = 3, postrouting = 4 };
enum class Compare : uint32_t { equal = 0, not_equal = 1 };

/// Number of the 32-bit register `slot` (0..15).
constexpr uint32_t reg(unsigned slot) { return 8 + slot; }

/// An element's key or value: what lies in consecutive registers.
std::string pack(std::initializer_list<std::string_view> fields);
std::string field(Ipv4 address);
std::string field_be16(uint16_t value); // a port, as in the packet, padded to four bytes
std::string field_u8(uint8_t value);    // a protocol number, padded to four bytes
std::string field_u32(uint32_t value);  // host order, as numgen yields it

/// The expressions of one rule, in order of evaluation.
class Expressions {
public:
    Expressions& load_meta(uint32_t nft_meta_key, uint32_t to);
    Expressions& load_ct(uint32_t nft_ct_key, uint32_t to);
    Expressions& load_ip_source(uint32_t to);
    Expressions& load_ip_destination(uint32_t to);
    Expressions& load_protocol(uint32_t to);         // meta l4proto
    Expressions& load_destination_port(uint32_t to); // th dport
    Expressions& load_bytes(std::string_view bytes, uint32_t to);
    /// RTN_* of the packet's destination address ("fib daddr type").
    Expressions& load_destination_type(uint32_t to);
    Expressions& load_random(uint32_t modulus, uint32_t to); // numgen random mod N
    /// jhash of `length` bytes from the slot `from`, mod N.
    Expressions& load_hash(uint32_t from, uint32_t length, uint32_t modulus, uint32_t seed,
                           uint32_t to);
    /// to = (from & mask) ^ 0, over mask.size() bytes.
    Expressions& mask(uint32_t from, uint32_t to, std::string_view mask_bytes);
    Expressions& compare(uint32_t slot, Compare operation, std::string_view bytes);
    /// Ends the rule unless the key at `key_slot` is (or, inverted, is not) in the set.
    Expressions& in_set(std::string_view set, uint32_t key_slot);
    Expressions& not_in_set(std::string_view set, uint32_t key_slot);
    /// Looks the key up in a map; the value goes to `to`. The rule ends when there is none.
    Expressions& map(std::string_view set, uint32_t key_slot, uint32_t to);
    /// Looks the key up in a verdict map and follows the verdict.
    Expressions& verdict_map(std::string_view set, uint32_t key_slot);

    Expressions& accept();
    Expressions& drop();
    Expressions& jump(std::string_view chain);
    Expressions& go_to(std::string_view chain);
    Expressions& leave();
    Expressions& dnat(uint32_t address_slot, uint32_t port_slot);
    Expressions& masquerade();
    Expressions& reject_tcp_reset();
    Expressions& reject_port_unreachable();

    // Frequent conditions in one word each; they use reg(12) to reg(15).
    Expressions& when_source(Ipv4Block block, Compare operation = Compare::equal);
    Expressions& when_destination(Ipv4Block block, Compare operation = Compare::equal);
    Expressions& when_input_prefix(std::string_view name_prefix,
                                   Compare operation = Compare::equal);
    Expressions& when_output_prefix(std::string_view name_prefix,
                                    Compare operation = Compare::equal);
    Expressions& when_output(std::string_view name, Compare operation = Compare::equal);
    Expressions& when_protocol(uint8_t protocol, Compare operation = Compare::equal);
    Expressions& when_local_destination();
    Expressions& when_destination_changed(); // ct status dnat

    const std::string& bytes() const { return writer_.buffer(); }

private:
    size_t open(std::string_view name, size_t& data);
    void close(size_t element, size_t data);
    Expressions& load_payload(uint32_t base, uint32_t offset, uint32_t length, uint32_t to);
    Expressions& reject(uint32_t type, uint8_t code);
    Expressions& verdict(int32_t code, std::string_view chain);
    Expressions& lookup(std::string_view set, uint32_t key_slot, std::optional<uint32_t> to,
                        bool inverted);
    Expressions& when_block(unsigned offset, Ipv4Block block, Compare operation);
    void put_data(uint16_t attribute, std::string_view bytes);
    NetlinkWriter writer_;
};

struct BaseChain {
    std::string name;
    std::string type; // "filter" or "nat"
    Hook hook = Hook::prerouting;
    int32_t priority = 0;
};

/// nft(8)'s names of key and value types, only so that `nft list` prints them well.
enum class DataType : uint32_t { ipv4 = 7, inet_proto = 12, inet_service = 13, mark = 19 };

struct SetSpec {
    std::string name;
    std::vector<DataType> key;
    std::vector<DataType> value; // empty: a set, or a verdict map
    bool verdicts = false;
};

struct Element {
    std::string key;
    std::string value; // of a map
    std::string chain; // of a verdict map: where "goto" leads
    bool operator==(const Element&) const = default;
};

class Batch {
public:
    Batch(Family family, std::string table);

    void add_table();
    void delete_table();
    void add_chain(const std::string& name);
    void add_base_chain(const BaseChain& chain);
    void flush_chain(const std::string& name);
    void delete_chain(const std::string& name);
    void add_rule(const std::string& chain, const Expressions& expressions);
    void add_set(const SetSpec& set);
    void delete_set(const std::string& name);
    void flush_set(const std::string& name);
    /// Adding an equal element again is done; another value for a present key is a conflict.
    void add_element(const std::string& set, const Element& element);
    void delete_element(const std::string& set, std::string_view key);

    bool empty() const { return subjects_.empty(); }
    /// Hands everything to the kernel at once. Error: the first refused change, by name.
    Result<> commit(NetlinkSocket& socket);

private:
    struct OpenList {
        std::string set;
        uint16_t message = 0;
        size_t nest = 0;
        bool active = false;
    };
    void begin(uint16_t message, uint16_t flags, std::string subject);
    void close_list();
    void open_list(uint16_t message, const std::string& set);

    Family family_;
    std::string table_;
    NetlinkWriter writer_;
    std::vector<std::pair<size_t, std::string>> subjects_; // message number -> what it is about
    OpenList list_;
    uint32_t next_set_id_ = 1;
};

struct Table {
    Family family = Family::unspecified;
    std::string name;
};

struct Chain {
    Family family = Family::unspecified;
    std::string table;
    std::string name;
    std::string type;             // of a base chain, else empty
    std::optional<uint32_t> hook; // NF_INET_*
    int32_t priority = 0;
    bool drops_by_default = false;
};

Result<std::vector<Table>> list_tables(NetlinkSocket& socket);
/// Chains of every table of the family (unspecified: of all families).
Result<std::vector<Chain>> list_chains(NetlinkSocket& socket, Family family = Family::unspecified);
/// Every element once. Errors: not_found; unavailable when the set never holds still.
Result<std::vector<Element>> list_elements(NetlinkSocket& socket, Family family,
                                           const std::string& table, const std::string& set);
/// The undecoded expressions of a chain's rules, one string for each rule.
Result<std::vector<std::string>> list_rule_bytes(NetlinkSocket& socket, const Chain& chain);

} // namespace cloudlet::linux::nft
