#!/usr/bin/env python3
"""oracle_test.py - which samples an archive has: Tarn's rule against the Python package `webdataset`, on ordinary and on nasty archives.

For each archive both must give the same samples in the same order: key, and for each member extension, size and CRC-32; or both must
refuse it. Where the package passes over damage in silence, Tarn must report it (see DAMAGE)."""

import importlib.util
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zlib

VERSION = "1.0.2"
SKIPPED = 77
TARN = os.environ.get("TARN", "tarn")

PACKAGES = pathlib.Path(os.environ.get("TARN_TEST_PACKAGES") or tempfile.gettempdir()) / f"webdataset-{VERSION}"


def skip(why):
    print(f"SKIPPED: webdataset {VERSION} cannot be had here, nothing was compared: {why}", file=sys.stderr)
    sys.exit(SKIPPED)


def install():
    """The package in a directory of its own; exits with 77 where it cannot be had, saying so."""
    if missing := [name for name in ("numpy", "yaml") if importlib.util.find_spec(name) is None]:
        skip(f"{sys.executable} has no {' and '.join(missing)}")
    if not (PACKAGES / "webdataset").is_dir():
        fresh = pathlib.Path(tempfile.mkdtemp(prefix="tarn-webdataset-"))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(fresh), f"webdataset=={VERSION}", "braceexpand==0.1.7"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            shutil.rmtree(fresh)
            skip(done.stderr.strip().splitlines()[-1:])
        try:
            fresh.rename(PACKAGES)
        except OSError:  # another test was faster
            shutil.rmtree(fresh)
    sys.path.insert(0, str(PACKAGES))


def theirs(path):
    """[(key, [(extension, size, crc), ...]), ...], or the exception."""
    from webdataset import tariterators
    samples = []
    with open(path, "rb") as stream:
        try:
            files = tariterators.tar_file_expander([{"url": str(path), "stream": stream}])
            for sample in tariterators.group_by_keys(files):
                members = [(name, len(data), zlib.crc32(data)) for name, data in sample.items() if name not in ("__key__", "__url__", "__local_path__")]
                samples.append((sample["__key__"], members))
        except Exception as error:  # whatever it raises
            return error
    return samples


def ours(path):
    """The same by `tarn shards list`; or its error, as a text."""
    done = subprocess.run([TARN, "shards", "list", str(path)], capture_output=True)
    if done.returncode != 0:
        return done.stderr.decode(errors="replace")
    data = path.read_bytes()
    samples = []
    for line in done.stdout.splitlines():
        sample = json.loads(line)
        members = [(m["extension"], m["bytes"], zlib.crc32(data[m["offset"]:m["offset"] + m["bytes"]])) for m in sample["members"]]
        samples.append((sample["key"], members))
    return samples


def file(name, content=b"x"):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def special(name, kind, target="a.jpg"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, None


def write(path, members, format):
    with tarfile.open(path, "w", format=format) as tar:
        for info, content in members:
            tar.addfile(info, None if content is None else io.BytesIO(content))
    return path


NASTY = {
    "ordinary": ["a/1.jpg", "a/1.cls", "a/2.jpg", "a/2.cls"],
    "dots in extensions": ["a.seg.png", "a.b.c.jpg", "b.tar.gz"],
    "dots in directories": ["d.x/a.jpg", "d.x/a.cls", "./x.jpg", "./x.cls", "../y.jpg"],
    "hidden": [".hidden", "a.jpg", ".x.y", "a.cls", "dir/.hidden", "d.d/.x", "dir/.a.b"],
    "no extension": ["README", "a.jpg", "dir/README", "a.cls"],
    "empty extension": ["a.", "b.jpg", "b."],
    "two dots": ["a..b", "a..", "b...c"],
    "meta": ["__meta__", "a.jpg", "__x__/a.b", "a.cls", "__meta__.json", "d/__m__.jpg", "__a.jpg", "a__.jpg", "__/x.jpg", "____", "d/__meta__"],
    "a key again": ["a.jpg", "b.jpg", "a.cls"],
    "case of keys": ["A.jpg", "a.jpg"],
    "case of extensions": ["a.JPG", "a.Cls"],
    "an extension twice": ["a.jpg", "a.jpg"],
    "an extension twice, in another case": ["a.jpg", "a.JPG"],
    "not ASCII": ["\u00e4/\u00fc.jpg", "\u00e4/\u00fc.\u00c4", "\u65e5\u672c.jpg", "\u65e5\u672c.cls"],
    "spaces": ["a b.jpg", "a b.c d", " .jpg"],
    "long": ["d" * 90 + "/" + "k" * 90 + ".jpg", "d" * 90 + "/" + "k" * 90 + ".cls", "l" * 300 + ".jpg"],
    "slashes at the end": ["\u00e9/./", "\u00e9.a/", "\u00e9.b//"],
    "slashes": ["a//b.jpg", "/a/b.jpg", "a/b/.jpg", "a/.b/c.jpg"],
}
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


class Oracle(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="tarn-oracle-"))
        self.addCleanup(shutil.rmtree, self.work, True)

    def compare(self, path, what):
        expected, found = theirs(path), ours(path)
        if isinstance(expected, Exception):
            self.assertIsInstance(found, str, f"{what}: the package raises {expected!r}, Tarn gives {found}")
        else:
            self.assertEqual(found, expected, what)
        return expected

    def test_nasty_names(self):
        compared = 0
        for what, names in NASTY.items():
            for format_name, format in FORMATS.items():
                try:
                    path = write(self.work / "a.tar", [file(name, name.encode()) for name in names], format)
                except ValueError:  # ustar cannot hold the name
                    self.assertEqual((what, format_name), ("long", "ustar"))
                    continue
                self.compare(path, f"{what}, {format_name}")
                compared += 1
        self.assertEqual(compared, 3 * len(NASTY) - 1)

    def test_what_is_no_file(self):
        kinds = [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
        for kind in kinds:
            members = [file("a.jpg", b"1"), special("a.lnk", kind), special("b.jpg", kind), file("a.cls", b"2"), file("b.cls", b"3")]
            samples = self.compare(write(self.work / "a.tar", members, tarfile.PAX_FORMAT), repr(kind))
            self.assertEqual(samples, [("a", [("jpg", 1, zlib.crc32(b"1")), ("cls", 1, zlib.crc32(b"2"))]), ("b", [("cls", 1, zlib.crc32(b"3"))])])

    def test_random_archives(self):
        rng = random.Random(17)
        pieces = ["a", "b", "A", ".", "..", "/", "_", "__", "jpg", "JPG", "cls", "-", " ", "\u00e9", "x" * 60]

        def name():
            if rng.random() < 0.5:
                return "".join(rng.choices(pieces, k=rng.randrange(1, 7)))
            return rng.choice(["a", "A", "\u00e9/x"]) + "." + rng.choice(["jpg", "JPG", "cls", "seg.png"])

        raised = 0
        for round in range(400):
            names = [name() for _ in range(rng.randrange(1, 12))]
            members = [file(name, rng.randbytes(rng.choice([0, 1, 511, 512, 513, 2000]))) for name in names if name.strip("/")]
            if not members:
                continue
            path = write(self.work / "a.tar", members, rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
            raised += isinstance(self.compare(path, f"round {round}: {names}"), Exception)
        self.assertGreater(raised, 20)  # duplicates were among them

    def test_other_writers(self):
        tree = self.work / "tree"
        for name in ["n1/a.jpg", "n1/a.cls", "n2/b.jpg", "n2/b.cls", "README", ".hidden", "n1/" + "long" * 40 + ".jpg"]:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(name.encode() * 100)
        for options in ([], ["--format=gnu"], ["--format=posix"], ["--format=v7", "--exclude=*long*"], ["--sort=name"]):
            subprocess.run(["tar", "-C", str(tree), *options, "-cf", str(self.work / "a.tar"), "."], check=True)
            samples = self.compare(self.work / "a.tar", f"tar {options}")
            self.assertGreaterEqual(len(samples), 2)

    def test_damage(self):
        """What the package passes over in silence is an error of Tarn's; what it raises is one, too."""
        path = write(self.work / "a.tar", [file("a.jpg", b"1" * 700), file("b.jpg", b"2" * 700), file("c.jpg", b"3" * 700)], tarfile.USTAR_FORMAT)
        data = path.read_bytes()
        silent = 0
        for what, damaged in [("data cut off", data[:1000]), ("a header cut off", data[:1536 + 100]), ("a wrong checksum", data[:1546] + b"?" + data[1547:]),
                              ("no archive", b"hello" * 300), ("empty", b"")]:
            path.write_bytes(damaged)
            self.assertIsInstance(ours(path), str, what)
            silent += not isinstance(theirs(path), Exception)
        self.assertEqual(silent, 2)
        path.write_bytes(data[:3 * 1536])  # without an end mark
        self.assertEqual(len(self.compare(path, "no end mark")), 3)


if __name__ == "__main__":
    install()
    unittest.main()
