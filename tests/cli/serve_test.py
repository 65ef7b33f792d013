#!/usr/bin/env python3
"""serve_test.py - the life of `tarn serve`: start, files it writes, signals, restart, refusals; nothing is left running."""

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import stat
import subprocess
import time
import unittest

import tarn_store
from tarn_store import BUSY, CORRUPT, DENIED, INVALID, NO_SPACE, NOT_FOUND, OK, RANKS, Store, TemporaryTest, mpirun, processes_naming, run


def free_ports(count):
    """The first of as many free ports in a row. They lie below those that the kernel hands out: mpirun and its ranks take some of these meanwhile."""
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    top = first if first > 2048 else 65536
    for _ in range(1000):
        base = random.randrange(1024, top - count)
        try:
            with contextlib.ExitStack() as held:
                for port in range(base, base + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            return base
        except OSError:
            continue
    raise AssertionError(f"no {count} free ports in a row below {top}")


class Life(TemporaryTest):
    def test_ready_lines_files_and_a_clean_end(self):
        store = self.start().wait_ready()
        lines = store.ready_lines()
        self.assertEqual(len(lines), RANKS)
        for rank, line in enumerate(lines):
            self.assertRegex(line, rf"^rank {rank} of {RANKS} on node \S+: http://127\.0\.0\.1:\d+, 1 disk, 0 objects$")
        self.assertEqual(stat.S_IMODE(store.endpoint.stat().st_mode), 0o600)
        endpoint = json.loads(store.endpoint.read_text())
        self.assertEqual(sorted(endpoint), sorted(["store", "endpoints", "token", "access_key", "secret_key", "map_epoch"]))
        self.assertEqual(endpoint["endpoints"], [re.search(r"http://[^,]*", line)[0] for line in lines])
        self.assertEqual(endpoint["map_epoch"], 1)
        self.assertGreaterEqual(len(endpoint["token"]), 32)
        self.assertEqual(store.ready.read_text().strip(), str(store.endpoint))
        self.assertEqual(store.stop(), OK)
        self.assertFalse(store.ready.exists())
        self.assertFalse(store.endpoint.exists())
        self.assertEqual(processes_naming(str(self.work)), [])
        self.assertEqual(tarn_store.own_lines(store.err.read_bytes()), [])

    def rank_pids(self):
        pids = [pid for pid in processes_naming(str(self.work)) if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == os.path.basename(tarn_store.TARN)]
        self.assertEqual(len(pids), RANKS)
        return pids

    def test_a_signal_to_mpirun_ends_all_cleanly(self):
        for number in [signal.SIGUSR1, signal.SIGINT, signal.SIGTERM]:
            with self.subTest(number):
                store = self.start().wait_ready()
                code = store.stop(number)
                self.assertIn(code, (OK,) if number == signal.SIGUSR1 else (OK, 1), store.err.read_text())  # see stop()
                self.assertEqual(tarn_store.own_lines(store.err.read_bytes()), [])
                self.assertFalse(store.ready.exists())
                self.assertFalse(store.endpoint.exists())
                self.assertEqual(processes_naming(str(self.work)), [])
                reports = json.loads(run("check", "--json", *[self.work / f"disk-{rank}" for rank in range(RANKS)]).stdout)
                self.assertEqual([report["healthy"] for report in reports], [True] * RANKS)

    def test_a_signal_to_one_rank_ends_all_with_0(self):
        for number in [signal.SIGTERM, signal.SIGINT]:
            store = self.start().wait_ready()
            os.kill(max(self.rank_pids()), number)
            self.assertEqual(store.process.wait(timeout=30), OK, store.err.read_text())
            self.assertEqual(processes_naming(str(self.work)), [])

    def test_signals_to_all_ranks(self):
        store = self.start().wait_ready()
        for pid in self.rank_pids():
            os.kill(pid, signal.SIGTERM)
        self.assertEqual(store.process.wait(timeout=30), OK, store.err.read_text())

    def test_what_was_stored_is_there_after_a_restart(self):
        store = self.start().wait_ready()
        store.ok("mb", "tarn://raw/")
        bodies = {f"key-{i}": os.urandom(i * 1000) for i in range(20)} | {"large": os.urandom(5 << 20)}
        for key, body in bodies.items():
            store.ok("put", "-", f"tarn://raw/{key}", input=body)
        store_id = json.loads(store.endpoint.read_text())["store"]
        self.assertEqual(store.stop(), OK)
        store = self.start().wait_ready()
        self.assertEqual(json.loads(store.endpoint.read_text())["store"], store_id)
        self.assertIn("objects", "\n".join(store.ready_lines()))
        for key, body in bodies.items():
            self.assertEqual(store.ok("cat", f"tarn://raw/{key}"), body)
        self.assertEqual(store.stop(), OK)

    def test_several_disks_per_rank(self):
        store = self.start(dirs=("a-{rank}", "b-{rank}")).wait_ready()
        self.assertIn("2 disks", "\n".join(store.ready_lines()))
        store.ok("mb", "tarn://raw/")
        for i in range(30):
            store.ok("put", "-", f"tarn://raw/{i}", input=str(i).encode())
        self.assertEqual(len(json.loads(store.ok("status", "--json"))["map"]["disks"]), 2 * RANKS)
        self.assertEqual(len(store.keys("tarn://raw/")), 30)
        self.assertEqual(store.stop(), OK)

    def test_a_disk_that_is_left_out_is_missed(self):
        store = self.start(dirs=("a-{rank}", "b-{rank}")).wait_ready()
        disks = {disk["directory"]: disk["id"] for disk in json.loads(store.ok("status", "--json"))["map"]["disks"]}
        self.assertEqual(store.stop(), OK)
        self.assertNotIn("warning", store.err.read_text())
        last = RANKS - 1
        (self.work / f"b-{last}").rename(self.work / "away")
        left = self.work / f"b-{last}"
        for name in ["a-{rank}", "b-{rank}"]:
            for file in self.work.glob(name.replace("{rank}", "*") + "/disk.json"):
                self.assertEqual(sorted(entry["disk"] for entry in json.loads(file.read_text())["disks"]), sorted(disks.values()))
        for _ in range(2):  # it is not forgotten by the run that misses it
            store = self.start(dirs=("a-{rank}",)).wait_ready()
            self.assertEqual(store.stop(), OK)
            text = store.err.read_text()
            self.assertEqual(text.count("is missing"), RANKS, text)
            self.assertRegex(text, rf"disk {disks[str(left)]} \(last seen at \S+:{re.escape(str(left))}\) is missing: objects of which it has the only copy are not found")
        (self.work / "away").rename(self.work / f"b-{last}")
        store = self.start(dirs=("b-{rank}", "a-{rank}")).wait_ready()
        store.ok("rebalance")
        self.assertEqual(store.stop(), OK)
        self.assertNotIn("is missing", store.err.read_text())
        store = self.start(dirs=("b-{rank}", "a-{rank}")).wait_ready()
        self.assertEqual(store.stop(), OK)
        self.assertNotIn("warning", store.err.read_text())

    def test_disks_that_do_not_know_the_others_miss_nobody(self):
        self.assertEqual(self.start(dirs=("a-{rank}", "b-{rank}")).wait_ready().stop(), OK)
        for file in self.work.glob("?-*/disk.json"):
            fields = json.loads(file.read_text())
            del fields["disks"]
            file.write_text(json.dumps(fields))
        store = self.start(dirs=("a-{rank}",)).wait_ready()
        self.assertEqual(store.stop(), OK)
        self.assertNotIn("is missing", store.err.read_text())

    def test_a_base_port(self):
        base = free_ports(RANKS)
        store = self.start(options=("--port", base)).wait_ready()
        urls = json.loads(store.endpoint.read_text())["endpoints"]
        self.assertEqual(urls, [f"http://127.0.0.1:{base + rank}" for rank in range(RANKS)])
        self.assertEqual(store.stop(), OK)

    def test_a_quota_refuses_puts_and_not_removals(self):
        store = self.start(options=("--quota", "16MiB")).wait_ready()
        store.ok("mb", "tarn://raw/")
        kept, refused = [], None
        for i in range(16 * RANKS):
            done = store.run("put", "-", f"tarn://raw/{i}", input=bytes(2 << 20))
            if done.returncode != OK:
                refused = done
                break
            kept.append(i)
        self.check_fails(refused, NO_SPACE, "quota of 16.0 MiB", "raise the quota")
        self.assertGreater(len(kept), 3)
        for i in kept:
            self.assertEqual(len(store.ok("cat", f"tarn://raw/{i}")), 2 << 20)
        store.ok("rm", "-r", "tarn://raw/")
        deadline = time.monotonic() + tarn_store.DEADLINE_S  # the space comes back with the next commit of the index
        while (done := store.run("put", "-", f"tarn://raw/{len(kept)}", input=bytes(2 << 20))).returncode == NO_SPACE:
            self.assertLess(time.monotonic(), deadline, done.stderr)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(store.stop(), OK)

    def test_an_interface_name(self):
        store = self.start(options=("--bind", "lo")).wait_ready()
        self.assertIn("http://127.0.0.1:", "\n".join(store.ready_lines()))
        self.assertEqual(store.stop(), OK)

    def test_redirects_are_visible_to_curl(self):
        if RANKS == 1:
            self.skipTest("one rank owns everything")
        store = self.start(options=("--node-id-from-rank", "--redirect", "always")).wait_ready()
        store.ok("mb", "tarn://raw/")
        count = 60  # of which some surely belong to rank 0
        for i in range(count):
            store.ok("put", "-", f"tarn://raw/{i}", input=b"content %d" % i)
        endpoint = json.loads(store.endpoint.read_text())
        redirects = 0
        for i in range(count):
            command = ["curl", "-sSL", "-H", f"Authorization: Bearer {endpoint['token']}", "-w", "%{num_redirects}"]
            done = subprocess.run([*command, f"{endpoint['endpoints'][0]}/raw/{i}"], capture_output=True, timeout=30, check=True)
            self.assertEqual(done.stdout[:-1], b"content %d" % i)
            redirects += int(done.stdout[-1:])
        self.assertGreater(redirects, 0)
        self.assertLess(redirects, count)
        self.assertEqual(store.stop(), OK)


class Refusals(TemporaryTest):
    def serve(self, *options, ranks=RANKS, directory="disk-{rank}"):
        files = ["--endpoint-file", self.work / "endpoint-2.json", "--ready-file", self.work / "ready-2"]
        done = mpirun(ranks, "serve", "--dir", self.work / directory, *files, *options)
        self.assertFalse((self.work / "ready-2").exists())
        self.assertFalse((self.work / "endpoint-2.json").exists())
        return done

    def test_directories_in_use(self):
        store = self.start().wait_ready()
        store.ok("mb", "tarn://raw/")
        files = ["--endpoint-file", self.work / "endpoint-2.json"]
        done = mpirun(RANKS, "serve", "--dir", self.work / "disk-{rank}", *files)
        self.assertEqual(done.returncode, BUSY, done.stderr)
        lines = tarn_store.own_lines(done.stderr)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("disk-", lines[0])
        self.assertRegex(lines[0], r"\b\d+\b")  # the process that holds it
        self.assertEqual(store.ok("ls"), b"tarn://raw/\n")
        self.assertEqual(store.stop(), OK)

    def test_one_directory_for_several_ranks(self):
        if RANKS == 1:
            self.skipTest("one rank")
        self.check_job_fails(self.serve(directory="shared"), BUSY, "shared")

    def test_a_missing_parent_and_a_file(self):
        self.check_job_fails(self.serve(directory="missing/disk-{rank}"), NOT_FOUND, "missing")
        (self.work / "file").write_bytes(b"")
        done = self.serve(directory="file")
        self.assertNotEqual(done.returncode, OK)
        self.assertEqual(len(tarn_store.own_lines(done.stderr)), 1, done.stderr)

    def test_foreign_files(self):
        for rank in range(RANKS):
            (self.work / f"disk-{rank}").mkdir()
            (self.work / f"disk-{rank}" / "thesis.tex").write_text("precious")
        self.check_job_fails(self.serve(), INVALID, "disk-")
        self.assertEqual((self.work / "disk-0" / "thesis.tex").read_text(), "precious")

    def test_disks_of_two_stores(self):
        if RANKS == 1:
            self.skipTest("one disk cannot disagree")
        for name in ["one", "two"]:
            store = self.start(ranks=1, dirs=(name,)).wait_ready()
            self.assertEqual(store.stop(), OK)
        (self.work / "one").rename(self.work / "disk-0")
        (self.work / "two").rename(self.work / "disk-1")
        self.check_job_fails(self.serve(), INVALID, "store")

    def test_wrong_options(self):
        for options, word in [
            (("--port", "99999"), "99999"),
            (("--port", "eighty"), "port"),
            (("--bind", "no-such-interface0"), "no-such-interface0"),
            (("--redirect", "sometimes"), "sometimes"),
            (("--threads", "0"), "--threads"),
            (("--quota", "1MiB"), "--quota"),
            (("--keep-free", "100%"), "--keep-free"),
            (("--verify-sendfile", "sometimes"), "--verify-sendfile"),
            (("--compaction-rate", "fast"), "compaction-rate"),
            (("--wrong",), "--wrong"),
            (("operand",), "operand"),
        ]:
            with self.subTest(options):
                self.check_job_fails(self.serve(*options), INVALID, word)

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.check_job_fails(self.serve("--port", taken.getsockname()[1]), BUSY, str(taken.getsockname()[1]))

    def test_files_that_cannot_be_written_are_noticed_before_a_disk_is_made(self):
        done = mpirun(RANKS, "serve", "--dir", self.work / "disk-{rank}", "--endpoint-file", self.work / "missing" / "endpoint.json")
        self.check_job_fails(done, NOT_FOUND, "endpoint.json")
        done = mpirun(RANKS, "serve", "--dir", self.work / "disk-{rank}", "--endpoint-file", self.work / "e", "--ready-file", self.work / "missing" / "ready")
        self.check_job_fails(done, NOT_FOUND, "--ready-file", "missing")
        self.assertEqual(list(self.work.glob("disk-*")), [])

    def test_the_endpoint_file_of_a_running_store(self):
        store = self.start().wait_ready()
        before = store.endpoint.read_bytes()
        done = mpirun(RANKS, "serve", "--dir", self.work / "other-{rank}", "--endpoint-file", store.endpoint)
        text = " ".join(tarn_store.own_lines(done.stderr))
        self.assertEqual(done.returncode, BUSY, text)
        self.assertIn(f"endpoint.json: is the endpoint file of a running store {json.loads(before)['store']} at http://", text)
        self.assertEqual(list(self.work.glob("other-*")), [])
        self.assertEqual(store.endpoint.read_bytes(), before)
        store.ok("mb", "tarn://still/")
        store.kill()
        self.assertEqual(store.endpoint.read_bytes(), before)
        store.ready.unlink()
        store = self.start().wait_ready()  # what a killed store has left is replaced
        self.assertNotEqual(store.endpoint.read_bytes(), before)
        store.ok("ls", "tarn://still/")
        self.assertEqual(store.stop(), OK)
        self.assertFalse(store.endpoint.exists())

    @unittest.skipIf(os.geteuid() != 0, "only root can become somebody else")
    def test_no_permission(self):
        self.work.chmod(0o711)
        locked = self.work / "locked"
        locked.mkdir(mode=0o700)
        tool = self.work / "tarn"
        tool.write_bytes(pathlib.Path(tarn_store.TARN).read_bytes())
        tool.chmod(0o755)
        env = tarn_store.environment()
        env.update(TMPDIR="/tmp", HOME="/tmp")
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(tool), "serve", "--dir", str(locked / "d")]
        done = subprocess.run(command, env=env, cwd="/tmp", capture_output=True, timeout=60)
        self.assertEqual(done.returncode, DENIED, done.stderr)
        self.assertIn("locked", tarn_store.own_lines(done.stderr)[0])

    def test_singletons_that_were_meant_to_be_one_job(self):
        env = tarn_store.environment()
        env.update(SLURM_JOB_ID="1", SLURM_STEP_ID="0", SLURM_PROCID="0", SLURM_STEP_NUM_TASKS="4", SLURM_NTASKS="4")
        done = run("serve", "--dir", self.work / "disk-{rank}", env=env)
        self.assertEqual(done.returncode, INVALID, done.stderr)
        self.assertIn("srun --mpi=pmix", tarn_store.own_lines(done.stderr)[0])


class Check(TemporaryTest):
    def fill(self):
        store = self.start().wait_ready()
        store.ok("mb", "tarn://raw/")
        bodies = {f"key-{i}": os.urandom(2000 + i) for i in range(40)} | {"large": os.urandom(3 << 20)}
        for key, body in bodies.items():
            store.ok("put", "-", f"tarn://raw/{key}", input=body)
        return store, bodies

    def disks(self):
        return [self.work / f"disk-{rank}" for rank in range(RANKS)]

    def test_healthy_disks_and_a_rebuilt_index(self):
        store, bodies = self.fill()
        done = run("check", *self.disks())
        self.check_fails(done, BUSY, "disk-0")
        self.assertEqual(store.stop(), OK)
        done = run("check", *self.disks())
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(done.stdout.decode().count("healthy"), RANKS)
        reports = json.loads(run("check", "--json", *self.disks()).stdout)
        self.assertEqual(sum(report["objects"] for report in reports), len(bodies))
        done = run("check", "--rebuild", *self.disks())
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertIn("rebuilt", done.stdout.decode())
        store = self.start().wait_ready()
        for key, body in bodies.items():
            self.assertEqual(store.ok("cat", f"tarn://raw/{key}"), body)
        self.assertEqual(store.stop(), OK)

    def test_a_flipped_byte_is_found_and_its_object_named(self):
        store, bodies = self.fill()
        self.assertEqual(store.stop(), OK)
        needle = bodies["key-7"]
        for volume in self.work.glob("disk-*/volumes/*.tar"):
            data = volume.read_bytes()
            at = data.find(needle)
            if at >= 0:
                with open(volume, "r+b") as file:
                    file.seek(at + 1000)
                    file.write(bytes([data[at + 1000] ^ 1]))
        done = run("check", *self.disks())
        self.assertEqual(done.returncode, CORRUPT, done.stdout)
        self.assertIn("tarn://raw/key-7", done.stdout.decode())
        self.assertNotIn("key-8", done.stdout.decode())
        store = self.start().wait_ready()
        done = store.run("get", "tarn://raw/key-7", self.work / "out")
        self.assertNotEqual(done.returncode, OK)
        self.assertFalse((self.work / "out").exists())
        self.assertEqual(store.ok("cat", "tarn://raw/key-8"), bodies["key-8"])
        self.assertEqual(store.stop(), OK)

    def test_quarantine_takes_a_damaged_object_out_and_keeps_what_is_left_of_it(self):
        store, bodies = self.fill()
        self.assertEqual(store.stop(), OK)
        volume = next(v for v in self.work.glob("disk-*/volumes/*.tar") if bodies["key-7"] in v.read_bytes())
        data = volume.read_bytes()
        with open(volume, "r+b") as file:
            file.seek(data.find(bodies["key-7"]) + 1000)
            file.write(b"0123456789")
        disk = volume.parent.parent
        done = run("check", "--quarantine", "--rate", "100MiB", disk)
        self.assertEqual(done.returncode, CORRUPT, done.stdout)
        self.assertIn("quarantine", done.stdout.decode())
        [kept] = (disk / "quarantine").glob("*.tar")
        left = subprocess.run(["tar", "-xOf", kept], capture_output=True, check=True).stdout
        self.assertIn(b"0123456789", left)
        self.assertIn(bodies["key-7"][:1000], left)
        store = self.start().wait_ready()
        self.assertEqual(sorted(store.keys("tarn://raw/")), sorted(bodies.keys() - {"key-7"}))
        self.check_fails(store.run("cat", "tarn://raw/key-7"), NOT_FOUND, "key-7")
        store.ok("put", "-", "tarn://raw/key-7", input=b"again")
        self.assertEqual(store.ok("cat", "tarn://raw/key-7"), b"again")
        self.assertEqual(store.stop(), OK)
        self.check_fails(run("check", "--rate", "0", disk), INVALID, "--rate")

    def test_what_is_not_a_disk(self):
        self.check_fails(run("check", self.work / "missing"), NOT_FOUND, "missing")
        (self.work / "other").mkdir()
        (self.work / "other" / "file").write_bytes(b"")
        self.check_fails(run("check", self.work / "other"), INVALID, "other")

    def test_a_directory_that_cannot_be_checked_leaves_the_reports_of_the_others(self):
        store, bodies = self.fill()
        self.assertEqual(store.stop(), OK)
        directories = [self.disks()[0], self.work / "missing", *self.disks()[1:]]
        done = run("check", "--json", *directories)
        self.check_fails(done, NOT_FOUND, f"1 of {RANKS + 1} disks not checked", "missing")
        reports = json.loads(done.stdout)
        self.assertEqual([report["directory"] for report in reports], [str(directory) for directory in directories])
        self.assertEqual([report["healthy"] for report in reports], [True, False] + [True] * (RANKS - 1))
        self.assertIn("missing", reports[1]["error"])
        self.assertEqual(sum(report.get("objects", 0) for report in reports), len(bodies))
        done = run("check", *directories)
        self.check_fails(done, NOT_FOUND, f"1 of {RANKS + 1} disks not checked")
        self.assertEqual(done.stdout.decode().count(": healthy"), RANKS)
        self.assertIn("missing: not checked: ", done.stdout.decode())


if __name__ == "__main__":
    tarn_store.main()
