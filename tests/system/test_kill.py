"""kill -9 of the daemon at random moments while objects are applied, scaled and deleted.

Each round a writer works through kubectl's API until the daemon dies under it; the daemon is started
again, and then: every write that was acknowledged is there, every container that ran still runs and is
the same, the cluster converges, and nothing is left over. CLOUDLET_KILLS sets the number of rounds."""

import json
import os
import random
import threading

import pytest

from cloud import CommandFailed, wait_for

KILLS = int(os.environ.get("CLOUDLET_KILLS", "20"))
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: churn}
spec:
  replicas: 3
  selector: {matchLabels: {app: churn}}
  template:
    metadata: {labels: {app: churn}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: "test:1", command: [sleep, infinity], imagePullPolicy: Never}
---
apiVersion: v1
kind: Pod
metadata: {name: witness}
spec:
  containers:
  - {name: main, image: "test:1", command: [sleep, infinity], imagePullPolicy: Never}
"""


class Writer(threading.Thread):
    """Creates, scales and deletes until told to stop; remembers what was acknowledged."""

    def __init__(self, cloud, number, seed):
        super().__init__()
        self.cloud, self.number, self.random = cloud, number, random.Random(seed)
        self.created, self.deleted, self.tried_to_delete = set(), set(), set()
        self.stopping = threading.Event()

    def run(self):
        count = 0
        while not self.stopping.is_set():
            count += 1
            name = f"cm-{self.number}-{count}"
            try:
                self.cloud.kubectl("create", "-f", "-", stdin=json.dumps(
                    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": str(count)}}))
                self.created.add(name)
                if count % 3 == 0:
                    self.tried_to_delete.add(name)
                    self.cloud.kubectl("delete", "configmap", name, "--wait=false")
                    self.deleted.add(name)
                self.cloud.kubectl("scale", "deployment/churn", f"--replicas={self.random.randint(1, 6)}")
            except CommandFailed:
                self.stopping.wait(0.02)  # the daemon is gone; the main thread says when to end


def pids_of_witness(cloud):
    status = cloud.get("pod", "witness")["status"]["containerStatuses"][0]
    return status["containerID"], status["restartCount"]


def converged(cloud):
    deployment = cloud.get("deployment", "churn")
    status, wanted = deployment["status"], deployment["spec"]["replicas"]
    pods = cloud.get("pods", "-l", "app=churn")["items"]
    return status.get("readyReplicas") == wanted == len(pods) and status.get("observedGeneration") == \
        deployment["metadata"]["generation"]


@pytest.mark.parametrize("seed", [int(os.environ.get("CLOUDLET_SEED", random.randrange(1 << 30)))])
def test_killing_the_daemon_loses_nothing(cloud, seed):
    cloud.up()
    cloud.image("test:1")
    cloud.apply(DEPLOYMENT)
    cloud.kubectl("wait", "--for=condition=Ready", "pod/witness", "--timeout=30s")
    witness = pids_of_witness(cloud)
    moments = random.Random(seed)
    expected = set()
    for number in range(KILLS):
        writer = Writer(cloud, number, seed + number)
        writer.start()
        writer.stopping.wait(moments.uniform(0.05, 1.5))  # the moment itself is what is random here
        cloud.kill_daemon()
        writer.stopping.set()
        writer.join()
        cloud.up()
        there = {item["metadata"]["name"] for item in cloud.get("configmaps")["items"]}
        expected |= writer.created - writer.tried_to_delete
        assert expected <= there, (seed, number, expected - there)
        assert not writer.deleted & there, (seed, number, writer.deleted & there)
    wait_for("the deployment to converge", lambda: converged(cloud), timeout=60)
    assert pids_of_witness(cloud) == witness
    wait_for("containers and pods to agree", lambda: cloud.status()["containers"] == len(cloud.get("pods", "-A")["items"]))
