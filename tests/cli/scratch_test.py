#!/usr/bin/env python3
"""scratch_test.py - `tarn doctor`, and the directory that is found when nobody names one: on real file systems too."""

import json
import os
import re
import subprocess
import unittest

import tarn_store
from tarn_store import DENIED, NOT_FOUND, OK, RANKS, Store, TemporaryTest, mpirun, own_lines, run

PLACES = ["TARN_DIR", "SLURM_TMPDIR", "LOCAL_SCRATCH", "BBPATH", "JOBFS", "TMPDIR"]


def environment(**variables):
    """Outside of Slurm, where only these places are known, and those that are built in."""
    env = tarn_store.environment()
    for name in [*PLACES, "SLURM_JOB_ID", "SLURM_JOBID"]:
        env.pop(name, None)
    env.update({name: str(value) for name, value in variables.items()}, USER="user")
    return env


def can_mount():
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False).returncode == 0


def with_tmpfs(directory, *command, env):
    """Runs a command where `directory` is a tmpfs of 64 MiB, which goes away with the command."""
    script = 'mount -t tmpfs -o size=64m tmpfs "$1" && shift && exec "$@"'
    return subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", str(directory), *command], env=env, capture_output=True, timeout=60, check=False)


class Scratch(TemporaryTest):
    def serve(self, **variables):
        """A store that looks for its directory itself, with all it says."""
        command = ["mpirun", "--oversubscribe", "-n", str(RANKS), tarn_store.TARN, "serve", "--ready-file", str(self.work / "ready")]
        store = Store.__new__(Store)
        store.work, store.ready, store.err = self.work, self.work / "ready", self.work / "err"
        with open(store.err, "wb") as err:
            store.process = subprocess.Popen(command, env=environment(**variables), cwd=self.work, stderr=err, stdout=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(store.kill)
        return store

    def refused(self, code, *words, **variables):
        done = mpirun(RANKS, "serve", env=environment(**variables), cwd=self.work)
        self.check_job_fails(done, code, *words)

    def test_it_is_found_and_explained(self):
        store = self.serve(TARN_DIR=self.work).wait_ready()
        lines = own_lines(store.err.read_bytes())
        self.assertRegex(lines[0], rf"^tarn serve: scratch directory {re.escape(str(self.work))} \(\$TARN_DIR, \w+, [\d.]+ \w+, [\d.]+ \w+ free\), as asked for$")
        self.assertEqual(lines[1], f"tarn serve: disks are {self.work}/user-tarn/rank-{{rank}}")
        self.assertEqual(sorted(os.listdir(self.work / "user-tarn")), [f"rank-{r}" for r in range(RANKS)])
        self.assertEqual((self.work / "user-tarn").stat().st_mode & 0o777, 0o700)
        self.assertEqual(store.stop(), OK)

    def test_what_is_passed_over_is_said(self):
        file = self.work / "file"
        file.write_bytes(b"")
        (self.work / "scratch").mkdir()
        store = self.serve(SLURM_TMPDIR="/dev/shm", LOCAL_SCRATCH=file, BBPATH=self.work / "scratch").wait_ready()
        lines = own_lines(store.err.read_bytes())
        self.assertIn("($BBPATH, ", lines[0])
        self.assertIn("the first of the known places that can be used", lines[0])
        self.assertRegex(lines[1], r"^tarn serve: passed over /dev/shm \(\$SLURM_TMPDIR\): it is the shared memory that MPI needs, taken only when asked for")
        self.assertNotIn(str(file), "\n".join(lines[2:]))  # what is not there is not worth a line
        self.assertEqual(store.stop(), OK)

    def test_what_was_asked_for_is_taken_or_nothing(self):
        self.refused(NOT_FOUND, "$TARN_DIR is", "missing", "is not a directory", "--dir", TARN_DIR=self.work / "missing", LOCAL_SCRATCH=self.work)
        self.assertEqual(os.listdir(self.work), [])

    def test_a_directory_of_somebody_else_is_not_taken(self):
        (self.work / "user-tarn").write_bytes(b"")
        self.refused(DENIED, "user-tarn", "is not a directory", TARN_DIR=self.work)

    def test_tmpfs_is_warned_about(self):
        if not can_mount():
            self.skipTest("needs to mount a tmpfs")
        place = self.work / "place"
        place.mkdir()
        doctor = json.loads(with_tmpfs(place, tarn_store.TARN, "doctor", "--json", env=environment(SLURM_TMPDIR=place)).stdout)
        (scratch,) = [finding for finding in doctor if finding["topic"] == "scratch"]
        self.assertEqual(scratch["verdict"], "WARN")
        self.assertIn(f"{place} ($SLURM_TMPDIR, tmpfs, 64.0 MiB, ", scratch["detail"])
        self.assertIn("counts as the job's memory", scratch["remedy"])
        named = with_tmpfs(place, tarn_store.TARN, "doctor", "--dir", str(place), env=environment())
        self.assertRegex(named.stdout.decode(), r"WARN +directory: .*tmpfs.*\n +-> .*job's memory")

    def test_shared_memory_is_taken_when_asked_for(self):
        findings = json.loads(run("doctor", "--json", env=environment(TARN_DIR="/dev/shm")).stdout)
        (scratch,) = [finding for finding in findings if finding["topic"] == "scratch"]
        self.assertEqual((scratch["verdict"], "/dev/shm ($TARN_DIR, " in scratch["detail"]), ("WARN", True), scratch)


class Doctor(TemporaryTest):
    def test_under_mpirun(self):
        done = mpirun(RANKS, "doctor", "--dir", self.work / "{rank}")
        self.assertEqual(done.returncode, OK, done.stderr)
        text = done.stdout.decode()
        self.assertIn(f"MPI sees {RANKS} rank", text)
        self.assertIn("MPI_THREAD_MULTIPLE", text)
        self.assertIn("Tarn can run here", text)
        self.assertEqual(text.count("launcher:"), 1)  # once per node
        self.assertEqual(text.count("\nnode ") + text.startswith("node "), 1, text)
        self.assertIn(f"(ranks 0-{RANKS - 1}):" if RANKS > 1 else "(rank 0):", text)

    def test_a_block_for_each_node(self):
        done = mpirun(RANKS, "doctor", "--node-id-from-rank", "--dir", self.work / "{node}-{rank}")
        self.assertEqual(done.returncode, OK, done.stderr)
        text = done.stdout.decode()
        blocks = re.split(r"^node ", text, flags=re.MULTILINE)[1:]
        self.assertEqual([block.splitlines()[0] for block in blocks], [f"node-{r} (rank {r}):" for r in range(RANKS)], text)
        for rank, block in enumerate(blocks):
            for topic in ["MPI", "launcher", "directory", "port", "limits", "memory", "cores"]:
                self.assertRegex(block, rf"(?m)^  (OK|WARN) +{topic}: ")
            self.assertIn(f"{self.work}/node-{rank}-{rank}: ", block)

    def test_ranks_of_a_node_cannot_share_a_directory(self):
        if RANKS == 1:
            self.skipTest("one rank")
        done = mpirun(RANKS, "doctor", "--dir", self.work / "shared")
        self.assertEqual(done.returncode, tarn_store.RANK_LOST)
        self.assertRegex(done.stdout.decode(), rf"FAIL +directory: .*shared: the same for the {RANKS} ranks of this node\n +-> write {{rank}} into its name")

    def test_alone_and_in_json(self):
        done = run("doctor", "--json")
        self.assertEqual(done.returncode, OK, done.stderr)
        findings = json.loads(done.stdout)
        self.assertLessEqual({"MPI", "launcher", "scratch", "port", "limits", "memory", "cores"}, {f["topic"] for f in findings})
        self.assertLessEqual({f["verdict"] for f in findings}, {"OK", "WARN"})

    def test_what_is_wrong_is_said_with_a_remedy(self):
        done = run("doctor", "--dir", self.work / "missing" / "deeper", "--bind", "no-such-interface0")
        self.assertEqual(done.returncode, tarn_store.RANK_LOST)
        self.assertRegex(done.stdout.decode(), r"FAIL +port: .*no-such-interface0.*\n +-> ")
        self.assertIn("cannot run here", done.stdout.decode())
        env = tarn_store.environment()
        env.update(SLURM_JOB_ID="1", SLURM_STEP_ID="0", SLURM_PROCID="0", SLURM_STEP_NUM_TASKS="4")
        done = run("doctor", env=env)
        self.assertRegex(done.stdout.decode(), r"OK +Slurm: job 1, step 0, 0 nodes")
        self.assertRegex(done.stdout.decode(), r"FAIL +launcher: .*\n +-> .*srun --mpi=pmix")

    def test_few_open_files(self):
        done = subprocess.run(f"ulimit -n 256; exec {tarn_store.TARN} doctor", shell=True, env=tarn_store.environment(), capture_output=True, timeout=60)
        self.assertEqual(done.returncode, tarn_store.RANK_LOST, done.stdout)
        self.assertRegex(done.stdout.decode(), r"FAIL +limits: 256 .*\n +-> `ulimit -n")

    def test_a_deadline_is_told_once(self):
        scontrol = self.work / "scontrol"
        scontrol.write_text("#!/bin/sh\necho asked >> %s\necho 'JobId=7 StartTime=1 EndTime=4102444800 Deadline=N/A'\n" % (self.work / "asked"))
        scontrol.chmod(0o755)
        # mpirun would look for the nodes of job 7.
        env = environment(SLURM_JOB_ID=7, OMPI_MCA_ras="^slurm", OMPI_MCA_plm="^slurm", PATH=f"{self.work}:{os.environ['PATH']}")
        text = mpirun(RANKS, "doctor", env=env).stdout.decode()
        self.assertRegex(text, r"OK +deadline: the job ends at 2100-01-01T00:00:00")
        self.assertEqual((self.work / "asked").read_text().count("asked"), 1)
        env["SLURM_JOB_END_TIME"] = "4102444800"
        self.assertRegex(mpirun(RANKS, "doctor", env=env).stdout.decode(), r"OK +deadline: the job ends at 2100-01-01T00:00:00")
        self.assertEqual((self.work / "asked").read_text().count("asked"), 1)


if __name__ == "__main__":
    tarn_store.main()
