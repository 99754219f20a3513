"""The suites of the guest: the control groups it mounts and the commands it runs, one after the other.

Imported by guest.py for the names and deadlines; run inside the guest as its only program:
guest_suites.py SUITE [ARGUMENTS], arguments going to every command. The first failure does not stop the
rest; the exit status says whether there was one.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PYTEST = ("/usr/bin/python3", "-B", "-m", "pytest", "-q", "--color=no", "--durations=4", "-p", "no:cacheprovider")


@dataclasses.dataclass(frozen=True)
class Suite:
    """One suite. Commands count from the repository; `cgroups` is how the guest's are mounted: v1 or v2."""
    cgroups: str
    commands: tuple
    deadline: int = 300  # seconds, from the start of the emulator


UNIT = (("build/tests/linux_test", "--gtest_brief=1"), ("build/tests/runtime_test", "--gtest_brief=1"))
ENGINE = (("build/tests/engine_test", "--gtest_brief=1"),)
LIMITS = ((*PYTEST, "tests/guest/suites/test_limits.py"),)
CLOUD = ((*PYTEST, "tests/guest/suites/test_cloud.py"),)

SUITES = {
    "cgroup2": Suite("v2", UNIT + LIMITS),
    "cgroup1": Suite("v1", UNIT + LIMITS),
    "engine2": Suite("v2", ENGINE),
    "engine1": Suite("v1", ENGINE),
    "limits2": Suite("v2", LIMITS),
    "limits1": Suite("v1", LIMITS),
    "cloud": Suite("v2", CLOUD),
}


def mount(kind, target, options):
    target.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", kind, "-o", options, kind, str(target)], check=True)


def mount_cgroups(version):
    """Pure v2, or pure v1 in the way systemd laid it out: some controllers share a hierarchy."""
    folder = pathlib.Path("/sys/fs/cgroup")
    if version == "v2":
        mount("cgroup2", folder, "nosuid,nodev,noexec")
        return
    mount("tmpfs", folder, "mode=755")
    lines = pathlib.Path("/proc/cgroups").read_text().splitlines()[1:]
    there = {line.split()[0] for line in lines if line.split()[3] == "1"}
    together = [group for group in (("cpu", "cpuacct"), ("net_cls", "net_prio")) if there.issuperset(group)]
    alone = [(name,) for name in sorted(there - {name for group in together for name in group})]
    for group in together + alone:
        mount("cgroup", folder / ",".join(group), ",".join(group))


def main(name, arguments):
    suite = SUITES[name]
    mount_cgroups(suite.cgroups)
    print(f"guest: Linux {os.uname().release}, cgroup {suite.cgroups}, up {time.monotonic():.0f} s", flush=True)
    failed = 0
    for command in suite.commands:
        began = time.monotonic()
        status = subprocess.run([*command, *arguments], cwd=REPOSITORY, check=False).returncode
        print(f"guest: {pathlib.Path(command[-2 if 'gtest' in command[-1] else -1]).name}: "
              f"{'ok' if status == 0 else f'FAILED, status {status}'}, {time.monotonic() - began:.0f} s", flush=True)
        failed = failed or status
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
