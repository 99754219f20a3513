#pragma once
// The cluster's names as one immutable value: built from a snapshot of records, then only read.

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cloudlet/network/dns_server.h"
#include "dns_message.h"

namespace cloudlet::network::dns {

/// What the zone is made for: taken from DnsOptions.
struct ZoneOptions {
    std::string domain = "cluster.local";
    Ipv4Block pod_block;
    Ipv4Block service_block;
    std::optional<Ipv4> server; // where this name server is reached, for its own NS name
};

class Zone {
public:
    Zone(ZoneOptions options, const DnsRecords& records, uint32_t serial);

    /// The answer to a well-formed question; nothing when the name is not in our zones and has to
    /// be asked elsewhere. `turn` rotates the order of several addresses.
    std::optional<Reply> answer(const Query& query, uint32_t turn) const;

    /// The outside name that one of our names stands for.
    std::optional<std::string> external_target(const std::string& name) const;

private:
    struct Node {
        std::vector<Ipv4> addresses;
        std::vector<std::pair<uint16_t, std::string>> services; // port, full target name
        std::string canonical;                                  // CNAME
        std::string text;
    };

    Node& node(const std::string& name);
    void add_service(const DnsService& service);
    void add_endpoint(const DnsService& service, const DnsEndpoint& endpoint,
                      const std::string& base);
    std::string full(const std::string& name) const;
    Reply answer_forward(const Query& query, const std::string& name, uint32_t turn) const;
    Reply answer_reverse(const Query& query, const std::string& zone,
                         std::optional<Ipv4> address) const;
    Reply empty(Rcode rcode, const std::string& zone) const;
    std::optional<Ipv4> pod_address(const std::string& name) const;
    Record soa_record(const std::string& zone, uint32_t ttl) const;
    void add_answers(Reply& reply, const Query& query, const Node& found, uint32_t turn) const;

    ZoneOptions options_;
    uint32_t serial_;
    bool every_namespace_;
    std::unordered_map<std::string, Node>
        nodes_; // by name below the domain; "" is the domain itself
    std::unordered_map<Ipv4, std::vector<std::string>> reverse_;
};

/// "10-244-0-5".
std::string dashed(Ipv4 address);

} // namespace cloudlet::network::dns
