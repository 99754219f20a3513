"""What this machine's kernel lacks, on Debian's own: see tests/guest/README.md."""

import subprocess

import pytest

from cloud import BIN, REPOSITORY


@pytest.mark.skipif(BIN != REPOSITORY / "build" / "bin", reason="the guest runs what is in build/")
def test_the_runtime_keeps_its_limits_on_debians_kernel_with_pure_cgroup_v2():
    done = subprocess.run(["/usr/bin/python3", str(REPOSITORY / "tests" / "guest" / "guest.py"), "cgroup2"],
                          capture_output=True, text=True, check=False)  # it has a deadline of its own
    assert done.returncode == 0, done.stdout + done.stderr
