#!/usr/bin/env python3
"""The numbers of SPECIFICATION.md, measured now, peers beside ours in the same run.

usage: bench.py [ROW...]     rows: start idle pods api oci crush plan osd (default: all)

Machines are noisy: what counts are medians, ratios and CPU time. Each row says what it measured with.
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

from cloud import BIN, REPOSITORY, Cloud, run, wait_for  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": ""}, "spec": {
    "terminationGracePeriodSeconds": 0,
    "containers": [{"name": "main", "image": "test:1", "imagePullPolicy": "Never", "command": ["sleep", "infinity"]}]}}
rows = []


def row(what, bar, value, ok):
    rows.append((what, bar, value, "yes" if ok else "NO"))
    print(f"  {what}: {value}  (bar: {bar})", file=sys.stderr, flush=True)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def bench_start():
    empty, again = [], []
    for _ in range(5):
        with Cloud() as cloud:
            empty.append(cloud.up())
            cloud.cloudlet("down")
            again.append(cloud.up())
    row("cloudlet up, empty root, to node Ready", "<= 1 s", f"{statistics.median(empty):.2f} s", statistics.median(empty) <= 1)
    row("cloudlet up, existing root", "<= 0.5 s", f"{statistics.median(again):.2f} s", statistics.median(again) <= 0.5)


def bench_idle():
    with Cloud() as cloud:
        cloud.inside(sys.executable, str(REPOSITORY / "examples/guestbook/demo.py"), "--root", str(cloud.root), timeout=300)
        cloud.kubeconfig.write_text(cloud.cloudlet("kubeconfig").stdout)
        time.sleep(3)  # let what the demo stirred up settle: this measures idleness
        status = cloud.status()
        row("memory (PSS) of all our processes, demo running", "<= 60 MB", f"{status['memoryKiB'] / 1024:.1f} MB",
            status["memoryKiB"] <= 60 * 1024)
        before, begin = cpu_seconds(status["pid"]), time.monotonic()
        time.sleep(10)
        share = (cpu_seconds(status["pid"]) - before) / (time.monotonic() - begin) * 100
        row("idle CPU, demo running", "<= 0.5 % of a core", f"{share:.2f} %", share <= 0.5)
        added = memory_of_more_containers(cloud, status["memoryKiB"])
        row("a container adds, of ours", "<= 0.2 MB", f"{added / 1024:.2f} MB", added <= 0.2 * 1024)


def memory_of_more_containers(cloud, before_kib, count=20):
    cloud.kubectl("scale", "deployment/guestbook", f"--replicas={3 + count}")
    wait_for("more replicas", lambda: cloud.get("deployment", "guestbook")["status"].get("readyReplicas") == 3 + count)
    return (cloud.status()["memoryKiB"] - before_kib) / count


class PodWatch(threading.Thread):
    """One kubectl watch; when each pod was ADDED and when it was first Running."""

    def __init__(self, cloud):
        super().__init__(daemon=True)
        env = dict(os.environ, KUBECONFIG=str(cloud.kubeconfig))
        self.process = subprocess.Popen(
            cloud.namespace.enter + ["kubectl", "get", "pods", "-w", "--output-watch-events", "-o",
                                     "jsonpath={.type} {.object.metadata.name} {.object.status.phase}{'\\n'}"],
            env=env, stdout=subprocess.PIPE, text=True)
        self.added, self.running = {}, {}
        self.start()

    def run(self):
        for line in self.process.stdout:
            now = time.monotonic()
            words = line.split()
            if len(words) > 1:
                self.added.setdefault(words[1], now)
            if len(words) == 3 and words[2] == "Running":
                self.running.setdefault(words[1], now)

    def close(self):
        self.process.kill()
        self.process.wait()


def bench_pods():
    with Cloud() as cloud:
        cloud.up()
        cloud.image("test:1")
        watch = PodWatch(cloud)
        for number in range(25):
            name = f"one-{number}"
            pod = json.loads(json.dumps(POD))
            pod["metadata"]["name"] = name
            cloud.kubectl("create", "-f", "-", stdin=json.dumps(pod))
            wait_for(name, lambda n=name: n in watch.running)
        took = [(watch.running[n] - watch.added[n]) * 1000 for n in watch.running]
        median = statistics.median(took)
        row("pod, from ADDED to Running on one watch", "median <= 60 ms", f"{median:.0f} ms (n={len(took)})", median <= 60)
        cloud.kubectl("delete", "pods", "--all", "--wait=true")
        many = {"apiVersion": "v1", "kind": "List", "items": []}
        for number in range(100):
            pod = json.loads(json.dumps(POD))
            pod["metadata"]["name"] = f"many-{number}"
            many["items"].append(pod)
        cloud.kubectl("create", "-f", "-", stdin=json.dumps(many))
        wait_for("100 pods", lambda: sum(n.startswith("many-") for n in watch.running) == 100, timeout=120)
        first = min(watch.added[n] for n in watch.added if n.startswith("many-"))
        last = max(watch.running[n] for n in watch.running if n.startswith("many-"))
        row("100 pods at once, first ADDED to last Running", "<= 4 s", f"{last - first:.2f} s", last - first <= 4)
        watch.close()


def load(cloud, kind, url, connections, seconds, run, *token):
    """One run of wrk: a dict of rate, p50, p99 and failed. One thread: the other core is the server's."""
    out = cloud.inside("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "api_load.lua"), url,
                       "--", kind, str(run), *token, timeout=seconds + 60).stdout
    return json.loads(out.strip().split("\n")[-1])


def load_ours(cloud, token, kind, connections, seconds, run):
    """The load on our API; also what the daemon's CPU cost is for each request, in microseconds."""
    pid, begin = cloud.pid(), time.monotonic()
    before = cpu_seconds(pid)
    told = load(cloud, kind, "https://127.0.0.1:6443", connections, seconds, run, token)
    requests = told["rate"] * min(seconds, time.monotonic() - begin)
    told["cpu_us"] = (cpu_seconds(pid) - before) / max(requests, 1) * 1e6
    return told


def admin_token(cloud):
    return re.search(r"token: (\S+)", cloud.cloudlet("kubeconfig", "--token").stdout).group(1)


def start_etcd(cloud, folder):
    etcd = subprocess.Popen(cloud.namespace.enter + ["etcd", "--data-dir", str(folder / "etcd"), "--log-level", "error"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("etcd", lambda: cloud.inside("curl", "-s", "http://127.0.0.1:2379/health", check=False).stdout)
    return etcd


def make_objects_to_get(cloud, count=512):
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"get-{number}"}, "data": {"v": "x" * 440}}
             for number in range(count)]
    cloud.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), timeout=120)


def bench_api(rounds=5, seconds=4):
    with Cloud() as cloud:
        cloud.up()
        token = admin_token(cloud)
        make_objects_to_get(cloud)
        etcd = start_etcd(cloud, cloud.folder)
        ours, theirs, gets = [], [], []
        try:
            for number in range(rounds):  # interleaved: what the machine does meets all three
                ours.append(load_ours(cloud, token, "create", 16, seconds, number))
                theirs.append(load(cloud, "etcd-put", "http://127.0.0.1:2379", 16, seconds, number))
                gets.append(load_ours(cloud, token, "get", 64, seconds, number))
        finally:
            etcd.terminate()
            etcd.wait()
        create, put, get = (statistics.median(x["rate"] for x in xs) for xs in (ours, theirs, gets))
        create_cpu, get_cpu = (statistics.median(x["cpu_us"] for x in xs) for xs in (ours, gets))
        failed = sum(x["failed"] for xs in (ours, theirs, gets) for x in xs)
        row("durable creates, TLS and token, 600 B, 16 connections", ">= etcd's bare puts",
            f"{create:.0f}/s, {create_cpu:.0f} us of CPU; etcd {put:.0f}/s; ratio {create / put:.2f}; {failed} failed",
            create >= put and not failed)
        row("GETs, 64 connections", ">= 3 x the creates", f"{get:.0f}/s, {get_cpu:.0f} us of CPU; ratio {get / create:.1f}",
            get >= 3 * create)


def bench_oci():
    done = run([sys.executable, str(HERE / "oci_run.py"), str(BIN / "cloudlet-runtime")], check=False, timeout=300)
    if not done.stdout:
        raise RuntimeError(done.stderr)
    told = json.loads(done.stdout)
    mine, peer = (told[name]["cpu_ms_median"] for name in ("cloudlet_runtime", "crun"))
    row("OCI run of a static true, CPU", "<= crun's", f"{mine:.1f} ms; crun {peer:.1f} ms; ratio {mine / peer:.2f}",
        mine <= peer)


def user_seconds(argv, folder):
    """User CPU of one run; what it prints goes nowhere."""
    pid = os.posix_spawn(argv[0], argv, dict(os.environ, CEPH_ARGS=f"--crash_dir={folder}"),
                         file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(argv)} failed with status {status}")
    return usage.ru_utime


def bench_crush(rounds=3):
    maps = (("10 OSDs in 5 hosts", 10, "host straw2 2 root straw2 0"),
            ("100 OSDs in 10 hosts", 100, "host straw2 10 root straw2 0"),
            ("1,000 OSDs in 3 levels", 1000, "host straw2 10 rack straw2 10 root straw2 0"))
    with tempfile.TemporaryDirectory() as folder:
        for what, osds, layers in maps:
            file = f"{folder}/{osds}"
            run(["/usr/bin/crushtool", "-o", file, "--build", "--num_osds", str(osds), *layers.split()])
            test = ["-i", file, "--test", "--min-x", "0", "--max-x", "999999", "--num-rep", "3", "--show-statistics"]
            ours, theirs = [], []
            for _ in range(rounds):
                theirs.append(user_seconds(["/usr/bin/crushtool", *test], folder))
                ours.append(user_seconds([str(BIN / "cloudlet"), "crushtool", *test], folder))
            mine, peer = statistics.median(ours), statistics.median(theirs)
            row(f"crushtool --test of 1,000,000 inputs, {what}", ">= 2.5 x Ceph's",
                f"{mine:.2f} s of CPU; Ceph 16.2 {peer:.2f} s; ratio {peer / mine:.1f}", peer >= 2.5 * mine)


def bench_plan():
    told = json.loads(run([str(BIN.parent / "bench" / "rados_bench"), "--benchmark_filter=^plan_removal/remove",
                           "--benchmark_repetitions=5", "--benchmark_report_aggregates_only=true",
                           "--benchmark_format=json"], timeout=300).stdout)
    for entry in told["benchmarks"]:
        if entry["aggregate_name"] == "median":
            took = entry["real_time"]
            row(f"storage plan: {entry['run_name']}", "<= 150 ms", f"{took:.0f} ms; {entry['cpu_time']:.0f} of CPU", took <= 150)


def bench_osd():
    told = json.loads(run([str(BIN.parent / "bench" / "rados_bench"), "--benchmark_filter=^osd_",
                           "--benchmark_repetitions=5", "--benchmark_report_aggregates_only=true",
                           "--benchmark_format=json"], timeout=300).stdout)
    bars = {"osd_write_full": 30, "osd_overwrite": 30, "osd_read": 5}
    for entry in told["benchmarks"]:
        if entry["aggregate_name"] == "median":
            took, bar = entry["cpu_time"] / 1000, bars[entry["run_name"]]
            row(f"4 KiB at three OSDs, disks in memory: {entry['run_name']}", f"<= {bar} us of CPU", f"{took:.1f} us",
                took <= bar)
    bench_pg_memory()


def bench_pg_memory():
    with tempfile.TemporaryDirectory() as folder:
        run([str(BIN.parent / "tests" / "rados_test"), "--gtest_filter=OsdMemory.*",
             f"--gtest_output=json:{folder}/told"], timeout=300)
        tests = json.loads(pathlib.Path(f"{folder}/told").read_text())["testsuites"][0]["testsuite"]
    for test in tests:
        for osd in ("primary", "replica"):
            if osd in test:
                row(f"memory of a PG at rest, three log entries, at its {osd}", "<= 2048 B", f"{test[osd]} B",
                    int(test[osd]) <= 2048)
        if "bytes" in test:
            row("memory of three idle OSDs with 100 PGs, their disks and a monitor", "<= 5 MB",
                f"{int(test['bytes']) / 2**20:.1f} MB", int(test["bytes"]) <= 5 * 2**20)


def print_table():
    widths = [max(len(str(r[i])) for r in [("what", "bar", "measured", "holds"), *rows]) for i in range(4)]
    print()
    for line in [("what", "bar", "measured", "holds"), *rows]:
        print("   ".join(str(cell).ljust(width) for cell, width in zip(line, widths)).rstrip())


def main():
    benches = {"start": bench_start, "idle": bench_idle, "pods": bench_pods, "api": bench_api, "oci": bench_oci,
               "crush": bench_crush, "plan": bench_plan, "osd": bench_osd}
    for name in sys.argv[1:] or benches:
        if name not in benches:
            print(f"bench: no row \"{name}\"; there are {', '.join(benches)}", file=sys.stderr)
            return 2
        print(name, file=sys.stderr, flush=True)
        benches[name]()
    print_table()
    return 0 if all(r[3] == "yes" for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
