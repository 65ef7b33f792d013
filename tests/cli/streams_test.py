#!/usr/bin/env python3
"""streams_test.py - readers that go away, signals in the middle of a transfer, pipes as targets."""

import http.server
import json
import os
import signal
import stat
import subprocess
import threading
import time

import tarn_store
from tarn_store import INVALID, IO, StoreTest, TemporaryTest


class ClosedPipes(StoreTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.store.ok("mb", "tarn://raw/")
        for i in range(5):
            cls.store.ok("put", "-", f"tarn://raw/{i}", input=b"x" * 300_000)

    def run_without_reader(self, *arguments):
        read, write = os.pipe()
        os.close(read)
        env = tarn_store.environment()
        env["TARN_ENDPOINT_FILE"] = str(self.store.endpoint)
        try:
            return subprocess.run([tarn_store.TARN, *arguments], env=env, stdout=write, stderr=subprocess.PIPE, timeout=60)
        finally:
            os.close(write)

    def test_nobody_reads_any_more(self):
        for arguments in [
            ("ls",),
            ("ls", "tarn://raw/"),
            ("ls", "--json", "tarn://raw/"),
            ("cat", "tarn://raw/1", "tarn://raw/2"),
            ("get", "tarn://raw/1", "-"),
            ("status",),
            ("--help",),
        ]:
            with self.subTest(arguments):
                done = self.run_without_reader(*arguments)
                self.assertEqual((done.returncode, done.stderr), (-signal.SIGPIPE, b""))

    def test_a_device_that_takes_nothing_is_an_error(self):
        with open("/dev/full", "wb") as full:
            env = tarn_store.environment()
            env["TARN_ENDPOINT_FILE"] = str(self.store.endpoint)
            for arguments in [("ls", "tarn://raw/"), ("cat", "tarn://raw/1")]:
                done = subprocess.run([tarn_store.TARN, *arguments], env=env, stdout=full, stderr=subprocess.PIPE, timeout=60)
                self.assertIn(done.returncode, (IO, tarn_store.NO_SPACE))
                self.assertIn(b"standard output", done.stderr)

    def test_a_tree_goes_into_what_is_there(self):
        self.store.ok("mb", "tarn://tree/")
        for key in ["pipe", "file"]:
            self.store.ok("put", "-", f"tarn://tree/{key}", input=key.encode())
        pipe = self.temp / "pipe"
        os.mkfifo(pipe)
        reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
        self.addCleanup(reader.kill)
        self.store.ok("get", "-r", "tarn://tree/", self.temp)
        self.assertTrue(stat.S_ISFIFO(pipe.stat().st_mode))
        self.assertEqual(reader.communicate(timeout=20)[0], b"pipe")
        self.assertEqual((self.temp / "file").read_bytes(), b"file")

    def test_negative_numbers(self):
        for option, arguments in [
            ("--offset", ("cat", "--offset", "-1", "tarn://raw/1")),
            ("--offset", ("cat", "--offset=-1", "tarn://raw/1")),
            ("--jobs", ("put", "--jobs", "-1", "a", "tarn://raw/")),
            ("--jobs", ("put", "-j", "-1", "a", "tarn://raw/")),
            ("--jobs", ("put", "-j-1", "a", "tarn://raw/")),
            ("--seed", ("dsort", "--input", "tarn://raw/", "--output", "tarn://out/%d.tar", "--shard-size", "1MB", "--seed", "-1")),
            ("--shard-samples", ("dsort", "--input", "tarn://raw/", "--output", "tarn://out/%d.tar", "--shard-samples", "-5")),
            ("--shard-size", ("dsort", "--input", "tarn://raw/", "--output", "tarn://out/%d.tar", "--shard-size", "-5")),
            ("--port", ("serve", "--dir", self.temp / "d", "--port", "-1")),
            ("--threads", ("serve", "--dir", self.temp / "d", "--threads", "-1")),
            ("--port", ("doctor", "--port", "-4000000000")),
        ]:
            with self.subTest(arguments):
                self.check_fails(self.store.run(*arguments), INVALID, option)
        self.assertEqual(os.listdir(self.temp), [])


class SlowServer:
    """A store of one rank that answers a GET of any object with some of its bytes and then goes silent."""

    def __init__(self, work):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(handler):
                if handler.path.startswith("/-/map"):
                    body = json.dumps(self.map).encode()
                    handler.send_response(200)
                    handler.send_header("Content-Length", str(len(body)))
                    handler.end_headers()
                    handler.wfile.write(body)
                    return
                handler.send_response(200)
                handler.send_header("Content-Length", "1000000")
                handler.end_headers()
                handler.wfile.write(b"x" * 1000)
                handler.wfile.flush()
                self.end.wait(60)
                handler.close_connection = True

            def log_message(handler, *_):
                pass

        self.end = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        ids = ["01234567-89ab-4cde-8f01-23456789abcd", "11234567-89ab-4cde-8f01-23456789abcd"]
        rank = {"rank": 0, "host": "here", "node": "here", "url": url}
        disk = {"id": ids[1], "weight": 1000, "rank": 0, "index": 0, "directory": "/d"}
        self.map = {"store": ids[0], "epoch": 1, "ranks": [rank], "disks": [disk]}
        self.endpoint = work / "endpoint.json"
        self.endpoint.write_text(json.dumps({"store": ids[0], "endpoints": [url], "token": "t", "map_epoch": 1}))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.end.set()
        self.server.shutdown()
        self.server.server_close()


class Signals(TemporaryTest):
    def test_an_interrupted_get_leaves_nothing(self):
        server = SlowServer(self.work)
        self.addCleanup(server.stop)
        out = self.work / "out"
        out.mkdir()
        (out / "file").write_bytes(b"before")
        env = tarn_store.environment()
        env["TARN_ENDPOINT_FILE"] = str(server.endpoint)
        for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
            with self.subTest(number):
                command = [tarn_store.TARN, "get", "tarn://raw/file", str(out / "file")]
                get = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
                self.addCleanup(get.kill)
                deadline = time.monotonic() + 30
                while not any(path.stat().st_size > 0 for path in out.glob(".tarn-*")):
                    self.assertIsNone(get.poll())
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)
                get.send_signal(number)
                self.assertEqual(get.communicate(timeout=30)[1], b"")
                self.assertEqual(get.returncode, -number)
                self.assertEqual(os.listdir(out), ["file"])
                self.assertEqual((out / "file").read_bytes(), b"before")

    def test_a_signal_that_is_ignored_stays_ignored(self):
        server = SlowServer(self.work)
        self.addCleanup(server.stop)
        env = tarn_store.environment()
        env["TARN_ENDPOINT_FILE"] = str(server.endpoint)
        command = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", tarn_store.TARN, "get", "tarn://raw/file", str(self.work / "file")]
        get = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
        self.addCleanup(get.kill)
        deadline = time.monotonic() + 30
        while not list(self.work.glob(".tarn-*")):
            self.assertIsNone(get.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        get.send_signal(signal.SIGHUP)
        with self.assertRaises(subprocess.TimeoutExpired):
            get.wait(timeout=0.5)
        get.send_signal(signal.SIGTERM)
        get.communicate(timeout=30)
        self.assertEqual(get.returncode, -signal.SIGTERM)
        self.assertEqual(list(self.work.glob(".tarn-*")), [])


if __name__ == "__main__":
    tarn_store.main()
