#!/usr/bin/env python3
"""dsort_test.py - `tarn dsort` against a running store, and inside mpirun: contents compared with the originals by Python's tarfile."""

import collections
import hashlib
import io
import json
import pathlib
import random
import re
import signal
import subprocess
import tarfile
import time

import tarn_store
from tarn_store import ABORTED, CORRUPT, INVALID, NOT_FOUND, OK, RANKS, StoreTest, TemporaryTest, mpirun

SAMPLES_PER_SHARD = 40


def make_shard(number, rng):
    """A WebDataset shard: (bytes, {member name: content})."""
    members = {}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for i in range(SAMPLES_PER_SHARD):
            for extension, size in [("jpg", rng.randrange(100, 9000)), ("cls", 2)]:
                name, content = f"{number:03}-{i:05}.{extension}", rng.randbytes(size)
                info = tarfile.TarInfo(name)
                info.size = size
                tar.addfile(info, io.BytesIO(content))
                members[name] = content
    return buffer.getvalue(), members


class Sorts(StoreTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rng = random.Random(11)
        cls.members = {}
        shards = cls.work / "shards"
        shards.mkdir()
        for number in range(6):
            data, members = make_shard(number, rng)
            (shards / f"in-{number:04}.tar").write_bytes(data)
            cls.members.update(members)
        cls.store.ok("put", "-r", shards, "tarn://in/")
        loose = cls.work / "loose"
        cls.loose = {}
        for i in range(300):
            path = loose / f"class-{i % 7}" / f"{i:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.randbytes(rng.randrange(1, 5000)))
            cls.loose[str(path.relative_to(loose))] = path.read_bytes()
        cls.store.ok("put", "-r", loose, "tarn://loose/")

    def read_shards(self, url):
        """[(shard, [(member, content), ...]), ...] in the order of names, after GNU tar has accepted each."""
        back = self.temp / url.strip("/").split("/")[-1]
        self.store.ok("get", "-r", url, back)
        shards = []
        for path in sorted(back.rglob("*.tar")):
            subprocess.run(["tar", "tvf", str(path)], check=True, capture_output=True)
            with tarfile.open(path) as tar:
                shards.append((path, [(m.name, tar.extractfile(m).read()) for m in tar.getmembers()]))
        return shards

    def check_complete(self, shards, expected):
        found = collections.Counter(name for _, members in shards for name, _ in members)
        self.assertEqual(found, collections.Counter(expected.keys()))
        for _, members in shards:
            for name, content in members:
                self.assertEqual(content, expected[name], name)

    def keys_of(self, shards):
        return [name.split(".")[0] for _, members in shards for name, _ in members if name.endswith((".jpg", ".png"))]

    def test_shuffle_keeps_samples_together_and_every_byte(self):
        text = self.store.ok("dsort", "--input", "tarn://in/in-{0000..0005}.tar", "--output", "tarn://mixed/train-%06d.tar",
                             "--shard-size", "200KB", "--order", "shuffle", "--seed", "1").decode()  # fmt: skip
        self.assertIn(f"{6 * SAMPLES_PER_SHARD} samples", text)
        shards = self.read_shards("tarn://mixed/")
        self.assertGreater(len(shards), 3)
        self.assertEqual([p.name for p, _ in shards], [f"train-{i:06}.tar" for i in range(len(shards))])
        self.check_complete(shards, self.members)
        for _, members in shards:
            for (first, _), (second, _) in zip(members[::2], members[1::2]):
                self.assertEqual(first.split(".")[0], second.split(".")[0])
        keys = self.keys_of(shards)
        self.assertNotEqual(keys, sorted(keys))

    def test_without_samples_no_bucket_is_made(self):
        with tarfile.open(self.temp / "hollow.tar", "w"):
            pass
        self.store.ok("mb", "tarn://hollow")
        self.store.ok("put", self.temp / "hollow.tar", "tarn://hollow/hollow.tar")
        self.store.ok("dsort", "--input", "tarn://hollow/", "--output", "tarn://hollow-out/%d.tar", "--shard-size", "1MB")
        self.check_fails(self.store.run("ls", "tarn://hollow-out/"), NOT_FOUND, "hollow-out")

    def test_a_seed_gives_the_same_bytes_again_and_another_seed_others(self):
        digests = []
        for bucket, seed in [("seed-a", 5), ("seed-b", 5), ("seed-c", 6)]:
            self.store.ok("dsort", "--input", "tarn://in/", "--output", f"tarn://{bucket}/%04d.tar", "--shard-samples", 50,
                          "--order", "shuffle", "--seed", seed)  # fmt: skip
            shards = self.read_shards(f"tarn://{bucket}/")
            digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path, _ in shards])
        self.assertEqual(digests[0], digests[1])
        self.assertNotEqual(digests[0], digests[2])

    def test_loose_objects_by_key_in_both_directions(self):
        for bucket, options in [("up", []), ("down", ["--decreasing"])]:
            self.store.ok("dsort", "--input", "tarn://loose/", "--output", f"tarn://{bucket}/part-{{000..099}}.tar", "--shard-samples", 64,
                          "--order", "key", *options)  # fmt: skip
            shards = self.read_shards(f"tarn://{bucket}/")
            self.assertEqual([len(members) for _, members in shards], [64, 64, 64, 64, 44])
            self.check_complete(shards, self.loose)
            keys = self.keys_of(shards)
            self.assertEqual(keys, sorted(keys, reverse=bucket == "down"))

    def test_by_md5_and_by_the_value_of_a_member(self):
        common = ["--input", "tarn://in/", "--shard-size", "300KB"]
        self.store.ok("dsort", *common, "--output", "tarn://by-md5/%d.tar", "--order", "md5")
        keys = self.keys_of(sorted(self.read_shards("tarn://by-md5/"), key=lambda shard: int(shard[0].stem)))
        self.assertEqual(keys, sorted(keys, key=lambda key: hashlib.md5(key.encode()).digest()))
        self.assertEqual(len(keys), 6 * SAMPLES_PER_SHARD)
        sizes = {name.split(".")[0]: str(len(content)) for name, content in self.members.items() if name.endswith(".jpg")}
        tree = self.temp / "sizes"
        tree.mkdir()
        for key, size in sizes.items():
            (tree / f"{key}.jpg").write_bytes(self.members[f"{key}.jpg"])
            (tree / f"{key}.size").write_text(size + "\n")
        self.store.ok("put", "-r", tree, "tarn://sizes/")
        out = ["--output", "tarn://by-size/%d.tar", "--order", "content", "--content", ".size", "--content-type", "int", "--decreasing"]
        self.store.ok("dsort", "--input", "tarn://sizes/", "--shard-samples", "50", *out)
        keys = self.keys_of(sorted(self.read_shards("tarn://by-size/"), key=lambda shard: int(shard[0].stem)))
        self.assertEqual(keys, sorted(sizes, key=lambda key: (-int(sizes[key]), key)))

    def test_some_members_of_some_samples(self):
        self.store.ok("dsort", "--input", "tarn://in/", "--output", "tarn://some/%d.tar", "--shard-size", "1MB", "--drop", ".CLS", "--match", "^00[24]-.*[05]$")
        found = [name for _, members in self.read_shards("tarn://some/") for name, _ in members]
        self.assertEqual(found, [f"{shard}-{i:05}.jpg" for shard in ("002", "004") for i in range(0, SAMPLES_PER_SHARD, 5)])

    def test_a_specification_file_and_options_over_it(self):
        spec = self.temp / "spec.json"
        spec.write_text(json.dumps({
            "input_bck": {"name": "in"}, "output_bck": {"name": "from-spec"}, "input_extension": ".tar",
            "input_format": {"template": "in-{0000..0001}"}, "output_format": "out-%03d", "output_shard_size": "100KB",
            "algorithm": {"kind": "alphanumeric"}}))  # fmt: skip
        report = json.loads(self.store.ok("dsort", "--spec", spec, "--json"))
        self.assertEqual(report["samples"], 2 * SAMPLES_PER_SHARD)
        keys = self.keys_of(self.read_shards("tarn://from-spec/"))
        self.assertEqual(keys, sorted(keys))
        self.store.ok("dsort", "--spec", spec, "--output", "tarn://over-spec/x-%d.tar", "--shard-samples", 10)
        self.assertEqual(len(self.store.keys("tarn://over-spec/")), 2 * SAMPLES_PER_SHARD // 10)

    def test_a_dry_run_writes_nothing(self):
        report = json.loads(self.store.ok("dsort", "--input", "tarn://in/", "--output", "tarn://in/dry-%d.tar", "--shard-size", "1MiB",
                                          "--dry-run", "--json"))  # fmt: skip
        self.assertEqual(report["samples"], 6 * SAMPLES_PER_SHARD)
        self.assertGreater(report["estimated_seconds"], report["seconds"])
        plan = self.store.ok("dsort", "--input", "tarn://in/", "--output", "tarn://in/dry-%d.tar", "--shard-size", "1MiB", "--dry-run").decode()
        self.assertRegex(plan, r"^dsort plan: 240 samples of 6 objects into \d+ shards, [0-9.]+ MiB; nothing was written, all of it would take about [0-9.:]+")
        self.assertEqual([key for key in self.store.keys("tarn://in/") if key.startswith("dry")], [])

    def test_malformed_input_publishes_nothing(self):
        self.store.ok("mb", "tarn://broken/")
        good, _ = make_shard(1, random.Random(1))
        self.store.ok("put", "-", "tarn://broken/good.tar", input=good)
        self.store.ok("put", "-", "tarn://broken/bad.tar", input=good[:700] + b"\xff" * 512 + good[1212:])
        done = self.store.run("dsort", "--input", "tarn://broken/", "--output", "tarn://broken-out/%d.tar", "--shard-size", "1MB")
        self.assertIn(done.returncode, (INVALID, CORRUPT), done.stderr)
        self.assertIn(b"bad.tar", done.stderr)
        self.check_fails(self.store.run("ls", "tarn://broken-out/"), NOT_FOUND, "broken-out")

    def test_bad_requests(self):
        base = ["dsort", "--input", "tarn://in/", "--output", "tarn://bad/%d.tar"]
        spec = self.temp / "spec.json"
        for arguments, code, word in [
            (["dsort"], INVALID, "--input"),
            (["dsort", "--input", "tarn://in/", "--shard-size", "1MB"], INVALID, "--output"),
            (base, INVALID, "shard"),
            ([*base, "--shard-size", "1MB", "--shard-samples", "3"], INVALID, "shard"),
            ([*base, "--shard-size", "large"], INVALID, "large"),
            ([*base, "--shard-size", "1MB", "--order", "random"], INVALID, "random"),
            ([*base, "--shard-size", "1MB", "--order", "content"], INVALID, "needs the extension"),
            ([*base, "--shard-size", "1MB", "--order", "content", "--content", "cls", "--content-type", "number"], INVALID, "int, float, string"),
            ([*base, "--shard-size", "1MB", "--order", "content", "--content", "cls", "--missing-content", "skip"], INVALID, "abort, first, last, drop"),
            ([*base, "--shard-size", "1MB", "--order", "content", "--content", "cls", "--content-type", "int"], INVALID, "is not a whole number"),
            ([*base, "--shard-size", "1MB", "--order", "content", "--content", "txt"], INVALID, "no member '.txt'"),
            ([*base, "--shard-size", "1MB", "--order", "md5", "--decreasing"], INVALID, "decreasing"),
            ([*base, "--shard-size", "1MB", "--match", "a("], INVALID, "'a('"),
            ([*base, "--shard-size", "1MB", "--keep", "jpg", "--drop", "cls"], INVALID, "either"),
            ([*base, "--shard-size", "1MB", "--duplicates", "maybe"], INVALID, "maybe"),
            ([*base, "--shard-size", "1MB", "--memory", "1KB"], INVALID, "memory"),
            ([*base, "--shard-size", "1MB", "--input", "tarn://loose/"], INVALID, "bucket"),
            (["dsort", "--input", "tarn://in/", "--output", "tarn://bad/", "--shard-size", "1MB"], INVALID, "--output"),
            (["dsort", "--input", "tarn://in/", "--output", "tarn://bad/{0..1}.tar", "--shard-samples", "1"], INVALID, "{0..1}"),
            (["dsort", "--input", "tarn://nowhere/", "--output", "tarn://bad/%d.tar", "--shard-size", "1MB"], NOT_FOUND, "nowhere"),
            (["dsort", "--input", "tarn://in/in-9999.tar", "--output", "tarn://bad/%d.tar", "--shard-size", "1MB"], NOT_FOUND, "in-9999"),
            (["dsort", "--spec", self.temp / "missing.json"], NOT_FOUND, "missing.json"),
        ]:
            with self.subTest(arguments):
                self.check_fails(self.store.run(*arguments), code, word)
        self.check_fails(self.store.run("ls", "tarn://bad/"), NOT_FOUND, "bad")  # no bucket is left behind
        for text, word in [("{", "JSON"), ("[]", "object"), ('{"input_bck": {"name": "in"}, "wrong": 1}', "wrong"), ('{"input_bck": 7}', "input_bck")]:
            with self.subTest(text):
                spec.write_text(text)
                self.check_fails(self.store.run("dsort", "--spec", spec), INVALID, "spec.json", word)
        done = self.store.run("ls", "tarn://bad/")
        self.assertTrue(done.returncode == NOT_FOUND or done.stdout == b"", done.stdout)

    def test_an_interrupt_aborts_the_job(self):
        big = self.temp / "big"
        big.mkdir()
        rng = random.Random(5)
        for number in range(20):
            (big / f"{number}.tar").write_bytes(make_shard(100 + number, rng)[0])
        self.store.ok("put", "-r", big, "tarn://big/")
        env = tarn_store.environment()
        env["TARN_ENDPOINT_FILE"] = str(self.store.endpoint)
        command = [tarn_store.TARN, "dsort", "--input", "tarn://big/", "--output", "tarn://big-out/%d.tar", "--shard-samples", "1"]
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        status = pathlib.Path(f"/proc/{process.pid}/status")
        while process.poll() is None and time.monotonic() < deadline:
            caught = re.search(r"SigCgt:\s*([0-9a-f]+)", status.read_text())
            if caught and int(caught[1], 16) >> (signal.SIGINT - 1) & 1:
                process.send_signal(signal.SIGINT)
                break
            time.sleep(0.001)
        _, err = process.communicate(timeout=30)
        self.assertIn(process.returncode, (OK, ABORTED), err)  # it may have been faster
        if process.returncode == ABORTED:
            self.assertIn(b"abort", err)
        self.store.ok("status")


class InsideMpirun(TemporaryTest):
    def test_a_store_opened_by_the_job_itself(self):
        store = self.start().wait_ready()
        data, members = make_shard(0, random.Random(2))
        store.ok("mb", "tarn://in/")
        store.ok("put", "-", "tarn://in/a.tar", input=data)
        self.assertEqual(store.stop(), OK)
        options = ["--dir", self.work / "disk-{rank}", "--input", "tarn://in/", "--output", "tarn://out/%d.tar", "--shard-samples", 16]
        done = mpirun(RANKS, "dsort", *options)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(done.stdout.decode().count(f"{SAMPLES_PER_SHARD} samples"), 1)
        again = mpirun(RANKS, "dsort", "--dir", self.work / "disk-{rank}", "--input", "tarn://nowhere/", "--output", "tarn://out2/%d.tar",
                       "--shard-samples", 16)  # fmt: skip
        self.check_job_fails(again, NOT_FOUND, "nowhere")
        for name in ["ready", "endpoint.json"]:
            self.assertFalse((self.work / name).exists())
        store = self.start().wait_ready()
        names = []
        for key in store.keys("tarn://out/"):
            with tarfile.open(fileobj=io.BytesIO(store.ok("cat", f"tarn://out/{key}"))) as tar:
                names += tar.getnames()
        self.assertEqual(sorted(names), sorted(members))
        self.assertEqual(store.stop(), OK)


if __name__ == "__main__":
    tarn_store.main()
