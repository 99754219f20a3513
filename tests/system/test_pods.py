"""What a person sees of pods and their Services, with the real kubectl and a real node."""

import json
import subprocess

from cloud import run, wait_for


def pod(name, *command, **spec):
    """A pod's manifest: one container `c` of the image test:1; `container` adds to it."""
    container = {"name": "c", "image": "test:1", "imagePullPolicy": "Never", "command": list(command), **spec.pop("container", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name[:63]}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec}}


def start(cloud, *objects):
    return cloud.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def state_of(cloud, name):
    statuses = cloud.get("pod", name)["status"].get("containerStatuses", [{}])
    return statuses[0].get("state", {})


def wait_ready(cloud, *names):
    for name in names:
        cloud.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")


def events_of(cloud, name, reason):
    found = cloud.get("events", "--field-selector", f"involvedObject.name={name},reason={reason}")["items"]
    return [event["message"] for event in found]


def test_a_ready_pod_shows_no_reasons_of_the_time_before(running):
    start(running, pod("settled", "sleep", "1000", initContainers=[{"name": "i", "image": "test:1", "command": ["sleep", "0.4"]}],
                       container={"readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1}}))
    wait_ready(running, "settled")
    conditions = running.get("pod", "settled")["status"]["conditions"]
    assert {c["type"] for c in conditions} == {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}
    assert [c for c in conditions if c["status"] != "True" or "reason" in c or "message" in c] == []


def test_describe_says_why_a_pod_fits_nowhere(running):
    start(running, pod("large", "sleep", "1", container={"resources": {"requests": {"cpu": "1000"}}}),
          pod("elsewhere", "sleep", "1", nodeSelector={"disk": "ssd"}))
    wait_for("the events", lambda: events_of(running, "large", "FailedScheduling") and events_of(running, "elsewhere", "FailedScheduling"))
    assert "0/1 nodes are available: 1 Insufficient cpu." in running.kubectl("describe", "pod", "large").stdout
    assert "didn't match Pod's node affinity/selector" in running.kubectl("describe", "pod", "elsewhere").stdout
    running.kubectl("label", "node", "--all", "disk=ssd")
    wait_ready(running, "elsewhere")


def test_what_cannot_start_says_why_and_starts_when_it_can(running):
    nul = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "nul"}, "data": {"KEY": "AGEAYg=="}}
    start(running, nul,
          pod("waits", "sleep", "1000", container={"envFrom": [{"configMapRef": {"name": "arrives"}}]}),
          pod("nul", "sleep", "1000", container={"envFrom": [{"secretRef": {"name": "nul"}}]}), pod("cut", "echo", "a\0b"),
          pod("claims", "sleep", "1000", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}],
              container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
          pod("nothing", "/does/not/exist"), pod("unpulled", "sleep", "1", container={"image": "nowhere:1", "imagePullPolicy": "IfNotPresent"}))

    def waits_with(name, reason):
        return lambda: state_of(running, name).get("waiting", {}).get("reason") == reason

    wait_for("the missing ConfigMap", waits_with("waits", "CreateContainerConfigError"))
    wait_for("the NUL byte", waits_with("nul", "CreateContainerConfigError"))
    assert "KEY holds a NUL byte" in state_of(running, "nul")["waiting"]["message"]
    wait_for("the cut command", waits_with("cut", "CreateContainerConfigError"))
    wait_for("the volume", lambda: any("emptyDir, hostPath" in text for text in events_of(running, "claims", "FailedMount")))
    wait_for("the back-off", waits_with("nothing", "CrashLoopBackOff"))
    assert "no such file or directory" in running.kubectl("describe", "pod", "nothing").stdout
    wait_for("the pull", lambda: any("load the image from an archive" in text for text in events_of(running, "unpulled", "Failed")))
    start(running, config_map("arrives", NAME="here"))
    wait_ready(running, "waits")
    assert running.kubectl("exec", "waits", "--", "sh", "-c", "echo $NAME").stdout == "here\n"


def test_a_name_of_253_letters_is_a_name(running):
    name = "n" * 253
    start(running, pod(name, "sh", "-c", "echo long; sleep 1000"))
    wait_ready(running, name)
    wait_for("its log", lambda: running.kubectl("logs", name).stdout == "long\n")
    wait_for("its events", lambda: events_of(running, name, "Started"))
    running.kubectl("delete", "pod", name)


def test_volumes_follow_their_sources_while_the_pod_runs(running):
    start(running, config_map("living", key="old"), pod(
        "reader", "sleep", "1000",
        volumes=[{"name": "m", "configMap": {"name": "living"}},
                 {"name": "p", "projected": {"sources": [{"configMap": {"name": "living", "items": [{"key": "key", "path": "deep/key"}]}},
                                                         {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}}],
        container={"volumeMounts": [{"name": "m", "mountPath": "/m"}, {"name": "p", "mountPath": "/p"}]}))
    wait_ready(running, "reader")
    running.kubectl("patch", "configmap", "living", "-p", '{"data":{"key":"new"}}')
    running.kubectl("label", "pod", "reader", "added=label")

    def shown():
        return running.kubectl("exec", "reader", "--", "cat", "/m/key", "/p/deep/key", "/p/labels").stdout

    wait_for("the new content", lambda: shown() == 'newnewadded="label"\napp="reader"')


def test_a_crash_is_backed_off_and_its_log_kept(running):
    start(running, pod("crashes", "sh", "-c", "echo run; echo last words >/dev/termination-log; exit 3"))
    wait_for("the back-off", lambda: state_of(running, "crashes").get("waiting", {}).get("reason") == "CrashLoopBackOff")
    status = running.get("pod", "crashes")["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1 and status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["message"] == "last words\n"
    assert running.kubectl("logs", "--previous", "crashes").stdout == "run\n"
    assert events_of(running, "crashes", "BackOff")


def test_another_image_restarts_the_container_with_it(running):
    running.image("test:other")
    start(running, pod("changed", "sleep", "1000"))
    wait_ready(running, "changed")
    before = running.get("pod", "changed")["status"]["containerStatuses"][0]
    running.kubectl("set", "image", "pod/changed", "c=test:other")

    def restarted():
        now = running.get("pod", "changed")["status"]["containerStatuses"][0]
        return now if now["restartCount"] == 1 and now["ready"] else None

    after = wait_for("the restart", restarted)
    assert (before["image"], after["image"]) == ("test:1", "test:other") and before["imageID"] != after["imageID"]
    wait_for("the event", lambda: any("definition changed" in text for text in events_of(running, "changed", "Killing")))


def test_exec_carries_bytes_and_status_over_websocket_and_spdy(running, tmp_path):
    start(running, pod("shell", "sleep", "1000"))
    wait_ready(running, "shell")
    payload = bytes(range(256)) * 8192
    for sockets in ("true", "false"):
        env = {"KUBECONFIG": str(running.kubeconfig), "HOME": str(running.folder), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
               "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": sockets}
        command = running.namespace.enter + ["kubectl", "exec", "-i", "shell", "--"]
        echoed = subprocess.run(command + ["cat"], input=payload, capture_output=True, env=env, timeout=60, check=False)
        assert echoed.returncode == 0 and echoed.stdout == payload, echoed.stderr
        both = run(command + ["sh", "-c", "echo out; echo err >&2; exit 7"], env=env, check=False)
        assert (both.returncode, both.stdout) == (7, "out\n") and both.stderr.startswith("err\n")
    missing = running.kubectl("exec", "shell", "--", "/nothing", check=False)
    assert missing.returncode != 0 and "no such file" in missing.stderr
    assert "is not valid for pod" in running.kubectl("exec", "shell", "-c", "other", "--", "true", check=False).stderr


def test_a_command_of_kubectl_that_is_not_served_fails_with_a_sentence(running):
    start(running, pod("plain", "sleep", "1000"))
    wait_ready(running, "plain")
    for command in (["debug", "plain", "--image=test:1"], ["port-forward", "pod/plain", "8000:80"], ["top", "pods"], ["autoscale", "deployment", "x", "--max=2"]):
        refused = running.kubectl(*command, check=False)
        assert refused.returncode == 1 and "panic" not in refused.stderr and "rror" in refused.stderr, (command, refused.stderr)


def test_an_idle_field_is_warned_of(running):
    spec = pod("idle", "sleep", "1000", shareProcessNamespace=True, hostUsers=False,
               volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}])
    warned = start(running, spec).stderr
    for field in ("spec.shareProcessNamespace", "spec.hostUsers", "spec.volumes[0].emptyDir.sizeLimit"):
        assert f"Warning: {field}" in warned, warned


def test_a_service_reaches_ready_pods_alone_by_all_its_addresses(running):
    serve = "mkdir /w; echo $HOSTNAME >/w/index.html; exec httpd -f -p 8080 -h /w"
    server = {"ports": [{"name": "web", "containerPort": 8080}]}
    start(running, pod("served", "sh", "-c", serve, container=server),
          pod("unready", "sh", "-c", serve, container={**server, "readinessProbe": {"exec": {"command": ["false"]}}}),
          {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front"},
           "spec": {"type": "NodePort", "selector": {"tier": "web"}, "ports": [{"port": 80, "targetPort": "web"}]}})
    running.kubectl("label", "pod", "served", "unready", "tier=web")
    wait_ready(running, "served")
    service = running.get("service", "front")["spec"]
    node = running.get("nodes")["items"][0]["status"]["addresses"][0]["address"]
    for address in (f"{service['clusterIP']}:80", f"{node}:{service['ports'][0]['nodePort']}"):
        wait_for(address, lambda address=address: running.inside("curl", "-s", "-m", "2", address, check=False).stdout == "served\n")
        for _ in range(10):
            assert running.inside("curl", "-s", "-m", "2", address).stdout == "served\n"
    slices = running.get("endpointslices", "-l", "kubernetes.io/service-name=front")["items"]
    ready = {e["targetRef"]["name"]: e["conditions"]["ready"] for one in slices for e in one["endpoints"]}
    assert ready == {"served": True, "unready": False}
