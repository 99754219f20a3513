#!/usr/bin/env python3
"""Starts a cloud, runs the guestbook on it with the real kubectl, and leaves it running.

usage: demo.py [--root DIR] [--stop]     normally called by ./dev demo

Every step prints what a person would check and how long it took. It stops at the first step that does
not hold, says why, and leaves the cloud as it is to be looked at.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CLOUDLET = REPOSITORY / "build" / "bin" / "cloudlet"
WEB = "app=guestbook,tier=web"
STORE = "app=guestbook,tier=store"


class Failed(Exception):
    """A step did not hold; the message says what was seen."""


class Progress:
    """One line for each step: what, then how long it took."""

    def __init__(self):
        self.times = []
        self.terminal = sys.stderr.isatty()

    def step(self, what, action, *arguments):
        if self.terminal:
            print(f"  ... {what}", end="\r", file=sys.stderr, flush=True)
        begin = time.monotonic()
        detail = action(*arguments)
        took = time.monotonic() - begin
        self.times.append((what, took))
        print(f"\033[K  {took:6.2f} s  {what}" + (f": {detail}" if detail else ""), file=sys.stderr, flush=True)


def run(argv, *, stdin=None, check=True, timeout=120, env=None):
    done = subprocess.run([str(word) for word in argv], input=stdin, capture_output=True, text=True,
                          timeout=timeout, env=env)
    if check and done.returncode:
        raise Failed(f"{' '.join(str(word) for word in argv)}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def wait_for(what, condition, timeout=20):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise Failed(f"{what} did not happen within {timeout} s")


class Demo:
    """The story of the demo; each public method is one step and returns a detail to print."""

    def __init__(self, root):
        self.root = root
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="guestbook-"))
        self.config = self.folder / "kubeconfig"
        self.validate = []

    def cloudlet(self, verb, *arguments, **options):
        return run([CLOUDLET, verb, "--root", self.root, *arguments], **options)

    def kubectl(self, *arguments, **options):
        return run(["kubectl", *arguments], env=dict(os.environ, KUBECONFIG=str(self.config)), **options)

    def pods(self, selector):
        items = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def ready_pods(self, selector):
        return [pod for pod in self.pods(selector)
                if any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))]

    def in_client(self, *command, **options):
        return self.kubectl("exec", "guestbook-client", "--", *command, **options)

    # --- the steps -----------------------------------------------------------------------------

    def start_cloud(self):
        self.cloudlet("up")
        self.config.write_text(self.cloudlet("kubeconfig"))
        version = json.loads(self.kubectl("version", "-o", "json"))
        client = version["clientVersion"]
        if (int(client["major"]), int(re.sub(r"\D", "", client["minor"]))) < (1, 22):
            self.validate = ["--validate=false"]  # 1.20 validates with a document that is long gone
        return f"Kubernetes {version['serverVersion']['gitVersion']}, kubectl {client['gitVersion']}"

    def make_image(self):
        program = self.folder / "guestbook"
        run(["musl-gcc", "-static", "-Os", "-D_GNU_SOURCE", "-o", program, HERE / "server" / "guestbook.c"])
        tree = self.folder / "tree"
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "data"):
            (tree / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", tree / "bin" / "busybox")
        for applet in run(["/bin/busybox", "--list"]).split():
            if applet != "busybox":
                (tree / "bin" / applet).symlink_to("busybox")
        shutil.copy(program, tree / "bin" / "guestbook")
        archive = self.folder / "guestbook.tar"
        run(["tar", "-C", tree, "--owner=0", "--group=0", "-cf", archive, "."])
        for version in ("1", "2"):
            self.cloudlet("image", "import", archive, f"guestbook:{version}", "--entrypoint", "/bin/guestbook")
        return f"{archive.stat().st_size // 1024} KB, busybox and the guestbook's own server"

    def deploy(self):
        self.kubectl("apply", *self.validate, "-f", HERE / "guestbook.yaml")
        self.kubectl("rollout", "status", "deployment/guestbook-store", "--timeout=60s")
        self.kubectl("rollout", "status", "deployment/guestbook", "--timeout=60s")
        self.kubectl("apply", *self.validate, "-f", HERE / "client.yaml")
        self.kubectl("wait", "--for=condition=Ready", "pod/guestbook-client", "--timeout=60s")
        return "3 web replicas and their store are Ready"

    def ask_by_address_and_name(self):
        service = json.loads(self.kubectl("get", "service", "guestbook", "-o", "json"))
        address = service["spec"]["clusterIP"]
        seen = set()
        for target in (address, "guestbook", "guestbook.default.svc.cluster.local"):
            answer = wait_for(f"an answer from {target}", lambda t=target: self.in_client(
                "wget", "-q", "-O", "-", f"http://{t}/whoami", check=False))
            seen.add(answer.split()[0])
        wait_for("an answer from each of the 3 replicas", lambda: len(seen) == 3 or seen.add(
            self.in_client("wget", "-q", "-O", "-", f"http://{address}/whoami").split()[0]))
        self.in_client("wget", "-q", "-O", "-", "--post-data", "line=Hello from the demo", "http://guestbook/")
        if "Hello from the demo" not in self.in_client("wget", "-q", "-O", "-", "http://guestbook/"):
            raise Failed("a line was signed, and the page does not show it")
        return f"{address}, guestbook and its full name lead to {len(seen)} replicas"

    def kill_a_process(self):
        victim = self.ready_pods(WEB)[0]["metadata"]["name"]
        def restarts():
            statuses = json.loads(self.kubectl("get", "pod", victim, "-o", "json"))["status"]["containerStatuses"]
            return statuses[0]["restartCount"] and statuses[0]["ready"]
        self.kubectl("exec", victim, "--", "sh", "-c", "kill -TERM 1", check=False)  # the exec ends with it
        wait_for(f"a new container in {victim}", restarts)
        return f"{victim} runs again"

    def kill_a_pod(self):
        victim = self.ready_pods(WEB)[0]["metadata"]["name"]
        self.kubectl("delete", "pod", victim, "--wait=false")
        names = wait_for("a replacement", lambda: [p["metadata"]["name"] for p in self.ready_pods(WEB)]
                         if len(self.ready_pods(WEB)) == 3 else None)
        if victim in names:
            raise Failed(f"{victim} was deleted and is still there")
        return f"{victim} was replaced"

    def scale(self):
        for count in (10, 3):
            self.kubectl("scale", "deployment/guestbook", f"--replicas={count}")
            wait_for(f"{count} replicas", lambda c=count: len(self.ready_pods(WEB)) == len(self.pods(WEB)) == c)
        return "3 -> 10 -> 3"

    def roll_out(self):
        asking = subprocess.Popen(
            ["kubectl", "exec", "guestbook-client", "--", "guestbook", "ask", "guestbook/whoami", "6"],
            env=dict(os.environ, KUBECONFIG=str(self.config)), stdout=subprocess.PIPE, text=True)
        try:
            self.kubectl("set", "env", "deployment/guestbook", "VERSION=2")
            self.kubectl("set", "image", "deployment/guestbook", "web=guestbook:2")
            self.kubectl("rollout", "status", "deployment/guestbook", "--timeout=60s")
            out, _ = asking.communicate(timeout=60)
        finally:
            asking.kill()
        asked, failed = map(int, re.search(r"asked (\d+) failed (\d+)", out).groups())
        if failed or "version 2" not in out or "version 1" not in out:
            raise Failed(f"the client that kept asking saw:\n{out}")
        return f"{asked} requests meanwhile, none failed"

    def read_logs(self):
        pod = self.ready_pods(WEB)[0]["metadata"]["name"]
        text = self.kubectl("logs", pod)
        if "GET /" not in text:
            raise Failed(f"the log of {pod} shows no request:\n{text}")
        return f"{len(text.splitlines())} lines of {pod}"

    def run_exec(self):
        pod = self.ready_pods(STORE)[0]["metadata"]["name"]
        text = self.kubectl("exec", pod, "--", "cat", "/data/lines")
        if "Hello from the demo" not in text:
            raise Failed(f"the store's file shows: {text}")
        return f"the line is in {pod}:/data/lines"

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


STEPS = (
    ("start the cloud", Demo.start_cloud),
    ("make two images", Demo.make_image),
    ("deploy the guestbook", Demo.deploy),
    ("ask the Service by address and by name", Demo.ask_by_address_and_name),
    ("kill a container's process", Demo.kill_a_process),
    ("delete a pod", Demo.kill_a_pod),
    ("scale out and in", Demo.scale),
    ("roll out version 2 while a client keeps asking", Demo.roll_out),
    ("read logs", Demo.read_logs),
    ("kubectl exec", Demo.run_exec),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="/var/lib/cloudlet", help="the cloud's folder")
    options = parser.parse_args()
    demo, progress = Demo(options.root), Progress()
    try:
        for what, step in STEPS:
            progress.step(what, step, demo)
    except (Failed, subprocess.TimeoutExpired) as error:
        print(f"\n{error}\n\nThe demo stopped here. Look: {CLOUDLET} status --root {options.root}", file=sys.stderr)
        return 1
    finally:
        demo.close()
    print(f"\n{demo.cloudlet('status')}", file=sys.stderr)
    root = "" if options.root == "/var/lib/cloudlet" else f" --root {options.root}"
    print(f"The cloud runs. Reach it:  {CLOUDLET} kubeconfig{root} > cloud.yaml && KUBECONFIG=cloud.yaml kubectl get pods\n"
          f"Stop it:   {CLOUDLET} down{root}          (--purge also removes everything it made)", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
