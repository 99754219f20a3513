#include "service_rules.h"

#include <gtest/gtest.h>

namespace cloudlet::kube::node {
namespace {

api::Object object(const char* json) {
    auto parsed = codec::parse_json(json);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().to_string());
    return api::Object(parsed ? std::move(*parsed) : codec::Json());
}

const char* web =
    R"({"metadata":{"name":"web","namespace":"ns"},"spec":{"clusterIP":"10.96.0.9",
            "sessionAffinity":"ClientIP",
    "ports":[{"name":"http","port":80,"targetPort":8080,"nodePort":30080},{"name":"dns","port":53,
            "protocol":"UDP"}]}})";

TEST(ServiceRules, EachPortLeadsToTheReadyEndpoints) {
    const auto slice = object(
        R"({"addressType":"IPv4","ports":[{"name":"http","port":8080,"protocol":"TCP"}],
            "endpoints":[
        {"addresses":["10.0.0.1"],"conditions":{"ready":true}},
        {"addresses":["10.0.0.2"],"conditions":{"ready":false,"serving":true,"terminating":true}},
        {"addresses":["10.0.0.3"]}]})");
    const auto ports = service_ports(object(web), {slice});
    ASSERT_EQ(ports.size(), 2u);
    EXPECT_EQ(ports[0].name, "ns/web:http");
    EXPECT_EQ(ports[0].node_port, 30080);
    EXPECT_EQ(ports[0].affinity, Duration(std::chrono::hours(3)));
    ASSERT_EQ(ports[0].endpoints.size(), 2u);
    EXPECT_EQ(ports[0].endpoints[0].port, 8080);
    EXPECT_EQ(ports[1].protocol, network::Protocol::udp);
    EXPECT_TRUE(ports[1].endpoints.empty()) << "the slice has no port of that name";
    EXPECT_EQ(routed_addresses(ports, {slice}).size(), 2u);
}

TEST(ServiceRules, EndingPodsServeOnlyWhenNobodyElseDoes) {
    const auto slice = object(R"({"ports":[{"name":"http","port":8080}],"endpoints":[
        {"addresses":["10.0.0.2"],"conditions":{"ready":false,"serving":true,
            "terminating":true}}]})");
    const auto ports = service_ports(object(web), {slice});
    ASSERT_EQ(ports[0].endpoints.size(), 1u);
    EXPECT_TRUE(routed_addresses(ports, {slice}).empty())
        << "nobody waits for a rule that stays to the end";
}

TEST(ServiceRules, HeadlessAndExternalServicesHaveNoRulesButNames) {
    const auto slice = object(R"({"ports":[{"name":"","port":8080}],"endpoints":[
        {"addresses":["10.0.0.1"],"hostname":"db-0","conditions":{"ready":true}},
        {"addresses":["10.0.0.2"],"conditions":{"ready":false}}]})");
    auto headless = object(
        R"({"metadata":{"name":"db","namespace":"ns"},"spec":{"clusterIP":"None",
            "ports":[{"port":80}]}})");
    EXPECT_TRUE(service_ports(headless, {slice}).empty());
    const auto record = dns_service(headless, {slice});
    ASSERT_TRUE(record);
    EXPECT_FALSE(record->cluster_ip);
    ASSERT_EQ(record->endpoints.size(), 1u);
    EXPECT_EQ(record->endpoints[0].hostname, "db-0");
    EXPECT_EQ(record->ports[0].port, 8080);
    auto external = object(
        R"({"metadata":{"name":"x","namespace":"ns"},"spec":{"type":"ExternalName",
            "externalName":"a.example"}})");
    EXPECT_TRUE(service_ports(external, {}).empty());
    EXPECT_EQ(dns_service(external, {})->external_name, "a.example");
    EXPECT_FALSE(dns_service(object(R"({"metadata":{"name":"new"},"spec":{}})"), {}));
}

} // namespace
} // namespace cloudlet::kube::node
