#include "dns_message.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace cloudlet::network::dns {

namespace {

constexpr size_t name_limit = 255, label_limit = 63; // RFC 1035 section 2.3.4
constexpr int pointer_limit = 32;                    // a chain of pointers this long is an attack
constexpr uint8_t pointer_bits = 0xC0;

uint16_t read16(std::string_view bytes, size_t at) {
    return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 |
                                 static_cast<uint8_t>(bytes[at + 1]));
}

void put16(std::string& out, size_t value) {
    out += static_cast<char>(value >> 8);
    out += static_cast<char>(value);
}
void put32(std::string& out, uint32_t value) {
    put16(out, value >> 16);
    put16(out, value & 0xFFFF);
}

void append_label(std::string& name, std::string_view label) {
    if (!name.empty()) name += '.';
    for (char c : label) {
        bool upper = c >= 'A' && c <= 'Z';
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (upper)
            name += static_cast<char>(c - 'A' + 'a');
        else if (plain)
            name += c;
        else
            name += fmt::format("\\{:03}", static_cast<uint8_t>(c));
    }
}

struct ParsedName {
    std::string text;
    size_t end = 0; // after the name where it began
    int pointers = 0;
};

std::optional<ParsedName> parse_name(std::string_view message, size_t at) {
    ParsedName name;
    size_t wire_length = 1;
    for (;;) {
        if (at >= message.size()) return std::nullopt;
        auto length = static_cast<uint8_t>(message[at]);
        if ((length & pointer_bits) == pointer_bits) {
            if (at + 2 > message.size() || ++name.pointers > pointer_limit) return std::nullopt;
            if (name.end == 0) name.end = at + 2;
            at = read16(message, at) & 0x3FFF;
            continue;
        }
        if (length > label_limit || at + 1 + length > message.size()) return std::nullopt;
        at += 1;
        if (length == 0) break;
        wire_length += 1u + length;
        if (wire_length > name_limit) return std::nullopt;
        append_label(name.text, message.substr(at, length));
        at += length;
    }
    if (name.end == 0) name.end = at;
    return name;
}

// Looks through the records after the question for an OPT record; false when they are malformed.
bool read_edns(std::string_view message, size_t at, size_t records, Query& query) {
    for (size_t i = 0; i < records; ++i) {
        auto name = parse_name(message, at);
        if (!name || name->end + 10 > message.size()) return false;
        size_t fixed = name->end;
        size_t end = fixed + 10 + read16(message, fixed + 8);
        if (end > message.size()) return false;
        if (read16(message, fixed) == opt) {
            if (query.has_edns || !name->text.empty())
                return false; // RFC 6891 section 6.1.1: one, at the root
            query.has_edns = true;
            query.udp_size = read16(message, fixed + 2);
            query.edns_version = static_cast<uint8_t>(message[fixed + 5]);
        }
        at = end;
    }
    return true;
}

} // namespace

size_t Query::udp_limit() const {
    if (!has_edns) return plain_udp_limit;
    return std::clamp<size_t>(udp_size, plain_udp_limit, edns_udp_limit);
}

std::optional<Query> parse_query(std::string_view message) {
    if (message.size() < header_size) return std::nullopt;
    uint16_t flags = read16(message, 2);
    if (flags & 0x8000) return std::nullopt; // an answer
    Query query;
    query.id = read16(message, 0);
    query.opcode = flags >> 11 & 15;
    query.recursion_desired = flags & 0x0100;
    query.problem = format_error;
    if (query.opcode != 0) {
        query.problem = not_implemented;
        return query;
    }
    if (read16(message, 4) != 1) return query;
    auto name = parse_name(message, header_size);
    // A pointer has nothing to point to in the first name, and the question is echoed as it came.
    if (!name || name->pointers > 0 || name->end + 4 > message.size()) return query;
    size_t end = name->end + 4;
    query.name = std::move(name->text);
    query.type = read16(message, end - 4);
    query.klass = read16(message, end - 2);
    query.question = message.substr(header_size, end - header_size);
    size_t records = size_t{read16(message, 6)} + read16(message, 8) + read16(message, 10);
    if (!read_edns(message, end, records, query)) return query;
    query.problem = query.edns_version > 0 ? bad_version : no_error;
    return query;
}

bool is_reply_to(std::string_view reply, std::string_view query) {
    if (reply.size() < header_size || query.size() < header_size) return false;
    if (id_of(reply) != id_of(query) || !(read16(reply, 2) & 0x8000) || read16(reply, 4) != 1)
        return false;
    auto asked = parse_name(query, header_size), answered = parse_name(reply, header_size);
    if (!asked || !answered || asked->end + 4 > query.size() || answered->end + 4 > reply.size())
        return false;
    return asked->text == answered->text &&
           query.substr(asked->end, 4) == reply.substr(answered->end, 4);
}

std::vector<Record> answers_of_type(std::string_view message, uint16_t type) {
    std::vector<Record> found;
    if (message.size() < header_size) return found;
    size_t at = header_size;
    for (size_t i = 0, questions = read16(message, 4); i < questions; ++i) {
        auto name = parse_name(message, at);
        if (!name) return found;
        at = name->end + 4;
    }
    for (size_t i = 0, records = read16(message, 6); i < records; ++i) {
        auto name = parse_name(message, at);
        if (!name || name->end + 10 > message.size()) return found;
        size_t fixed = name->end, length = read16(message, fixed + 8);
        if (fixed + 10 + length > message.size()) return found;
        uint32_t ttl =
            static_cast<uint32_t>(read16(message, fixed + 4)) << 16 | read16(message, fixed + 6);
        if (read16(message, fixed) == type)
            found.push_back(
                {name->text, type, ttl, std::string(message.substr(fixed + 10, length))});
        at = fixed + 10 + length;
    }
    return found;
}

std::string encode_query(uint16_t id, std::string_view name, uint16_t type) {
    std::string message;
    for (size_t value : {size_t{id}, size_t{0x0100}, size_t{1}, size_t{0}, size_t{0}, size_t{1}})
        put16(message, value);
    message += encode_name(name);
    put16(message, type);
    put16(message, 1);
    message += '\0';
    for (size_t value : {size_t{opt}, edns_udp_limit, size_t{0}, size_t{0}, size_t{0}})
        put16(message, value);
    return message;
}

uint16_t id_of(std::string_view message) {
    return message.size() < 2 ? uint16_t{0} : read16(message, 0);
}

void set_id(std::string& message, uint16_t id) {
    if (message.size() < 2) return;
    message[0] = static_cast<char>(id >> 8);
    message[1] = static_cast<char>(id);
}

Rcode rcode_of(std::string_view message) {
    return message.size() < header_size ? server_failure : static_cast<Rcode>(message[3] & 15);
}

std::string encode_name(std::string_view name) {
    std::string wire;
    while (!name.empty()) {
        size_t dot = std::min(name.find('.'), name.size());
        std::string_view label = name.substr(0, std::min(dot, label_limit));
        wire += static_cast<char>(label.size());
        wire += label;
        name.remove_prefix(std::min(dot + 1, name.size()));
    }
    return wire + '\0';
}

std::string data_a(linux::Ipv4 address) {
    std::string data;
    put32(data, address.value);
    return data;
}

std::string data_srv(uint16_t port, std::string_view target) {
    std::string data; // RFC 2782: priority, weight, port, target (never compressed)
    put16(data, 0);
    put16(data, 100);
    put16(data, port);
    return data + encode_name(target);
}

std::string data_soa(std::string_view server, std::string_view mailbox, uint32_t serial,
                     uint32_t minimum) {
    std::string data = encode_name(server) + encode_name(mailbox);
    for (uint32_t value : {serial, 7200u, 1800u, 86400u, minimum}) put32(data, value);
    return data;
}

std::string data_txt(std::string_view text) {
    return std::string(1, static_cast<char>(std::min<size_t>(text.size(), 255))) +
           std::string(text.substr(0, 255));
}

namespace {

// Owner names repeat: the question's name, then the same targets again. Each whole name is written
// once.
class ReplyWriter {
public:
    explicit ReplyWriter(const Query& query) {
        out_.assign(header_size, '\0');
        if (!query.question.empty()) names_[query.name] = header_size;
        out_ += query.question;
    }

    void add(const Record& record) {
        auto known = names_.find(record.name);
        if (known != names_.end()) {
            put16(out_, 0xC000 | known->second);
        } else {
            if (out_.size() < 0x3FFF && !record.name.empty()) names_[record.name] = out_.size();
            out_ += encode_name(record.name);
        }
        put16(out_, record.type);
        put16(out_, 1); // IN
        put32(out_, record.ttl);
        put16(out_, record.data.size());
        out_ += record.data;
    }

    void add_edns(Rcode rcode) {
        out_ += '\0'; // the root's name
        put16(out_, opt);
        put16(out_, edns_udp_limit);
        put32(out_, static_cast<uint32_t>(rcode >> 4) << 24);
        put16(out_, 0);
    }

    std::string& bytes() { return out_; }

private:
    std::string out_;
    std::map<std::string, size_t> names_;
};

std::string encode(const Query& query, const Reply& reply, bool truncated, bool with_additional) {
    ReplyWriter writer(query);
    size_t counts[3] = {0, 0, 0};
    const std::vector<Record>* sections[3] = {&reply.answers, &reply.authority, &reply.additional};
    for (size_t i = 0; i < 3 && !truncated; ++i) {
        if (i == 2 && !with_additional) break;
        for (const Record& record : *sections[i]) writer.add(record);
        counts[i] = sections[i]->size();
    }
    if (query.has_edns) {
        writer.add_edns(reply.rcode);
        ++counts[2];
    }
    std::string header;
    put16(header, query.id);
    put16(header, 0x8000u | static_cast<unsigned>(query.opcode) << 11 |
                      (reply.authoritative ? 0x0400u : 0) | (truncated ? 0x0200u : 0) |
                      (query.recursion_desired ? 0x0100u : 0) | 0x0080u | (reply.rcode & 15u));
    put16(header, query.question.empty() ? 0 : 1);
    for (size_t count : counts) put16(header, count);
    writer.bytes().replace(0, header_size, header);
    return std::move(writer.bytes());
}

} // namespace

std::string encode_reply(const Query& query, const Reply& reply, size_t limit) {
    std::string whole = encode(query, reply, false, true);
    if (whole.size() <= limit) return whole;
    std::string shorter = encode(query, reply, false, false);
    return shorter.size() <= limit ? shorter : encode(query, reply, true, false);
}

} // namespace cloudlet::network::dns
