#!/usr/bin/env python3
"""formats_test.py - the reader that was written from docs/FORMATS.md finds in a disk what the store finds there.

MAKE_DISK names the program that fills disks and tells what the store makes of them. Every test reads the disk before the store
opens it again, since that repairs it. Where a test damages a disk, the index is removed, so that the store has the volumes alone too.
"""

import json
import os
import random
import shutil
import subprocess
import tempfile
import unittest

import read_volumes

MAKE_DISK = os.environ["MAKE_DISK"]
SEED = int(os.environ.get("TARN_TEST_SEED", random.randrange(1 << 32)))


class Reader(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="tarn-formats-", dir=os.environ.get("TARN_TEST_TMPDIR"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.disk = os.path.join(self.directory, "disk")

    def fill(self, *how, status=0):
        self.assertEqual(subprocess.run([MAKE_DISK, "fill", self.disk, *how], check=False).returncode, status)

    def volume(self, name):
        return os.path.join(self.disk, "volumes", name)

    def compare(self):
        """What the reader finds, compared with what the store lists and reads. The Disk that the reader found."""
        found = read_volumes.read_disk(self.disk)
        bodies, extents = {}, {}
        for name, member in found.objects.items():
            try:
                bodies[name] = read_volumes.read_object(self.disk, member)
                extents[name] = read_volumes.extents_of(self.disk, member)
            except ValueError:
                bodies[name] = None
        target = os.path.join(self.directory, "target")
        os.mkdir(target)
        subprocess.run([MAKE_DISK, "dump", self.disk, target], check=True)
        with open(os.path.join(target, "objects.json"), encoding="utf-8") as file:
            expected = json.load(file)
        listed = [(o["bucket"].encode(), o["key"].encode()) for o in expected["objects"]]
        self.assertEqual(list(found.objects), listed)
        for place, stored in enumerate(expected["objects"]):
            member = found.objects[listed[place]]
            with self.subTest(bucket=stored["bucket"], key=stored["key"][:60]):
                self.assertEqual(stored["readable"], bodies[listed[place]] is not None)
                if stored["readable"]:
                    with open(os.path.join(target, str(place)), "rb") as file:
                        self.assertTrue(file.read() == bodies[listed[place]], "other bytes")
                if stored["readable"] and member.solo:
                    body = bodies[listed[place]]
                    for begin, length in [(0, len(body)), (len(body) - 10, 10), (65_535, 2), (100_000, 300_000)]:
                        self.assertEqual(read_volumes.read_range(self.disk, member, begin, length), body[begin : begin + length])
                if stored["readable"] and member.op == "assembled":
                    body = bodies[listed[place]]
                    for extent in extents[listed[place]]:
                        self.assertEqual(read_volumes.read_range(self.disk, extent, 0, extent.size), body[: extent.size])
                        body = body[extent.size :]
                    self.assertEqual(body, b"")
                self.assertEqual(
                    (stored["size"], stored["xxh3"], stored["mtime"], stored["type"], stored["meta"]),
                    (member.object_size, member.object_checksum, member.mtime_ns, member.content_type.decode(),
                     {name.decode(): value.decode() for name, value in member.metadata.items()}),
                )  # fmt: skip
        self.assertEqual(
            [(b["name"], b["created_ns"], b["durability"]) for b in expected["buckets"]],
            sorted((name.decode(), note.mtime_ns, note.durability) for name, note in found.buckets.items()),
        )
        shutil.rmtree(target)
        return found

    def test_a_disk_that_was_closed(self):
        self.fill()
        found = self.compare()
        self.assertGreater(len(found.objects), 350)
        self.assertEqual(found.damages, [])
        self.assertEqual(found.buckets[b"synced"].durability, "sync")
        self.assertNotIn(b"gone", found.buckets)
        self.assertIn((b"bucket", b"/" * 1024), found.objects)
        self.assertEqual(found.objects[b"other", b"in parts"].op, "assembled")
        self.assertEqual(found.objects[b"synced", b"appended to"].object_size, 1_100_000 + 20_000)

    def test_a_disk_whose_process_was_killed(self):
        self.fill("killed", status=-9)
        self.assertEqual(self.compare().damages, [])

    def test_headers_that_were_damaged_are_not_believed(self):
        self.fill()
        chance = random.Random(SEED)
        print(f"seed {SEED} (TARN_TEST_SEED repeats it)")
        before = read_volumes.read_disk(self.disk)
        victims = [before.objects[b"bucket", b"a volume, small"], before.objects[b"bucket", b"small to small"]]
        victims += chance.sample([m for m in before.objects.values() if m.size < 1 << 20 and m not in victims], 20)
        for member in victims:  # somewhere in the records or the block behind them
            with open(self.volume(member.volume), "r+b") as file:
                at = member.data_offset - 1 - chance.randrange(700)
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1 << chance.randrange(8)]))
        shutil.rmtree(os.path.join(self.disk, "index"))
        found = self.compare()
        self.assertGreaterEqual(len(found.damages), 1)
        self.assertEqual(found.objects[b"bucket", b"small to small"].size, 3)  # the older version is back
        self.assertLess(len(found.objects), len(before.objects))

    def test_data_that_was_damaged_is_noticed(self):
        self.fill()
        for key in [b"%41", b"small to large"]:
            member = read_volumes.read_disk(self.disk).objects[b"bucket", key]
            with open(self.volume(member.volume), "r+b") as file:
                file.seek(member.data_offset + member.size // 2)
                file.write(b"other bytes")
            with self.assertRaises(ValueError):
                read_volumes.read_object(self.disk, member)
            if member.solo:
                with self.assertRaises(ValueError):
                    read_volumes.read_range(self.disk, member, member.size // 2, 1)
                read_volumes.read_range(self.disk, member, 0, 1)
        self.compare()

    def test_a_damaged_part_is_noticed(self):
        self.fill()
        member = read_volumes.read_disk(self.disk).objects[b"other", b"in parts"]
        extent = read_volumes.extents_of(self.disk, member)[1]
        with open(self.volume(extent.volume), "r+b") as file:
            file.seek(extent.data_offset + 10)
            file.write(b"other bytes")
        with self.assertRaises(ValueError):
            read_volumes.read_object(self.disk, member)
        self.compare()

    def test_a_write_that_was_interrupted_at_any_byte(self):
        self.fill()
        last = max(os.listdir(os.path.join(self.disk, "volumes")))  # the one that is still written, with a removal at its end
        before = read_volumes.read_disk(self.disk)
        whole = os.path.join(self.directory, "whole")
        os.rename(self.disk, whole)
        for missing in [1, 511, 512, 513, 1000, 1024, 1535]:
            shutil.copytree(whole, self.disk)
            shutil.rmtree(os.path.join(self.disk, "index"))
            os.truncate(self.volume(last), os.path.getsize(self.volume(last)) - missing)
            with self.subTest(missing=missing):
                found = self.compare()
                self.assertEqual(found.damages, [])
                self.assertEqual(set(found.objects) - set(before.objects), {(b"twice", b"many/498")})
            shutil.rmtree(self.disk)

    def test_a_member_of_a_kind_that_is_not_known_is_skipped(self):
        self.fill()
        before = read_volumes.read_disk(self.disk)
        number = 1 + max(int(name[:8]) for name in os.listdir(os.path.join(self.disk, "volumes")))
        plain = before.objects[b"bucket", b"plain.txt"]
        with open(self.volume(plain.volume), "rb") as file:
            volume = file.read()
        begin = volume.rindex(b"PaxHeaders/", 0, plain.data_offset)
        with open(self.volume(f"{number:08d}.tar"), "wb") as file:
            for op in [b"a-kind-to-come", b"", b"delete-it-all"]:
                file.write(moved(volume[begin : plain.end], plain, begin, number, file.tell(), op))
        found = read_volumes.read_disk(self.disk)
        self.assertEqual(found.damages, [])
        self.assertEqual(found.objects[b"bucket", b"plain.txt"].volume, f"{number:08d}.tar")
        self.assertEqual(len(found.objects), len(before.objects))


def moved(member, parsed, begin, number, offset, op):
    """A member as it would be in another volume, at another offset, with another operation and a higher sequence."""
    name = member[:100].split(b"\0")[0]
    header, data = member[: parsed.data_offset - begin], member[parsed.data_offset - begin :]
    records = b""
    size = read_volumes.ustar(header[:512], b"x")[1]
    for keyword, value, _ in read_volumes.pax_records(header[512 : 512 + size]):
        if keyword == read_volumes.XATTR + b"seq":
            value = str(10_000_000 + offset).encode()
        if keyword == read_volumes.XATTR + b"hdr":
            value = b"0" * 16
            if op:
                records += record(read_volumes.XATTR + b"op", op)
        records += record(keyword, value)
    first = bytearray(header[:512])
    first[:100] = (name[:-8] + b"%08d" % number).ljust(100, b"\0")
    first[124:136] = b"%011o\0" % len(records)
    first[148:156] = b" " * 8
    first[148:156] = b"%06o\0 " % sum(first)
    header = bytes(first) + records.ljust(read_volumes.padded(len(records)), b"\0") + header[-512:]
    at = 512 + len(records) - 17
    return header[:at] + read_volumes.xxh3_64(header, offset).encode() + header[at + 16 :] + data


def record(keyword, value):
    length = len(keyword) + len(value) + 3
    while len(str(length)) + len(keyword) + len(value) + 3 != length:
        length = len(str(length)) + len(keyword) + len(value) + 3
    return b"%d %s=%s\n" % (length, keyword, value)


if __name__ == "__main__":
    unittest.main()
