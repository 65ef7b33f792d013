"""Stores that lose ranks and disks, and come back: mirrors, repair, rebalance, and the commands for buckets."""

import json
import os
import random
import shutil
import signal
import threading
import time
import unittest

from tarn_store import INVALID, NOT_FOUND, OK, RANKS, TemporaryTest, mpirun, processes_naming

MIRROR = min(2, RANKS)


def body_of(i, version=0):
    return random.Random(1000 * version + i).randbytes([0, 1, 3000, 100_000, 1_500_000][i % 5])


class Buckets(TemporaryTest):
    def test_properties_are_given_shown_listed_and_kept_over_a_restart(self):
        options = ("--node-id-from-rank",)
        store = self.start(options=options).wait_ready()
        store.ok("bucket", "create", "--mirror", MIRROR, "--durability", "sync", "--checksum", "always", "tarn://safe/")
        store.ok("bucket", "create", "tarn://plain/")
        for restarted in (False, True):
            shown = json.loads(store.ok("bucket", "show", "--json", "tarn://safe/"))
            created = shown.pop("created")
            self.assertEqual(shown, {"bucket": "safe", "durability": "sync", "mirror": MIRROR, "placement": "hash", "checksum": "always"})
            copies = "1 copy" if MIRROR == 1 else f"{MIRROR} copies"
            self.assertEqual(store.ok("bucket", "show", "tarn://safe/").decode(),
                             f"bucket safe, durability sync, {copies}, placement hash, checksum always, made {created}\n")
            self.assertEqual(store.ok("bucket", "ls").decode().splitlines(),
                             ["plain, durability none, 1 copy, placement hash", f"safe, durability sync, {copies}, placement hash, checksum always"])
            status = json.loads(store.ok("status", "--json"))
            self.assertEqual({bucket["bucket"]: bucket["mirror"] for bucket in status["buckets"]}, {"plain": 1, "safe": MIRROR})
            if not restarted:
                self.assertEqual(store.stop(), OK)
                store = self.start(options=options).wait_ready()
        store.ok("bucket", "rm", "tarn://plain/")
        self.assertEqual(store.run("bucket", "show", "tarn://plain/").returncode, NOT_FOUND)

    def test_bad_properties_are_refused_in_one_sentence(self):
        store = self.start().wait_ready()
        for arguments, words in [
            (("--mirror", RANKS + 1), ["mirror=%d" % (RANKS + 1), "ranks with disks"]),
            (("--mirror", 0), ["mirror=0", "1 to 16"]),
            (("--mirror", 17), ["mirror=17", "1 to 16"]),
            (("--durability", "twice"), ["--durability twice", "none or sync"]),
            (("--placement", "moon"), ["--placement moon", "hash, local or rank=N"]),
            (("--checksum", "maybe"), ["--checksum maybe", "never"]),
        ]:
            done = store.run("bucket", "create", *arguments, "tarn://b1/")
            self.assertEqual(done.returncode, INVALID, done.stderr)
            for word in words:
                self.assertIn(word, done.stderr.decode())
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for arguments in [(), ("burn",), ("show",), ("create",)]:
            self.assertEqual(store.run("bucket", *arguments).returncode, INVALID)
        self.assertEqual(store.ok("bucket", "ls"), b"")


@unittest.skipIf(RANKS < 2, "one rank has no other")
class Mirrors(TemporaryTest):
    options = ("--node-id-from-rank",)

    def put(self, store, i, version=0):
        return store.run("put", "-", f"tarn://safe/k{i}", input=body_of(i, version)).returncode == OK

    def check(self, store, versions):
        for i, allowed in versions.items():
            got = store.run("cat", f"tarn://safe/k{i}")
            self.assertEqual(got.returncode, OK, got.stderr)
            self.assertIn(got.stdout, [body_of(i, version) for version in allowed], f"object {i}")

    def test_a_rank_is_killed_while_others_write_and_its_disk_is_lost(self):
        store = self.start(options=self.options).wait_ready()
        store.ok("bucket", "create", "--mirror", MIRROR, "tarn://safe/")
        versions = {}
        for i in range(20):
            self.assertTrue(self.put(store, i))
            versions[i] = [0]
        # Which process is which rank: each holds the lock of its own disk.
        pids = {rank: json.loads((self.work / f"disk-{rank}" / "lock").read_text())["pid"] for rank in range(RANKS)}
        victim = RANKS - 1
        stopped = threading.Event()

        def write():
            for i in range(10_000):
                if stopped.is_set():
                    return
                number = i % 30
                if self.put(store, number, 1):
                    versions[number] = [1]
                else:  # not acknowledged: as before, or as now
                    versions[number] = versions.get(number, [1]) + [1]
                    return

        writer = threading.Thread(target=write)
        writer.start()
        deadline = time.monotonic() + 20
        while versions.get(3) != [1] and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(pids[victim], signal.SIGKILL)  # mpirun ends the others
        store.process.wait(timeout=60)
        stopped.set()
        writer.join()
        store.kill()
        unacknowledged = [i for i, allowed in versions.items() if len(allowed) > 1 and i >= 20 and allowed == [1, 1]]
        for i in unacknowledged:
            del versions[i]
        self.assertGreater(sum(allowed == [1] for allowed in versions.values()), 0)
        shutil.rmtree(self.work / f"disk-{victim}")

        store = self.start(options=self.options).wait_ready()
        self.check(store, versions)
        deadline = time.monotonic() + 30
        while json.loads(store.ok("status", "--json"))["running_work"] and time.monotonic() < deadline:
            time.sleep(0.02)
        status = json.loads(store.ok("status", "--json"))
        self.assertFalse(status["settled"])
        self.assertGreater(status["under_replicated"], 0)
        self.assertIn("with too few copies", store.ok("status").decode())
        report = json.loads(store.ok("repair", "--json"))
        self.assertEqual(report["under_replicated"], status["under_replicated"])
        self.assertEqual(report["failed_objects"], 0)
        status = json.loads(store.ok("status", "--json"))
        self.assertTrue(status["settled"])
        self.assertEqual(status["under_replicated"], 0)
        self.assertEqual(status["objects"], MIRROR * len(store.keys("tarn://safe/")))
        self.check(store, versions)
        self.assertEqual(json.loads(store.ok("repair", "--json"))["copied_objects"], 0)
        self.assertEqual(store.stop(), OK)

        shutil.rmtree(self.work / "disk-0")  # another one: what was repaired is whole
        store = self.start(options=self.options).wait_ready()
        self.check(store, versions)
        self.assertEqual(store.stop(), OK)

    def test_repair_offline_and_killed_on_its_way(self):
        store = self.start(options=self.options).wait_ready()
        store.ok("bucket", "create", "--mirror", MIRROR, "tarn://safe/")
        versions = {i: [0] for i in range(40)}
        for i in versions:
            self.assertTrue(self.put(store, i))
        self.assertEqual(store.stop(), OK)
        shutil.rmtree(self.work / "disk-1")
        store = self.start(options=self.options).wait_ready()
        slow = threading.Thread(target=store.run, args=("repair", "--rate", "50KB"))
        slow.start()
        deadline = time.monotonic() + 30
        while json.loads(store.ok("status", "--json"))["running_work"] != "rebalance" and slow.is_alive() and time.monotonic() < deadline:
            pass
        self.assertTrue(slow.is_alive(), "it ended before it could be killed")
        store.kill()
        slow.join()
        done = mpirun(RANKS, "repair", "--json", "--dir", str(self.work / "disk-{rank}"), timeout=60)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(json.loads(done.stdout)["failed_objects"], 0)
        store = self.start(options=self.options).wait_ready()
        self.check(store, versions)
        self.assertEqual(store.stop(), OK)


class Rebalance(TemporaryTest):
    def test_more_and_fewer_ranks_find_everything_and_a_killed_rebalance_goes_on(self):
        store = self.start().wait_ready()
        store.ok("bucket", "create", "tarn://data/")
        for i in range(60):
            store.ok("put", "-", f"tarn://data/k{i}", input=body_of(i))
        self.assertEqual(store.stop(), OK)

        store = self.start(ranks=RANKS + 1).wait_ready()
        for i in range(0, 60, 7):
            self.assertEqual(store.ok("cat", f"tarn://data/k{i}"), body_of(i))
        slow = threading.Thread(target=store.run, args=("rebalance", "--rate", "50KB"))
        slow.start()
        deadline = time.monotonic() + 30
        while not json.loads(store.ok("status", "--json"))["running_work"] and slow.is_alive() and time.monotonic() < deadline:
            pass
        self.assertTrue(slow.is_alive(), "it ended before it could be killed")
        store.kill()
        slow.join()

        store = self.start(ranks=RANKS + 1).wait_ready()
        for i in range(60):
            self.assertEqual(store.ok("cat", f"tarn://data/k{i}"), body_of(i))
        store.ok("rebalance")
        status = json.loads(store.ok("status", "--json"))
        self.assertTrue(status["settled"])
        self.assertEqual(status["objects"], 60)
        self.assertEqual(store.stop(), OK)

        # All of them on one rank: nothing moves.
        dirs = [f"disk-{rank}" for rank in range(RANKS + 1)]
        store = self.start(ranks=1, dirs=dirs).wait_ready()
        self.assertTrue(json.loads(store.ok("status", "--json"))["settled"])
        for i in range(60):
            self.assertEqual(store.ok("cat", f"tarn://data/k{i}"), body_of(i))
        self.assertEqual(json.loads(store.ok("rebalance", "--json"))["copied_objects"], 0)
        self.assertEqual(store.stop(), OK)


if __name__ == "__main__":
    unittest.main()
