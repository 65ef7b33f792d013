#!/usr/bin/env python3
"""dsort_by_products_test.py - indices for DALI against Python's tarfile, checksums against xxhsum, class counts against a count."""

import collections
import json
import random
import subprocess
import tarfile
import unittest

from tarn_store import INVALID, StoreTest


class ByProducts(StoreTest):
    def setUp(self):
        super().setUp()
        rng = random.Random(7)
        self.labels = collections.Counter()
        tree = self.temp / "tree"
        for i in range(500):
            path = tree / f"{i % 9}" / f"{i:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.randbytes(rng.randrange(1, 9000)))
            label = f"class {rng.randrange(12)}"
            path.with_suffix(".cls").write_text(label + "\n")
            self.labels[label] += 1
        self.bucket = self.id().rsplit("_", 1)[-1]
        self.store.ok("put", "-r", tree, f"tarn://{self.bucket}/")

    def dsort(self, output, *options):
        arguments = ["--input", f"tarn://{self.bucket}/", "--output", output, "--shard-size", "300KB", "--order", "shuffle"]
        return self.store.run("dsort", "--json", *arguments, *options)

    def test_index_manifest_and_classes(self):
        done = self.dsort(f"tarn://{self.bucket}-out/a/train-%04d.tar", "--index", "--manifest", "--classes", ".cls")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["classes"], dict(self.labels))
        back = self.temp / "back"
        self.store.ok("get", "-r", f"tarn://{self.bucket}-out/", back)
        manifest = json.loads((back / "a/train-manifest.json").read_text())
        self.assertEqual(manifest["classes"], {"cls": dict(self.labels)})
        shards = sorted((back / "a").glob("*.tar"))
        self.assertEqual([shard["name"] for shard in manifest["shards"]], [f"a/{path.name}" for path in shards])
        self.assertEqual(manifest["totals"], {"shards": len(shards), "samples": 500, "members": 1000,
                                              "bytes": sum(path.stat().st_size for path in shards)})
        for entry, path in zip(manifest["shards"], shards):
            sums = subprocess.run(["xxhsum", "-H2", str(path)], capture_output=True, check=True, text=True).stdout.split()
            self.assertEqual(sums[0], entry["xxh3"])
            lines = path.with_suffix(".idx").read_text().splitlines()
            with tarfile.open(path) as tar:
                members = tar.getmembers()
            samples = collections.OrderedDict()
            for member in members:
                key, extension = member.name.rsplit(".", 1)
                samples.setdefault(key, []).append(f"{extension} {member.offset_data} {member.size} {member.name}")
            self.assertEqual(lines, [f"v1.2 {len(samples)}", *(" ".join(groups) for groups in samples.values())])
            self.assertEqual(entry["samples"], len(samples))

    def test_refusals(self):
        self.check_fails(self.dsort(f"tarn://{self.bucket}-out/%d.tar.gz", "--index"), INVALID, "packed")
        done = self.dsort(f"tarn://{self.bucket}-out/%d.tar", "--classes", "jpg", "--manifest")
        self.assertEqual(json.loads(done.stdout)["classes"], {"(other)": 500})


if __name__ == "__main__":
    unittest.main()
