"""connections_test.py - a sidecar's connections: raw sockets, garbage, overload, a clean end.

    connections_test.py PATH_OF_sidecar_server [-k NAME]
"""

import random
import re
import socket
import sys
import threading
import time
import unittest

import sidecar_support
from sidecar_support import Server, call, raw, read_response, error_code, curl, wait_until, listing, keys_of, WithServer


class Connections(WithServer):
    def test_keep_alive_and_pipelining(self):
        self.call("PUT", "/bucket/r0/pipe", b"pipe")
        with socket.create_connection(self.server.address(), timeout=60) as connection:
            stream = connection.makefile("rb")
            request = b"GET /bucket/r0/pipe HTTP/1.1\r\nHost: h\r\n\r\n"
            connection.sendall(request * 100)
            for _ in range(100):
                self.assertEqual(read_response(stream).body, b"pipe")
            chunked = b"PUT /bucket/r0/p2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            sized = b"PUT /bucket/r0/p3 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz"
            connection.sendall(chunked + sized + b"\r\n" + request + b"DELETE /bucket/r0/p3 HTTP/1.1\r\nHost: h\r\n\r\n" + request)
            self.assertEqual([read_response(stream).status for _ in range(2)], [200, 200])
            self.assertEqual(read_response(stream).body, b"pipe")
            self.assertEqual(stream.readline(), b"HTTP/1.1 204 No Content\r\n")
            while stream.readline().strip():
                pass
            self.assertEqual(read_response(stream).body, b"pipe")
        self.assertEqual(self.call("GET", "/bucket/r0/p2").body, b"abc")

    def test_requests_in_single_bytes(self):
        with socket.create_connection(self.server.address(), timeout=60) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"PUT /bucket/r0/bytes HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n":
                connection.sendall(bytes([byte]))
            self.assertEqual(read_response(connection.makefile("rb")).status, 200)
        self.assertEqual(self.call("GET", "/bucket/r0/bytes").body, b"ab")

    def test_http_1_0(self):
        self.call("PUT", "/bucket/r0/old", b"old")
        answer = raw(self.server, b"GET /bucket/r0/old HTTP/1.0\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\nold"), answer)
        self.assertIn(b"Connection: close", answer)
        code, body = curl("-0", self.server.urls[0] + "/bucket/r0/old")
        self.assertEqual((code, body), (0, b"old"))
        with socket.create_connection(self.server.address(), timeout=60) as connection:
            stream = connection.makefile("rb")
            for _ in range(2):
                connection.sendall(b"GET /bucket/r0/old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                response = read_response(stream)
                self.assertEqual((response.body, response.headers["connection"]), (b"old", "keep-alive"))

    def test_100_continue_only_when_accepted(self):
        def put(key, length, extra=b""):
            return b"PUT /bucket/" + key + b" HTTP/1.1\r\nHost: h\r\nContent-Length: " + str(length).encode() + b"\r\nExpect: 100-continue\r\n" + extra + b"\r\n"

        for length in (10, 500_000):
            with socket.create_connection(self.server.address(), timeout=60) as connection:
                stream = connection.makefile("rb")
                connection.sendall(put(b"r0/cont", length))
                self.assertEqual(stream.readline(), b"HTTP/1.1 100 Continue\r\n")
                self.assertEqual(stream.readline(), b"\r\n")
                connection.sendall(b"x" * length)
                self.assertEqual(read_response(stream).status, 200)
        for refused, status in ((put(b"k" * 1025, 10), 400), (put(b"r0/a", 10, b"x-amz-copy-source: /a/b\r\n"), 501), (put(b"r0/a", 6 * 2**40), 413)):
            answer = raw(self.server, refused)
            self.assertTrue(answer.startswith(b"HTTP/1.1 %d" % status), answer)
            self.assertNotIn(b"100 Continue", answer)
        answer = raw(self.server, b"PUT /bucket/r0/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: wonders\r\n\r\nx")
        self.assertTrue(answer.startswith(b"HTTP/1.1 417"), answer)

    def test_a_refused_upload_hears_why(self):
        # The body is larger than all buffers: the server must go on reading for the client to get the answer.
        with socket.create_connection(self.server.address(), timeout=60) as connection:
            connection.sendall(b"PUT /no-such-bucket/k HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8_000_000)
            response = read_response(connection.makefile("rb"))
        self.assertEqual((response.status, response.headers["connection"]), (404, "close"))

    def test_a_put_needs_a_length(self):
        answer = raw(self.server, b"PUT /bucket/r0/nolength HTTP/1.1\r\nHost: h\r\n\r\n", shut=True)
        self.assertTrue(answer.startswith(b"HTTP/1.1 411"), answer)

    def test_aborted_uploads_leave_nothing(self):
        for rank in (0, 1):
            for head in (b"Content-Length: 1000000", b"Transfer-Encoding: chunked"):
                for size in (100, 600_000):
                    key = b"r%d/aborted" % rank
                    body = b"x" * size if b"Length" in head else b"%x\r\n" % size + b"x" * size + b"\r\n"
                    with socket.create_connection(self.server.address(), timeout=60) as connection:
                        connection.sendall(b"PUT /bucket/" + key + b" HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n\r\n" + body)
                    self.assertEqual(raw(self.server, b"PUT /bucket/" + key + b" HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n\r\n" + body, shut=True), b"")
            self.assertEqual(self.call("GET", f"/bucket/r{rank}/aborted").status, 404)
        self.assertEqual(keys_of(listing(self.server, "&prefix=r0/aborted")), [])

    def test_clients_that_go_away_harm_nobody(self):
        data = random.randbytes(30_000_000)
        self.call("PUT", "/bucket/r0/away", data)
        self.call("PUT", "/bucket/r1/away", data)
        for rank in (0, 1):
            for _ in range(10):
                with socket.create_connection(self.server.address(), timeout=60) as connection:
                    connection.sendall(b"GET /bucket/r%d/away HTTP/1.1\r\nHost: h\r\n\r\n" % rank)
                    connection.recv(100)
        self.assertEqual(self.call("GET", "/bucket/r0/away").body, data)

        def connections():
            return re.search(r"\ntarn_http_connections (\d+)", self.call("GET", "/-/metrics").body.decode()).group(1)

        self.assertTrue(wait_until(lambda: connections() == "1"), connections())

    def test_clients_that_go_away_in_the_middle_of_a_sendfile(self):
        # sendfile has no MSG_NOSIGNAL: the second call after a reset raises SIGPIPE.
        self.call("PUT", "/bucket/r0/pipe-signal", random.randbytes(1_000_000))
        buffer = bytearray(1_000_000)
        for _ in range(60):
            clients = [socket.create_connection(self.server.address(), timeout=60) for _ in range(16)]
            for client in clients:
                client.sendall(b"GET /bucket/r0/pipe-signal HTTP/1.1\r\nHost: h\r\n\r\n" * 8)
            for client in clients * 3:
                client.recv_into(buffer)
            for client in clients:
                client.close()
        self.assertEqual(self.call("HEAD", "/bucket/r0/pipe-signal").status, 200)

    def test_slow_clients_hold_no_thread(self):
        data = random.randbytes(10_000_000)
        self.call("PUT", "/bucket/r0/slow", data)
        self.call("PUT", "/bucket/r1/slow", data)
        slow = []
        for i in range(200):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(self.server.address())
            slow.append(connection)
            request = (b"GET /bucket/r0/slow HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /bucket/r1/slow HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /bucket/r0/slow HT", b"PUT /bucket/r1/up HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\nabc")[i % 4]
            connection.sendall(request)
        try:
            started = time.monotonic()
            for _ in range(20):
                self.assertEqual(self.call("GET", "/bucket/r1/slow").body, data)
            self.assertLess(time.monotonic() - started, 30)
        finally:
            for connection in slow:
                connection.close()


class Garbage(WithServer):
    def test_what_is_no_http_gets_400_and_the_connection_ends(self):
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/1.1\nHost: h\n\n", b"GET / HTTP/1.1\r\n\r\n", b"GET bucket/k HTTP/1.1\r\nHost: h\r\n\r\n",
                     b"PUT /bucket/r0/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
                     b"PUT /bucket/r0/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                     b"PUT /bucket/r0/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"PUT /bucket/r1/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdeXX"):
            answer = raw(self.server, data)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400"), (data, answer))
            self.assertEqual(answer.count(b"\r\nServer: "), 1, answer)
        self.assertEqual(self.call("GET", "/bucket/r0/k").status, 404)
        answer = raw(self.server, b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 70_000 + b"\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 431"), answer)
        self.assertEqual(self.call("PATCH", "/bucket/k").status, 501)
        self.assertEqual(self.call("OPTIONS", "/bucket").status, 501)

    def test_random_damage_harms_nobody(self):
        seed = random.getrandbits(32)
        source = random.Random(seed)
        good = b"PUT /bucket/r0/fuzz?x-id=a HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\nRange: bytes=0-1\r\nExpect: 100-continue\r\n\r\n" + b"b" * 20
        for _ in range(400):
            data = bytearray(good)
            for _ in range(source.randrange(1, 6)):
                data[source.randrange(len(data))] = source.randrange(256)
            with self.subTest(seed=seed):
                raw(self.server, bytes(data[: source.randrange(1, len(data) + 1)]), shut=True)
        self.assertEqual(self.call("PUT", "/bucket/r0/after", b"fine").status, 200)

    def test_random_paths_get_an_answer(self):
        source = random.Random(random.getrandbits(32))
        alphabet = b"abc/.%?&=+-_~#@:0123456789ABCDEF\xc3\xa4\xff"
        for _ in range(500):
            path = b"/" + bytes(source.choice(alphabet) for _ in range(source.randrange(40)))
            answer = raw(self.server, b"GET " + path + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            self.assertRegex(answer[:12], rb"^HTTP/1.1 [2345]\d\d$", path)


class Overload(unittest.TestCase):
    def test_a_full_pool_says_slow_down_and_what_is_here_goes_on(self):
        server = Server(2, "--delay-ms", "1500")
        self.addCleanup(server.kill)  # to work the queue off would take minutes
        self.assertEqual(call(server, "PUT", "/bucket").status, 200)
        self.assertEqual(call(server, "PUT", "/bucket/r0/here", b"here").status, 200)
        waiting = []
        for _ in range(1100):  # 16 threads and a queue of 1,024
            connection = socket.create_connection(server.address(), timeout=60)
            connection.sendall(b"HEAD /bucket/r1/far HTTP/1.1\r\nHost: h\r\n\r\n")
            waiting.append(connection)
        try:
            self.assertTrue(wait_until(lambda: call(server, "GET", "/bucket/r1/far").status == 503, 10))
            refused = call(server, "GET", "/bucket/r1/far")
            self.assertEqual((refused.status, error_code(refused), refused.headers["Retry-After"]), (503, "SlowDown", "1"))
            started = time.monotonic()
            self.assertEqual(call(server, "GET", "/bucket/r0/here").body, b"here")
            self.assertLess(time.monotonic() - started, 1.4)
        finally:
            for connection in waiting:
                connection.close()


class Stopping(unittest.TestCase):
    def test_requests_in_progress_end_and_idle_connections_do_not_hold_it_up(self):
        server = Server(2, "--delay-ms", "500")
        call(server, "PUT", "/bucket")
        call(server, "PUT", "/bucket/r1/k", b"data")
        idle = socket.create_connection(server.address(), timeout=60)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(call(server, "GET", "/bucket/r1/k")))
        asking.start()
        time.sleep(0.2)  # into the middle of the 1,000 ms that this request takes
        started = time.monotonic()
        server.close()
        asking.join()
        idle.close()
        self.assertEqual((answers[0].status, answers[0].body), (200, b"data"))
        self.assertLess(time.monotonic() - started, 4)


if __name__ == "__main__":
    sidecar_support.SERVER = sys.argv.pop(1)
    unittest.main(verbosity=1)
