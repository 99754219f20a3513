#include "cloudlet/api/table.h"

#include "test_world.h"

namespace cloudlet::api {
namespace {

using test::json;
using test::kind;
using test::yaml;

const WallTime now = *parse_time("2026-01-02T03:00:00Z");

/// The cells of one object as printed, separated by " | ".
std::string row(std::string_view kind_name, const Json& object) {
    std::string text;
    Json cells =
        table_row(kind(kind_name), object, {.include = IncludeObject::none, .now = now})["cells"];
    for (const Json& cell : cells.items())
        text += (text.empty() ? "" : " | ") +
                (cell.is_string() ? std::string(cell.as_string()) : cell.dump());
    return text;
}

Json pod(std::string_view status, std::string_view metadata = "{}") {
    Json object = yaml("{metadata: {name: p, creationTimestamp: '2026-01-02T02:55:00Z'}, "
                       "spec: {nodeName: n1, containers: [{name: a}, {name: b}]}}");
    const Json extra = yaml(metadata);
    for (const auto& member : extra.members())
        object.set_path({"metadata", member.key}, member.value);
    return object.set("status", yaml(status));
}

TEST(PodRow, a_running_pod) {
    EXPECT_EQ(row("Pod", pod("{phase: Running, podIP: 10.0.0.9, containerStatuses: ["
                             "{name: a, ready: true, restartCount: 0, state: {running: {}}}, "
                             "{name: b, ready: false, restartCount: 0, state: {running: {}}}]}")),
              "p | 1/2 | Running | 0 | 5m | 10.0.0.9 | n1 | <none> | <none>");
}

TEST(PodRow, restarts_tell_when_the_last_was) {
    EXPECT_EQ(row("Pod", pod("{phase: Running, containerStatuses: ["
                             "{name: a, ready: true, restartCount: 2, state: {running: {}}, "
                             "lastState: {terminated: "
                             "{finishedAt: '2026-01-02T02:56:00Z'}}}, "
                             "{name: b, restartCount: 1, state: {waiting: {reason: "
                             "CrashLoopBackOff}}, lastState: "
                             "{terminated: {finishedAt: '2026-01-02T02:58:30Z'}}}]}")),
              "p | 1/2 | CrashLoopBackOff | 3 (90s ago) | 5m | <none> | n1 | <none> | <none>");
}

TEST(PodRow, init_containers_failures_and_ends) {
    EXPECT_EQ(row("Pod", pod("{phase: Pending}")),
              "p | 0/2 | Pending | 0 | 5m | <none> | n1 | <none> | <none>");
    Json init = pod("{phase: Pending, initContainerStatuses: [{name: i, state: {running: {}}}]}");
    init.set_path({"spec", "initContainers"}, yaml("[{name: i}, {name: j}]"));
    EXPECT_EQ(row("Pod", init), "p | 0/2 | Init:0/2 | 0 | 5m | <none> | n1 | <none> | <none>");
    init.set("status", yaml("{phase: Pending, initContainerStatuses: [{name: i, state: "
                            "{terminated: {exitCode: 3}}}]}"));
    EXPECT_EQ(row("Pod", init),
              "p | 0/2 | Init:ExitCode:3 | 0 | 5m | <none> | n1 | <none> | <none>");
    EXPECT_EQ(row("Pod", pod("{phase: Succeeded, containerStatuses: [{name: a, state: {terminated: "
                             "{exitCode: 0, "
                             "reason: Completed}}}]}")),
              "p | 0/2 | Completed | 0 | 5m | <none> | n1 | <none> | <none>");
    EXPECT_EQ(row("Pod", pod("{phase: Failed, reason: Evicted}")),
              "p | 0/2 | Evicted | 0 | 5m | <none> | n1 | <none> | <none>");
    EXPECT_EQ(row("Pod", pod("{phase: Running}", "{deletionTimestamp: '2026-01-02T02:59:00Z'}")),
              "p | 0/2 | Terminating | 0 | 5m | <none> | n1 | <none> | <none>");
    EXPECT_EQ(row("Pod", pod("{phase: Running, containerStatuses: [{name: a, state: {terminated: "
                             "{exitCode: 137, signal: 9}}}]}")),
              "p | 0/2 | Signal:9 | 0 | 5m | <none> | n1 | <none> | <none>");
}

TEST(PodRow, a_sidecar_counts_once_it_has_started) {
    Json object = pod("{phase: Running, initContainerStatuses: [{name: s, started: true, ready: "
                      "true, restartCount: 1, "
                      "state: {running: {}}}], containerStatuses: [{name: a, ready: true, state: "
                      "{running: {}}}]}");
    object.set_path({"spec", "initContainers"}, yaml("[{name: s, restartPolicy: Always}]"));
    EXPECT_EQ(row("Pod", object), "p | 2/3 | Running | 1 | 5m | <none> | n1 | <none> | <none>");
}

TEST(WorkloadRow, deployments_and_replica_sets) {
    Json object = yaml(R"(
metadata: {name: web, creationTimestamp: "2026-01-02T02:59:18Z"}
spec:
  replicas: 3
  selector:
    matchLabels: {b: c, a: b}
    matchExpressions: [{key: t, operator: In, values: [v, u]}, {key: z, operator: DoesNotExist}]
  template: {spec: {containers: [{name: c, image: nginx}, {name: d, image: "x:1"}]}}
status: {readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1, replicas: 3}
)");
    EXPECT_EQ(row("Deployment", object),
              "web | 2/3 | 3 | 1 | 42s | c,d | nginx,x:1 | a=b,b=c,t in (u,v),!z");
    EXPECT_EQ(row("ReplicaSet", object),
              "web | 3 | 3 | 2 | 42s | c,d | nginx,x:1 | a=b,b=c,t in (u,v),!z");
}

TEST(NodeRow, status_roles_and_addresses) {
    EXPECT_EQ(row("Node", yaml(R"(
metadata:
  name: n1
  creationTimestamp: "2026-01-01T03:00:00Z"
  labels: {node-role.kubernetes.io/control-plane: "", kubernetes.io/role: db}
spec: {unschedulable: true}
status:
  conditions: [{type: Ready, status: "True"}]
  addresses: [{type: InternalIP, address: 10.0.0.1}, {type: Hostname, address: n1}]
  nodeInfo: {kubeletVersion: v1.32.0, osImage: Debian, kernelVersion: 6.1-x}
)")),
              "n1 | Ready,SchedulingDisabled | control-plane,db | 24h | v1.32.0 | 10.0.0.1 | "
              "<none> | Debian | 6.1-x | <unknown>");
}

TEST(ServiceRow, every_type) {
    auto service = [](std::string_view spec) {
        return Json::object(
            {{"metadata", yaml("{name: s, creationTimestamp: '2026-01-02T02:59:59Z'}")},
             {"spec", yaml(spec)}});
    };
    EXPECT_EQ(row("Service", service("{type: ClusterIP, clusterIP: 10.96.0.1, ports: [{port: 80, "
                                     "protocol: TCP}], selector: {a: b}}")),
              "s | ClusterIP | 10.96.0.1 | <none> | 80/TCP | 1s | a=b");
    EXPECT_EQ(
        row("Service", service("{type: NodePort, clusterIPs: [10.96.0.1], ports: [{port: 80, "
                               "nodePort: 30080, protocol: TCP}, {port: 53, protocol: UDP}]}")),
        "s | NodePort | 10.96.0.1 | <none> | 80:30080/TCP,53/UDP | 1s | <none>");
    EXPECT_EQ(
        row("Service", service("{type: LoadBalancer, clusterIP: 10.96.0.1, ports: [{port: 1}]}")),
        "s | LoadBalancer | 10.96.0.1 | <pending> | 1/TCP | 1s | <none>");
    EXPECT_EQ(row("Service", service("{type: ExternalName, externalName: example.com}")),
              "s | ExternalName | <none> | example.com | <none> | 1s | <none>");
}

TEST(OtherRows, endpoints_config_secrets_events_and_leases) {
    EXPECT_EQ(row("Endpoints", yaml("{metadata: {name: e}, subsets: [{addresses: [{ip: 10.0.0.1}, "
                                    "{ip: 10.0.0.2}], ports: [{port: 80}, {port: 81}]}]}")),
              "e | 10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more... | <unknown>");
    EXPECT_EQ(
        row("EndpointSlice",
            yaml("{metadata: {name: e}, addressType: IPv4, endpoints: [], ports: [{port: 80}]}")),
        "e | IPv4 | 80 | <unset> | <unknown>");
    EXPECT_EQ(
        row("ConfigMap", yaml("{metadata: {name: c}, data: {a: b, c: d}, binaryData: {e: ''}}")),
        "c | 3 | <unknown>");
    EXPECT_EQ(row("Secret", yaml("{metadata: {name: c}, type: Opaque}")),
              "c | Opaque | 0 | <unknown>");
    EXPECT_EQ(row("Lease", yaml("{metadata: {name: c}, spec: {holderIdentity: me}}")),
              "c | me | <unknown>");
    EXPECT_EQ(row("Event", yaml("{metadata: {name: e.1}, type: Normal, reason: Pulled, message: ' "
                                "done ', count: 4, source: {component: k, host: n1}, "
                                "involvedObject: {kind: Pod, name: p, fieldPath: 'spec.x'}, "
                                "firstTimestamp: '2026-01-02T02:50:00Z', "
                                "lastTimestamp: '2026-01-02T02:59:00Z'}")),
              "60s | Normal | Pulled | pod/p | spec.x | k, n1 | done | 10m | 4 | e.1");
}

TEST(Tables, carry_columns_rows_and_what_was_asked_for) {
    Json object = pod("{phase: Succeeded}");
    Json table = make_table(kind("Pod"), std::vector<Json>{object},
                            json(R"({"resourceVersion":"7"})"), {.now = now});
    EXPECT_EQ(table["apiVersion"], Json("meta.k8s.io/v1"));
    EXPECT_EQ(table["metadata"]["resourceVersion"], Json("7"));
    EXPECT_EQ(table["columnDefinitions"].size(), table["rows"][0]["cells"].size());
    EXPECT_EQ(table["columnDefinitions"][0]["format"], Json("name"));
    EXPECT_EQ(table["rows"][0]["object"]["kind"], Json("PartialObjectMetadata"));
    EXPECT_EQ(table["rows"][0]["object"]["metadata"], object["metadata"]);
    EXPECT_EQ(table["rows"][0]["conditions"][0]["type"], Json("Completed"));
    Json whole = table_row(kind("Pod"), object, {.include = IncludeObject::object, .now = now});
    EXPECT_EQ(whole["object"], object);
    EXPECT_EQ(make_table(kind("Pod"), {}, {}, {}, false)["columnDefinitions"].size(), 0u);
    EXPECT_EQ(*parse_include_object("Object"), IncludeObject::object);
    EXPECT_FALSE(parse_include_object("Everything").has_value());
}

TEST(Tables, a_kind_without_columns_shows_name_and_creation) {
    EXPECT_EQ(
        row("Binding", yaml("{metadata: {name: b, creationTimestamp: '2026-01-02T02:59:59Z'}}")),
        "b | 2026-01-02T02:59:59Z");
}

} // namespace
} // namespace cloudlet::api
