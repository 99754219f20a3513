"""A picture of the machine: what a cloud must leave as it found it."""

import os
import pathlib
import subprocess

SYSCTL_FOLDERS = ("/proc/sys/net/ipv4", "/proc/sys/net/ipv6", "/proc/sys/net/bridge", "/proc/sys/net/netfilter")
VOLATILE_SYSCTLS = ("nf_conntrack_count", "/neigh/", "/route/flush", "tcp_fastopen_key", "stable_secret")
WATCHED_FOLDERS = ("/run/cloudlet", "/var/lib/cloudlet", "/etc/cloudlet", "/var/run/netns")


def _lines(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return sorted(done.stdout.split("\n"))


def _sysctls(enter):
    lines = _lines(*enter, "grep", "-rs", "", *SYSCTL_FOLDERS)  # one process: an emulated machine starts few
    return [line for line in lines if not any(word in line for word in VOLATILE_SYSCTLS)]


def _cgroups():
    found = []
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(folder, name) for name in names if "cloudlet" in name]
    return sorted(found)


def _processes():
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name = (entry / "comm").read_text().strip()
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if name.startswith("cloudlet") and state != "Z":  # a zombie has ended; init reaps it
                found.append(name)
    return sorted(found)


def _files():
    return sorted(str(path) for folder in WATCHED_FOLDERS for path in [pathlib.Path(folder), *pathlib.Path(folder).rglob("*")]
                  if path.exists())


def picture(enter=()):
    """What is there now, as a dict of sorted lines; `enter` is a command prefix into a network namespace."""
    enter = list(enter)
    return {
        "mounts": sorted(line.split(" - ")[0].split(" ", 3)[3] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()),
        "links": _lines(*enter, "ip", "-o", "-br", "link"),
        "addresses": _lines(*enter, "ip", "-o", "-br", "addr"),
        "routes": _lines(*enter, "ip", "route", "show", "table", "all"),
        "rules": _lines(*enter, "ip", "rule"),
        "neighbours": _lines(*enter, "ip", "neigh", "show", "nud", "permanent"),
        "nft": _lines(*enter, "nft", "-s", "list", "ruleset"),
        "sysctls": _sysctls(enter),
        "cgroups": _cgroups(),
        "processes": _processes(),
        "files": _files(),
    }


def difference(before, after):
    """One line for each thing that came or went."""
    found = []
    for topic, lines in before.items():
        found += [f"{topic}: gone: {line}" for line in lines if line not in after[topic]]
        found += [f"{topic}: new: {line}" for line in after[topic] if line not in lines]
    return found
