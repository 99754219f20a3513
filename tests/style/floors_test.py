#!/usr/bin/env python3
"""The floors hold: configure refuses what a room may not include, and says which file and which room.

usage: floors_test.py REPOSITORY
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

FORBIDDEN = [  # (file, line that is added, what configure says)
    ("src/io/fd.cpp", '#include "cloudlet/store/store.h"', 'fd.cpp includes room "store"'),
    ("src/io/fd.cpp", "#include <cloudlet/net/tls.h>", 'fd.cpp includes room "net"'),
    ("src/io/fd.cpp", '#include "../codec/source.cpp"', 'fd.cpp leaves its room by ../ for "codec"'),
    ("src/image/include/cloudlet/image/name.h", '#include "cloudlet/network/options.h"', 'includes room "network"'),
    ("src/runtime/init/main.c", '#include "../../linux/cgroup_files.h"', 'leaves its room by ../ for "linux"'),
    ("src/base/include/cloudlet/base/id.h", "#include <openssl/evp.h>", "keep libraries behind the room's wall"),
]


def configure(copy):
    done = subprocess.run(["cmake", "-S", copy, "-B", copy / "build", "-G", "Ninja", "-DCLOUDLET_BENCH=OFF"],
                          capture_output=True, text=True)
    return done.returncode, " ".join(done.stderr.split())


def main():
    repository = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="cloudlet-floors-") as folder:
        copy = pathlib.Path(folder, "copy")
        copy.mkdir()
        shutil.copy(repository / "CMakeLists.txt", copy)
        for part in ("cmake", "src", "tests"):
            shutil.copytree(repository / part, copy / part)
        status, said = configure(copy)
        assert status == 0, f"the copy does not configure as it is: {said}"
        for name, line, expected in FORBIDDEN:
            file = copy / name
            text = file.read_text()
            file.write_text(f"{line}\n{text}")
            status, said = configure(copy)
            file.write_text(text)
            assert status != 0 and expected in said, f"{name} with {line}: {said or 'was accepted'}"
    print(f"{len(FORBIDDEN)} forbidden includes refused")


if __name__ == "__main__":
    main()
