#!/usr/bin/env python3
"""CPU and wall time of `run` of a static /bin/true: cloudlet-runtime beside crun, interleaved.

usage: oci_run.py PATH_TO_CLOUDLET_RUNTIME [ROUNDS]

crun 1.8 refuses a hybrid cgroup host, so it runs in a private mount namespace without the v2 mount.
CPU is user + system of the runtime and of all children that were waited for. Prints one line of JSON;
exit status 1 when ours costs more than crun's (median).
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HIDE_CGROUP2 = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'


def make_bundle(folder):
    os.makedirs(f"{folder}/rootfs/bin")
    for name in ("proc", "sys", "dev", "tmp", "etc"):
        os.makedirs(f"{folder}/rootfs/{name}")
    shutil.copy("/bin/busybox", f"{folder}/rootfs/bin/true")
    subprocess.run(["crun", "spec"], cwd=folder, check=True)
    with open(f"{folder}/config.json") as file:
        config = json.load(file)
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/bin/true"]
    config["process"].pop("apparmorProfile", None)
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file)


def measure(argv, folder):
    began = time.monotonic()
    pid = os.posix_spawn(argv[0], argv, os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(argv)} failed with status {status}")
    return 1000 * (usage.ru_utime + usage.ru_stime), 1000 * (time.monotonic() - began)


def rounds_of(runtime, count, folder):
    ours, peers = [], []
    for i in range(count + 2):
        mine = measure([runtime, "--root", f"{folder}/state", "run", "-b", folder, f"bench-{os.getpid()}-{i}"], folder)
        peer = measure(["/usr/bin/crun", "--root", f"{folder}/crun", "run", "-b", folder, f"bench-{os.getpid()}-{i}"], folder)
        if i >= 2:  # the first two warm the caches
            ours.append(mine)
            peers.append(peer)
    return ours, peers


def main():
    if os.environ.get("OCI_RUN_INSIDE") is None:
        os.environ["OCI_RUN_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", "sh", "-c", HIDE_CGROUP2, "_", sys.executable] + sys.argv)
    folder = tempfile.mkdtemp(prefix="/tmp/oci-run-")
    try:
        make_bundle(folder)
        ours, peers = rounds_of(os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40, folder)
    finally:
        shutil.rmtree(folder)
    table = {}
    for name, samples in (("cloudlet_runtime", ours), ("crun", peers)):
        cpu, wall = [s[0] for s in samples], [s[1] for s in samples]
        table[name] = {"cpu_ms_median": round(statistics.median(cpu), 2), "cpu_ms_min": round(min(cpu), 2),
                       "wall_ms_median": round(statistics.median(wall), 2), "wall_ms_min": round(min(wall), 2)}
    table["cpu_ratio"] = round(table["cloudlet_runtime"]["cpu_ms_median"] / table["crun"]["cpu_ms_median"], 3)
    print(json.dumps(table))
    return 0 if table["cpu_ratio"] <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
