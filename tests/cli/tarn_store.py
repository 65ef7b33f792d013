"""tarn_store.py - a running store for tests of the command line: started by mpirun, stopped by a signal, gone whatever happens."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TARN = os.environ.get("TARN", "tarn")
RANKS = int(os.environ.get("TARN_TEST_RANKS", "3"))
DEADLINE_S = 60

# Exit codes of the command (lib/base/error.cpp).
OK, ABORTED, INVALID, NOT_FOUND, EXISTS, UNSUPPORTED = 0, 1, 2, 3, 4, 64
CORRUPT, RANK_LOST, NO_SPACE, IO, BUSY, DENIED = 65, 69, 73, 74, 75, 77


def environment():
    env = dict(os.environ)
    env.update(
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        OMPI_MCA_rmaps_base_oversubscribe="1",
        OMPI_MCA_mpi_yield_when_idle="1",
        OMPI_MCA_btl_vader_single_copy_mechanism="none",
        OMPI_MCA_oob_tcp_if_include="lo",
        OMPI_MCA_btl_tcp_if_include="lo",
    )
    env.pop("TARN_ENDPOINT_FILE", None)
    return env


def run(*args, input=None, endpoint=None, prefix=(), timeout=DEADLINE_S, cwd=None, env=None):
    """Runs `tarn ARGS` and returns the CompletedProcess; stdout and stderr as bytes."""
    full = environment() if env is None else env
    if endpoint is not None:
        full["TARN_ENDPOINT_FILE"] = str(endpoint)
    command = [*prefix, TARN, *map(str, args)]
    return subprocess.run(command, input=input, capture_output=True, timeout=timeout, env=full, cwd=cwd)


# What starts a job; `mpiexec.mpich` where Tarn is built with MPICH.
MPIEXEC = (os.environ.get("TARN_MPIEXEC") or "mpirun --oversubscribe").split()


def launch(*programs):
    """The command that starts programs, (ranks, command), as one job."""
    line = []
    for ranks, command in programs:
        line += [":"] if line else MPIEXEC
        line += ["-n", str(ranks), *map(str, command)]
    return line


def mpirun(ranks, *args, timeout=DEADLINE_S, cwd=None, env=None):
    """Runs `tarn ARGS` on ranks, to its end."""
    command = launch((ranks, [TARN, *args]))
    return subprocess.run(command, capture_output=True, timeout=timeout, env=env or environment(), cwd=cwd)


def own_lines(stderr):
    """What tarn itself said, without mpirun's frame."""
    return [line for line in stderr.decode(errors="replace").splitlines() if line.startswith("tarn")]


def processes_naming(text):
    """Pids of processes whose command line holds the text."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            pass
    return found


class Store:
    """`mpirun -n RANKS tarn serve` in a directory of its own."""

    def __init__(self, work, ranks=RANKS, options=(), dirs=("disk-{rank}",)):
        self.work = pathlib.Path(work)
        self.ranks = ranks
        self.endpoint = self.work / "endpoint.json"
        self.ready = self.work / "ready"
        self.ready.unlink(missing_ok=True)  # of a store that was killed
        self.out, self.err = self.work / "serve.out", self.work / "serve.err"
        directories = [option for name in dirs for option in ("--dir", str(self.work / name))]
        files = ["--endpoint-file", self.endpoint, "--ready-file", self.ready]
        command = launch((ranks, [TARN, "serve", *directories, *files, *options]))
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=environment(), start_new_session=True)

    def wait_ready(self):
        deadline = time.monotonic() + DEADLINE_S
        while not self.ready.exists():
            if self.process.poll() is not None:
                raise AssertionError(f"tarn serve ended with {self.process.returncode}: {self.err.read_text()}")
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"tarn serve was not ready in time: {self.err.read_text()}")
            time.sleep(0.02)
        return self

    def ready_lines(self):
        """What rank 0 printed; mpirun passes it on when it likes."""
        deadline = time.monotonic() + DEADLINE_S
        while len(lines := self.out.read_text().splitlines()) < self.ranks and time.monotonic() < deadline:
            time.sleep(0.02)
        return lines

    def stop(self, number=signal.SIGUSR1):
        """Signals mpirun and returns its exit code. Open MPI's mpirun returns the ranks' code after SIGUSR1 only, 1 after others."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=DEADLINE_S)

    def kill(self):
        """Its whole session and nothing else."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for pid in processes_naming(str(self.work)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def run(self, *args, **options):
        return run(*args, endpoint=self.endpoint, **options)

    def ok(self, *args, **options):
        """Runs a command that must succeed; its standard output."""
        done = self.run(*args, **options)
        if done.returncode != OK:
            raise AssertionError(f"tarn {args}: exit code {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def keys(self, url):
        return [entry["key"] for entry in json.loads(self.ok("ls", "--json", url))]


class StoreTest(unittest.TestCase):
    """One store for all tests of a class."""

    options = ("--node-id-from-rank",)
    ranks = RANKS

    @classmethod
    def setUpClass(cls):
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="tarn-cli-", dir=os.environ.get("TARN_TEST_TMPDIR", "/tmp")))
        cls.addClassCleanup(shutil.rmtree, cls.work, True)
        cls.store = Store(cls.work, ranks=cls.ranks, options=cls.options)
        cls.addClassCleanup(cls.store.kill)
        cls.store.wait_ready()

    def setUp(self):
        self.temp = pathlib.Path(tempfile.mkdtemp(dir=self.work))

    def check_fails(self, done, code, *words):
        """One sentence on standard error, the right exit code, nothing else."""
        text = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, text)
        self.assertEqual(len(text.strip().splitlines()), 1, text)
        self.assertTrue(text.startswith("tarn "), text)
        for word in words:
            self.assertIn(word, text)


class TemporaryTest(unittest.TestCase):
    """Tests that start their own stores, or none."""

    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="tarn-cli-", dir=os.environ.get("TARN_TEST_TMPDIR", "/tmp")))
        self.addCleanup(shutil.rmtree, self.work, True)

    check_fails = StoreTest.check_fails

    def start(self, **arguments):
        store = Store(self.work, **arguments)
        self.addCleanup(store.kill)
        return store

    def check_job_fails(self, done, code, *words):
        """The same of a job of several ranks: said once, by one rank."""
        lines = own_lines(done.stderr)
        self.assertEqual(done.returncode, code, done.stderr.decode(errors="replace"))
        self.assertEqual(len(lines), 1, done.stderr.decode(errors="replace"))
        for word in words:
            self.assertIn(word, lines[0])
        self.assertEqual(processes_naming(str(self.work)), [])


def main():
    unittest.main(argv=sys.argv)
