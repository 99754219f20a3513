"""A whole cloud on Debian's own kernel with pure cgroup v2: it starts, holds pods to their limits, and leaves no trace.

Runs inside the guest, with the cloud and the clients of tests/system.
"""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "system"))

from cloud import Cloud, run, wait_for  # noqa: E402  (the path comes first)
from machine import difference, picture  # noqa: E402

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: held}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test:1
    imagePullPolicy: Never
    command: [sh, -c, "while :; do :; done"]
    resources: {requests: {cpu: 100m}, limits: {cpu: 200m, memory: 48Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: test:1
    imagePullPolicy: Never
    command: [dd, if=/dev/zero, of=/dev/null, bs=96M, count=1]
    resources: {limits: {memory: 48Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: test:1, imagePullPolicy: Never, command: [sh, -c, "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp"]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


@pytest.fixture(scope="module")
def cloud():
    run(["modprobe", "nf_conntrack"])  # a module brings sysctls, and nobody unloads it
    with Cloud() as one:
        before = picture(one.namespace.enter)
        one.up()
        one.image("test:1")
        one.apply(PODS)
        one.kubectl("wait", "--for=condition=Ready", "pod/held", "pod/web", "--timeout=60s", timeout=90)
        yield one
        one.cloudlet("down", "--purge", timeout=120)
        assert difference(before, picture(one.namespace.enter)) == []


def main_process(cloud, pod):
    """The pid of a pod's only container, and its group's folder."""
    uid = cloud.get("pod", pod)["metadata"]["uid"]
    (folder,) = [found for found in pathlib.Path("/sys/fs/cgroup").glob(f"cloudlet-*/*{uid}*/*") if found.is_dir()]
    return folder


def test_a_pods_limits_are_in_its_group(cloud):
    folder = main_process(cloud, "held")
    assert (folder / "cpu.max").read_text() == "20000 100000\n"
    assert (folder / "memory.max").read_text() == f"{48 << 20}\n"
    assert cloud.kubectl("exec", "held", "--", "cat", "/sys/fs/cgroup/memory.max").stdout == f"{48 << 20}\n"


def test_a_pod_is_held_to_its_processor_time(cloud):
    stat = lambda: dict(line.split() for line in (main_process(cloud, "held") / "cpu.stat").read_text().splitlines())
    wait_for("the pod to be throttled", lambda: int(stat()["nr_throttled"]) > 20)


def test_a_pod_that_takes_too_much_memory_says_so(cloud):
    def ended():
        return cloud.get("pod", "hungry")["status"].get("containerStatuses", [{}])[0].get("state", {}).get("terminated")
    state = wait_for("the kill", ended)
    assert (state["reason"], state["exitCode"]) == ("OOMKilled", 137)


def test_a_service_leads_to_its_pod(cloud):
    address = cloud.get("service", "web")["spec"]["clusterIP"]
    wait_for("an answer by address", lambda: cloud.inside("curl", "-s", f"http://{address}/index.html").stdout == "hello\n")
    said = cloud.kubectl("exec", "held", "--", "wget", "-q", "-O", "-", "http://web/index.html")
    assert said.stdout == "hello\n"


def test_a_machine_that_lacks_nothing_is_said_to_lack_nothing(cloud):
    assert "cgroup controller" not in cloud.daemon_log(1000)
    assert cloud.status()["ready"] is True
