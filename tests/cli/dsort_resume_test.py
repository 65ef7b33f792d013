#!/usr/bin/env python3
"""dsort_resume_test.py - kill -9 of every rank in the middle of a dsort: the next one goes on from there, and the result is the same."""

import hashlib
import json
import random
import signal
import subprocess
import tarfile
import time
import unittest

import tarn_store
from tarn_store import DEADLINE_S, TARN, TemporaryTest

SHARDS, SAMPLES, SAMPLE_BYTES = 12, 100, 60_000
SORT = ["--input", "tarn://in/", "--shard-size", "1200KB", "--order", "shuffle", "--seed", "5"]


class Resume(TemporaryTest):
    def put_input(self, store):
        rng = random.Random(3)
        tree = self.work / "tree"
        tree.mkdir()
        for number in range(SHARDS):
            with tarfile.open(tree / f"in-{number:02}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
                for i in range(SAMPLES):
                    path = self.work / "member"
                    path.write_bytes(rng.randbytes(SAMPLE_BYTES + i))
                    tar.add(path, f"{number:02}-{i:03}.bin")
        store.ok("put", "-r", tree, "tarn://in/")

    def kept(self):
        """Shards that are finished and have no name yet."""
        return [path for path in self.work.glob("disk-*/kept/*") if path.name != "named"]

    def sums(self, store, bucket):
        back = self.work / f"back-{bucket}"
        store.ok("get", "-r", f"tarn://{bucket}/", back)
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(back.rglob("*.tar"))}

    def kill_in_the_middle(self, store, output):
        """Starts a dsort and kills its store once some shards are finished. @return whether it was killed in time."""
        env = tarn_store.environment()
        env["TARN_ENDPOINT_FILE"] = str(store.endpoint)
        client = subprocess.Popen([TARN, "dsort", *SORT, "--output", output], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(client.kill)
        deadline = time.monotonic() + DEADLINE_S
        while len(self.kept()) < 3 and client.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        store.kill()
        client.wait(timeout=DEADLINE_S)
        return bool(self.kept())

    def test_killed_and_started_again(self):
        store = self.start().wait_ready()
        self.put_input(store)
        store.ok("dsort", *SORT, "--output", "tarn://whole/out-%04d.tar")
        expected = self.sums(store, "whole")
        self.assertGreater(len(expected), 40)
        for attempt in range(10):  # a machine that is fast now and then finishes first
            killed = self.kill_in_the_middle(store, f"tarn://out{attempt}/out-%04d.tar")
            store = self.start().wait_ready()
            if killed:
                break
        self.assertTrue(killed, "no dsort was ever killed before its end")
        kept = len(self.kept())
        report = json.loads(store.ok("dsort", "--json", *SORT, "--output", f"tarn://out{attempt}/out-%04d.tar"))
        # What was being named when the kill came is named or kept: resumed, too.
        self.assertGreaterEqual(report["resumed_shards"], kept)
        self.assertEqual(report["shards"], len(expected))
        self.assertEqual(self.sums(store, f"out{attempt}"), expected)
        self.assertEqual(self.kept(), [])
        self.assertEqual(store.stop(signal.SIGUSR1), 0)


if __name__ == "__main__":
    unittest.main()
