"""The verbs as a person types them: what they print, what they refuse, and how."""

import json
import os
import subprocess

import pytest
from cloud import CLOUDLET, UPLINK, Cloud, run, wait_for

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def refused(done, *wanted):
    """One line on standard error that holds `wanted`, nothing on standard output."""
    assert done.returncode != 0 and done.stdout == "", done
    lines = done.stderr.strip().split("\n")
    assert len(lines) == 1 and lines[0].startswith("cloudlet: "), done.stderr
    for text in wanted:
        assert text in lines[0], lines[0]


@pytest.mark.parametrize("words, wanted", [
    (["frob"], "see cloudlet --help"),
    (["up", "--frob"], "see cloudlet up --help"),
    (["status", "extra"], "see cloudlet status --help"),
    (["image"], "see cloudlet image --help"),
    (["image", "ls", "-o", "yaml"], "see cloudlet image ls --help"),
    (["logs", "--tail", "many"], "see cloudlet logs --help"),
    (["status", "--root", "/nonexistent"], "start it with cloudlet up --root /nonexistent"),
    (["kubeconfig", "--root", "/nonexistent"], "start it with cloudlet up --root /nonexistent"),
    (["image", "ls", "--root", "/nonexistent"], "start it with cloudlet up --root /nonexistent"),
    (["logs", "web", "--root", "/nonexistent"], "start it with cloudlet up --root /nonexistent"),
    (["logs", "--root", "/nonexistent"], "no cloud on /nonexistent"),
    (["up", "--root", "/etc/passwd"], "choose another with --root"),
    (["up", "--root", "/"], "name a folder"),
    (["up", "--root", ""], "--root is empty"),
])
def test_a_wrong_command_is_one_line_with_the_next_step(words, wanted):
    refused(run([CLOUDLET, *words], check=False), wanted)


def test_a_bare_command_shows_the_verbs():
    shown = run([CLOUDLET], check=False)
    assert shown.returncode == 2
    for verb in ("up", "down", "status", "version", "kubeconfig", "image", "logs"):
        assert verb in shown.stderr


def test_a_user_who_is_not_root_is_told_so(running):
    root = str(running.root)
    running.folder.chmod(0o755)
    refused(running.inside(*NOBODY, CLOUDLET, "status", "--root", root, check=False), "root", "sudo")
    refused(running.inside(*NOBODY, CLOUDLET, "image", "ls", "--root", root, check=False), "sudo")
    refused(running.inside(*NOBODY, CLOUDLET, "up", "--root", "/tmp/cloudlet-nobody", check=False), "sudo cloudlet up")
    assert not os.path.exists("/tmp/cloudlet-nobody")


def test_the_root_may_stand_before_the_verb_and_be_spelled_in_any_way(running):
    plain = running.status()
    spelled = f"{running.root.parent}/./x/../{running.root.name}/"
    for words in (["--root", str(running.root), "status"], ["status", "--root", spelled]):
        other = json.loads(running.inside(CLOUDLET, *words, "-o", "json").stdout)
        assert other["instance"] == plain["instance"] and other["pid"] == plain["pid"]


def test_json_is_json_wherever_there_is_something_to_read(running):
    again = json.loads(running.cloudlet("up", "-o", "json").stdout)
    status = json.loads(running.cloudlet("status", "-o", "json").stdout)
    for answer in (again, status):
        assert {"pid", "ready", "server", "started"} <= answer.keys()
    assert json.loads(running.cloudlet("version", "-o", "json").stdout)["kubernetesVersion"].startswith("v1.32")
    image = json.loads(running.inside(CLOUDLET, "image", "ls", "--root", str(running.root), "-o", "json").stdout)["images"][0]
    assert image["names"] == ["test:1"] and image["id"].startswith("sha256:")


def test_what_does_not_exist_is_named_in_one_line(running):
    root = ["--root", str(running.root)]
    refused(running.inside(CLOUDLET, "logs", *root, "nobody", check=False), 'pods "nobody" not found')
    refused(running.inside(CLOUDLET, "logs", *root, "nobody", "-n", "nowhere", check=False), "not found")
    refused(running.inside(CLOUDLET, "logs", *root, "--previous", check=False), "about a pod")
    refused(running.inside(CLOUDLET, "image", "rm", *root, "nothing:1", check=False), "image ls")
    refused(running.inside(CLOUDLET, "image", "load", *root, check=False), "usage: cloudlet image load FILE")
    refused(running.inside(CLOUDLET, "image", "pull", *root, "ubuntu", check=False), "load the image from an archive")


def test_the_daemons_log_can_be_followed(running):
    command = running.namespace.enter + [CLOUDLET, "logs", "--root", str(running.root), "--tail", "1", "-f"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        try:
            assert "ready: node" in reader.stdout.readline()
            with open(running.root / "log" / "cloudlet.log", "a", encoding="utf-8") as log:
                log.write("a line more\n")
            assert reader.stdout.readline() == "a line more\n"
        finally:
            reader.kill()


def test_flags_win_over_the_configuration_file_of_the_root(cloud):
    cloud.root.mkdir()
    (cloud.root / "config.yaml").write_text("port: 7443\nnodeName: from-the-file\nlogLevel: debug\n")
    cloud.cloudlet("up", "--port", "7444")
    assert cloud.status()["server"] == "https://127.0.0.1:7444"
    assert cloud.status()["node"]["name"] == "from-the-file"
    assert "https://127.0.0.1:7444" in cloud.cloudlet("kubeconfig").stdout
    cloud.cloudlet("down")
    cloud.cloudlet("up")
    assert cloud.status()["server"] == "https://127.0.0.1:7443", "the file wins over what was remembered"


def test_an_api_on_one_address_is_reached_there_and_by_pods(cloud):
    cloud.up("--listen", UPLINK)
    assert cloud.status()["server"] == f"https://{UPLINK}:6443"
    assert cloud.get("nodes")["items"]
    for address, wanted in ((UPLINK, "ok"), ("10.244.0.1", "ok"), ("10.96.0.1:443", "ok"), ("127.0.0.1", "")):
        server = address if ":" in address else f"{address}:6443"
        assert cloud.inside("curl", "-sk", "-m", "5", f"https://{server}/livez", check=False).stdout == wanted, server
    refused(cloud.inside(CLOUDLET, "up", "--root", str(cloud.folder / "other"), "--listen", "203.0.113.1", "--port", "7443",
                         check=False), "203.0.113.1 is no address of this machine", "--listen")


def test_a_pipe_is_no_image_archive(running):
    script = f"cat /bin/busybox | {CLOUDLET} image load --root {running.root} /dev/stdin"
    refused(running.inside("sh", "-c", script, check=False), "pipe", "file first")


def test_a_configuration_that_became_wrong_keeps_nobody_from_stopping_the_cloud(cloud):
    cloud.up()
    (cloud.root / "config.yaml").write_text("podCIDR: 10.99.0.0/16\n")
    cloud.cloudlet("down")
    refused(cloud.cloudlet("up", check=False), "10.244.0.0/16", "--purge")
    (cloud.root / "config.yaml").write_text("podCIDR: [\n")
    refused(cloud.cloudlet("up", check=False), "config.yaml", "line")
    cloud.cloudlet("down", "--purge")
    assert not cloud.root.exists()


def test_a_failed_first_start_leaves_what_was_in_its_folder(cloud):
    cloud.root.mkdir()
    (cloud.root / "config.yaml").write_text("logLevel: info\n")
    done = cloud.inside("unshare", "-m", "--propagation", "private", "sh", "-c",
                        f"umount -R /sys/fs/cgroup && {CLOUDLET} up --root {cloud.root}", check=False)
    refused(done, "cgroup")
    assert [path.name for path in cloud.root.iterdir()] == ["config.yaml"]
    cloud.up()


def test_a_daemon_in_the_foreground_says_why_it_ends(cloud):
    done = cloud.inside("unshare", "-m", "--propagation", "private", "sh", "-c",
                        f"umount -R /sys/fs/cgroup && {CLOUDLET} daemon --root {cloud.root}", check=False)
    refused(done, "mount -t cgroup2")


def test_two_starts_at_once_are_one_cloud(cloud):
    command = cloud.namespace.enter + [CLOUDLET, "up", "--root", str(cloud.root)]
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(5)]
    said = [start.communicate(timeout=60) for start in starts]
    assert any(start.returncode == 0 for start in starts), said
    for start, (_, error) in zip(starts, said):
        assert start.returncode == 0 or ("another daemon" in error and "cloudlet status" in error), error
    cloud.kubeconfig.write_text(cloud.cloudlet("kubeconfig").stdout)
    wait_for("the node", lambda: cloud.status()["ready"])
    assert len(cloud.get("nodes")["items"]) == 1


def test_a_pods_network_of_a_neighbour_is_refused(cloud):
    """Two clouds in one network need two pod networks: the second says so and leaves the first alone."""
    cloud.up()
    other = Cloud.__new__(Cloud)
    other.namespace, other.folder, other.root = cloud.namespace, cloud.folder, cloud.folder / "other"
    done = other.cloudlet("up", "--port", "7443", check=False)
    try:
        refused(done, "10.244.0.0/24", "--pod-cidr")
        assert not other.root.exists() and cloud.status()["ready"]
        assert cloud.inside("cat", "/proc/sys/net/ipv4/ip_forward").stdout == "1\n"
        assert "cloudlet" in cloud.inside("nft", "list", "tables").stdout
    finally:
        other.cloudlet("down", "--purge")
