"""The demo as a test: the story of the README, told with the real kubectl, and then a purge."""

import json
import sys

from cloud import REPOSITORY, wait_for
from machine import difference, picture


def test_the_demo_runs_and_leaves_a_cloud_that_purges_cleanly(cloud):
    before = picture(cloud.namespace.enter)
    told = cloud.inside(sys.executable, str(REPOSITORY / "examples" / "guestbook" / "demo.py"), "--root", str(cloud.root),
                        timeout=300)
    assert "none failed" in told.stderr and "cloudlet down" in told.stderr, told.stderr
    # Pods of the old version end within their grace; their phase is Running until then.
    wait_for("the old version's pods to end", lambda: cloud.status()["pods"]["running"] == 5)
    status = cloud.status()
    assert status["ready"]
    assert status["memoryKiB"] <= 60 * 1024, json.dumps(status, indent=1)
    cloud.cloudlet("down", "--purge")
    assert difference(before, picture(cloud.namespace.enter)) == []
