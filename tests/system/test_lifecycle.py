"""Starting, stopping, starting again, and leaving the machine as it was."""

import json
import os
import subprocess

from cloud import CLOUDLET, run, wait_for
from machine import difference, picture

POD = """
apiVersion: v1
kind: Pod
metadata: {name: sleeper}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: test:1, command: [sleep, infinity], imagePullPolicy: Never}
"""


def test_up_gives_a_ready_node_and_says_how_to_go_on(cloud):
    said = cloud.cloudlet("up").stdout
    assert "cloudlet kubeconfig" in said and "cloudlet down" in said
    cloud.kubeconfig.write_text(cloud.cloudlet("kubeconfig").stdout)
    nodes = cloud.get("nodes")["items"]
    assert [c["status"] for n in nodes for c in n["status"]["conditions"] if c["type"] == "Ready"] == ["True"]
    status = cloud.status()
    assert status["ready"] is True and status["server"] == "https://127.0.0.1:6443"
    assert os.path.exists(f"/proc/{status['pid']}") and status["started"].endswith("Z")


def test_up_twice_is_one_cloud(cloud):
    cloud.up()
    pid = cloud.pid()
    assert "runs already" in cloud.cloudlet("up").stdout
    assert cloud.pid() == pid


def test_down_and_up_again_keeps_what_was_there(cloud):
    cloud.up()
    cloud.image("test:1")
    cloud.apply(POD)
    cloud.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=30s")
    cloud.kubectl("create", "-f", "-", stdin='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kept"},"data":{"a":"b"}}')
    cloud.cloudlet("down")
    assert cloud.cloudlet("status", check=False).returncode == 1
    cloud.up()
    assert cloud.get("configmap", "kept")["data"] == {"a": "b"}
    wait_for("the pod to run again", lambda: cloud.get("pod", "sleeper")["status"]["containerStatuses"][0].get("ready"))


def test_a_start_sweeps_what_killed_writes_left(cloud):
    cloud.up()
    cloud.kill_daemon()
    halves = [cloud.root / folder / ".half.tmp-0123456789ab" for folder in ("", "pki", "image/images", "image/names")]
    for half in halves:
        half.write_text("{")
    cloud.up()
    assert [str(half) for half in halves if half.exists()] == []


def test_purge_leaves_the_machine_as_it_was(cloud):
    before = picture(cloud.namespace.enter)
    cloud.up()
    cloud.image("test:1")
    cloud.apply(POD)
    cloud.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=30s")
    cloud.cloudlet("down", "--purge")
    assert difference(before, picture(cloud.namespace.enter)) == []
    assert not cloud.root.exists()


def test_purge_after_the_daemon_was_killed_leaves_nothing_either(cloud):
    before = picture(cloud.namespace.enter)
    cloud.up()
    cloud.image("test:1")
    cloud.apply(POD)
    cloud.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=30s")
    cloud.kill_daemon()
    cloud.cloudlet("down", "--purge")
    assert difference(before, picture(cloud.namespace.enter)) == []


def test_a_taken_port_is_refused_by_name(cloud):
    script = "import socket; s=socket.socket(); s.bind(('0.0.0.0', 6443)); s.listen(); print('ready', flush=True); input()"
    holder = subprocess.Popen(cloud.namespace.enter + ["python3", "-c", script], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == "ready\n"
        refused = cloud.cloudlet("up", check=False)
    finally:
        holder.communicate("")
    assert refused.returncode == 1
    assert f"port 6443 is taken by python3 (pid {holder.pid})" in refused.stderr and "--port" in refused.stderr
    assert not (cloud.root / "store").exists()


def test_a_read_only_root_is_refused(cloud):
    refused = cloud.inside("unshare", "-m", "sh", "-c",
                           f"mkdir -p {cloud.folder}/ro && mount -t tmpfs -o ro none {cloud.folder}/ro && "
                           f"{CLOUDLET} up --root {cloud.folder}/ro/cloud", check=False)
    assert refused.returncode == 1
    assert "Read-only file system" in refused.stderr and "--root" in refused.stderr
    assert len(refused.stderr.strip().split("\n")) == 1


def test_bad_settings_are_refused_with_what_to_write_instead(cloud):
    config = cloud.folder / "config.yaml"
    for text, wanted in (("podCIDR: 10.0.0.0/30\n", "/24 or larger"), ("prot: 7443\n", 'no setting "prot"'),
                         ("port: seven\n", "1 to 65535"), ("port: [\n", "line"), ("nodeName: Edge_1\n", "DNS name")):
        config.write_text(text)
        refused = cloud.cloudlet("up", "--config", str(config), check=False)
        assert refused.returncode == 1 and wanted in refused.stderr, (text, refused.stderr)
    assert cloud.cloudlet("up", "--config", "/nowhere.yaml", check=False).returncode == 1


def test_a_network_that_exists_does_not_change(cloud):
    cloud.up()
    cloud.cloudlet("down")
    refused = cloud.cloudlet("up", "--pod-cidr", "10.99.0.0/16", check=False)
    assert refused.returncode == 1 and "10.244.0.0/16" in refused.stderr


def test_two_clouds_live_side_by_side(cloud):
    cloud.up()
    second = str(cloud.folder / "second")
    try:
        cloud.inside(CLOUDLET, "up", "--root", second, "--port", "7443", "--pod-cidr", "10.245.0.0/16",
                     "--service-cidr", "10.97.0.0/16", "--node-name", "other")
        status = json.loads(cloud.inside(CLOUDLET, "status", "--root", second, "-o", "json").stdout)
        assert status["ready"] and status["instance"] != cloud.status()["instance"]
        assert cloud.status()["ready"]
    finally:
        cloud.inside(CLOUDLET, "down", "--purge", "--root", second)
    assert cloud.kubectl("get", "nodes", "-o", "name").stdout.startswith("node/")


def test_version_and_help_need_no_cloud():
    assert "Kubernetes API v1.32" in run([CLOUDLET, "version"]).stdout
    assert "up" in run([CLOUDLET, "--help"]).stdout
