#include "cloudlet/linux/nftables.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

namespace cloudlet::linux::nft {

namespace {

constexpr unsigned type_bits = 6; // nft(8) packs the types of a concatenation in six bits each
constexpr int list_attempts = 20;
constexpr size_t list_bytes_limit = 56 * 1024; // an attribute's length has 16 bits

constexpr uint16_t message_type(int type) {
    return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type);
}

nfgenmsg header_for(Family family, uint16_t resource = 0) {
    nfgenmsg header{};
    header.nfgen_family = static_cast<uint8_t>(family);
    header.version = NFNETLINK_V0;
    header.res_id = htobe16(resource);
    return header;
}

uint32_t combined_type(const std::vector<DataType>& types) {
    uint32_t combined = 0;
    for (DataType type : types) combined = combined << type_bits | static_cast<uint32_t>(type);
    return combined;
}

uint32_t length_of(const std::vector<DataType>& types) {
    return static_cast<uint32_t>(types.size() * 4);
}

std::string_view as_text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace

Batch::Batch(Family family, std::string table) : family_(family), table_(std::move(table)) {
    writer_.begin(NFNL_MSG_BATCH_BEGIN, 0, header_for(Family::unspecified, NFNL_SUBSYS_NFTABLES));
}

void Batch::begin(uint16_t message, uint16_t flags, std::string subject) {
    close_list();
    subjects_.emplace_back(writer_.message_count(), std::move(subject));
    writer_.begin(message_type(message), flags, header_for(family_));
}

void Batch::add_table() {
    begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, "nft table " + table_);
    writer_.put_string(NFTA_TABLE_NAME, table_);
}

void Batch::delete_table() {
    begin(NFT_MSG_DELTABLE, 0, "delete nft table " + table_);
    writer_.put_string(NFTA_TABLE_NAME, table_);
}

void Batch::add_chain(const std::string& name) {
    begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, fmt::format("nft chain {} of {}", name, table_));
    writer_.put_string(NFTA_CHAIN_TABLE, table_);
    writer_.put_string(NFTA_CHAIN_NAME, name);
}

void Batch::add_base_chain(const BaseChain& chain) {
    add_chain(chain.name);
    size_t hook = writer_.begin_nest(NFTA_CHAIN_HOOK);
    writer_.put_be32(NFTA_HOOK_HOOKNUM, static_cast<uint32_t>(chain.hook));
    writer_.put_be32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(chain.priority));
    writer_.end_nest(hook);
    writer_.put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
    writer_.put_string(NFTA_CHAIN_TYPE, chain.type);
}

void Batch::flush_chain(const std::string& name) {
    begin(NFT_MSG_DELRULE, 0, fmt::format("rules of nft chain {} of {}", name, table_));
    writer_.put_string(NFTA_RULE_TABLE, table_);
    writer_.put_string(NFTA_RULE_CHAIN, name);
}

void Batch::delete_chain(const std::string& name) {
    begin(NFT_MSG_DELCHAIN, 0, fmt::format("delete nft chain {} of {}", name, table_));
    writer_.put_string(NFTA_CHAIN_TABLE, table_);
    writer_.put_string(NFTA_CHAIN_NAME, name);
}

void Batch::add_rule(const std::string& chain, const Expressions& expressions) {
    begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
          fmt::format("rule in nft chain {} of {}", chain, table_));
    writer_.put_string(NFTA_RULE_TABLE, table_);
    writer_.put_string(NFTA_RULE_CHAIN, chain);
    size_t list = writer_.begin_nest(NFTA_RULE_EXPRESSIONS);
    const std::string& bytes = expressions.bytes();
    writer_.put_raw(std::as_bytes(std::span(bytes.data(), bytes.size())));
    writer_.end_nest(list);
}

void Batch::add_set(const SetSpec& set) {
    begin(NFT_MSG_NEWSET, NLM_F_CREATE, fmt::format("nft set {} of {}", set.name, table_));
    bool is_map = set.verdicts || !set.value.empty();
    uint32_t flags = is_map ? uint32_t{NFT_SET_MAP} : 0;
    writer_.put_string(NFTA_SET_TABLE, table_);
    writer_.put_string(NFTA_SET_NAME, set.name);
    writer_.put_be32(NFTA_SET_FLAGS, flags);
    writer_.put_be32(NFTA_SET_KEY_TYPE, combined_type(set.key));
    writer_.put_be32(NFTA_SET_KEY_LEN, length_of(set.key));
    if (set.verdicts) writer_.put_be32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
    if (!set.value.empty()) {
        writer_.put_be32(NFTA_SET_DATA_TYPE, combined_type(set.value));
        writer_.put_be32(NFTA_SET_DATA_LEN, length_of(set.value));
    }
    writer_.put_be32(NFTA_SET_ID, next_set_id_++);
}

void Batch::delete_set(const std::string& name) {
    begin(NFT_MSG_DELSET, 0, fmt::format("delete nft set {} of {}", name, table_));
    writer_.put_string(NFTA_SET_TABLE, table_);
    writer_.put_string(NFTA_SET_NAME, name);
}

void Batch::flush_set(const std::string& name) {
    begin(NFT_MSG_DELSETELEM, 0, fmt::format("elements of nft set {} of {}", name, table_));
    writer_.put_string(NFTA_SET_ELEM_LIST_TABLE, table_);
    writer_.put_string(NFTA_SET_ELEM_LIST_SET, name);
}

void Batch::close_list() {
    if (list_.active) writer_.end_nest(list_.nest);
    list_.active = false;
}

// Elements of one set go into one message until it is full; begin() closes it as well.
void Batch::open_list(uint16_t message, const std::string& set) {
    bool goes_on = list_.active && list_.message == message && list_.set == set &&
                   writer_.nest_size(list_.nest) < list_bytes_limit;
    if (goes_on) return;
    uint16_t flags = message == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;
    begin(message, flags, fmt::format("elements of nft set {} of {}", set, table_));
    writer_.put_string(NFTA_SET_ELEM_LIST_TABLE, table_);
    writer_.put_string(NFTA_SET_ELEM_LIST_SET, set);
    list_ = {set, message, writer_.begin_nest(NFTA_SET_ELEM_LIST_ELEMENTS), true};
}

void Batch::add_element(const std::string& set, const Element& element) {
    open_list(NFT_MSG_NEWSETELEM, set);
    size_t item = writer_.begin_nest(NFTA_LIST_ELEM);
    size_t key = writer_.begin_nest(NFTA_SET_ELEM_KEY);
    writer_.put_bytes(NFTA_DATA_VALUE, element.key);
    writer_.end_nest(key);
    if (!element.value.empty() || !element.chain.empty()) {
        size_t value = writer_.begin_nest(NFTA_SET_ELEM_DATA);
        if (element.chain.empty()) {
            writer_.put_bytes(NFTA_DATA_VALUE, element.value);
        } else {
            size_t verdict = writer_.begin_nest(NFTA_DATA_VERDICT);
            writer_.put_be32(NFTA_VERDICT_CODE, static_cast<uint32_t>(NFT_GOTO));
            writer_.put_string(NFTA_VERDICT_CHAIN, element.chain);
            writer_.end_nest(verdict);
        }
        writer_.end_nest(value);
    }
    writer_.end_nest(item);
}

void Batch::delete_element(const std::string& set, std::string_view key) {
    open_list(NFT_MSG_DELSETELEM, set);
    size_t item = writer_.begin_nest(NFTA_LIST_ELEM);
    size_t nest = writer_.begin_nest(NFTA_SET_ELEM_KEY);
    writer_.put_bytes(NFTA_DATA_VALUE, key);
    writer_.end_nest(nest);
    writer_.end_nest(item);
}

Result<> Batch::commit(NetlinkSocket& socket) {
    if (empty()) return {};
    close_list();
    writer_.begin(NFNL_MSG_BATCH_END, 0, header_for(Family::unspecified, NFNL_SUBSYS_NFTABLES));
    return socket.transaction(writer_, [this](size_t message) {
        std::string subject = "nft table " + table_;
        for (const auto& [number, text] : subjects_)
            if (number <= message) subject = text;
        return subject;
    });
}

Result<std::vector<Table>> list_tables(NetlinkSocket& socket) {
    NetlinkWriter writer;
    writer.begin(message_type(NFT_MSG_GETTABLE), NLM_F_DUMP, header_for(Family::unspecified));
    std::vector<Table> found;
    TRY(socket.dump(
        writer, "nft tables", [&] { found.clear(); },
        [&](const NetlinkMessage& message) {
            Table table{static_cast<Family>(message.header<nfgenmsg>().nfgen_family), {}};
            for_each_attribute(message.attributes<nfgenmsg>(),
                               [&](const NetlinkAttribute& attribute) {
                                   if (attribute.type == NFTA_TABLE_NAME)
                                       table.name = attribute.text();
                               });
            found.push_back(std::move(table));
        }));
    return found;
}

namespace {

Chain parse_chain(const NetlinkMessage& message) {
    Chain chain;
    chain.family = static_cast<Family>(message.header<nfgenmsg>().nfgen_family);
    for_each_attribute(message.attributes<nfgenmsg>(), [&](const NetlinkAttribute& attribute) {
        if (attribute.type == NFTA_CHAIN_TABLE) chain.table = attribute.text();
        if (attribute.type == NFTA_CHAIN_NAME) chain.name = attribute.text();
        if (attribute.type == NFTA_CHAIN_TYPE) chain.type = attribute.text();
        if (attribute.type == NFTA_CHAIN_POLICY)
            chain.drops_by_default = attribute.be32() == NF_DROP;
        if (attribute.type != NFTA_CHAIN_HOOK) return;
        for_each_attribute(attribute.payload, [&](const NetlinkAttribute& hook) {
            if (hook.type == NFTA_HOOK_HOOKNUM) chain.hook = hook.be32();
            if (hook.type == NFTA_HOOK_PRIORITY) chain.priority = static_cast<int32_t>(hook.be32());
        });
    });
    return chain;
}

Element parse_element(std::span<const std::byte> payload) {
    Element element;
    for_each_attribute(payload, [&](const NetlinkAttribute& part) {
        if (part.type != NFTA_SET_ELEM_KEY && part.type != NFTA_SET_ELEM_DATA) return;
        for_each_attribute(part.payload, [&](const NetlinkAttribute& data) {
            if (data.type == NFTA_DATA_VALUE)
                (part.type == NFTA_SET_ELEM_KEY ? element.key : element.value) =
                    as_text(data.payload);
            if (data.type != NFTA_DATA_VERDICT) return;
            for_each_attribute(data.payload, [&](const NetlinkAttribute& verdict) {
                if (verdict.type == NFTA_VERDICT_CHAIN) element.chain = verdict.text();
            });
        });
    });
    return element;
}

void add_elements(const NetlinkMessage& message, std::vector<Element>& found) {
    for_each_attribute(message.attributes<nfgenmsg>(), [&](const NetlinkAttribute& list) {
        if (list.type != NFTA_SET_ELEM_LIST_ELEMENTS) return;
        for_each_attribute(list.payload, [&](const NetlinkAttribute& item) {
            found.push_back(parse_element(item.payload));
        });
    });
}

/// A worker of the kernel moves a set that has grown into a bigger hash table (lib/rhashtable.c),
/// and a dump that meets this goes on in the new one at the place it had reached in the old
/// (nft_rhash_walk), without the mark of an interrupted dump. It never reads fewer elements than
/// there are, so wherever it passed one by, it has read another twice.
bool repeats_a_key(const std::vector<Element>& elements) {
    std::unordered_set<std::string_view> seen;
    return !std::ranges::all_of(
        elements, [&](const Element& element) { return seen.insert(element.key).second; });
}

} // namespace

Result<std::vector<Chain>> list_chains(NetlinkSocket& socket, Family family) {
    NetlinkWriter writer;
    writer.begin(message_type(NFT_MSG_GETCHAIN), NLM_F_DUMP, header_for(family));
    std::vector<Chain> found;
    TRY(socket.dump(
        writer, "nft chains", [&] { found.clear(); },
        [&](const NetlinkMessage& message) { found.push_back(parse_chain(message)); }));
    return found;
}

Result<std::vector<Element>> list_elements(NetlinkSocket& socket, Family family,
                                           const std::string& table, const std::string& set) {
    std::string subject = fmt::format("elements of nft set {} of {}", set, table);
    NetlinkWriter writer;
    writer.begin(message_type(NFT_MSG_GETSETELEM), NLM_F_DUMP, header_for(family));
    writer.put_string(NFTA_SET_ELEM_LIST_TABLE, table);
    writer.put_string(NFTA_SET_ELEM_LIST_SET, set);
    std::vector<Element> found;
    for (int attempt = 0; attempt < list_attempts; ++attempt) {
        TRY(socket.dump(
            writer, subject, [&] { found.clear(); },
            [&](const NetlinkMessage& message) { add_elements(message, found); }));
        if (!repeats_a_key(found)) return found;
    }
    return fail(Code::unavailable,
                fmt::format("{}: the kernel kept moving them while they were read", subject));
}

Result<std::vector<std::string>> list_rule_bytes(NetlinkSocket& socket, const Chain& chain) {
    NetlinkWriter writer;
    writer.begin(message_type(NFT_MSG_GETRULE), NLM_F_DUMP, header_for(chain.family));
    writer.put_string(NFTA_RULE_TABLE, chain.table);
    writer.put_string(NFTA_RULE_CHAIN, chain.name);
    std::vector<std::string> found;
    TRY(socket.dump(
        writer, fmt::format("rules of nft chain {} of {}", chain.name, chain.table),
        [&] { found.clear(); },
        [&](const NetlinkMessage& message) {
            for_each_attribute(message.attributes<nfgenmsg>(), [&](const NetlinkAttribute& part) {
                if (part.type == NFTA_RULE_EXPRESSIONS) found.emplace_back(as_text(part.payload));
            });
        }));
    return found;
}

} // namespace cloudlet::linux::nft
