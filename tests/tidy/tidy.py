#!/usr/bin/env python3
"""tidy.py - checks the rules of the tree that a compiler does not: prints one line for each fault.

    tidy.py [ROOT]

Looks at the files that git tracks (without git: at all but build trees). Exit code 1 when there is a fault.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import rules

CPP = {".hpp", ".cpp"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def tracked_files(root):
    """Paths relative to root. Copies of the tree without its history are walked."""
    if (root / ".git").exists():
        listing = subprocess.run(["git", "-C", str(root), "-c", "safe.directory=*", "ls-files", "-z"], capture_output=True)
        if listing.returncode == 0:
            names = [name for name in listing.stdout.decode().split("\0") if name]
            return sorted(name for name in names if (root / name).is_file())
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in (".git", "out", "__pycache__") and not f.startswith("build")]
        found += [str((Path(folder) / name).relative_to(root)) for name in names]
    return sorted(found)


def folder_of(name):
    """The layer that a file belongs to, or its plain folder."""
    path = str(Path(name).parent)
    while path not in rules.LEVELS and "/" in path and not path.startswith(rules.FREE):
        path = str(Path(path).parent)
    return path


def folder_of_include(target):
    """The layer of an include of ours ("volume/tar.hpp", <tarn/store.hpp>), or None for others'."""
    if target.startswith("tarn/"):
        return "include/tarn"
    for folder in sorted(rules.LEVELS, key=len, reverse=True):
        short = folder.removeprefix("lib/")
        if target.startswith(short + "/"):
            return folder
    return None


def check_include(name, line, quote, target):
    mine = folder_of(name)
    theirs = folder_of_include(target)
    free = name.startswith(rules.FREE)
    if theirs is not None:
        if free or mine == theirs or (mine, theirs) in rules.NEIGHBOURS or mine not in rules.LEVELS:
            return
        if rules.LEVELS[theirs] >= rules.LEVELS[mine]:
            yield line, f"{mine} (level {rules.LEVELS[mine]}) must not include {target} (level {rules.LEVELS[theirs]})"
        return
    if target.startswith(rules.TEST_PACKAGES) and not free:
        yield line, f"<{target}> belongs to tests"
    if name.endswith(".hpp") and not free and target.startswith(rules.HEAVY):
        yield line, f"<{target}> is costly to compile: include it in .cpp files"
    prefixes = [prefix for prefix in rules.PACKAGES if target.startswith(prefix)]
    if prefixes and not free:
        allowed = rules.PACKAGES[max(prefixes, key=len)]
        if mine not in allowed and name not in allowed:
            yield line, f"<{target}> is used in {' and '.join(allowed)} only"


def check_cpp(name, lines):
    includes = []
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if match:
            includes.append(match[2])
            yield from check_include(name, number, *match.groups())
    if name.endswith(".hpp"):
        if "#pragma once" not in lines:
            yield 1, "no #pragma once"
        if not name.startswith(rules.FREE) and not any(re.match(r"// .*\b[Ll]evel \d", line) for line in lines[:12]):
            yield 1, "the head comment does not say which level this is"
    first = lines[0] if lines else ""
    if name.endswith(".hpp"):
        base = Path(name).name
        if not first.startswith(f"// {base} - "):
            yield 1, f"the first line is not '// {base} - what it is'"
    elif not first.startswith("// ") and not INCLUDE.match(first):
        yield 1, "begins neither with what it is nor with the header that says so"
    own = own_header(name)
    if own is not None and not (includes and f"/{own}".endswith("/" + includes[0])):
        yield 1, f"the first include is not the file's own header ({own})"


def own_header(name):
    """The header beside x.cpp, which it must include first by some end of this path; None when there is none."""
    path = Path(name)
    if path.suffix != ".cpp" or not (ROOT / path.with_suffix(".hpp")).is_file():
        return None
    return str(path.with_suffix(".hpp"))


def check_text(name, text):
    if not text.endswith("\n"):
        yield 1, "no newline at the end of the file"
    for number, line in enumerate(text.split("\n"), 1):
        if "\t" in line and not name.endswith((".tsv", "Makefile")):
            yield number, "a tab"
        if "\r" in line:
            yield number, "a carriage return"
        if line != line.rstrip() and not name.endswith(".md"):
            yield number, "spaces at the end of the line"
        for word in rules.UNFINISHED:
            if word in line:
                yield number, f"'{word}' is unfinished work: finish it, or say in the document what is left out"


def check_markdown(name, lines):
    in_code = False
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            in_code = not in_code
        for target in [] if in_code else LINK.findall(line):
            path = target.split("#")[0]
            if path and "://" not in path and not path.startswith("mailto:") and not (ROOT / name).parent.joinpath(path).exists():
                yield number, f"the link {target} leads nowhere"


def check_script(name, lines):
    has_shebang = bool(lines) and lines[0].startswith("#!")
    can_run = os.access(ROOT / name, os.X_OK)
    if has_shebang and not can_run:
        yield 1, "starts with #! but cannot be run: chmod +x"
    if can_run and not has_shebang:
        yield 1, "can be run but does not start with #!"
    if name.endswith(".sh") and has_shebang and not any(line.startswith("set -") and "u" in line for line in lines):
        yield 1, "a script that runs says 'set -euo pipefail'"


def check_tools(files):
    """What clang-format and shellcheck say; a missing tool is named, not counted as a fault."""
    sources = [name for name in files if Path(name).suffix in CPP]
    shell = [name for name in files if name.endswith((".sh", ".sbatch")) or name == ".ci/run"]
    for tool, arguments, names in (
        ("clang-format-14", ["--dry-run", "-Werror", "--ferror-limit=1"], sources),
        ("shellcheck", ["-x", "--severity=style", "--format=gcc"], shell),
    ):
        if not names:
            continue
        if shutil.which(tool) is None:
            print(f"note: {tool} is not installed, its checks are left out")
            continue
        run = subprocess.run([tool, *arguments, *names], cwd=ROOT, capture_output=True, text=True)
        for line in (run.stdout + run.stderr).splitlines():
            if re.match(r"[^ ]+:\d+:\d+: ", line):
                where, _, what = line.partition(": ")
                yield where, f"{tool}: {what}"


def check_tree(files):
    for entry in sorted({name.split("/")[0] for name in files} - rules.TOP_LEVEL):
        yield entry, "does not belong to the top level"


def faults(files):
    yield from check_tree(files)
    for name in files:
        data = (ROOT / name).read_bytes()
        if b"\0" in data:
            continue  # a binary file, as test data may be
        try:
            text = data.decode()
        except UnicodeDecodeError:
            yield f"{name}:1", "not UTF-8"
            continue
        lines = text.splitlines()
        checks = [check_script(name, lines)]
        if name != "LICENSE":
            checks.append(check_text(name, text))
        if Path(name).suffix in CPP | {".sh", ".py", ".cmake"} or Path(name).name == "CMakeLists.txt":
            if len(lines) > rules.LINES_MAX:
                yield f"{name}:{len(lines)}", f"longer than {rules.LINES_MAX} lines: which parts does it have?"
        if Path(name).suffix in CPP:
            checks.append(check_cpp(name, lines))
        if name.endswith(".md"):
            checks.append(check_markdown(name, lines))
        for check in checks:
            for number, what in check:
                yield f"{name}:{number}", what
    yield from check_tools(files)


def main():
    files = tracked_files(ROOT)
    count = 0
    for where, what in faults(files):
        print(f"{where}: {what}")
        count += 1
    print(f"{len(files)} files, {count} faults")
    return 1 if count else 0


ROOT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
if __name__ == "__main__":
    sys.exit(main())
