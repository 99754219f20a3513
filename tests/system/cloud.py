"""One cloud for a test: a root folder, a network namespace of its own, and the real clients.

    with Cloud() as cloud:
        cloud.up()
        cloud.kubectl("get", "nodes")

Everything runs in a network namespace that the test made, so nothing it does meets the machine's own
links and rules. Leaving the block purges the cloud and ends the namespace, also after a failure.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("CLOUDLET_BIN", REPOSITORY / "build" / "bin"))
CLOUDLET = str(BIN / "cloudlet")
UPLINK = "198.18.0.1"  # RFC 2544's range: never routed
CLONE_NEWNET = 0x40000000


class CommandFailed(AssertionError):
    """A command that was expected to succeed; the message has its output."""


def run(argv, *, check=True, timeout=60, stdin=None, env=None):
    """Runs a command; its CompletedProcess with text output."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, env=env)
    if check and done.returncode:
        raise CommandFailed(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_for(what, condition, timeout=30.0, every=0.05):
    """Asks until `condition` gives something true, which is returned; fails with `what` after timeout."""
    end = time.monotonic() + timeout
    last = None
    while time.monotonic() < end:
        try:
            last = condition()
            if last:
                return last
        except CommandFailed as error:
            last = error
        time.sleep(every)
    raise CommandFailed(f"waited {timeout:.0f} s for {what}; last: {last}")


class Namespace:
    """A network namespace held by a sleeping child; commands enter it by nsenter --net."""

    def __init__(self):
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reader)
            libc = ctypes.CDLL(None, use_errno=True)
            libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the test
            ok = libc.unshare(CLONE_NEWNET) == 0
            os.write(writer, b"+" if ok else b"-")
            signal.pause()
            os._exit(0)
        os.close(writer)
        assert os.read(reader, 1) == b"+", "this test needs root, to make a network namespace"
        os.close(reader)
        self.enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--"]
        run(self.enter + ["sh", "-c", "ip link set lo up; ip link add uplink0 type bridge;"
                          "ip link set uplink0 addrgenmode none;"
                          f"ip addr add {UPLINK}/24 dev uplink0; ip link set uplink0 up;"
                          "ip route add default via 198.18.0.254 dev uplink0"])

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Cloud:
    """A cloud under test. `up()` starts it; the block's end purges it."""

    def __init__(self, root=None):
        self.namespace = Namespace()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cloudlet-test-"))
        self.root = pathlib.Path(root) if root else self.folder / "root"
        self.kubeconfig = self.folder / "kubeconfig"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            with contextlib.suppress(Exception):
                print("--- the daemon's last lines:\n" + self.daemon_log(200))
        try:
            self.cloudlet("down", "--purge", check=kind is None, timeout=120)
        finally:
            self.namespace.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def inside(self, *argv, **options):
        """Runs a command in the cloud's network namespace."""
        return run(self.namespace.enter + list(argv), **options)

    def cloudlet(self, verb, *arguments, **options):
        return self.inside(CLOUDLET, verb, "--root", str(self.root), *arguments, **options)

    def up(self, *arguments):
        """Starts the cloud; the seconds it took."""
        begin = time.monotonic()
        self.cloudlet("up", *arguments)
        took = time.monotonic() - begin
        self.kubeconfig.write_text(self.cloudlet("kubeconfig").stdout)
        return took

    def status(self):
        return json.loads(self.cloudlet("status", "-o", "json").stdout)

    def pid(self):
        return self.status()["pid"]

    def kill_daemon(self):
        """kill -9 of the daemon alone; returns when it is gone."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        wait_for("the daemon's end", lambda: not os.path.exists(f"/proc/{pid}"))

    def kubectl(self, *arguments, **options):
        env = dict(os.environ, KUBECONFIG=str(self.kubeconfig), HOME=str(self.folder))
        return run(self.namespace.enter + ["kubectl", *arguments], env=env, **options)

    def get(self, *arguments):
        """`kubectl get ... -o json`, parsed."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def apply(self, text, *arguments, **options):
        return self.kubectl("apply", *arguments, "-f", "-", stdin=text, **options)

    def daemon_log(self, lines=100):
        text = (self.root / "log" / "cloudlet.log").read_text(errors="replace")
        return "\n".join(text.split("\n")[-lines:])

    def image(self, name="test:1", program=None):
        """Imports an image of busybox (and a program, if given) under a name."""
        archive = make_root_archive(self.folder, program)
        arguments = ["import", str(archive), name]
        self.cloudlet("image", *arguments)


def make_root_archive(folder, program=None):
    """A root file system tar: static busybox with its links, and optionally one program in /bin."""
    tree = pathlib.Path(tempfile.mkdtemp(dir=folder))
    for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "data"):
        (tree / name).mkdir()
    tree.chmod(0o755)  # a user of the image may enter its root
    (tree / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", tree / "bin" / "busybox")
    for applet in run(["/bin/busybox", "--list"]).stdout.split():
        if applet != "busybox":
            (tree / "bin" / applet).symlink_to("busybox")
    (tree / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    (tree / "etc" / "group").write_text("root:x:0:\nnogroup:x:65534:\n")
    if program:
        shutil.copy(program, tree / "bin" / pathlib.Path(program).name)
    archive = pathlib.Path(folder) / f"{tree.name}.tar"
    run(["tar", "-C", str(tree), "--owner=0", "--group=0", "-cf", str(archive), "."])
    shutil.rmtree(tree)
    return archive
