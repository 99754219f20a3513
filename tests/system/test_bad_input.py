"""What people and programs send that is wrong: a clear message, the right status code, nothing half-made."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile

import pytest
from cloud import CLOUDLET, Cloud, run, wait_for

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
TEN_MEGABYTES = 10 << 20


# --- over HTTP ---


class Answer:
    """What curl got: the status code, the headers as text, and the body parsed as JSON."""

    def __init__(self, text):
        head, _, body = text.rpartition("\n\n")
        self.headers = head.split("\n\n")[-1]  # behind a "100 Continue"
        self.status = int(self.headers.split()[1])
        self.json = json.loads(body)
        self.message = self.json.get("message", "")


def ask(cloud, method, path, body, *, kind="application/json", curl=()):
    """One request with the admin's token; the body goes by a file, as it may be large or binary."""
    file = cloud.folder / "body"
    file.write_bytes(body if isinstance(body, bytes) else body.encode())
    token = cloud.cloudlet("kubeconfig", "--token").stdout.split("token: ")[1].split()[0]
    done = cloud.inside("curl", "-sik", "--max-time", "30", "-X", method, "-H", f"Authorization: Bearer {token}",
                        "-H", f"Content-Type: {kind}", *curl, "--data-binary", f"@{file}", f"https://127.0.0.1:6443{path}")
    return Answer(done.stdout)


def is_there(cloud, kind, name):
    return cloud.kubectl("get", kind, name, check=False).returncode == 0


def config_map(name, value="v"):
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})


def deployment(name, **spec):
    pod = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "test:1"}]}}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                       "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": pod, **spec}})


@pytest.mark.parametrize("curl", [(), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:")], ids=["plain", "chunked", "eager"])
def test_a_body_of_ten_megabytes_is_413_and_makes_nothing(running, curl):
    answer = ask(running, "POST", CONFIG_MAPS, config_map("big", "x" * TEN_MEGABYTES), curl=curl)
    assert answer.status == 413 and answer.json["kind"] == "Status" and answer.json["reason"] == "RequestEntityTooLarge"
    assert "3145728" in answer.message
    assert not is_there(running, "configmap", "big")


def test_kubectl_is_told_that_ten_megabytes_are_too_large(running):
    for verb in ("create", "replace"):
        refused = running.kubectl(verb, "-f", "-", stdin=config_map("big", "x" * TEN_MEGABYTES), check=False)
        assert refused.returncode == 1 and "larger than 3145728 bytes" in refused.stderr, refused.stderr[-500:]
    assert not is_there(running, "configmap", "big")


# A list of ten aliases of a list of ten aliases ..., nine times: a billion texts in 500 bytes.
LAUGHS = "metadata: {name: broken}\ndata:\n" + "".join(
    f"  k{level}: &k{level} [{', '.join(['x' if level == 0 else f'*k{level - 1}'] * 10)}]\n" for level in range(9))


@pytest.mark.parametrize("body, kind, wanted", [
    ('{"metadata": ', "application/json", "line 1"),
    ('{"metadata": {"name": "broken"}} trailing', "application/json", "line 1"),
    ('{"metadata": {"name": "broken"},\n "data": {"k": "\x01"}}', "application/json", "line 2"),
    (b'{"metadata": {"name": "broken"}, "data": {"k": "\xff\xfe"}}', "application/json", "UTF-8"),
    ("[" * 100_000, "application/json", "deep"),
    ("metadata:\n  name: broken\n data: [", "application/yaml", "line 3"),
    (LAUGHS, "application/yaml", "aliases"),
    ("metadata: {name: broken}\n---\nmetadata: {name: broken}\n", "application/yaml", "one YAML document"),
    ("", "application/json", "body"),
    ("null", "application/json", "object"),
    ("[]", "application/json", "object"),
], ids=["cut", "trailing", "control", "utf8", "deep", "yaml", "yaml-laughs", "yaml-two", "empty", "null", "list"])
def test_malformed_text_is_400_with_the_place(running, body, kind, wanted):
    answer = ask(running, "POST", CONFIG_MAPS, body, kind=kind)
    assert answer.status == 400 and answer.json["reason"] == "BadRequest", answer.json
    assert wanted in answer.message, answer.message
    assert not is_there(running, "configmap", "broken")


@pytest.mark.parametrize("patch, kind, status", [
    ('{"data": ', "application/merge-patch+json", 400),
    ('{"data": ', "application/strategic-merge-patch+json", 400),
    ('[{"op": "jump", "path": "/data"}]', "application/json-patch+json", 422),
    ('[{"op": "test", "path": "/data/k", "value": "other"}, {"op": "remove", "path": "/data/k"}]', "application/json-patch+json", 422),
    ('[{"op": "add", "path": "data", "value": {}}]', "application/json-patch+json", 422),
    ('"text"', "application/merge-patch+json", 400),
    ('{"data": {"k": 7}}', "application/merge-patch+json", 400),
    ("{}", "application/apply-patch+yaml", 415),
    ("{}", "application/json", 415),
], ids=["cut", "cut-strategic", "op", "test", "pointer", "text", "type", "apply", "json"])
def test_a_patch_that_is_wrong_changes_nothing(running, patch, kind, status):
    running.apply(config_map("patched"))
    before = running.get("configmap", "patched")
    answer = ask(running, "PATCH", CONFIG_MAPS + "/patched", patch, kind=kind)
    assert answer.status == status and answer.message, answer.json
    assert running.get("configmap", "patched") == before


def test_kubectl_names_what_is_malformed_and_makes_nothing(running):
    for text, wanted in (('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "broken"', "error parsing"),
                         ("a: [\n", "error parsing"), ("kind: ConfigMap\n", "apiVersion not set"),
                         ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: broken}\ndata: just a text\n", "ConfigMap.data")):
        refused = running.kubectl("create", "-f", "-", stdin=text, check=False)
        assert refused.returncode == 1 and wanted in refused.stderr, (text, refused.stderr)
    assert not is_there(running, "configmap", "broken")


def test_an_unknown_field_is_refused_warned_of_or_dropped_as_kubectl_asks(running):
    text = deployment("unknown", replica=3)
    strict = running.kubectl("create", "-f", "-", stdin=text, check=False)
    assert strict.returncode == 1 and 'unknown field "spec.replica"' in strict.stderr
    assert not is_there(running, "deployment", "unknown")
    warned = running.kubectl("create", "--validate=warn", "-f", "-", stdin=text)
    assert 'Warning: unknown field "spec.replica"' in warned.stderr and "created" in warned.stdout
    assert "replica" not in running.get("deployment", "unknown")["spec"]
    ignored = running.kubectl("replace", "--validate=false", "-f", "-", stdin=text)
    assert "unknown field" not in ignored.stderr
    again = running.kubectl("apply", "-f", "-", stdin=text, check=False)
    assert again.returncode == 1 and 'unknown field "spec.replica"' in again.stderr
    running.kubectl("delete", "deployment", "unknown")


def test_a_wrong_type_is_400_and_names_the_field(running):
    refused = running.kubectl("create", "-f", "-", stdin=deployment("typed", replicas="three"), check=False)
    assert refused.returncode == 1 and "spec.replicas" in refused.stderr and "string" in refused.stderr, refused.stderr
    unvalidated = running.kubectl("create", "--validate=false", "-f", "-", stdin=deployment("typed", replicas="three"), check=False)
    assert unvalidated.returncode == 1 and "spec.replicas" in unvalidated.stderr, unvalidated.stderr
    answer = ask(running, "POST", "/apis/apps/v1/namespaces/default/deployments", deployment("typed", template=[]))
    assert answer.status == 400 and "spec.template" in answer.message
    assert not is_there(running, "deployment", "typed")


def test_a_value_that_cannot_be_is_422_with_its_path(running):
    answer = ask(running, "POST", "/apis/apps/v1/namespaces/default/deployments", deployment("Bad_Name", replicas=-1))
    assert answer.status == 422 and answer.json["reason"] == "Invalid"
    assert {"metadata.name", "spec.replicas"} <= {cause["field"] for cause in answer.json["details"]["causes"]}
    refused = running.kubectl("create", "-f", "-", stdin=deployment("negative", replicas=-1), check=False)
    assert "spec.replicas: Invalid value: -1: must be greater than or equal to 0" in refused.stderr, refused.stderr
    assert not is_there(running, "deployment", "negative")


def test_protobuf_is_415_and_the_way_out_works(running):
    refused = running.kubectl("create", "configmap", "generated", "--from-literal=a=b", check=False)
    assert refused.returncode == 1 and "-f FILE" in refused.stderr and "--dry-run=client -o yaml" in refused.stderr
    written = running.kubectl("create", "configmap", "generated", "--from-literal=a=b", "--dry-run=client", "-o", "yaml").stdout
    running.kubectl("create", "-f", "-", stdin=written)
    assert running.get("configmap", "generated")["data"] == {"a": "b"}


def test_nobody_in_particular_gets_nothing(running):
    def code(*arguments):
        return running.inside("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", *arguments).stdout

    server = "https://127.0.0.1:6443"
    assert code(server + CONFIG_MAPS) == "401"
    assert code("-H", "Authorization: Bearer wrong", server + CONFIG_MAPS) == "401"
    assert code("-X", "POST", "-d", config_map("anonymous"), server + CONFIG_MAPS) == "401"
    assert code(server + "/openapi/v3") == "401" and code(server + "/livez") == "200"
    assert not is_there(running, "configmap", "anonymous")


# --- images ---


def image_files(cloud):
    """Every file and folder of the image store."""
    return sorted(str(path) for path in (cloud.root / "image").rglob("*"))


@contextlib.contextmanager
def refused_image(cloud, *wanted):
    """Runs `image ...` in its block (by the function it gives), which must fail and leave nothing."""
    before, listed = image_files(cloud), images(cloud)
    answers = []
    yield lambda *arguments: answers.append(cloud.inside(CLOUDLET, "image", arguments[0], "--root", str(cloud.root),
                                                         *map(str, arguments[1:]), check=False))
    for answer in answers:
        assert answer.returncode == 1 and answer.stdout == "", answer
        assert answer.stderr.startswith("cloudlet: ") and len(answer.stderr.strip().split("\n")) == 1, answer.stderr
        assert any(text in answer.stderr for text in wanted), answer.stderr
    assert answers and image_files(cloud) == before and images(cloud) == listed


def images(cloud):
    return cloud.inside(CLOUDLET, "image", "ls", "--root", str(cloud.root), "-o", "json").stdout


def tar_of(path, *entries):
    """A tar of (name, type, link target or bytes) entries."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, content in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755
            data = content if isinstance(content, bytes) else b""
            info.linkname = content if isinstance(content, str) else ""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


FILE, LINK, HARD, FOLDER, CHARACTER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE

HOSTILE = {
    "parent": [("../escaped", FILE, b"x")],
    "parent-deep": [("a/../../../../../../../../escaped", FILE, b"x")],
    "hard-link-out": [("a", HARD, "../../../../../../etc/passwd"), ("a", FILE, b"x")],
    "hard-link-absolute": [("shadow", HARD, "/etc/shadow")],
    "file-over-root": [(".", FILE, b"x")],
    "device-whiteout": [("gone", CHARACTER, b"")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_root_archive_is_refused_and_nothing_leaves_its_folder(running, name):
    archive = tar_of(running.folder / f"{name}.tar", *HOSTILE[name])
    with refused_image(running, "leads out of the image", "which is not there", "root directory", "0:0") as image:
        image("import", archive, "hostile:1")
    for parent in [running.folder, *running.root.parents, running.root, running.root / "image"]:
        assert not (parent / "escaped").exists()


def test_links_of_a_root_archive_stay_within_the_image(running):
    """A link to an absolute path means a path of the image; what is written through it stays inside."""
    outside = running.folder / "outside"
    outside.mkdir()
    archive = tar_of(running.folder / "links.tar", ("way", LINK, str(outside)), ("way/written", FILE, b"x"),
                     ("up", LINK, "../../../../../../../.." + str(outside)), ("up/written", FILE, b"x"))
    done = running.inside(CLOUDLET, "image", "import", "--root", str(running.root), str(archive), "links:1", check=False)
    assert list(outside.iterdir()) == []
    if done.returncode == 0:
        running.inside(CLOUDLET, "image", "rm", "--root", str(running.root), "links:1")
    else:
        assert done.stderr.startswith("cloudlet: ")


def test_a_device_of_a_root_archive_is_of_no_use_in_a_container(running):
    """Root file systems of distributions hold devices: they load, and the container may not open them."""
    archive = pathlib.Path(running.folder) / "device.tar"
    with tarfile.open(running.folder / "base.tar", "w") as tree:
        tree.add("/bin/busybox", "bin/busybox")
        for applet in ("cat", "sh"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tree.addfile(link)
        device = tarfile.TarInfo("kmsg")
        device.type, device.devmajor, device.devminor, device.mode = CHARACTER, 1, 11, 0o666
        tree.addfile(device)
    os.rename(running.folder / "base.tar", archive)
    running.inside(CLOUDLET, "image", "import", "--root", str(running.root), str(archive), "device:1")
    running.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "device"},
        "spec": {"restartPolicy": "Never", "containers": [
            {"name": "c", "image": "device:1", "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", "/bin/cat /kmsg 2>&1"]}]}}))
    running.kubectl("wait", "pod/device", "--for=jsonpath={.status.phase}=Failed", "--timeout=30s")
    assert "Operation not permitted" in running.kubectl("logs", "device").stdout
    running.kubectl("delete", "pod", "device")


def test_four_gigabytes_of_nothing_take_no_disk(running):
    sparse = running.folder / "sparse"
    with open(sparse, "wb") as file:
        file.truncate(4 << 30)
    archive = running.folder / "sparse.tar"
    run(["tar", "--sparse", "-C", str(running.folder), "-cf", str(archive), "sparse"])
    sparse.unlink()
    done = running.inside(CLOUDLET, "image", "import", "--root", str(running.root), str(archive), "sparse:1", check=False)
    used = sum(path.lstat().st_blocks for path in (running.root / "image").rglob("*")) * 512
    assert used < 64 << 20, f"{used} bytes on disk"
    if done.returncode == 0:
        running.inside(CLOUDLET, "image", "rm", "--root", str(running.root), "sparse:1")
    else:
        assert done.stderr.startswith("cloudlet: ") and "sparse" in done.stderr


def test_a_decompression_bomb_is_stopped(running):
    archive = running.folder / "bomb.tar.gz"
    info = tarfile.TarInfo("zeros")
    info.size = 1 << 40
    with gzip.open(archive, "wb", compresslevel=9) as packed:
        packed.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(512):
            packed.write(bytes(1 << 20))
    with refused_image(running, "may be a decompression bomb", "ends too early", "ends") as image:
        image("import", archive, "bomb:1")


def docker_archive(path, *, spoil=None):
    """What `docker save` writes, of one image with one layer; `spoil` changes the files before they are packed."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tree:
        info = tarfile.TarInfo("hello")
        info.size = 5
        tree.addfile(info, io.BytesIO(b"world"))
    config = {"architecture": "amd64", "os": "linux", "config": {},
              "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()]}}
    files = {"layer.tar": layer.getvalue(), "config.json": json.dumps(config).encode(),
             "manifest.json": json.dumps([{"Config": "config.json", "RepoTags": ["saved:1"], "Layers": ["layer.tar"]}]).encode()}
    if spoil:
        spoil(files)
    tar_of(path, *[(name, FILE, data) for name, data in files.items()])
    return path


def flip(name, place):
    def spoil(files):
        data = bytearray(files[name])
        data[place] ^= 1
        files[name] = bytes(data)
    return spoil


SPOILED = {
    "layer-flipped": (flip("layer.tar", 514), "sha256"),
    "layer-cut": (lambda files: files.update({"layer.tar": files["layer.tar"][:700]}), "layer"),
    "layer-missing": (lambda files: files.pop("layer.tar"), "layer.tar"),
    "config-missing": (lambda files: files.pop("config.json"), "config.json"),
    "config-malformed": (lambda files: files.update({"config.json": b"{"}), "configuration"),
    "manifest-malformed": (lambda files: files.update({"manifest.json": b"[{]"}), "manifest.json"),
    "manifest-of-numbers": (lambda files: files.update({"manifest.json": b"[1]"}), "manifest.json"),
    "layers-too-few": (lambda files: files.update({"manifest.json": files["manifest.json"].replace(b'["layer.tar"]', b"[]")}), "layer"),
    "name-impossible": (lambda files: files.update({"manifest.json": files["manifest.json"].replace(b"saved:1", b"../etc:1")}), "name"),
    "layer-outside": (lambda files: files.update({"manifest.json": files["manifest.json"].replace(b"layer.tar", b"../../etc/passwd")}), "passwd"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_corrupt_image_archive_is_refused(running, name):
    spoil, wanted = SPOILED[name]
    with refused_image(running, wanted) as image:
        image("load", docker_archive(running.folder / f"{name}.tar", spoil=spoil))


def test_what_is_no_image_archive_is_refused(running):
    good = docker_archive(running.folder / "good.tar").read_bytes()
    cut, text, empty = (running.folder / name for name in ("cut.tar", "text.tar", "empty.tar"))
    cut.write_bytes(good[:len(good) // 2])
    text.write_text("this is not an archive\n" * 100)
    empty.write_bytes(b"")
    with refused_image(running, "docker save", "archive", "cut") as image:
        for file in (cut, text, empty):
            image("load", file)
        image("load", docker_archive(running.folder / "flat.tar", spoil=lambda files: files.pop("manifest.json")))
    with refused_image(running, "tar") as image:
        image("import", text, "text:1")
    with refused_image(running, "No such file") as image:
        image("load", "/nowhere.tar")
    with refused_image(running, "folder") as image:
        image("load", running.folder)
    with refused_image(running, "no image name") as image:
        image("import", docker_archive(running.folder / "good.tar"), "UPPER CASE")


# --- the machine ---


def alone(cloud, preparation, *arguments):
    """Runs cloudlet in a mount namespace of its own, after some shell commands."""
    script = f"{preparation} && exec {CLOUDLET} {' '.join(arguments)}"
    return cloud.inside("unshare", "-m", "--propagation", "private", "sh", "-c", script, check=False)


def one_line(refused):
    assert refused.returncode == 1, refused
    lines = refused.stderr.strip().split("\n")
    assert len(lines) == 1 and lines[0].startswith("cloudlet: "), refused.stderr
    return lines[0]


def nothing_made(cloud, root=None):
    """True when the cloud on `root` left neither files nor links nor rules nor cgroups."""
    root = root or cloud.root
    instance = hashlib.sha256(str(root).encode()).hexdigest()[:6]
    left = [path for path in (root, pathlib.Path("/run/cloudlet", instance)) if path.exists()]
    left += [path for path in pathlib.Path("/sys/fs/cgroup").glob("*/*") if instance in path.name]
    left += [word for text in ("ip -br link", "nft list ruleset") for word in cloud.inside(*text.split()).stdout.split() if instance in word]
    return left == [] or pytest.fail(f"left behind: {left}")


def test_without_any_cgroup_up_says_what_to_mount_and_leaves_nothing(cloud):
    refused = alone(cloud, "umount -R /sys/fs/cgroup", "up", "--root", str(cloud.root))
    assert "mount -t cgroup2" in one_line(refused)
    assert nothing_made(cloud)


def test_up_on_a_read_only_root_leaves_nothing(cloud):
    place = cloud.folder / "ro"
    place.mkdir()
    refused = alone(cloud, f"mount -t tmpfs -o ro none {place}", "up", "--root", f"{place}/cloud")
    assert "Read-only file system" in one_line(refused) and "--root" in refused.stderr
    assert list(place.iterdir()) == [] and nothing_made(cloud, place / "cloud")


def test_a_cloud_whose_disk_became_read_only_is_not_started(cloud):
    cloud.up()
    cloud.cloudlet("down")
    refused = alone(cloud, f"mount --bind {cloud.root} {cloud.root} && mount -o remount,bind,ro {cloud.root}",
                    "up", "--root", str(cloud.root))
    assert "Read-only file system" in one_line(refused) and "writable" in refused.stderr
    cloud.up()


def test_up_on_a_full_disk_says_so_and_leaves_nothing(cloud):
    place = cloud.folder / "small"
    place.mkdir()
    for size, filled in (("64k", "64k"), ("64k", "16k"), ("1m", "100k")):
        script = (f"mount -t tmpfs -o size={size} none {place}; head -c {filled} /dev/zero >{place}/filler; "
                  f"{CLOUDLET} up --root {place}/cloud; code=$?; ls -A {place}; exit $code")
        refused = cloud.inside("unshare", "-m", "--propagation", "private", "sh", "-c", script, check=False)
        line = one_line(refused)
        assert "No space left" in line or "disk is full" in line, line
        assert refused.stdout.split() == ["filler"], "a failed start leaves its folder as it was"
        assert nothing_made(cloud, place / "cloud")


@pytest.fixture
def small_disk():
    """A cloud on a tmpfs of 48 MB."""
    cloud = Cloud()
    place = cloud.folder / "disk"
    place.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=48m", "cloudlet-test", str(place)])
    cloud.root = place / "cloud"
    try:
        with cloud:
            try:
                yield cloud
            finally:
                (place / "filler").unlink(missing_ok=True)
                cloud.cloudlet("down", "--purge", timeout=120)
                run(["umount", str(place)])
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def fill(cloud):
    """Leaves no free block on the cloud's disk; gives the file to delete."""
    filler = cloud.root.parent / "filler"
    with open(filler, "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
    return filler


def create_until_refused(cloud):
    """ConfigMaps of 20 KB, until one finds no room; the names that were acknowledged, and the answer."""
    made = []
    for number in range(2000):
        answer = ask(cloud, "POST", CONFIG_MAPS, config_map(f"c{number}", "x" * 20_000))
        if answer.status != 201:
            return made, answer
        made.append(f"c{number}")
    pytest.fail("the disk never filled")


def test_a_full_disk_refuses_writes_keeps_reads_and_goes_on_when_there_is_room(small_disk):
    cloud = small_disk
    cloud.up()
    filler = fill(cloud)
    made, refused = create_until_refused(cloud)
    assert refused.status == 507 and "disk is full: free some space and try again" in refused.message, refused.json
    assert not is_there(cloud, "configmap", f"c{len(made)}")
    assert cloud.status()["pid"] and is_there(cloud, "namespace", "default")
    with_kubectl = cloud.kubectl("create", "-f", "-", stdin=config_map("later", "x" * 20_000), check=False)
    assert with_kubectl.returncode == 1 and "disk is full" in with_kubectl.stderr
    archive = docker_archive(cloud.folder / "image.tar")
    with refused_image(cloud, "no space left on the disk") as image:
        image("load", archive)
    filler.unlink()
    wait_for("writes to work again", lambda: cloud.kubectl("create", "-f", "-", stdin=config_map("later")))
    cloud.inside(CLOUDLET, "image", "load", "--root", str(cloud.root), str(archive))
    names = {item["metadata"]["name"] for item in cloud.get("configmaps")["items"]}
    assert set(made) <= names and f"c{len(made)}" not in names


def test_a_cloud_on_a_full_disk_can_be_stopped_and_purged(small_disk):
    cloud = small_disk
    cloud.up()
    filler = fill(cloud)
    cloud.cloudlet("down")
    refused = cloud.cloudlet("up", check=False)
    if refused.returncode: # there may be room enough in the files that are there
        assert "disk is full" in one_line(refused) or "No space left" in refused.stderr, refused.stderr
    cloud.cloudlet("down", "--purge")
    assert not cloud.root.exists() and filler.exists()
