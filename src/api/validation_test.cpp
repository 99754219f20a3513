// The words in which an object is refused; clients and people know them by heart.
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
using testing::ElementsAre;
using testing::StartsWith;

/// The web pod with its spec merged over.
Json pod_with(std::string_view spec) {
    Json pod = web_pod();
    const Json extra = yaml(spec);
    for (const auto& member : extra.members()) pod.set_path({"spec", member.key}, member.value);
    return pod;
}

TEST(Validation, good_objects_have_no_errors) {
    EXPECT_EQ(create_errors("Deployment", web_deployment()), Lines{});
    EXPECT_EQ(create_errors("Pod", web_pod()), Lines{});
    EXPECT_EQ(create_errors("Service", yaml("{metadata: {name: s, namespace: d}, spec: {ports: "
                                            "[{port: 80}], selector: {a: b}}}")),
              Lines{});
    EXPECT_EQ(create_errors("Namespace", yaml("{metadata: {name: s}}")), Lines{});
    EXPECT_EQ(
        create_errors("ConfigMap", yaml("{metadata: {name: s, namespace: d}, data: {a.b: x}}")),
        Lines{});
    EXPECT_EQ(
        create_errors("Secret", yaml("{metadata: {name: s, namespace: d}, stringData: {a: x}}")),
        Lines{});
    EXPECT_EQ(
        create_errors(
            "Lease", yaml("{metadata: {name: s, namespace: d}, spec: {leaseDurationSeconds: 40}}")),
        Lines{});
    EXPECT_EQ(create_errors("Node", yaml("{metadata: {name: n1}, status: {capacity: {cpu: '2'}}}")),
              Lines{});
    EXPECT_EQ(create_errors("EndpointSlice",
                            yaml("{metadata: {name: s, namespace: d}, addressType: IPv4, "
                                 "endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 80}]}")),
              Lines{});
    EXPECT_EQ(create_errors("Event", yaml("{metadata: {name: e.1, namespace: d}, involvedObject: "
                                          "{kind: Pod, namespace: d, name: p}}")),
              Lines{});
}

TEST(Validation, metadata_is_checked_for_every_kind) {
    EXPECT_THAT(create_errors("ConfigMap", yaml("{metadata: {namespace: d}}")),
                ElementsAre("metadata.name: Required value: name or generateName is required"));
    EXPECT_THAT(create_errors("ConfigMap", yaml("{metadata: {name: Bad_Name, namespace: d}}")),
                ElementsAre("metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 "
                            "subdomain must consist of lower case "
                            "alphanumeric characters, '-' or '.', and must start and end with an "
                            "alphanumeric character (e.g. "
                            "'example.com', regex used for validation is "
                            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"));
    EXPECT_THAT(
        create_errors("Service",
                      yaml("{metadata: {name: 1a, namespace: d}, spec: {ports: [{port: 80}]}}")),
        ElementsAre(
            StartsWith("metadata.name: Invalid value: \"1a\": a DNS-1035 label must consist")));
    EXPECT_THAT(create_errors("Namespace", yaml("{metadata: {name: a.b}}")),
                ElementsAre(StartsWith(
                    "metadata.name: Invalid value: \"a.b\": a lowercase RFC 1123 label")));
}

TEST(Validation, labels_annotations_finalizers_and_owners_are_checked) {
    Json object = yaml(R"(
metadata:
  name: a
  namespace: d
  labels: {"-x": y, k: "v v"}
  finalizers: [mine]
  ownerReferences:
  - {apiVersion: v1, kind: Pod, name: a, uid: u1, controller: true}
  - {apiVersion: v1, kind: Pod, name: b, uid: u2, controller: true}
)");
    EXPECT_THAT(
        create_errors("ConfigMap", object),
        ElementsAre(
            StartsWith("metadata.labels: Invalid value: \"-x\": name part must consist of"),
            StartsWith(
                "metadata.labels: Invalid value: \"v v\": a valid label must be an empty string"),
            testing::HasSubstr("Only one reference can have Controller set to true"),
            StartsWith(
                "metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard")));
    Json big = yaml("{metadata: {name: a, namespace: d}}");
    big.set_path({"metadata", "annotations", "a"}, std::string(300'000, 'x'));
    EXPECT_THAT(create_errors("ConfigMap", big),
                ElementsAre("metadata.annotations: Too long: may not be more than 262144 bytes"));
}

TEST(Validation, a_deployment_says_what_is_wrong_field_by_field) {
    Json object = web_deployment();
    object.set_path({"spec", "replicas"}, -1);
    EXPECT_THAT(
        create_errors("Deployment", object),
        ElementsAre("spec.replicas: Invalid value: -1: must be greater than or equal to 0"));
    object = web_deployment();
    object.set_path({"spec", "template", "metadata", "labels", "app"}, "other");
    EXPECT_THAT(create_errors("Deployment", object),
                ElementsAre("spec.template.metadata.labels: Invalid value: {\"app\":\"other\"}: "
                            "`selector` does not match "
                            "template `labels`"));
    object = web_deployment();
    object.set_path({"spec", "template", "spec", "restartPolicy"}, "Never");
    EXPECT_THAT(create_errors("Deployment", object),
                ElementsAre("spec.template.spec.restartPolicy: Unsupported value: \"Never\": "
                            "supported values: \"Always\""));
    object = web_deployment();
    object.set_path({"spec", "strategy"},
                    yaml("{type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 0}}"));
    EXPECT_THAT(create_errors("Deployment", object),
                ElementsAre("spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not "
                            "be 0 when `maxSurge` is 0"));
    object = web_deployment();
    object.set_path({"spec", "strategy", "type"}, "Sideways");
    EXPECT_THAT(
        create_errors("Deployment", object),
        ElementsAre(
            "spec.strategy.type: Unsupported value: \"Sideways\": supported values: \"Recreate\", "
            "\"RollingUpdate\""));
    EXPECT_THAT(create_errors("Deployment", yaml("{metadata: {name: a, namespace: d}}")),
                ElementsAre("spec.selector: Required value", "spec.template: Required value"));
}

TEST(Validation, containers_are_checked_one_by_one) {
    EXPECT_THAT(create_errors("Pod", pod_with("{containers: []}")),
                ElementsAre("spec.containers: Required value"));
    EXPECT_THAT(
        create_errors(
            "Pod", pod_with("{containers: [{name: A, image: x}, {name: c}, {name: c, image: z}]}")),
        ElementsAre(
            "spec.containers[2].name: Duplicate value: \"c\"",
            StartsWith("spec.containers[0].name: Invalid value: \"A\": a lowercase RFC 1123 label"),
            "spec.containers[1].image: Required value"));
    EXPECT_THAT(
        create_errors(
            "Pod",
            pod_with(
                "{containers: [{name: c, image: x, volumeMounts: [{name: v, mountPath: /a}]}]}")),
        ElementsAre("spec.containers[0].volumeMounts[0].name: Not found: \"v\""));
    EXPECT_THAT(create_errors("Pod", pod_with("{containers: [{name: c, image: x, ports: "
                                              "[{containerPort: 70000}], imagePullPolicy: Now}]}")),
                ElementsAre("spec.containers[0].imagePullPolicy: Unsupported value: \"Now\": "
                            "supported values: \"Always\", "
                            "\"IfNotPresent\", \"Never\"",
                            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must "
                            "be between 1 and 65535, "
                            "inclusive"));
    EXPECT_THAT(create_errors("Pod", pod_with("{containers: [{name: c, image: x, env: [{name: "
                                              "'a=b', value: x}, {name: B, valueFrom: {}}]}]}")),
                ElementsAre(StartsWith("spec.containers[0].env[0].name: Invalid value: \"a=b\": a "
                                       "valid environment variable"),
                            StartsWith("spec.containers[0].env[1].valueFrom: Invalid value: \"\": "
                                       "must specify one of: `fieldRef`")));
}

TEST(Validation, probes_and_resources_are_checked) {
    EXPECT_THAT(
        create_errors(
            "Pod",
            pod_with("{containers: [{name: c, image: x, livenessProbe: {successThreshold: 2}}]}")),
        ElementsAre(
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"));
    EXPECT_THAT(create_errors("Pod", pod_with("{containers: [{name: c, image: x, readinessProbe: "
                                              "{exec: {command: [a]}, tcpSocket: {port: 0}}}]}")),
                ElementsAre("spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not "
                            "specify more than 1 handler type",
                            "spec.containers[0].readinessProbe.tcpSocket.port: Invalid value: 0: "
                            "must be between 1 and 65535, "
                            "inclusive"));
    EXPECT_THAT(
        create_errors("Pod", pod_with("{containers: [{name: c, image: x, resources: {limits: {cpu: "
                                      "'1'}, requests: {cpu: 1500m, apples: '1'}}}]}")),
        ElementsAre("spec.containers[0].resources.requests[apples]: Invalid value: \"apples\": "
                    "must be a standard resource "
                    "for containers",
                    "spec.containers[0].resources.requests: Invalid value: \"1500m\": must be less "
                    "than or equal to cpu "
                    "limit of 1"));
}

TEST(Validation, volumes_have_one_source_and_stay_inside) {
    EXPECT_THAT(
        create_errors("Pod", pod_with("{volumes: [{name: v, emptyDir: {}, hostPath: {path: /x}}, "
                                      "{name: v, configMap: {}}]}")),
        ElementsAre("spec.volumes[1].name: Duplicate value: \"v\"",
                    "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
                    "spec.volumes[1].configMap.name: Required value"));
    EXPECT_THAT(
        create_errors("Pod", pod_with("{volumes: [{name: v, secret: {secretName: s, items: [{key: "
                                      "a, path: ../x}, {key: b, path: /y}]}}]}")),
        ElementsAre(
            "spec.volumes[0].secret.items[0].path: Invalid value: \"../x\": must not contain '..'",
            "spec.volumes[0].secret.items[1].path: Invalid value: \"/y\": must be a relative "
            "path"));
    EXPECT_THAT(
        create_errors("Pod",
                      pod_with("{volumes: [{name: v, hostPath: {}}], hostAliases: [{ip: x}]}")),
        ElementsAre(
            StartsWith("spec.hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address"),
            "spec.volumes[0].hostPath.path: Required value"));
}

TEST(Validation, of_a_stored_pod_little_may_change) {
    Json old = created("Pod", web_pod());
    Json image = old;
    image.find_mutable("spec")
        ->find_mutable("containers")
        ->mutable_items()[0]
        .set("image", "nginx:2");
    EXPECT_EQ(update_errors("Pod", image, old), Lines{});
    Json moved = old;
    moved.set_path({"spec", "hostPID"}, true);
    EXPECT_THAT(
        update_errors("Pod", moved, old),
        ElementsAre(StartsWith("spec: Forbidden: pod updates may not change fields other than "
                               "`spec.containers[*].image`,`spec.initContainers[*].image`")));
    Json renamed = old;
    renamed.set_path({"metadata", "name"}, "other");
    EXPECT_THAT(update_errors("Pod", renamed, old),
                ElementsAre("metadata.name: Invalid value: \"other\": field is immutable"));
}

TEST(Validation, selectors_and_frozen_content_do_not_change) {
    Json old = created("Deployment", web_deployment());
    Json now = old;
    now.set_path({"spec", "selector", "matchLabels", "app"}, "x")
        .set_path({"spec", "template", "metadata", "labels", "app"}, "x");
    EXPECT_THAT(
        update_errors("Deployment", now, old),
        ElementsAre(
            "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"x\"}}: field is immutable"));
    Json frozen = created(
        "ConfigMap", yaml("{metadata: {name: c, namespace: d}, immutable: true, data: {a: b}}"));
    Json thawed = frozen;
    thawed.set("immutable", false).set_path({"data", "a"}, "c");
    EXPECT_THAT(update_errors("ConfigMap", thawed, frozen),
                ElementsAre("immutable: Forbidden: field is immutable when `immutable` is set",
                            "data: Forbidden: field is immutable when `immutable` is set"));
    Json secret = created("Secret", yaml("{metadata: {name: c, namespace: d}}"));
    Json typed = secret;
    typed.set("type", "other");
    EXPECT_THAT(update_errors("Secret", typed, secret),
                ElementsAre("type: Invalid value: \"other\": field is immutable"));
}

TEST(Validation, services_need_ports_and_fitting_addresses) {
    auto service = [](std::string_view spec) {
        Json object = yaml("{metadata: {name: s, namespace: d}}");
        return object.set("spec", yaml(spec));
    };
    EXPECT_THAT(create_errors("Service", service("{}")), ElementsAre("spec.ports: Required value"));
    EXPECT_EQ(create_errors("Service", service("{clusterIP: None}")), Lines{});
    EXPECT_THAT(create_errors("Service", service("{ports: [{port: 80}, {port: 80, name: b}]}")),
                ElementsAre("spec.ports[0].name: Required value",
                            "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}"));
    EXPECT_THAT(
        create_errors("Service", service("{ports: [{port: 80, nodePort: 30000}]}")),
        ElementsAre(
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"));
    EXPECT_THAT(create_errors("Service", service("{type: ExternalName}")),
                ElementsAre("spec.externalName: Required value"));
    EXPECT_THAT(
        create_errors("Service", service("{type: Loud, ports: [{port: 0, targetPort: 80}]}")),
        ElementsAre("spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                    "spec.type: Unsupported value: \"Loud\": supported values: \"ClusterIP\", "
                    "\"ExternalName\", "
                    "\"LoadBalancer\", \"NodePort\""));
}

TEST(Validation, config_keys_secret_types_events_and_slices) {
    EXPECT_THAT(
        create_errors("ConfigMap", yaml("{metadata: {name: c, namespace: d}, data: {'a/b': x}}")),
        ElementsAre(
            StartsWith("data[a/b]: Invalid value: \"a/b\": a valid config key must consist")));
    EXPECT_THAT(create_errors("Secret",
                              yaml("{metadata: {name: c, namespace: d}, type: kubernetes.io/tls}")),
                ElementsAre("data[tls.crt]: Required value", "data[tls.key]: Required value"));
    EXPECT_THAT(
        create_errors("Event",
                      yaml("{metadata: {name: c, namespace: d}, involvedObject: {namespace: e}}")),
        ElementsAre(
            "involvedObject.namespace: Invalid value: \"e\": does not match event.namespace"));
    EXPECT_THAT(
        create_errors("EndpointSlice", yaml("{metadata: {name: s, namespace: d}, addressType: "
                                            "IPv4, endpoints: [{addresses: ['::1']}]}")),
        ElementsAre(
            "endpoints[0].addresses[0]: Invalid value: \"::1\": must be a valid IPv4 address"));
    EXPECT_THAT(create_errors("TokenRequest", yaml("{spec: {expirationSeconds: 5}}")),
                ElementsAre("spec.expirationSeconds: Invalid value: 5: may not specify a duration "
                            "less than 10 minutes"));
    EXPECT_THAT(
        create_errors("Binding", yaml("{metadata: {name: s, namespace: d}, target: {kind: Pod}}")),
        ElementsAre(StartsWith("target.kind: Unsupported value: \"Pod\""),
                    "target.name: Required value"));
}

TEST(InvalidStatus, carries_the_message_and_one_cause_for_each_error) {
    std::vector<FieldError> errors{
        FieldError::invalid("spec.replicas", -1, "must be greater than or equal to 0"),
        FieldError::required("spec.selector")};
    Json status = invalid_status("apps", "Deployment", "web", errors);
    EXPECT_EQ(status["message"].as_string(),
              "Deployment.apps \"web\" is invalid: [spec.replicas: Invalid value: -1: must be "
              "greater than or equal to 0, "
              "spec.selector: Required value]");
    EXPECT_EQ(status["code"], Json(422));
    EXPECT_EQ(status["reason"], Json("Invalid"));
    EXPECT_EQ(status["details"], json(R"({"name":"web","group":"apps","kind":"Deployment","causes":[
        {"reason":"FieldValueInvalid",
         "message":"Invalid value: -1: must be greater than or equal to 0",
         "field":"spec.replicas"},
        {"reason":"FieldValueRequired","message":"Required value","field":"spec.selector"}]})"));
}

} // namespace
} // namespace cloudlet::api
