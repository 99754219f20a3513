#!/usr/bin/env python3
"""House style as a test: lengths, forbidden words, dead files, rooms' READMEs.

usage: style_test.py REPOSITORY   (exit 1 and one line per finding when something is wrong)
"""

import pathlib
import re
import subprocess
import sys

MAX_FUNCTION = 70
MAX_FILE = 600
MAX_COLUMNS = 100
CODE = {".cpp", ".h", ".c", ".py", ".sh"}
NOT_A_FUNCTION = re.compile(
    r"^\s*(namespace|class|struct|union|enum|extern|if|else|for|while|switch|do|try|catch|case|default|return)\b")
COROUTINE = re.compile(r"\bco_(await|yield|return)\b")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def tracked(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
                            capture_output=True, text=True, check=True).stdout.split("\n")
    return [pathlib.Path(root, name) for name in listed if name and pathlib.Path(root, name).is_file()]


def functions(lines):
    """Yields (first line number, length) of brace-delimited bodies that look like functions."""
    for start, line in enumerate(lines):
        if not line.endswith("{") or NOT_A_FUNCTION.match(line):
            continue
        head = start  # a signature may take several lines; its first one has the smallest indent
        while head > 0 and not re.search(r"[;{}:]\s*(//.*)?$", lines[head - 1]) and lines[head - 1].strip():
            head -= 1
        signature = " ".join(lines[head:start + 1])
        if "(" not in signature or NOT_A_FUNCTION.match(lines[head]) or signature.lstrip().startswith("#"):
            continue
        indent = re.match(r"\s*", lines[head]).group()
        for end in range(start + 1, len(lines)):
            if lines[end].startswith(indent + "}"):
                yield head + 1, end - head + 1
                break


def check_lengths(path, name, lines):
    if len(lines) > MAX_FILE:
        yield f"{name}: {len(lines)} lines, at most {MAX_FILE}; split it by noun"
    if path.suffix not in {".cpp", ".h", ".c"}:
        return
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS and "http" not in line and 'R"' not in line and not line.startswith("#include"):
            yield f"{name}:{number}: {len(line)} columns, at most {MAX_COLUMNS}; ./dev fmt"
    for first, length in functions(lines):
        if length > MAX_FUNCTION:
            yield f"{name}:{first}: a function of {length} lines, at most {MAX_FUNCTION}"


def check_words(path, name, text):
    if path.name == "style_test.py":
        return
    for number, line in enumerate(text.split("\n"), 1):
        if path.suffix in {".cpp", ".h"} and COROUTINE.search(line):
            yield f"{name}:{number}: coroutines are banned: g++ 12 miscompiles them"
        if UNFINISHED.search(line):
            yield f"{name}:{number}: an unfinished mark; finish it or write an ADR"


def check_dead_files(root, files):
    everything = {path: path.read_text(errors="replace") for path in files if path.stat().st_size < 1 << 20}
    for path in files:
        name = str(path.relative_to(root))
        if path.suffix == ".h" and not name.startswith("cmake/"):
            wanted = "/".join(path.parts[path.parts.index("include") + 1:]) if "include" in path.parts else path.name
            if not any(wanted in text for other, text in everything.items() if other != path):
                yield f"{name}: no file includes it"
        if path.suffix in {".sh", ".py"} and path.name not in {"conftest.py", "__init__.py"}:
            if path.name.startswith("test_"):
                continue  # pytest finds it
            if not any(path.stem in text for other, text in everything.items() if other != path):
                yield f"{name}: nothing mentions it"


def check_rooms(root):
    for cmake in pathlib.Path(root, "src").rglob("CMakeLists.txt"):
        if "cloudlet_room(" in cmake.read_text() and not (cmake.parent / "README.md").is_file():
            yield f"{cmake.parent.relative_to(root)}: a room without README.md"


def main():
    root = sys.argv[1]
    files = tracked(root)
    findings = list(check_rooms(root)) + list(check_dead_files(root, files))
    for path in files:
        if path.suffix in CODE or path.name == "dev":
            text = path.read_text(errors="replace")
            name = str(path.relative_to(root))
            findings += check_lengths(path, name, text.rstrip("\n").split("\n"))
            findings += check_words(path, name, text)
    print("\n".join(findings))
    print(f"{len(files)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
