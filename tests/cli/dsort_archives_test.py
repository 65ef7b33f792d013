#!/usr/bin/env python3
"""dsort_archives_test.py - packed input and output of `tarn dsort`, made and read by gzip, zstd, xz, lz4, GNU tar and Python's zipfile."""

import io
import json
import pathlib
import random
import subprocess
import tarfile
import time
import zipfile

import tarn_store
from tarn_store import INVALID, NOT_FOUND, StoreTest

SAMPLES = 60
PACKERS = {
    ".tar.gz": ["gzip", "-c"],
    ".tgz": ["gzip", "-1c"],
    ".tar.zst": ["zstd", "-qc"],
    ".tar.xz": ["xz", "-c"],
    ".tar.lz4": ["lz4", "-qc", "-"],
}
UNPACKERS = {".tar.gz": ["gzip", "-dc"], ".tar.zst": ["zstd", "-qdc"]}


def make_members(stem, rng):
    members = {}
    for i in range(SAMPLES):
        members[f"{stem}/{i:04}.jpg"] = rng.randbytes(rng.randrange(1, 20_000)) + b"a" * 5000
        members[f"{stem}/{i:04}.cls"] = str(i % 10).encode()
    return members


def make_tar(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uname = len(content), 1_600_000_000, "somebody"
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def make_zip(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("directory/", b"")
        for i, (name, content) in enumerate(members.items()):
            archive.writestr(name, content, zipfile.ZIP_STORED if i % 3 == 0 else zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def pack(command, data):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


class Archives(StoreTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rng = random.Random(3)
        cls.members, cls.tars = {}, {}
        for bucket in ["packed", "plain", "zipped", "zeros"]:
            cls.store.ok("mb", f"tarn://{bucket}/")
        for extension, command in PACKERS.items():
            members = make_members(extension.strip(".").replace(".", "-"), rng)
            cls.members.update(members)
            tar = make_tar(members)
            cls.store.ok("put", "-", f"tarn://packed/x{extension}", input=pack(command, tar))
            cls.store.ok("put", "-", f"tarn://plain/x{extension}.tar", input=tar)  # in the same order
        cls.zipped = make_members("zip", rng)
        cls.store.ok("put", "-", "tarn://zipped/x.zip", input=make_zip(cls.zipped))

    def sort(self, source, target, *options):
        return json.loads(self.store.ok("dsort", "--input", f"tarn://{source}/", "--output", f"tarn://{target}", "--json", *options))

    def objects(self, bucket):
        return {key: self.store.ok("cat", f"tarn://{bucket}/{key}") for key in self.store.keys(f"tarn://{bucket}/")}

    def read(self, tars):
        found = {}
        for data in tars:
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                for member in tar.getmembers():
                    self.assertNotIn(member.name, found)
                    found[member.name] = tar.extractfile(member).read()
        return found

    def test_packed_shards_give_the_bytes_that_plain_ones_give(self):
        for order in ["key", "shuffle", "none"]:
            with self.subTest(order):
                options = ["--shard-size", "400KB", "--order", order, "--seed", "4"]
                report = self.sort("packed", f"from-packed-{order}/%03d.tar", *options)
                self.assertEqual(report["samples"], SAMPLES * len(PACKERS))
                self.sort("plain", f"from-plain-{order}/%03d.tar", *options)
                packed, plain = self.objects(f"from-packed-{order}"), self.objects(f"from-plain-{order}")
                self.assertGreater(len(packed), 5)
                self.assertEqual(packed, plain)
                self.assertEqual(self.read(packed.values()), self.members)

    def test_files_of_a_zip_become_entries(self):
        report = self.sort("zipped", "from-zip/%03d.tar", "--shard-samples", "25")
        self.assertEqual(report["skipped_members"], 1)  # the directory
        self.assertEqual(self.read(self.objects("from-zip").values()), self.zipped)

    def test_output_is_packed_as_the_template_says(self):
        self.sort("plain", "as-tar/%03d.tar", "--shard-samples", "40")
        plain = [data for _, data in sorted(self.objects("as-tar").items())]
        for extension, command in UNPACKERS.items():
            with self.subTest(extension):
                bucket = "as" + extension.replace(".", "-")
                report = self.sort("packed", f"{bucket}/%03d{extension}", "--shard-samples", "40")
                objects = self.objects(bucket)
                self.assertEqual(report["output_bytes"], sum(map(len, objects.values())))
                self.assertLess(report["output_bytes"], sum(map(len, plain)))
                self.assertEqual([pack(command, data) for _, data in sorted(objects.items())], plain)
                again = self.sort("plain", f"{bucket}-again/%03d{extension}", "--shard-samples", "40")
                self.assertEqual(again["output_bytes"], report["output_bytes"])
                self.assertEqual(list(self.objects(f"{bucket}-again").values()), list(objects.values()))
                self.sort(bucket, f"{bucket}-back/%03d.tar", "--shard-samples", "40")  # and in again
                self.assertEqual([data for _, data in sorted(self.objects(f"{bucket}-back").items())], plain)

    def test_a_specification_with_extensions(self):
        spec = self.temp / "spec.json"
        for fields, samples in [
            ({"input_extension": ".tgz", "output_extension": ".tar", "output_bck": "ext-a"}, SAMPLES),
            ({"input_extension": "tar.gz", "output_bck": "ext-b"}, SAMPLES),
        ]:
            spec.write_text(json.dumps({"input_bck": "packed", "input_format": {"objnames": ["x"]}, "output_format": "o-%03d",
                                        "output_shard_samples": 100, **fields}))  # fmt: skip
            report = json.loads(self.store.ok("dsort", "--spec", spec, "--json"))
            self.assertEqual(report["samples"], samples)
            ending = fields.get("output_extension", ".tar.gz")
            self.assertEqual(self.store.keys(f"tarn://{fields['output_bck']}/"), [f"o-000{ending}"])
        for fields, word in [({"input_extension": ".rar"}, ".rar"), ({"output_extension": ".tar.xz"}, ".tar.zst"), ({"input_extension": ".zip"}, ".tar.zst")]:
            spec.write_text(json.dumps({"input_bck": "packed", "output_bck": "ext-c", "output_format": "o-%03d", "output_shard_samples": 100, **fields}))
            self.check_fails(self.store.run("dsort", "--spec", spec), INVALID, word)

    def test_damaged_archives_are_named_and_nothing_is_published(self):
        tar = make_tar(make_members("t", random.Random(9)))
        gz, zst = pack(PACKERS[".tar.gz"], tar), pack(PACKERS[".tar.zst"], tar)
        changed = bytearray(gz)
        changed[-6] ^= 1  # of the checksum
        for i, (name, data, word) in enumerate([
            ("cut.tar.gz", gz[:-9], "cut off"),
            ("cut.tar.zst", zst[: len(zst) // 2], "cut.tar.zst"),
            ("checksum.tar.gz", bytes(changed), "incorrect data check"),
            ("plain.tar.gz", tar, "plain.tar.gz"),
            ("plain.tar.xz", tar, "plain.tar.xz"),
            ("empty.zip", b"", "empty.zip"),
            ("short.tar.gz", pack(PACKERS[".tar.gz"], tar[: len(tar) // 2]), "cut off inside a member"),
            ("text.tar.zst", pack(PACKERS[".tar.zst"], b"no tar" * 1000), "text.tar.zst"),
        ]):  # fmt: skip
            with self.subTest(name):
                self.store.ok("mb", f"tarn://damaged-{i}/")
                self.store.ok("put", "-", f"tarn://damaged-{i}/{name}", input=data)
                self.store.ok("put", "-", f"tarn://damaged-{i}/whole.tar.gz", input=gz)
                done = self.store.run("dsort", "--input", f"tarn://damaged-{i}/", "--output", f"tarn://damaged-{i}-out/%d.tar", "--shard-size", "1MB")
                self.check_fails(done, INVALID, name, word)
                self.check_fails(self.store.run("ls", f"tarn://damaged-{i}-out/"), NOT_FOUND, "out")

    def test_what_was_unpacked_is_gone_afterwards(self):
        def used():
            return sum(f.stat().st_size for d in self.work.glob("disk-*") for f in pathlib.Path(d).rglob("volumes/*"))

        data = make_tar({f"z/{i:03}.bin": bytes(200_000) for i in range(200)})  # 40 MB of zeros
        self.store.ok("put", "-", "tarn://zeros/z.tar.gz", input=pack(PACKERS[".tar.gz"], data))
        before = used()
        report = self.sort("zeros", "zeros-out/%d.tar.gz", "--shard-size", "10MB")
        self.assertEqual(report["samples"], 200)
        self.sort("zeros", "zeros-dry/%d.tar", "--shard-size", "10MB", "--dry-run")
        deadline = time.monotonic() + 30
        while used() > before + 5_000_000 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertLess(used(), before + 5_000_000)


if __name__ == "__main__":
    tarn_store.main()
