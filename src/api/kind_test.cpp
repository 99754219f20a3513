#include "cloudlet/api/kind.h"

#include "table_cells.h"
#include "test_world.h"

namespace cloudlet::api {
namespace {

using test::create_errors;
using test::created;
using test::json;
using test::kind;
using test::update_errors;
using test::web_deployment;
using test::web_pod;
using test::yaml;
using Lines = std::vector<std::string>;

TEST(Kinds, are_found_by_resource_by_kind_and_by_what_an_object_says) {
    const Kinds& kinds = builtin_kinds();
    EXPECT_EQ(kinds.find("apps", "v1", "deployments"), kinds.find_object("apps/v1", "Deployment"));
    EXPECT_EQ(kinds.find("", "v1", "pods"), kinds.find_object("v1", "Pod"));
    EXPECT_EQ(kinds.find("", "v1", "nonsense"), nullptr);
    EXPECT_EQ(kinds.find("autoscaling", "v1", "scales"),
              nullptr); // only ever the body of a subresource
    EXPECT_NE(kinds.find_object("autoscaling/v1", "Scale"), nullptr);
    EXPECT_EQ(kinds.groups().front().name, "");
}

TEST(Kinds, every_column_and_subresource_of_the_compiled_kinds_can_be_served) {
    for (const Kind& one : builtin_kinds().all()) {
        ASSERT_NE(one.schema, nullptr) << one.kind;
        for (const Column& column : one.columns)
            EXPECT_TRUE(is_cell_source(column.source)) << one.kind << " " << column.source;
        for (std::string_view field : one.selectable_fields)
            EXPECT_TRUE(field == "source" || one.schema->find_path(field))
                << one.kind << " " << field;
        for (const Subresource& sub : one.subresources)
            EXPECT_TRUE(sub.schema || sub.name == "log" || sub.name == "exec")
                << one.kind << "/" << sub.name;
    }
}

TEST(KindDefaults, a_deployment_gets_all_that_kubernetes_sets) {
    Json object = web_deployment();
    default_object(kind("Deployment"), object);
    EXPECT_EQ(object["spec"], yaml(R"(
replicas: 1
revisionHistoryLimit: 10
progressDeadlineSeconds: 600
strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}
selector: {matchLabels: {app: web}}
template:
  metadata: {labels: {app: web}}
  spec:
    containers:
    - name: c
      image: nginx
      imagePullPolicy: Always
      ports: [{containerPort: 80, protocol: TCP}]
      resources: {}
      terminationMessagePath: /dev/termination-log
      terminationMessagePolicy: File
    dnsPolicy: ClusterFirst
    restartPolicy: Always
    schedulerName: default-scheduler
    securityContext: {}
    terminationGracePeriodSeconds: 30
)"));
}

TEST(KindDefaults, what_was_set_is_left_alone_and_defaulting_twice_changes_nothing) {
    Json object = web_deployment();
    object.set_path({"spec", "replicas"}, 0).set_path({"spec", "strategy", "type"}, "Recreate");
    default_object(kind("Deployment"), object);
    EXPECT_EQ(object["spec"]["replicas"], Json(0));
    EXPECT_EQ(object["spec"]["strategy"], json(R"({"type":"Recreate"})"));
    Json again = object;
    default_object(kind("Deployment"), again);
    EXPECT_EQ(again, object);
}

TEST(KindDefaults, a_pod_pulls_by_tag_and_asks_for_what_it_limits) {
    Json pod = yaml(R"(
spec:
  serviceAccount: robot
  hostNetwork: true
  containers:
  - name: a
    image: "reg:5000/x"
    ports: [{containerPort: 80}]
    resources: {limits: {cpu: "1", memory: 1Gi}, requests: {cpu: 500m}}
  - {name: b, image: "x:1", readinessProbe: {httpGet: {port: 80}, timeoutSeconds: 0}}
  - {name: c, image: "x@sha256:00"}
  - {name: d, image: "x:latest"}
  volumes:
  - {name: v}
  - {name: w, secret: {secretName: s}}
)");
    default_object(kind("Pod"), pod);
    const Json& containers = pod["spec"]["containers"];
    EXPECT_EQ(containers[0]["imagePullPolicy"], Json("Always"));
    EXPECT_EQ(containers[1]["imagePullPolicy"], Json("IfNotPresent"));
    EXPECT_EQ(containers[2]["imagePullPolicy"], Json("IfNotPresent"));
    EXPECT_EQ(containers[3]["imagePullPolicy"], Json("Always"));
    EXPECT_EQ(containers[0]["resources"]["requests"], json(R"({"cpu":"500m","memory":"1Gi"})"));
    EXPECT_EQ(containers[0]["ports"][0],
              json(R"({"containerPort":80,"protocol":"TCP","hostPort":80})"));
    EXPECT_EQ(
        containers[1]["readinessProbe"],
        json(
            R"({"httpGet":{"port":80,"path":"/","scheme":"HTTP"},"timeoutSeconds":1,"periodSeconds":10,
                       "successThreshold":1,"failureThreshold":3})"));
    EXPECT_EQ(pod["spec"]["serviceAccountName"], Json("robot"));
    EXPECT_EQ(pod["spec"]["enableServiceLinks"], Json(true));
    EXPECT_EQ(pod["spec"]["volumes"], json(R"([{"name":"v","emptyDir":{}},
        {"name":"w","secret":{"secretName":"s","defaultMode":420}}])"));
}

TEST(KindDefaults, a_service_gets_its_ports_type_and_policies) {
    Json service =
        yaml("{metadata: {name: s}, spec: {ports: [{port: 80}], sessionAffinity: ClientIP}}");
    default_object(kind("Service"), service);
    EXPECT_EQ(service["spec"], yaml(R"(
ports: [{port: 80, protocol: TCP, targetPort: 80}]
sessionAffinity: ClientIP
sessionAffinityConfig: {clientIP: {timeoutSeconds: 10800}}
type: ClusterIP
internalTrafficPolicy: Cluster
ipFamilyPolicy: SingleStack
ipFamilies: [IPv4]
)"));
}

TEST(KindDefaults, a_secret_folds_its_texts_and_a_namespace_names_itself) {
    Json secret = yaml("{data: {a: eA==}, stringData: {b: hello}}");
    default_object(kind("Secret"), secret);
    EXPECT_EQ(secret, json(R"({"data":{"a":"eA==","b":"aGVsbG8="},"type":"Opaque"})"));
    Json ns = created("Namespace", yaml("{metadata: {name: x}}"));
    EXPECT_EQ(ns, json(R"({"metadata":{"name":"x","labels":{"kubernetes.io/metadata.name":"x"}},
                           "spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}})"));
}

TEST(KindPrepare, a_create_resets_status_and_starts_the_generation) {
    Json object = web_deployment();
    object.set_path({"status", "replicas"}, 7).set_path({"metadata", "generation"}, 9);
    object = created("Deployment", object);
    EXPECT_FALSE(object.contains("status"));
    EXPECT_EQ(object["metadata"]["generation"], Json(1));
    Json pod = created("Pod", web_pod());
    EXPECT_EQ(pod["status"], json(R"({"phase":"Pending","qosClass":"BestEffort"})"));
}

TEST(KindPrepare, the_generation_counts_changes_of_what_is_wanted_alone) {
    Json old = created("Deployment", web_deployment());
    old.set_path({"status", "replicas"}, 3);
    Json label = old;
    label.set_path({"metadata", "labels", "x"}, "y").set_path({"status", "replicas"}, 5);
    prepare_update(kind("Deployment"), label, old);
    EXPECT_EQ(label["metadata"]["generation"], Json(1));
    EXPECT_EQ(label["status"]["replicas"], Json(3)); // status has its own door
    Json scaled = old;
    scaled.set_path({"spec", "replicas"}, 5);
    prepare_update(kind("Deployment"), scaled, old);
    EXPECT_EQ(scaled["metadata"]["generation"], Json(2));
    Json status = old;
    status.set_path({"spec", "replicas"}, 9).set_path({"status", "replicas"}, 4);
    prepare_status_update(kind("Deployment"), status, old);
    EXPECT_EQ(status["spec"], old["spec"]);
    EXPECT_EQ(status["status"]["replicas"], Json(4));
}

TEST(KindPrepare, a_service_keeps_its_addresses_when_the_client_leaves_them_out) {
    Json old = created("Service", yaml("{metadata: {name: s, namespace: d}, spec: {type: NodePort, "
                                       "ports: [{port: 80, nodePort: 30080}]}}"));
    old.set_path({"spec", "clusterIP"}, "10.96.0.7")
        .set_path({"spec", "clusterIPs"}, Json::array({"10.96.0.7"}));
    Json now = yaml("{metadata: {name: s, namespace: d}, spec: {type: NodePort, ports: [{port: "
                    "80}, {port: 81, name: x}]}}");
    default_object(kind("Service"), now);
    prepare_update(kind("Service"), now, old);
    EXPECT_EQ(now["spec"]["clusterIP"], Json("10.96.0.7"));
    EXPECT_EQ(now["spec"]["ports"][0]["nodePort"], Json(30080));
    EXPECT_TRUE(now["spec"]["ports"][1]["nodePort"].is_null());
    now.set_path({"spec", "clusterIP"}, "10.96.0.8")
        .set_path({"spec", "clusterIPs"}, Json::array({"10.96.0.8"}));
    now.find_mutable("spec")->find_mutable("ports")->mutable_items()[0].set("name", "w");
    EXPECT_EQ(update_errors("Service", now, old),
              Lines{"spec.clusterIPs[0]: Invalid value: [\"10.96.0.8\"]: may not change once set"});
}

TEST(KindFields, selectors_read_what_they_name) {
    Json pod = yaml("{spec: {nodeName: n1}, status: {phase: Running}}");
    EXPECT_TRUE(kind("Pod").is_selectable("spec.nodeName"));
    EXPECT_FALSE(kind("Pod").is_selectable("spec.dnsPolicy"));
    EXPECT_EQ(field_value(kind("Pod"), pod, "spec.nodeName"), "n1");
    EXPECT_EQ(field_value(kind("Pod"), pod, "status.podIP"), "");
    EXPECT_EQ(field_value(kind("Pod"), pod, "spec.hostNetwork"), "false");
    EXPECT_EQ(field_value(kind("ReplicaSet"), Json::object(), "status.replicas"), "0");
    EXPECT_EQ(field_value(kind("Event"), yaml("{source: {component: x}}"), "source"), "x");
}

TEST(KindQos, follows_from_requests_and_limits) {
    EXPECT_EQ(qos_class(yaml("{containers: [{name: a}]}")), "BestEffort");
    EXPECT_EQ(qos_class(yaml("{containers: [{resources: {requests: {cpu: 1}}}]}")), "Burstable");
    EXPECT_EQ(qos_class(yaml("{containers: [{resources: {limits: {cpu: 1, memory: 1Gi}, requests: "
                             "{cpu: 1, memory: 1Gi}}}]}")),
              "Guaranteed");
    EXPECT_EQ(qos_class(yaml("{containers: [{resources: {limits: {cpu: 1}}}]}")), "Burstable");
}

} // namespace
} // namespace cloudlet::api
