#!/usr/bin/env python3
"""shards_test.py - `tarn shards check` and `tarn index` on shards that GNU tar, Python's tarfile and zip have made."""

import io
import json
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import unittest
import zipfile

from tarn_store import CORRUPT, INVALID, NOT_FOUND, OK, run


def make_tar(path, members, format=tarfile.USTAR_FORMAT):
    """members: (name, content), or a TarInfo of something that is no file."""
    with tarfile.open(path, "w", format=format) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


class Shards(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="tarn-shards-"))
        self.addCleanup(shutil.rmtree, self.work, True)

    def check(self, *paths):
        done = run("shards", "check", "--json", *paths)
        report = json.loads(done.stdout) if done.stdout else None
        self.assertEqual(done.returncode, OK if report and report["good"] else CORRUPT, done.stderr)
        return report

    def counts(self, report):
        return {name: finding["count"] for name, finding in report["findings"].items() if finding["count"]}

    def good(self, name, keys):
        return make_tar(self.work / name, [(f"{key}.{extension}", b"x" * 700) for key in keys for extension in ("jpg", "cls")])

    def test_good_shards(self):
        paths = [self.good("a.tar", ["a/1", "a/2"]), self.good("b.tar", ["b/1"])]
        subprocess.run(["gzip", "-k", paths[0]], check=True)
        report = self.check(*paths)
        self.assertEqual((report["shards"], report["samples"], report["members"], self.counts(report)), (2, 3, 6, {}))
        self.assertEqual(self.counts(self.check(self.work / "a.tar.gz")), {})
        with zipfile.ZipFile(self.work / "c.zip", "w") as archive:
            archive.writestr("c/1.jpg", b"1")
        self.assertEqual(self.check(self.work / "c.zip")["samples"], 1)
        self.assertIn(b": good\n", run("shards", "check", *paths).stdout)

    def test_what_readers_pass_over(self):
        path = make_tar(self.work / "a.tar", [
            special("dir", tarfile.DIRTYPE), ("k.jpg", b"1"), special("l.jpg", tarfile.SYMTYPE, "k.jpg"), special("h.jpg", tarfile.LNKTYPE, "k.jpg"),
            ("README", b"1"), (".hidden", b"1"), ("__meta__", b"1"), ("__x__/a.b", b"1"), ("__meta__.json", b"1"), ("k.cls", b"1")])
        report = self.check(path)
        self.assertEqual(self.counts(report), {"not_files": 3, "no_extension": 2, "meta_members": 2, "keys_apart": 1})
        self.assertEqual(report["findings"]["no_extension"]["examples"], [f"{path}: README", f"{path}: .hidden"])
        self.assertEqual((report["samples"], report["members"]), (3, 3))  # __meta__.json is a sample: k comes again behind it

    def test_what_readers_trip_over(self):
        twice = make_tar(self.work / "a.tar", [("k.jpg", b"1"), ("k.JPG", b"2"), ("m.jpg", b"3"), ("k.cls", b"4")])
        other = self.good("b.tar", ["m", "n"])
        report = self.check(twice, other)
        self.assertEqual(self.counts(report), {"duplicate_extensions": 1, "keys_apart": 1, "keys_elsewhere": 1})
        self.assertEqual(report["findings"]["keys_elsewhere"]["examples"], [f"{other}: m"])
        self.assertIn(b"error: keys_apart: 1\n", run("shards", "check", twice).stdout)

    def test_odd_names(self):
        long = "d" * 300 + "/a b.jpg"
        for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            path = make_tar(self.work / "a.tar", [(long, b"1"), ("/abs.jpg", b"1"), ("../up.jpg", b"1"), ("e.", b"1"), ("\u00fc.jpg", b"1")], format)
            self.assertEqual(self.counts(self.check(path)), {"odd_names": 4})

    def test_damage_is_found_and_says_where(self):
        path = self.good("a.tar", ["a", "b", "c"])
        data = path.read_bytes()
        for name, bytes_, where in [("cut", data[:3000], "offset"), ("byte", data[:1540] + b"?" + data[1541:], "offset 1536"),
                                    ("text", b"hello" * 500, "offset 0"), ("empty", b"", "empty"),
                                    ("joined", data + data, "data after the end mark")]:
            damaged = self.work / f"{name}.tar"
            damaged.write_bytes(bytes_)
            report = self.check(damaged)
            self.assertEqual(report["findings"]["damage"]["count"], 1, name)
            self.assertIn(where, report["findings"]["damage"]["examples"][0])
        packed = self.work / "p.tar.gz"
        subprocess.run(f"gzip -c {path} | head -c 150 > {packed}", shell=True, check=True)
        self.assertEqual(self.counts(self.check(packed))["damage"], 1)

    def test_index(self):
        path = make_tar(self.work / "a.tar", [("x" * 200 + ".jpg", b"12345"), ("README", b"no"), ("x" * 200 + ".cls", b"7"), ("y.jpg", b"")], tarfile.PAX_FORMAT)
        done = run("index", path)
        self.assertEqual((done.returncode, done.stdout.decode()), (OK, f"{self.work}/a.idx\n"), done.stderr)
        with tarfile.open(path) as tar:
            at = {member.name: member.offset_data for member in tar}
        key = "x" * 200
        expected = ["v1.2 2", f"jpg {at[key + '.jpg']} 5 {key}.jpg cls {at[key + '.cls']} 1 {key}.cls", f"jpg {at['y.jpg']} 0 y.jpg"]
        self.assertEqual((self.work / "a.idx").read_text().splitlines(), expected)
        (self.work / "idx").mkdir()
        self.assertEqual(run("index", "--output", self.work / "idx", path).returncode, OK)
        self.assertEqual((self.work / "idx/a.idx").read_text(), (self.work / "a.idx").read_text())

    def test_refusals(self):
        self.good("a.tar", ["a"])
        make_tar(self.work / "space.tar", [("a b.jpg", b"1")])
        (self.work / "cut.tar").write_bytes((self.work / "a.tar").read_bytes()[:600])
        for arguments, code, word in [(("shards",), INVALID, "tarn shards check"), (("shards", "check"), INVALID, ""),
                                      (("shards", "check", "nowhere.tar"), NOT_FOUND, "nowhere.tar"), (("shards", "check", "a.txt"), INVALID, "a.txt"),
                                      (("index", "a.tar.gz"), NOT_FOUND, "a.tar.gz"), (("index", "space.tar"), INVALID, "white space"),
                                      (("index", "cut.tar"), INVALID, "cut off")]:
            done = run(*arguments, cwd=self.work)
            self.assertEqual(done.returncode, code, arguments)
            self.assertEqual(len(done.stderr.decode().strip().splitlines()), 1, done.stderr)
            self.assertIn(word, done.stderr.decode())
        self.assertFalse((self.work / "cut.idx").exists())


if __name__ == "__main__":
    unittest.main()
