#include "environment.h"

#include <gtest/gtest.h>

#include "pod_spec.h"

namespace cloudlet::kube::node {
namespace {

api::Object object(const char* json) {
    auto parsed = codec::parse_json(json);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().to_string());
    return api::Object(parsed ? std::move(*parsed) : codec::Json());
}

const PodFacts facts{.pod_ip = "10.0.0.7",
                     .host_ip = "192.0.2.1",
                     .node_name = "n1",
                     .machine_milli_cpu = 2000,
                     .machine_memory = 4 << 20};

EnvironmentSources sources() {
    EnvironmentSources all;
    all.config_map = [](const std::string& name) -> Result<api::Object> {
        if (name != "conf") return fail(Code::not_found, "configmap \"" + name + "\" not found");
        return object(
            R"~({"metadata":{"name":"conf","namespace":"ns"},"data":{"color":"blue",
            "size":"9"}})~");
    };
    all.secret = [](const std::string& name) -> Result<api::Object> {
        if (name != "sec") return fail(Code::not_found, "secret \"" + name + "\" not found");
        return object(
            R"~({"metadata":{"name":"sec","namespace":"ns"},"data":{"password":"aHVzaA=="}})~");
    };
    return all;
}

std::vector<std::string> build(const char* container, const EnvironmentSources& from = sources()) {
    const auto pod =
        object(R"~({"metadata":{"name":"p","namespace":"ns","uid":"u","labels":{"app":"web"},
        "annotations":{"note":"x y"}},"spec":{"serviceAccountName":"robot","containers":[]}})~");
    auto env = build_environment(pod, object(container).json(), facts, from);
    EXPECT_TRUE(env) << (env ? "" : env.error().to_string());
    return env.value_or(std::vector<std::string>{});
}

TEST(Environment, ExpandsReferencesAsTheKubeletDoes) {
    const std::map<std::string, std::string> values{{"A", "1"}, {"B", "two"}};
    EXPECT_EQ(expand("$(A)-$(B)", values), "1-two");
    EXPECT_EQ(expand("$$(A) $(C) $(A", values), "$(A) $(C) $(A");
    EXPECT_EQ(expand("$A $ $$", values), "$A $ $");
    EXPECT_EQ(expand("$$$(A)", values), "$1");
    EXPECT_EQ(expand("", values), "");
}

TEST(Environment, ValuesReferToEarlierOnes) {
    EXPECT_EQ(build(
                  R"~({"env":[{"name":"A","value":"1"},{"name":"B","value":"$(A)$(C)"},{"name":"C",
            "value":"3"}]})~"),
              (std::vector<std::string>{"A=1", "B=1$(C)", "C=3"}));
}

TEST(Environment, TakesWholeMapsWithAPrefixAndSingleKeys) {
    EXPECT_EQ(build(
                  R"~({"envFrom":[{"prefix":"P_","configMapRef":{"name":"conf"}},
            {"secretRef":{"name":"sec"}},
                        {"configMapRef":{"name":"gone","optional":true}}],
                        "env":[{"name":"ONE","valueFrom":{"configMapKeyRef":{"name":"conf",
            "key":"color"}}},
                               {"name":"TWO","valueFrom":{"secretKeyRef":{"name":"sec",
            "key":"password"}}},
                               {"name":"NONE","valueFrom":{"secretKeyRef":{"name":"gone",
            "key":"k","optional":true}}}]})~"),
              (std::vector<std::string>{"P_color=blue", "P_size=9", "password=hush", "ONE=blue",
                                        "TWO=hush"}));
}

TEST(Environment, WhatIsMissingIsNamed) {
    const auto pod = object(R"~({"metadata":{"name":"p","namespace":"ns"}})~");
    auto error = [&](const char* container) {
        return build_environment(pod, object(container).json(), facts, sources()).error();
    };
    EXPECT_EQ(error(R"~({"envFrom":[{"configMapRef":{"name":"gone"}}]})~").message,
              "configmap \"gone\" not found");
    EXPECT_EQ(
        error(
            R"~({"env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"conf","key":"k"}}}]})~")
            .message,
        "couldn't find key k in ConfigMap ns/conf");
    EXPECT_EQ(
        error(R"~({"env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"spec.nope"}}}]})~")
            .code,
        Code::invalid);
}

TEST(Environment, ANulByteIsRefusedAndNotWhereAValueEnds) {
    auto from = sources();
    from.secret = [](const std::string&) -> Result<api::Object> {
        return object(R"~({"metadata":{"name":"sec"},"data":{"key":"AGEAYg=="}})~");
    };
    const auto pod = object(R"~({"metadata":{"name":"p"},"spec":{"containers":[]}})~");
    auto env = build_environment(
        pod, object(R"~({"envFrom":[{"secretRef":{"name":"sec"}}]})~").json(), facts, from);
    ASSERT_FALSE(env);
    EXPECT_NE(env.error().message.find("variable key holds a NUL byte"), std::string::npos);
}

TEST(Environment, FieldsAndResources) {
    EXPECT_EQ(build(R"~({"resources":{"limits":{"memory":"64Mi"},"requests":{"cpu":"250m"}},"env":[
        {"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
        {"name":"NODE","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}},
        {"name":"APP","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['app']"}}},
        {"name":"WHO","valueFrom":{"fieldRef":{"fieldPath":"spec.serviceAccountName"}}},
        {"name":"MEM","valueFrom":{"resourceFieldRef":{"resource":"limits.memory",
            "divisor":"1Mi"}}},
        {"name":"CPU","valueFrom":{"resourceFieldRef":{"resource":"requests.cpu"}}},
        {"name":"MILLI","valueFrom":{"resourceFieldRef":{"resource":"requests.cpu",
            "divisor":"1m"}}},
        {"name":"ALL","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}}]})~"),
              (std::vector<std::string>{"IP=10.0.0.7", "NODE=n1", "APP=web", "WHO=robot", "MEM=64",
                                        "CPU=1", "MILLI=250", "ALL=2"}));
}

TEST(Environment, ServicesLeaveTheirLinks) {
    auto from = sources();
    from.services = {
        object(R"~({"metadata":{"name":"red-is","namespace":"ns"},"spec":{"clusterIP":"10.96.0.9",
        "ports":[{"name":"http","port":80,"protocol":"TCP"},{"name":"dns","port":53,
            "protocol":"UDP"}]}})~"),
        object(
            R"~({"metadata":{"name":"headless","namespace":"ns"},"spec":{"clusterIP":"None",
            "ports":[{"port":1}]}})~")};
    const auto env = build(R"~({"env":[{"name":"URL","value":"http://$(RED_IS_SERVICE_HOST)"},
                                      {"name":"RED_IS_SERVICE_PORT","value":"mine"}]})~",
                           from);
    const std::set<std::string> all(env.begin(), env.end());
    EXPECT_TRUE(all.contains("URL=http://10.96.0.9"));
    EXPECT_TRUE(all.contains("RED_IS_SERVICE_PORT=mine"));
    EXPECT_TRUE(all.contains("RED_IS_SERVICE_PORT_DNS=53"));
    EXPECT_TRUE(all.contains("RED_IS_PORT=tcp://10.96.0.9:80"));
    EXPECT_TRUE(all.contains("RED_IS_PORT_53_UDP_PROTO=udp"));
    EXPECT_FALSE(all.contains("HEADLESS_SERVICE_HOST=None"));
}

TEST(PodSpec, QosClasses) {
    auto qos = [](const char* containers) {
        return qos_class(
            object((std::string(R"~({"containers":)~") + containers + "}").c_str()).json());
    };
    EXPECT_EQ(qos(R"~([{"name":"a"}])~"), "BestEffort");
    EXPECT_EQ(qos(R"~([{"resources":{"requests":{"cpu":"1"}}}])~"), "Burstable");
    EXPECT_EQ(qos(R"~([{"resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1000m",
            "memory":"1024Mi"}}}])~"),
              "Guaranteed");
    EXPECT_EQ(qos(R"~([{"resources":{"limits":{"cpu":"1","memory":"1Gi"}}},{}])~"), "Burstable");
}

TEST(PodSpec, LimitsBecomeCgroupValues) {
    const auto limits = container_limits(
        object(R"~({"limits":{"cpu":"500m","memory":"64Mi"},"requests":{"cpu":"100m"}})~").json());
    EXPECT_EQ(limits.cpu_quota_us, 50'000);
    EXPECT_EQ(limits.cpu_shares, 102);
    EXPECT_EQ(limits.memory_bytes, 64 << 20);
    EXPECT_EQ(container_limits({}).cpu_shares, 2);
    const auto pod = pod_limits(
        object(R"~({"containers":[{"resources":{"limits":{"memory":"1Mi"}}},{}]})~").json());
    EXPECT_EQ(pod.memory_bytes, 0) << "one container without a limit leaves the pod without one";
}

TEST(PodSpec, ResolverFollowsTheDnsPolicy) {
    const ResolverFacts host{.cluster_dns = "10.96.0.10",
                             .cluster_domain = "cluster.local",
                             .host_resolv_conf =
                                 "nameserver 9.9.9.9\nsearch example.org\noptions edns0\n"};
    const auto text = [&](const char* spec) {
        return resolver_file(
            object(
                (std::string(R"~({"metadata":{"namespace":"ns"},"spec":)~") + spec + "}").c_str()),
            host);
    };
    EXPECT_EQ(text("{}"), "nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local "
                          "cluster.local example.org\n"
                          "options ndots:5\n");
    EXPECT_EQ(text(R"~({"dnsPolicy":"Default"})~"), host.host_resolv_conf);
    EXPECT_EQ(text(R"~({"hostNetwork":true})~"), host.host_resolv_conf);
    EXPECT_EQ(
        text(R"~({"dnsPolicy":"None","dnsConfig":{"nameservers":["1.1.1.1"],"searches":["a.b"],
                       "options":[{"name":"ndots","value":"2"},{"name":"rotate"}]}})~"),
        "nameserver 1.1.1.1\nsearch a.b\noptions ndots:2 rotate\n");
}

TEST(PodSpec, ImagesWithoutATagOrWithLatestArePulledAlways) {
    auto policy = [](const char* image) {
        return pull_policy(codec::Json::object({{"image", image}}));
    };
    EXPECT_EQ(policy("nginx"), "Always");
    EXPECT_EQ(policy("localhost:5000/nginx"), "Always");
    EXPECT_EQ(policy("nginx:latest"), "Always");
    EXPECT_EQ(policy("localhost:5000/nginx:1.2"), "IfNotPresent");
}

} // namespace
} // namespace cloudlet::kube::node
