"""What `cloudlet-runtime` promises about control groups, shown on processes that press against each limit.

Runs inside the guest, where it owns the machine; the same tests hold on cgroup v1 and v2.
"""

import contextlib
import itertools
import json
import pathlib
import shutil
import subprocess
import time

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
RUNTIME = str(REPOSITORY / "build" / "bin" / "cloudlet-runtime")
CGROUPS = pathlib.Path("/sys/fs/cgroup")
UNIFIED = (CGROUPS / "cgroup.controllers").exists()
MEGABYTE = 1 << 20
NUMBERS = itertools.count()
CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_MKNOD", "CAP_DAC_OVERRIDE"]
DENY_ALL = {"allow": False, "access": "rwm"}


def run(*argv, check=True, timeout=60):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    assert not check or done.returncode == 0, f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def silently(*argv):
    """The exit status of a command that leaves a process behind, which would hold a pipe open."""
    null = subprocess.DEVNULL
    return subprocess.run(argv, stdin=null, stdout=null, stderr=null, timeout=60, check=False).returncode


def wait_for(what, condition, timeout=20.0):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"waited {timeout:.0f} s for {what}")


def group_folder(path, controller):
    """Where a group is in a controller's hierarchy; v1 hierarchies may be shared."""
    if UNIFIED:
        return CGROUPS / path[1:]
    (mount,) = [folder for folder in CGROUPS.iterdir() if controller in folder.name.split(",")]
    return mount / path[1:]


def read(path, controller, name):
    return (group_folder(path, controller) / name).read_text().strip()


def keyed(text, key):
    return int(dict(line.split(" ", 1) for line in text.splitlines())[key])


def groups_left(path):
    return [str(folder) for folder in CGROUPS.rglob(path.rsplit("/", 1)[1]) if folder.is_dir()]


class Box:
    """One container of busybox that `cloudlet-runtime` makes; gone when the block ends."""

    def __init__(self, folder, resources, script):
        self.name = f"box-{next(NUMBERS)}"
        self.group = f"/guest/{self.name}"
        self.bundle = folder / self.name
        root = self.bundle / "rootfs"
        for name in ("bin", "proc", "dev", "sys", "tmp"):
            (root / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin" / "busybox")
        mounts = [{"destination": "/proc", "type": "proc", "source": "proc"},
                  {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
                  {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
                  {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}]
        config = {"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "mounts": mounts,
                  "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"],
                              "args": ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin;" + script],
                              "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}},
                  "linux": {"cgroupsPath": self.group, "resources": resources,
                            "namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts", "network", "cgroup")]}}
        (self.bundle / "config.json").write_text(json.dumps(config))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.delete()

    def delete(self):
        run(RUNTIME, "delete", "-f", self.name, check=False)

    def run(self, check=True):
        return run(RUNTIME, "run", "-b", str(self.bundle), self.name, check=check)

    def start(self):
        """Runs it in the background; its output is dropped."""
        assert silently(RUNTIME, "run", "-d", "-b", str(self.bundle), self.name) == 0
        return self

    def execute(self, *argv, check=True):
        return run(RUNTIME, "exec", self.name, *argv, check=check)

    def spawn(self, *argv):
        """The exit status of an exec that does not wait for its program."""
        return silently(RUNTIME, "exec", "-d", self.name, *argv)

    def read(self, controller, name):
        return read(self.group, controller, name)


@pytest.fixture
def box(tmp_path):
    """Makes boxes: box(resources, script)."""
    with contextlib.ExitStack() as boxes:
        yield lambda resources, script: boxes.enter_context(Box(tmp_path, resources, script))


@pytest.fixture(scope="module")
def swap():
    """256 MB of compressed swap in memory: without swap nobody can tell a limit on it from none."""
    run("modprobe", "zram")
    pathlib.Path("/sys/block/zram0/disksize").write_text("256M")
    run("mkswap", "/dev/zram0")
    run("swapon", "/dev/zram0")
    yield
    run("swapoff", "/dev/zram0")
    pathlib.Path("/sys/block/zram0/reset").write_text("1")


def processor_time(one):
    if UNIFIED:
        return keyed(one.read("cpu", "cpu.stat"), "usage_usec") / 1e6
    return int(one.read("cpuacct", "cpuacct.usage")) / 1e9


def test_a_busy_loop_gets_its_quota_of_processor_time_and_no_more(box):
    one = box({"cpu": {"quota": 20000, "period": 100000}}, "while :; do :; done").start()
    before, began = processor_time(one), time.monotonic()
    throttled = lambda: keyed(one.read("cpu", "cpu.stat"), "nr_throttled")
    wait_for("the loop to be throttled 20 times", lambda: throttled() >= 20)
    share = (processor_time(one) - before) / (time.monotonic() - began)
    assert 0.05 < share < 0.3, share


def test_shares_weigh_the_loops_that_compete(box):
    both = [box({"cpu": {"shares": shares, "cpus": "0"}}, "while :; do :; done") for shares in (3072, 512)]
    expected = ["118", "20"] if UNIFIED else ["3072", "512"]
    for one in both:
        one.start()
    assert [one.read("cpu", "cpu.weight" if UNIFIED else "cpu.shares") for one in both] == expected
    before = [processor_time(one) for one in both]
    wait_for("5 s of processor time", lambda: sum(map(processor_time, both)) - sum(before) > 5)
    used = [processor_time(one) - was for one, was in zip(both, before)]
    assert used[0] > 3 * used[1], used


def test_processes_stay_on_their_processors(box):
    said = box({"cpu": {"cpus": "1", "mems": "0"}}, "grep -E 'Cpus_allowed_list|Mems_allowed_list' /proc/self/status").run().stdout
    assert said.split() == ["Cpus_allowed_list:", "1", "Mems_allowed_list:", "0"]


def test_more_memory_than_the_limit_is_death_and_less_is_life(box):
    hungry = "dd if=/dev/zero of=/dev/null bs=%dM count=1 2>/dev/null; echo $?"
    limits = {"memory": {"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE}}
    assert box(limits, hungry % 16).run().stdout == "0\n"
    assert box(limits, hungry % 48).run().stdout == "137\n"


def test_a_death_by_memory_is_counted_in_the_group(box):
    one = box({"memory": {"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE}},
              "dd if=/dev/zero of=/dev/null bs=48M count=1; sleep 1000").start()
    kills = lambda: keyed(one.read("memory", "memory.events" if UNIFIED else "memory.oom_control"), "oom_kill")
    wait_for("the kill", lambda: kills() == 1)


@pytest.mark.usefixtures("swap")
def test_swap_is_what_memory_plus_swap_leaves(box):
    hungry = "dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; echo $?"
    assert box({"memory": {"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE}}, hungry).run().stdout == "137\n"
    assert box({"memory": {"limit": 32 * MEGABYTE, "swap": 128 * MEGABYTE}}, hungry).run().stdout == "0\n"
    assert box({"memory": {"limit": 32 * MEGABYTE, "swap": -1}}, hungry).run().stdout == "0\n"


def test_the_number_of_processes_is_bounded(box):
    said = box({"pids": {"limit": 8}}, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done; echo started").run(check=False)
    assert "can't fork" in said.stderr and said.returncode != 0


def test_an_exec_is_held_by_the_same_limits(box):
    one = box({"memory": {"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE}, "cpu": {"cpus": "1"}}, "sleep 1000").start()
    assert one.execute("dd", "if=/dev/zero", "of=/dev/null", "bs=48M", "count=1", check=False).returncode == 137
    assert one.execute("grep", "Cpus_allowed_list", "/proc/self/status").stdout.split() == ["Cpus_allowed_list:", "1"]


def test_an_exec_adds_no_process_to_a_full_group(box):
    one = box({"pids": {"limit": 4}}, "sleep 1000 & sleep 1000 & sleep 1000 & wait").start()
    wait_for("four processes", lambda: one.read("pids", "pids.current") == "4")
    # v2 refuses to start the exec. v1 lets it in, as the kernel lets everything be moved, and it cannot fork.
    assert one.execute("sh", "-c", "true | true", check=False).returncode != 0


@pytest.fixture(scope="module")
def loops():
    """Block devices 7:0 and 7:1, which no default allows; without a file behind them they read as empty."""
    run("modprobe", "loop")


def verdicts(one):
    """Which of reading and writing the two loop devices the container may do, as its own words."""
    said = one.run().stdout.split()
    assert said[-1:] == ["end"], said
    return said[:-1]


TRY_LOOPS = """
    for n in 0 1; do
        mknod /tmp/loop$n b 7 $n || exit 1
        (true < /tmp/loop$n) 2>/dev/null && echo read$n
        (true >> /tmp/loop$n) 2>/dev/null && echo write$n
    done
    echo > /dev/null && head -c 1 /dev/zero > /dev/null && echo end"""


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("rules, allowed", [
    ([DENY_ALL], []),
    ([DENY_ALL, {"allow": True, "type": "b", "major": 7, "minor": 0, "access": "r"}], ["read0"]),
    ([DENY_ALL, {"allow": True, "type": "b", "major": 7, "access": "rwm"}], ["read0", "write0", "read1", "write1"]),
    ([{"allow": True, "access": "rwm"}, {"allow": False, "type": "b", "major": 7, "minor": 0, "access": "rw"}],
     ["read1", "write1"]),
    ([{"allow": True, "access": "rwm"}, {"allow": False, "type": "b", "major": 7, "minor": 1, "access": "w"}],
     ["read0", "write0", "read1"]),
], ids=["deny", "one-for-reading", "all-of-a-kind", "all-but-one", "one-not-for-writing"])
def test_devices_are_open_to_whom_the_rules_allow(box, rules, allowed):
    assert verdicts(box({"devices": rules}, TRY_LOOPS)) == allowed


def freeze(one):
    if UNIFIED:
        (group_folder(one.group, "") / "cgroup.freeze").write_text("1")
        wait_for("the freeze", lambda: keyed(one.read("", "cgroup.events"), "frozen") == 1)
        return
    folder = group_folder(one.group, "freezer")
    (folder / "freezer.state").write_text("FROZEN")
    wait_for("the freeze", lambda: (folder / "freezer.state").read_text() == "FROZEN\n")


def test_delete_reaches_frozen_processes_and_leaves_no_group(box):
    one = box({"pids": {"limit": 20}}, "sleep 1000 & sleep 1000").start()
    freeze(one)
    run(RUNTIME, "delete", "-f", one.name)
    assert groups_left(one.group) == []
    assert one.name not in run(RUNTIME, "list", "-q").stdout


def test_kill_reaches_every_process_and_delete_leaves_no_group(box):
    one = box({"cpu": {"shares": 512}}, "sleep 1000 & sleep 1000 & wait").start()
    procs = lambda: one.read("pids", "cgroup.procs").split()
    wait_for("three processes", lambda: len(procs()) == 3)
    run(RUNTIME, "kill", "-a", one.name, "KILL")
    wait_for("their end", lambda: not procs())
    run(RUNTIME, "delete", one.name)
    assert groups_left(one.group) == []


def test_a_limit_that_the_kernel_refuses_is_named_and_leaves_no_group(box):
    one = box({"cpu": {"cpus": "99"}}, "true")
    refused = one.run(check=False)
    assert refused.returncode != 0 and "cpuset.cpus" in refused.stderr
    assert groups_left(one.group) == []


@pytest.mark.skipif(not UNIFIED, reason="v1 has no groups that keep a controller to themselves")
def test_a_group_that_cannot_hand_a_controller_down_is_named(box):
    """As in a container that was given a cgroup namespace: what looks like the root has processes of its own."""
    nested = CGROUPS / "nested"
    nested.mkdir()
    one = box({"memory": {"limit": 64 * MEGABYTE}}, "echo ran")
    free = box({}, "echo ran")
    script = (f"echo $$ > {nested}/cgroup.procs; exec unshare -C -m sh -c '"
              f"umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec {RUNTIME} run -b \"$0\" \"$1\"'")
    refused = run("sh", "-c", script + f" {one.bundle} {one.name}", check=False)
    assert refused.returncode != 0 and refused.stdout == ""
    assert "group /sys/fs/cgroup does not hand the memory controller down" in refused.stderr
    assert "move its own processes to a group below it" in refused.stderr
    assert run("sh", "-c", script + f" {free.bundle} {free.name}").stdout == "ran\n"
    assert groups_left(one.group) == [] and groups_left(free.group) == []
    for leftover in (nested / "guest", nested):
        leftover.rmdir()


def test_the_container_sees_its_own_group_as_the_root(box):
    said = box({"memory": {"limit": 64 * MEGABYTE}}, "cat /proc/self/cgroup; ls /sys/fs/cgroup").run().stdout.split("\n")
    if UNIFIED:
        assert said[0] == "0::/" and "memory.max" in said
    else:
        assert all(line.endswith(":/") or "guest" not in line for line in said) and "memory" in said
