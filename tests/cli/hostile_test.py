#!/usr/bin/env python3
"""hostile_test.py - requests and local files that are made to break something: the store goes on, nothing is replaced or lost."""

import json
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import unittest
import urllib.parse

import tarn_store
from tarn_store import BUSY, INVALID, NO_SPACE, NOT_FOUND, OK, RANKS, StoreTest, TemporaryTest, mpirun

# Before anybody looks at a token.
GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01garbage\r\n\r\n",
    b"A" * 70000,
    b"GET /\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET /raw/a%00b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /raw/a%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /raw/%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PUT /raw/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PUT /raw/x HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 3\r\n\r\nabc",
]
# With the token.
REFUSED = [
    ("GET", "/raw/x?acl", b"", 501),
    ("PUT", "/raw?policy", b"{}", 501),
    ("PATCH", "/raw/x", b"", 501),
    ("GET", "/raw?list-type=2&max-keys=-1", b"", 400),
    ("GET", "/raw?list-type=2&continuation-token=zz", b"", 400),
    ("GET", "/raw?list-type=3", b"", 400),
    ("GET", "/raw%2fx/y", b"", 400),
    ("GET", "/raw/" + "k" * 1025, b"", 400),
    ("DELETE", "/-/health", b"", 405),
    ("GET", "/-/nothing", b"", 404),
    ("GET", "/v1/sort", b"", 400),
    ("GET", "/v1/sort?id=none", b"", 404),
    ("POST", "/v1/sort", b"[" * 100000, 400),
    ("DELETE", "/raw", b"", 409),
]


class Hostile(StoreTest):
    def setUp(self):
        super().setUp()
        described = json.loads(self.store.endpoint.read_text())
        self.token, self.urls = described["token"], [urllib.parse.urlsplit(url) for url in described["endpoints"]]
        self.store.run("mb", "tarn://raw/")
        self.store.ok("put", "-", "tarn://raw/x", input=b"abc")

    def send(self, rank, request):
        """All that the rank answers until it closes or has nothing more to say."""
        with socket.create_connection((self.urls[rank].hostname, self.urls[rank].port), timeout=20) as peer:
            peer.sendall(request)
            peer.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while piece := peer.recv(65536):
                    answer += piece
            except ConnectionResetError:
                pass
            return answer

    def ask(self, rank, method, target, body=b"", fields=""):
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
        return self.send(rank, head.encode() + body)

    def check_alive(self):
        self.assertIsNone(self.store.process.poll(), self.store.err.read_text())
        for rank in range(self.ranks):
            self.assertIn(b" 200 ", self.ask(rank, "GET", "/-/health").split(b"\r\n")[0])

    def test_what_is_not_a_request_is_refused_and_ends_nothing(self):
        for rank in range(self.ranks):
            for request in GARBAGE:
                with self.subTest(rank=rank, request=request[:60]):
                    self.assertRegex(self.send(rank, request), rb"^HTTP/1\.1 4\d\d ")
        self.check_alive()

    def test_requests_that_are_not_known_are_refused_and_end_nothing(self):
        for rank in range(self.ranks):
            for method, target, body, status in REFUSED:
                with self.subTest(rank=rank, request=f"{method} {target[:60]}"):
                    self.assertTrue(self.ask(rank, method, target, body).startswith(b"HTTP/1.1 %d " % status))
        self.check_alive()
        self.assertEqual(self.store.ok("cat", "tarn://raw/x"), b"abc")

    def test_a_removal_against_its_condition_is_not_done(self):
        for rank in range(self.ranks):  # one of them owns it, the others ask
            answer = self.ask(rank, "DELETE", "/raw/x", fields='If-Match: "another"\r\n')
            self.assertTrue(answer.startswith(b"HTTP/1.1 412 "), answer)
            self.assertEqual(self.store.ok("cat", "tarn://raw/x"), b"abc")
            etag = re.search(rb'(?i)\r\netag: *("[^"]*")', self.ask(rank, "HEAD", "/raw/x"))[1].decode()
            answer = self.ask(rank, "DELETE", "/raw/x", fields=f"If-Match: {etag}\r\n")
            self.assertTrue(answer.startswith(b"HTTP/1.1 204 "), answer)
            self.check_fails(self.store.run("cat", "tarn://raw/x"), NOT_FOUND, "raw/x")
            self.store.ok("put", "-", "tarn://raw/x", input=b"abc")

    def test_an_upload_that_breaks_off_leaves_nothing(self):
        head = f"PUT /raw/cut HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n"
        for rank in range(self.ranks):
            self.send(rank, head.encode() + b"Content-Length: 3000000\r\n\r\n" + b"y" * 2000000)
            self.send(rank, head.encode() + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        self.check_fails(self.store.run("cat", "tarn://raw/cut"), NOT_FOUND, "raw/cut")
        self.check_alive()

    def test_an_object_goes_into_a_pipe_and_the_pipe_stays(self):
        pipe = self.temp / "pipe"
        os.mkfifo(pipe)
        reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
        self.addCleanup(reader.kill)
        self.store.ok("get", "tarn://raw/x", pipe)
        self.assertTrue(stat.S_ISFIFO(pipe.stat().st_mode))
        self.assertEqual(reader.communicate(timeout=20)[0], b"abc")

    def test_a_pipe_is_not_put_as_a_file(self):
        pipe = self.temp / "pipe"
        os.mkfifo(pipe)  # without a writer: opening it would wait for ever
        self.check_fails(self.store.run("put", pipe, "tarn://raw/", timeout=20), INVALID, "not a regular file", "tarn put -")

    def test_the_longest_file_names_come_back(self):
        (self.temp / "in").mkdir()
        (self.temp / "in" / ("n" * 255)).write_bytes(b"long")
        self.store.ok("put", "-r", self.temp / "in", "tarn://longest/")
        self.store.ok("get", "-r", "tarn://longest/", self.temp / "out")
        self.assertEqual((self.temp / "out" / ("n" * 255)).read_bytes(), b"long")

    def test_paths_that_cannot_be_are_named_with_the_right_code(self):
        too_long = "p" * 5000
        self.check_fails(self.store.run("put", too_long, "tarn://raw/"), tarn_store.IO, "File name too long")
        self.check_fails(self.store.run("get", "tarn://raw/x", too_long), tarn_store.IO, "File name too long")
        self.check_fails(self.store.run("get", "tarn://raw/x", self.temp / "missing" / "x"), NOT_FOUND, str(self.temp / "missing" / "x"))

    def test_a_head_that_never_ends_is_answered_in_time(self):
        with socket.create_connection((self.urls[0].hostname, self.urls[0].port), timeout=40) as peer:
            peer.sendall(b"GET / HT")
            answer = peer.recv(65536)
        self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer)
        self.check_alive()


class ManyConnections(TemporaryTest):
    def test_idle_connections_leave_descriptors_for_the_store(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        store = self.start(ranks=1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        store.wait_ready().ok("mb", "tarn://idle/")
        url = urllib.parse.urlsplit(json.loads(store.endpoint.read_text())["endpoints"][0])
        peers = [socket.create_connection((url.hostname, url.port), timeout=20) for _ in range(300)]
        self.assertTrue(peers[-1].recv(4096).startswith(b"HTTP/1.1 503 "))  # at once, not when another goes
        for peer in peers:
            peer.close()
        self.assertNotIn("Too many open files", store.err.read_text())


class Directories(TemporaryTest):
    def test_ranks_that_share_a_directory_are_told_about_rank(self):
        done = mpirun(3, "serve", "--dir", self.work / "disk", "--endpoint-file", self.work / "endpoint.json")
        self.check_job_fails(done, BUSY, "is in use by", "{rank}")
        self.assertNotIn("process 0", done.stderr.decode())

    def test_disks_that_join_an_older_store_are_told_of_until_it_is_settled(self):
        told = "the disks of this store have changed"
        store = self.start(ranks=2).wait_ready()
        self.assertNotIn(told, store.err.read_text())
        self.assertEqual(store.stop(signal.SIGUSR1), OK)
        for _ in range(2):
            store = self.start(ranks=3).wait_ready()
            self.assertIn(told, store.err.read_text())
            self.assertEqual(store.stop(signal.SIGUSR1), OK)
        store = self.start(ranks=3).wait_ready()
        store.ok("rebalance")
        self.assertEqual(store.stop(signal.SIGUSR1), OK)
        store = self.start(ranks=3).wait_ready()
        self.assertNotIn(told, store.err.read_text())


@unittest.skipIf(os.geteuid() != 0, "only root can mount a small file system")
class FullDisk(TemporaryTest):
    def test_a_store_filled_to_the_brim_can_be_listed_emptied_closed_and_opened_again(self):
        disks = self.work / "disks"
        disks.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tarn-test", str(disks)], capture_output=True).returncode != 0:
            self.skipTest("no permission to mount")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disks)])
        content = os.urandom(300_000)
        store = self.start(dirs=("disks/{rank}",)).wait_ready()
        store.ok("mb", "tarn://full/")
        stored, refused = [], 0
        for i in range(100):
            done = store.run("put", "-", f"tarn://full/{i:03}", input=content)
            if done.returncode == OK:
                stored.append(f"{i:03}")
                continue
            self.check_fails(done, NO_SPACE, "no space left", "add a disk")
            refused += 1
            if refused == 2 * RANKS:
                break
        self.assertGreater(refused, RANKS)
        self.assertEqual(store.keys("tarn://full/"), stored)
        store.ok("rm", f"tarn://full/{stored.pop()}")
        self.assertEqual(store.stop(signal.SIGUSR1), OK)
        store = self.start(dirs=("disks/{rank}",)).wait_ready()
        self.assertEqual(store.keys("tarn://full/"), stored)
        for key in stored:
            self.assertEqual(store.ok("cat", f"tarn://full/{key}"), content)
        store.ok("rm", "-r", "tarn://full/")
        self.assertEqual(store.keys("tarn://full/"), [])


if __name__ == "__main__":
    tarn_store.main()
