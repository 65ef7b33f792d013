#!/usr/bin/env python3
"""mpmd_test.py - `tarn serve` beside an application in one job: it serves that and others until the application has closed the store."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import tarn_store
from tarn_store import DEADLINE_S, MPIEXEC, OK, TARN, environment, own_lines, processes_naming, run

APPLICATION = os.environ.get("TARN_MPMD_APPLICATION", "mpmd_application")
SIMULATION = os.environ.get("TARN_MPMD_SIMULATION", "mpmd_simulation")


class MpmdTest(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="tarn-mpmd-", dir=os.environ.get("TARN_TEST_TMPDIR", "/tmp")))
        self.addCleanup(shutil.rmtree, self.work, True)
        self.endpoint, self.ready, self.hold = self.work / "endpoint.json", self.work / "ready", self.work / "hold"

    def serve(self, *options, directory="disk-{rank}"):
        return [TARN, "serve", "--dir", self.work / directory, "--endpoint-file", self.endpoint, "--ready-file", self.ready, *options]

    def run_job(self, *programs, env=None):
        """Runs programs, (ranks, command), in one job to their end."""
        return subprocess.run(tarn_store.launch(*programs), env=env or environment(), cwd=self.work, capture_output=True, timeout=DEADLINE_S)

    def start_job(self, *programs, env=None):
        with open(self.work / "out", "wb") as out, open(self.work / "err", "wb") as err:
            job = subprocess.Popen(tarn_store.launch(*programs), env=env or environment(), cwd=self.work, stdout=out, stderr=err, start_new_session=True)
        self.addCleanup(self.end_job, job)
        for path in [self.ready, pathlib.Path(f"{self.hold}.running")]:
            self.wait_for(path.exists, job)
        return job

    def wait_for(self, condition, job):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            self.assertIsNone(job.poll(), (self.work / "err").read_text())
            self.assertLess(time.monotonic(), deadline, (self.work / "err").read_text())
            time.sleep(0.02)

    def end_job(self, job):
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
        for pid in processes_naming(str(self.work)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def service_pids(self):
        return [pid for pid in processes_naming(str(self.endpoint)) if os.readlink(f"/proc/{pid}/exe") == os.path.realpath(TARN)]

    def check_clean_end(self, job):
        self.assertEqual(job.wait(timeout=DEADLINE_S), OK, (self.work / "err").read_text())
        self.assertFalse(self.ready.exists())
        self.assertFalse(self.endpoint.exists())
        self.assertEqual(processes_naming(str(self.work)), [])

    def test_the_example_with_any_number_of_ranks_in_either_order(self):
        shapes = [(1, 1), (1, 2), (2, 3), (3, 5)]
        for services, ranks in shapes if os.environ.get("TARN_TEST_SHAPES") != "few" else shapes[2:3]:
            for reverse in [False, True]:
                with self.subTest(services=services, ranks=ranks, reverse=reverse):
                    name = f"{services}-{ranks}-{reverse}"
                    programs = [(services, self.serve(directory=name + "-{rank}")), (ranks, [SIMULATION])]
                    done = self.run_job(*(reversed(programs) if reverse else programs))
                    self.assertEqual(done.returncode, OK, done.stderr)
                    self.assertIn(f"step 30: total", done.stdout.decode())
                    self.assertIn(f"checkpoints of {ranks} ranks are in the store", done.stdout.decode())
                    self.assertEqual(len(list(self.work.glob(name + "-*"))), services)
                    self.assertEqual(own_lines(done.stderr), [])
                    self.assertFalse(self.ready.exists() or self.endpoint.exists())

    def test_others_use_the_store_and_signals_do_not_end_it(self):
        for reverse, threads in [(False, "multiple"), (True, "multiple"), (True, "funneled"), (False, "serialized")]:
            with self.subTest(reverse=reverse, threads=threads):
                programs = [(2, self.serve("--node-id-from-rank")), (3, [APPLICATION, self.hold])]
                job = self.start_job(*(reversed(programs) if reverse else programs), env=environment() | {"TARN_TEST_THREADS": threads})
                endpoint = json.loads(self.endpoint.read_text())
                self.assertEqual(len(endpoint["endpoints"]), 2)
                self.assertTrue(all(url.startswith("http://127.0.0.1:") for url in endpoint["endpoints"]), endpoint)
                bodies = {f"out-{i}": os.urandom(5000) for i in range(8)}
                for key, body in bodies.items():
                    self.tarn("put", "-", f"tarn://app/{key}", input=body)
                self.assertEqual(self.tarn("cat", "tarn://app/small-1"), b"b" * 100)
                status = json.loads(self.tarn("status", "--json"))
                self.assertEqual(len(status["map"]["disks"]), 2)
                for number, pid in zip([signal.SIGTERM, signal.SIGUSR1], self.service_pids(), strict=True):
                    os.kill(pid, number)
                self.wait_for(lambda: (self.work / "err").read_text().count("ends nothing") == 2, job)
                self.assertRegex((self.work / "err").read_text(), r"tarn serve: rank \d: SIGTERM ends nothing: the application")
                for key, body in bodies.items():
                    self.assertEqual(self.tarn("cat", f"tarn://app/{key}"), body)
                self.hold.touch()
                self.check_clean_end(job)
                self.hold.unlink()
                pathlib.Path(f"{self.hold}.running").unlink()
                shutil.rmtree(self.work / ("disk-0" if not reverse else "disk-3"))
                shutil.rmtree(self.work / ("disk-1" if not reverse else "disk-4"))

    def tarn(self, *args, **options):
        done = run(*args, endpoint=self.endpoint, **options)
        self.assertEqual(done.returncode, OK, done.stderr)
        return done.stdout

    def test_disks_of_the_application_too(self):
        job = self.start_job((1, self.serve()), (2, [APPLICATION, self.hold, "--dir", self.work / "own-{rank}"]))
        self.assertEqual(len(json.loads(self.tarn("status", "--json"))["map"]["disks"]), 3)
        self.assertEqual(len(json.loads(self.tarn("ls", "--json", "tarn://app/"))), 4)
        for rank in range(2):
            self.assertEqual(self.tarn("cat", f"tarn://app/large-{rank}"), bytes([ord("a") + rank]) * (3 << 20))
        self.hold.touch()
        self.check_clean_end(job)

    def refused(self, *programs, says):
        done = self.run_job(*programs)
        text = done.stderr.decode(errors="replace")
        self.assertNotEqual(done.returncode, OK, text)
        # MPICH does not tell a program that is not the job's first one which of its ranks is: each speaks.
        self.assertEqual(len(set(own_lines(done.stderr))), 1, text)
        self.assertLessEqual(len(own_lines(done.stderr)), 2 if "mpich" in MPIEXEC[0] else 1, text)
        for word in says:
            self.assertIn(word, own_lines(done.stderr)[0])
        self.assertFalse(self.ready.exists() or self.endpoint.exists())
        self.assertEqual(processes_naming(str(self.work)), [])
        return text

    def test_refusals_are_said_once_by_tarn_serve_and_known_to_the_application(self):
        application = [APPLICATION, self.hold]
        for reverse in [False, True]:
            order = reversed if reverse else list
            with self.subTest(reverse=reverse):
                text = self.refused(*order([(2, self.serve()), (2, [*application, "--node-id-from-rank"])]), says=["node_id_from_rank"])
                self.assertEqual(text.count("mpmd_application: rank"), 2, text)
                self.refused(*order([(2, self.serve()), (2, [*application, "--bad"])]), says=["request_timeout", "50000 ms"])
                self.refused(*order([(2, self.serve(directory="missing/disk-{rank}")), (2, application)]), says=["missing"])

    def test_a_store_that_the_application_forgets_to_close_ends_the_job_with_an_error(self):
        for who, reverse, threads in [("all", False, "multiple"), ("one", False, "multiple"), ("all", True, "funneled"), ("one", False, "serialized")]:
            with self.subTest(who=who, reverse=reverse, threads=threads):
                programs = [(2, self.serve()), (3, [APPLICATION, self.hold, "--forget", who])]
                job = self.start_job(*(reversed(programs) if reverse else programs), env=environment() | {"TARN_TEST_THREADS": threads})
                self.hold.touch()
                code = job.wait(timeout=DEADLINE_S)
                text = (self.work / "err").read_text()
                self.assertNotEqual(code, OK, text)
                self.assertNotIn("not as expected", text)
                # mpirun's SIGTERM for those that are still ending is not what this is about.
                said = [line for line in text.splitlines() if line.startswith("tarn serve:") and "ends nothing" not in line]
                self.assertEqual(len(said), 1, text)
                self.assertIn("the store was destroyed without close()", said[0])
                self.assertFalse(self.ready.exists() or self.endpoint.exists())
                self.assertEqual(processes_naming(str(self.work)), [])
                for path in [self.hold, pathlib.Path(f"{self.hold}.running"), *self.work.glob("disk-*")]:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def test_a_wrong_option_is_said_wherever_tarn_serve_stands(self):
        for reverse in [False, True]:
            with self.subTest(reverse=reverse):
                programs = [(2, self.serve("--quota", "1MiB")), (2, [APPLICATION, self.hold])]
                done = self.run_job(*(reversed(programs) if reverse else programs))
                self.assertNotEqual(done.returncode, OK)
                lines = own_lines(done.stderr)
                self.assertGreaterEqual(len(lines), 1, done.stderr)
                self.assertIn("--quota", lines[0])


if __name__ == "__main__":
    tarn_store.main()
