#!/usr/bin/python3
"""Runs a suite of tests on a kernel that is not this machine's: Debian's stock one in an emulated machine.

usage: guest.py SUITE [TEST ARGUMENTS...]     (./dev guest SUITE installs what it needs first)

The guest is this machine with another kernel: its root is ours, read-only over 9p, under an overlay that
keeps what is written in the guest's memory. So a suite has our programs, our tests and every tool that is
installed here, and nothing it does can reach us. The suites are in guest_suites.py; README.md beside this
file tells the way from here to there. Exit status: the suite's; 124 when it took longer than its deadline.
"""

import ctypes
import gzip
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from guest_suites import SUITES

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
FOLDER = REPOSITORY / "build" / "guest"
KERNEL_PACKAGE = "linux-image-amd64"
# What mounts the root; everything else is loaded by the guest's kernel itself, from that root.
BOOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
BUSYBOX = "/bin/busybox"
DEADLINE_STATUS = 124


class GuestError(Exception):
    """Something that keeps the guest from being started; the message says what to do."""


def run(argv, **options):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise GuestError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def kernel_package():
    """The package behind linux-image-amd64, and so the newest kernel that apt's lists know."""
    found = re.search(r"Depends: (linux-image-\S+)", run(["apt-cache", "depends", KERNEL_PACKAGE]))
    if not found:
        raise GuestError(f"apt knows no kernel behind {KERNEL_PACKAGE}")
    return found.group(1)


def kernel_folder():
    """Debian's kernel and its modules, unpacked below build/guest; fetched when none is there yet."""
    there = sorted(FOLDER.glob("linux-image-*/complete"))
    if there:
        return there[-1].parent
    print("guest: fetching Debian's kernel", file=sys.stderr, flush=True)
    run(["apt-get", "update", "-qq"])
    package = kernel_package()
    folder = FOLDER / package
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run(["apt-get", "download", "-qq", package], cwd=folder)
    (archive,) = folder.glob("*.deb")
    run(["dpkg", "-x", str(archive), str(folder)])
    archive.unlink()
    run([BUSYBOX, "depmod", "-b", str(folder), package.removeprefix("linux-image-")])
    (folder / "complete").touch()
    return folder


def modules_of(folder):
    """The folder /lib/modules/RELEASE of an unpacked kernel."""
    (found,) = (folder / "lib" / "modules").iterdir()
    return found


def in_order(modules, wanted):
    """The files of modules and of all that they need, each after what it needs."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    by_name = {pathlib.Path(path).name.split(".")[0].replace("-", "_"): path for path in needs}
    out = []

    def add(path):
        for needed in needs[path]:
            add(needed)
        if path not in out:
            out.append(path)

    for name in wanted:
        add(by_name[name])
    return [modules / path for path in out]


def cpio_entry(number, name, mode, data=b"", device=(0, 0)):
    """One entry of a "newc" archive (Linux, Documentation/driver-api/early-userspace/buffer-format.rst)."""
    text = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(text), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + text
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def make_initramfs(modules, target):
    """busybox, the modules that reach the root, and boot.sh as the first program."""
    files = [("init", HERE / "boot.sh", 0o755), ("bin/busybox", pathlib.Path(BUSYBOX), 0o755)]
    drivers = in_order(modules, BOOT_MODULES)
    files += [(f"modules/{index:02}-{path.name}", path, 0o644) for index, path in enumerate(drivers)]
    entries = [(name, 0o040755, b"", (0, 0)) for name in ("bin", "dev", "proc", "modules", "host", "memory", "root")]
    entries += [("dev/console", 0o020600, b"", (5, 1)), ("dev/ttyS1", 0o020600, b"", (4, 65))]
    entries += [(name, 0o100000 | mode, path.read_bytes(), (0, 0)) for name, path, mode in files]
    entries.append(("TRAILER!!!", 0, b"", (0, 0)))
    archive = b"".join(cpio_entry(n, name, mode, data, device) for n, (name, mode, data, device) in enumerate(entries, 1))
    target.write_bytes(gzip.compress(archive, 1))


def qemu_command(kernel, initramfs, status, suite, arguments):
    """Two processors and a clock of the emulated kind; two serial lines: what is said, and how it ended."""
    (image,) = (kernel / "boot").glob("vmlinuz-*")
    words = ["console=ttyS0", "quiet", "panic=-1", "loglevel=3", f"guest_repository={REPOSITORY}",
             f"guest_modules={kernel}/lib/modules", f"guest_suite={suite}", f"guest_time={int(time.time())}",
             "guest_arguments=" + ",".join(arguments)]
    return ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-machine", "q35", "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,la57=off",
            "-smp", "2", "-m", "1536", "-serial", "stdio", "-serial", f"file:{status}",
            "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
            "-kernel", str(image), "-initrd", str(initramfs), "-append", " ".join(words)]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def watch(argv, seconds):
    """Runs QEMU and prints what the guest says; False when it had to be stopped at its deadline."""
    late = threading.Event()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          preexec_fn=die_with_parent) as machine:
        timer = threading.Timer(seconds, lambda: (late.set(), machine.kill()))
        timer.start()
        try:
            for line in machine.stdout:
                print(line.decode(errors="replace").replace("\r", "").rstrip("\n"), flush=True)
        finally:
            timer.cancel()
            machine.kill()
    return not late.is_set()


def main(argv):
    if len(argv) < 2 or argv[1] not in SUITES:
        print(f"usage: guest.py SUITE [ARGUMENTS]; suites: {', '.join(SUITES)}", file=sys.stderr)
        return 2
    name, arguments = argv[1], argv[2:]
    if any("," in word or " " in word for word in arguments):
        raise GuestError("arguments go over the kernel's command line: no spaces and commas in them")
    began = time.monotonic()
    kernel = kernel_folder()
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix=f"{name}-") as scratch:
        initramfs, status = pathlib.Path(scratch, "initramfs"), pathlib.Path(scratch, "status")
        make_initramfs(modules_of(kernel), initramfs)
        in_time = watch(qemu_command(kernel, initramfs, status, name, arguments), SUITES[name].deadline)
        said = status.read_text().strip() if status.exists() else ""
    took = f"after {time.monotonic() - began:.0f} s"
    if not in_time:
        print(f"guest: {name} did not end within {SUITES[name].deadline} s and was stopped", file=sys.stderr)
        return DEADLINE_STATUS
    if not said.isdigit():
        print(f"guest: {name} ended {took} without a status: the guest's kernel died or did not boot", file=sys.stderr)
        return 1
    print(f"guest: {name} ended with status {said} {took}", file=sys.stderr)
    return int(said)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except GuestError as error:
        print(f"guest: {error}", file=sys.stderr)
        sys.exit(1)
