#include "dns_zone.h"

#include <gtest/gtest.h>

namespace cloudlet::network::dns {
namespace {

Ipv4 ip(const char* text) { return *linux::parse_ipv4(text); }
Ipv4Block block(const char* text) { return *linux::parse_ipv4_block(text); }

DnsRecords records() {
    DnsRecords all;
    all.namespaces = {"default", "quiet"};
    all.pods = {{ip("10.244.0.9"), "default"}};
    std::vector<DnsPort> ports{{"http", Protocol::tcp, 80}, {"", Protocol::udp, 5}};
    all.services.push_back(
        {"web", "default", ip("10.96.0.50"), "", ports, {{ip("10.244.0.2"), ""}}});
    all.services.push_back({"db",
                            "default",
                            std::nullopt,
                            "",
                            {{"sql", Protocol::tcp, 5432}},
                            {{ip("10.244.0.3"), "db-0"}, {ip("10.244.0.4"), ""}}});
    all.services.push_back({"out", "default", std::nullopt, "example.org.", {}, {}});
    return all;
}

// The answer in one line: "rcode: data data", or "elsewhere".
std::string ask(const std::string& name, uint16_t type, const DnsRecords& from = records()) {
    Zone zone({"cluster.local", block("10.244.0.0/16"), block("10.96.0.0/16"), ip("10.244.0.1")},
              from, 1);
    Query query;
    query.name = name;
    query.type = type;
    query.klass = 1;
    auto reply = zone.answer(query, 0);
    if (!reply) return "elsewhere";
    EXPECT_TRUE(reply->authoritative);
    EXPECT_EQ(reply->authority.size(), reply->answers.empty() ? 1u : 0u)
        << name; // the SOA of an absence
    std::string text = std::to_string(reply->rcode) + ":";
    for (const Record& record : reply->answers) {
        text += ' ';
        if (record.type == a) {
            for (char c : record.data) text += std::to_string(static_cast<uint8_t>(c)) + ".";
            text.pop_back();
        } else {
            std::string data = record.type == srv ? record.data.substr(6) : record.data;
            for (size_t at = 0; at < data.size() && data[at];
                 at += 1 + static_cast<uint8_t>(data[at]))
                text += data.substr(at + 1, static_cast<uint8_t>(data[at])) + ".";
        }
    }
    return text;
}

TEST(DnsZone, GivenAServiceThenItsNamesLeadToItsClusterIp) {
    EXPECT_EQ(ask("web.default.svc.cluster.local", a), "0: 10.96.0.50");
    EXPECT_EQ(ask("web.default.svc.cluster.local", aaaa), "0:");
    EXPECT_EQ(ask("_http._tcp.web.default.svc.cluster.local", srv),
              "0: web.default.svc.cluster.local.");
    EXPECT_EQ(ask("10-244-0-2.web.default.svc.cluster.local", a), "0: 10.244.0.2");
}

TEST(DnsZone, GivenAHeadlessServiceThenItsEndpointsAreTheAnswer) {
    EXPECT_EQ(ask("db.default.svc.cluster.local", a), "0: 10.244.0.3 10.244.0.4");
    EXPECT_EQ(ask("db-0.db.default.svc.cluster.local", a), "0: 10.244.0.3");
    EXPECT_EQ(ask("_sql._tcp.db.default.svc.cluster.local", srv),
              "0: db-0.db.default.svc.cluster.local. 10-244-0-4.db.default.svc.cluster.local.");
}

TEST(DnsZone, GivenAHeadlessServiceWithoutEndpointsThenItsNameExistsWithoutAddress) {
    DnsRecords some;
    some.services.push_back({"db", "default", std::nullopt, "", {}, {}});
    EXPECT_EQ(ask("db.default.svc.cluster.local", a, some), "0:");
}

TEST(DnsZone, GivenNamesThatDoNotExistThenNxdomainButNotForTheNamesAboveExistingOnes) {
    EXPECT_EQ(ask("nobody.default.svc.cluster.local", a), "3:");
    EXPECT_EQ(ask("web.other.svc.cluster.local", a), "3:");
    EXPECT_EQ(ask("a.web.default.svc.cluster.local", a), "3:");
    for (const char* above :
         {"default.svc", "quiet.svc", "svc", "pod", "quiet.pod", "_tcp.web.default.svc"})
        EXPECT_EQ(ask(std::string(above) + ".cluster.local", a), "0:") << above;
}

TEST(DnsZone, GivenPodNamesThenOnlyAddressesOfPodsInNamespacesExist) {
    EXPECT_EQ(ask("10-244-0-9.default.pod.cluster.local", a), "0: 10.244.0.9");
    EXPECT_EQ(ask("10-244-0-9.nowhere.pod.cluster.local", a), "3:");
    EXPECT_EQ(ask("10-245-0-9.default.pod.cluster.local", a), "3:");
    EXPECT_EQ(ask("10-244-0.default.pod.cluster.local", a), "3:");
    EXPECT_EQ(ask("a.10-244-0-9.default.pod.cluster.local", a), "3:");
}

TEST(DnsZone, GivenAddressesThenTheirNamesAreFoundInReverse) {
    EXPECT_EQ(ask("50.0.96.10.in-addr.arpa", ptr), "0: web.default.svc.cluster.local.");
    EXPECT_EQ(ask("3.0.244.10.in-addr.arpa", ptr), "0: db-0.db.default.svc.cluster.local.");
    EXPECT_EQ(ask("9.0.244.10.in-addr.arpa", ptr), "0: 10-244-0-9.default.pod.cluster.local.");
    EXPECT_EQ(ask("77.0.244.10.in-addr.arpa", ptr), "3:");
    EXPECT_EQ(ask("244.10.in-addr.arpa", ptr), "0:");
    EXPECT_EQ(ask("1.1.168.192.in-addr.arpa", ptr), "elsewhere");
    EXPECT_EQ(ask("10.in-addr.arpa", ptr), "elsewhere");
    EXPECT_EQ(ask("050.0.96.10.in-addr.arpa", ptr), "elsewhere");
}

TEST(DnsZone, GivenTheRestOfTheWorldThenItIsAskedElsewhere) {
    EXPECT_EQ(ask("example.org", a), "elsewhere");
    EXPECT_EQ(ask("evilcluster.local", a), "elsewhere");
    EXPECT_EQ(ask("local", a), "elsewhere");
    EXPECT_EQ(ask("", ns), "elsewhere");
}

TEST(DnsZone, GivenTheDomainItselfThenItSaysWhoServesIt) {
    EXPECT_EQ(ask("cluster.local", ns), "0: ns.dns.cluster.local.");
    EXPECT_EQ(ask("ns.dns.cluster.local", a), "0: 10.244.0.1");
    EXPECT_EQ(ask("dns-version.cluster.local", txt), "0: 1.1.0.");
    EXPECT_EQ(ask("out.default.svc.cluster.local", a), "0: example.org.");
    EXPECT_EQ(ask("out.default.svc.cluster.local", cname), "0: example.org.");
}

} // namespace
} // namespace cloudlet::network::dns
