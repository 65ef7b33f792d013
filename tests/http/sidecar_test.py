"""sidecar_test.py - sidecars over real stores, as curl, Python's http.client and raw sockets see them.

    sidecar_test.py PATH_OF_sidecar_server [-k NAME]
"""

import contextlib
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import xml.etree.ElementTree as ElementTree

SERVER = ""
S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"
TOKEN = "the-token"


class Server:
    """One sidecar_server process; `urls` has one address per rank."""

    def __init__(self, ranks=2, *options):
        self.directory = tempfile.mkdtemp(prefix="tarn-http-")
        command = [SERVER, *options]
        for rank in range(ranks):
            command += ["--dir", os.path.join(self.directory, str(rank))]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            shutil.rmtree(self.directory, ignore_errors=True)
            raise RuntimeError("sidecar_server did not start")
        self.urls = json.loads(line)["urls"]

    def close(self):
        """A clean end: exit code 0 within a minute."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=60)
        finally:
            self.kill()
        if code != 0:
            raise RuntimeError(f"sidecar_server ended with {code}")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def address(self, rank=0):
        parts = urllib.parse.urlsplit(self.urls[rank])
        return parts.hostname, parts.port


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


def call(server, method, path, body=None, headers=None, rank=0, agent="unknown/1"):
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(*server.address(rank), timeout=60)
    try:
        connection.request(method, path, body=body, headers={"User-Agent": agent, **(headers or {})})
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())
    finally:
        connection.close()


def raw(server, data, rank=0, shut=False, timeout=60):
    """Sends bytes as they are; returns all that comes back until the server closes."""
    with socket.create_connection(server.address(rank), timeout=timeout) as connection:
        connection.sendall(data)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
        return received


def read_response(stream):
    """One response from a buffered socket file."""
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline().strip()) != b"":
        name, value = line.split(b":", 1)
        headers[name.lower().decode()] = value.strip().decode()
    body = stream.read(int(headers.get("content-length", 0)))
    return Response(status, headers, body)


def error_code(response):
    return ElementTree.fromstring(response.body).findtext("Code")


def curl(*arguments):
    done = subprocess.run(["curl", "-sS", "--max-time", "60", *arguments], capture_output=True, check=False)
    return done.returncode, done.stdout


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def listing(server, query="", bucket="bucket", rank=0):
    response = call(server, "GET", f"/{bucket}?list-type=2{query}", rank=rank)
    assert response.status == 200, response.body
    return ElementTree.fromstring(response.body)


def keys_of(root):
    return [element.text for element in root.iter(S3 + "Key")]


class WithServer(unittest.TestCase):
    RANKS = 2
    OPTIONS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(cls.RANKS, *cls.OPTIONS)
        cls.addClassCleanup(cls.server.close)
        headers = {"Authorization": f"Bearer {TOKEN}"} if "--token" in cls.OPTIONS else {}
        assert call(cls.server, "PUT", "/bucket", headers=headers).status == 200

    def call(self, *arguments, **named):
        return call(self.server, *arguments, **named)

    def file(self, data):
        path = os.path.join(self.server.directory, f"file{random.getrandbits(64)}")
        with open(path, "wb") as stream:
            stream.write(data)
        return path


class Objects(WithServer):
    def test_what_was_put_comes_back_at_every_size_here_and_from_another_rank(self):
        for size in (0, 1, 1000, 65535, 65536, 65537, 262144, 262145, 1048576, 5_000_001):
            data = random.randbytes(size)
            for rank in (0, 1):
                path = f"/bucket/r{rank}/size-{size}"
                put = self.call("PUT", path, data)
                self.assertEqual(put.status, 200)
                self.assertRegex(put.headers["ETag"], r'^"x3-[0-9a-f]{32}"$')
                for _ in range(2):  # the first read since open goes another way than the next ones
                    got = self.call("GET", path)
                    self.assertEqual((got.status, got.body), (200, data))
                    self.assertEqual(got.headers["ETag"], put.headers["ETag"])
                head = self.call("HEAD", path)
                self.assertEqual((head.status, int(head.headers["Content-Length"]), head.body), (200, size, b""))

    def test_chunked_upload(self):
        data = random.randbytes(700_000)
        for rank in (0, 1):
            path = f"/bucket/r{rank}/chunked"
            pieces = (data[i : i + 9999] for i in range(0, len(data), 9999))
            connection = http.client.HTTPConnection(*self.server.address(), timeout=60)
            connection.request("PUT", path, body=pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
            self.assertEqual(connection.getresponse().read(), b"")
            connection.request("GET", path)  # the connection goes on
            self.assertEqual(connection.getresponse().read(), data)
            connection.close()

    def test_keys_of_all_kinds(self):
        for key in ("plain", "a b+c", "ä/ö", "a//b/", "%", "q?x=1&y", "a", "a/b", "..", "x/../y", "<&>\"'", "k" * 1024, "🐟"):
            path = "/bucket/" + urllib.parse.quote(key, safe="")
            self.assertEqual(self.call("PUT", path, key.encode()).status, 200, key)
            self.assertEqual(self.call("GET", path).body, key.encode())
            self.assertIn(key, keys_of(listing(self.server, "&prefix=" + urllib.parse.quote(key))))
            self.assertEqual(self.call("DELETE", path).status, 204)
            self.assertEqual(self.call("GET", path).status, 404)

    def test_keys_that_cannot_be(self):
        for path, code in (("/bucket/" + "k" * 1025, "KeyTooLongError"), ("/bucket/a%00b", "InvalidURI"), ("/bucket/%ff", "InvalidURI"), ("/bucket/%c0%af", "InvalidURI"), ("/bucket/%zz", "InvalidURI"), ("/Bad_Bucket/k", "InvalidBucketName"), ("/a/k", "InvalidBucketName"), ("//k", "InvalidBucketName")):
            response = self.call("GET", path)
            self.assertEqual((response.status, error_code(response)), (400, code), path)

    def test_metadata_comes_back(self):
        headers = {"Content-Type": "image/png", "x-amz-meta-Class": "cat", "Cache-Control": "max-age=60", "Content-Encoding": "gzip", "Content-Disposition": 'attachment; filename="x"'}
        for rank in (0, 1):
            self.assertEqual(self.call("PUT", f"/bucket/r{rank}/meta", b"x", headers).status, 200)
            for method in ("GET", "HEAD"):
                response = self.call(method, f"/bucket/r{rank}/meta")
                for name, value in headers.items():
                    self.assertEqual(response.headers[name], value)
                self.assertRegex(response.headers["Last-Modified"], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")

    def test_errors_are_s3_xml(self):
        missing = self.call("GET", "/bucket/r0/missing")
        self.assertEqual((missing.status, error_code(missing)), (404, "NoSuchKey"))
        self.assertEqual(missing.headers["Content-Type"], "application/xml")
        root = ElementTree.fromstring(missing.body)
        self.assertEqual(root.findtext("Resource"), "/bucket/r0/missing")
        self.assertEqual(root.findtext("RequestId"), missing.headers["x-amz-request-id"])
        self.assertEqual(error_code(self.call("GET", "/bucket/r1/missing")), "NoSuchKey")
        for method in ("GET", "PUT"):
            for rank in (0, 1):
                response = self.call(method, f"/no-such-bucket/r{rank}/k", b"x" if method == "PUT" else None)
                self.assertEqual((response.status, error_code(response)), (404, "NoSuchBucket"))
        head = self.call("HEAD", "/bucket/r0/missing")
        self.assertEqual((head.status, head.body), (404, b""))
        self.assertEqual(self.call("DELETE", "/bucket/r0/missing").status, 204)
        self.assertEqual(self.call("DELETE", "/no-such-bucket/r0/missing").status, 404)

    def test_sub_resources_are_never_answered_wrongly(self):
        self.call("PUT", "/bucket/r0/sub", b"x")
        for query in ("acl", "tagging", "uploads", "uploadId=1&partNumber=1", "versionId=1", "response-content-type=a", "X-Amz-Signature=1"):
            for method in ("GET", "PUT", "DELETE"):
                response = self.call(method, f"/bucket/r0/sub?{query}", b"y" if method == "PUT" else None)
                self.assertEqual((response.status, error_code(response)), (501, "NotImplemented"), (method, query))
        self.assertEqual(self.call("GET", "/bucket/r0/sub?x-id=GetObject").body, b"x")
        for query in ("acl", "policy", "location", "versioning", "uploads", "list-type=2&versions"):
            self.assertEqual(self.call("GET", f"/bucket?{query}").status, 501, query)
        for query in ("acl", "policy", "versioning"):
            self.assertEqual(self.call("PUT", f"/bucket?{query}").status, 501)
            self.assertEqual(self.call("DELETE", f"/bucket?{query}").status, 501)
        self.assertEqual(self.call("POST", "/bucket?delete", b"").status, 501)

    def test_digests_are_checked_before_anything_is_stored(self):
        data = random.randbytes(100_000)
        good = hashlib.sha256(data).hexdigest()
        for rank in (0, 1):
            path = f"/bucket/r{rank}/digest"
            self.assertEqual(self.call("PUT", path, data, {"x-amz-content-sha256": good}).status, 200)
            wrong = self.call("PUT", path, data[::-1], {"x-amz-content-sha256": good})
            self.assertEqual((wrong.status, error_code(wrong)), (400, "XAmzContentSHA256Mismatch"))
            wrong = self.call("PUT", path, b"small", {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
            self.assertEqual((wrong.status, error_code(wrong)), (400, "BadDigest"))
            self.assertEqual(self.call("GET", path).body, data)

    def test_overwrite_while_reading_keeps_the_old_bytes(self):
        old, new = random.randbytes(20_000_000), random.randbytes(1_000_000)
        self.call("PUT", "/bucket/r0/over", old)
        with socket.create_connection(self.server.address(), timeout=60) as connection:
            connection.sendall(b"GET /bucket/r0/over HTTP/1.1\r\nHost: h\r\n\r\n")
            stream = connection.makefile("rb")
            self.assertIn(b"200", stream.readline())
            while stream.readline().strip():
                pass
            first = stream.read(10)
            self.assertEqual(self.call("PUT", "/bucket/r0/over", new).status, 200)
            self.assertEqual(self.call("GET", "/bucket/r0/over").body, new)
            self.assertEqual(first + stream.read(len(old) - 10), old)


class Ranges(WithServer):
    def test_ranges_of_small_and_large_objects(self):
        for size in (1000, 3_000_000):
            data = random.randbytes(size)
            for rank in (0, 1):
                path = f"/bucket/r{rank}/range-{size}"
                self.call("PUT", path, data)
                for spec, first, last in (("0-0", 0, 0), ("10-99", 10, 99), ("500-", 500, size - 1), ("-7", size - 7, size - 1), (f"0-{size * 2}", 0, size - 1), ("-99999999", 0, size - 1), (f"{size - 1}-", size - 1, size - 1)):
                    got = self.call("GET", path, headers={"Range": f"bytes={spec}"})
                    self.assertEqual((got.status, got.headers["Content-Range"]), (206, f"bytes {first}-{last}/{size}"), spec)
                    self.assertEqual(got.body, data[first : last + 1])
                got = self.call("GET", path, headers={"Range": f"bytes={size}-"})
                self.assertEqual((got.status, got.headers["Content-Range"], error_code(got)), (416, f"bytes */{size}", "InvalidRange"))
                for spec in ("bytes=0-1,5-6", "bytes=5-4", "lines=1-2"):
                    self.assertEqual(self.call("GET", path, headers={"Range": spec}).body, data)
                head = self.call("HEAD", path, headers={"Range": "bytes=0-9"})
                self.assertEqual((head.status, head.headers["Content-Length"]), (206, "10"))

    def test_conditions(self):
        self.call("PUT", "/bucket/r0/cond", b"abc")
        head = self.call("HEAD", "/bucket/r0/cond")
        tag, modified = head.headers["ETag"], head.headers["Last-Modified"]
        for method in ("GET", "HEAD"):
            for headers, status in (({"If-None-Match": tag}, 304), ({"If-None-Match": '"x"'}, 200), ({"If-Match": tag}, 200), ({"If-Match": '"x"'}, 412), ({"If-Modified-Since": modified}, 304), ({"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412), ({"Range": "bytes=0-0", "If-Range": '"x"'}, 200), ({"Range": "bytes=0-0", "If-Range": tag}, 206)):
                self.assertEqual(self.call(method, "/bucket/r0/cond", headers=headers).status, status, headers)
        self.assertEqual(self.call("PUT", "/bucket/r0/cond", b"new", {"If-None-Match": "*"}).status, 501)
        self.assertEqual(self.call("GET", "/bucket/r0/cond").body, b"abc")


class Buckets(WithServer):
    def test_a_buckets_life(self):
        self.assertEqual(self.call("HEAD", "/mine").status, 404)
        self.assertEqual(self.call("PUT", "/mine", rank=1).status, 200)
        self.assertEqual(self.call("PUT", "/mine/", b"<CreateBucketConfiguration/>").status, 409)
        self.assertEqual(self.call("HEAD", "/mine").status, 200)
        root = ElementTree.fromstring(self.call("GET", "/").body)
        self.assertIn("mine", [element.text for element in root.iter(S3 + "Name")])
        self.call("PUT", "/mine/key", b"x")
        response = self.call("DELETE", "/mine")
        self.assertEqual((response.status, error_code(response)), (409, "BucketNotEmpty"))
        self.assertEqual(self.call("DELETE", "/mine/key").status, 204)
        self.assertEqual(self.call("DELETE", "/mine").status, 204)
        self.assertEqual(self.call("HEAD", "/mine").status, 404)
        self.assertEqual(error_code(self.call("DELETE", "/mine")), "NoSuchBucket")
        self.assertEqual(error_code(self.call("GET", "/mine?list-type=2")), "NoSuchBucket")

    def test_five_thousand_keys_in_pages(self):
        self.assertEqual(self.call("PUT", "/many").status, 200)
        names = sorted(f"d{i % 7}/k{i:05}" for i in range(5000))
        connection = http.client.HTTPConnection(*self.server.address(), timeout=60)
        for name in names:
            connection.request("PUT", f"/many/{name}", body=b"x", headers={"User-Agent": "unknown"})
            self.assertEqual(connection.getresponse().read(), b"")
        connection.close()
        found, query, pages = [], "", 0
        while True:
            root = listing(self.server, query, "many", rank=pages % 2)
            found += keys_of(root)
            pages += 1
            self.assertEqual(root.findtext(S3 + "MaxKeys"), "1000")
            if root.findtext(S3 + "IsTruncated") == "false":
                break
            query = "&continuation-token=" + urllib.parse.quote(root.findtext(S3 + "NextContinuationToken"))
        self.assertEqual((found, pages), (names, 5))
        root = listing(self.server, "&delimiter=/&max-keys=3", "many")
        prefixes = [element.findtext(S3 + "Prefix") for element in root.iter(S3 + "CommonPrefixes")]
        self.assertEqual((prefixes, keys_of(root), root.findtext(S3 + "IsTruncated")), (["d0/", "d1/", "d2/"], [], "true"))
        root = listing(self.server, "&delimiter=/&continuation-token=" + root.findtext(S3 + "NextContinuationToken"), "many")
        prefixes = [element.findtext(S3 + "Prefix") for element in root.iter(S3 + "CommonPrefixes")]
        self.assertEqual(prefixes, ["d3/", "d4/", "d5/", "d6/"])
        root = listing(self.server, "&prefix=d3/&start-after=d3/k04990", "many")
        self.assertEqual(keys_of(root), [name for name in names if name.startswith("d3/") and name > "d3/k04990"])
        self.assertEqual(keys_of(listing(self.server, "&max-keys=0", "many")), [])

    def test_listing_parameters_that_cannot_be(self):
        for query in ("&max-keys=-1", "&max-keys=x", "&continuation-token=zz", "&encoding-type=x"):
            self.assertEqual(self.call("GET", f"/bucket?list-type=2{query}").status, 400, query)
        self.assertEqual(self.call("GET", "/bucket?list-type=3").status, 400)
        self.assertEqual(self.call("GET", "/bucket").status, 501)


class Tokens(WithServer):
    OPTIONS = ("--token", TOKEN)
    GOOD = {"Authorization": f"Bearer {TOKEN}"}

    def test_nothing_without_the_token(self):
        for path in ("/", "/bucket", "/bucket/k", "/v1/sort?id=1", "/-/map", "/-/metrics", "/-/"):
            missing = self.call("GET", path)
            self.assertEqual(missing.status, 401)
            self.assertTrue(missing.headers["WWW-Authenticate"].startswith("Bearer"))
            self.assertIn(b"endpoint.json", missing.body)
            for value in ("Bearer wrong", "Bearer", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "AWS4-HMAC-SHA256 Credential=x"):
                self.assertEqual(self.call("GET", path, headers={"Authorization": value}).status, 403, value)
        self.assertEqual(error_code(self.call("GET", "/bucket/k")), "AccessDenied")
        self.assertEqual(self.call("PUT", "/bucket/r0/k", b"x").status, 401)
        self.assertEqual(self.call("GET", "/bucket/r0/k", headers=self.GOOD).status, 404)
        self.assertEqual(self.call("GET", "/bucket/r0/k", headers={"Authorization": f"bearer {TOKEN}"}).status, 404)

    def test_health_and_ready_need_none(self):
        self.assertEqual(self.call("GET", "/-/health").status, 200)
        self.assertEqual(self.call("GET", "/-/ready").status, 200)

    def test_curl_follows_a_redirect_without_the_token(self):
        data = random.randbytes(3_000_000)
        path = self.file(data)
        url = self.server.urls[0] + "/bucket/r1/ünd%20so"
        code, _ = curl("-fL", "-T", path, "-H", f"Authorization: Bearer {TOKEN}", url)
        self.assertEqual(code, 0)
        code, body = curl("-fL", "-H", f"Authorization: Bearer {TOKEN}", url)
        self.assertEqual((code, body == data), (0, True))

    def test_a_grant_is_for_one_name_and_verb(self):
        self.call("PUT", "/bucket/r1/one", b"one", self.GOOD)
        self.call("PUT", "/bucket/r1/two", b"two", self.GOOD)
        moved = self.call("GET", "/bucket/r1/one", headers=self.GOOD, agent="curl/8")
        self.assertEqual(moved.status, 307)
        location = urllib.parse.urlsplit(moved.headers["Location"])
        self.assertEqual(f"http://{location.netloc}", self.server.urls[1])
        self.assertEqual(self.call("GET", f"{location.path}?{location.query}", rank=1).body, b"one")
        stale = {"Authorization": "Bearer of something else"}
        self.assertEqual(self.call("GET", f"{location.path}?{location.query}", headers=stale, rank=1).body, b"one")
        self.assertEqual(self.call("GET", f"/bucket/r1/two?{location.query}", rank=1).status, 403)
        self.assertEqual(self.call("DELETE", f"{location.path}?{location.query}", rank=1).status, 403)
        tampered = re.sub(r"expires=\d+", "expires=9999999999", location.query)
        self.assertEqual(self.call("GET", f"{location.path}?{tampered}", rank=1).status, 403)
        self.assertEqual(error_code(self.call("GET", f"{location.path}?{tampered}", rank=1)), "SignatureDoesNotMatch")


class Redirects(WithServer):
    def test_clients_that_follow_are_redirected_others_proxied(self):
        self.call("PUT", "/bucket/r1/k", b"data")
        self.assertEqual(self.call("GET", "/bucket/r1/k", agent="curl/8").status, 307)
        self.assertEqual(self.call("GET", "/bucket/r1/k", agent="Boto3/1.26 Botocore/1.29").body, b"data")
        self.assertEqual(self.call("HEAD", "/bucket/r1/k", agent="curl/8").headers["Content-Length"], "4")
        self.assertEqual(self.call("GET", "/bucket/r0/k", agent="curl/8").status, 404)
        metrics = self.call("GET", "/-/metrics").body.decode()
        self.assertRegex(metrics, r"\ntarn_http_redirects_total [1-9]")
        self.assertRegex(metrics, r"\ntarn_http_proxied_total [1-9]")
        self.assertRegex(metrics, r'\ntarn_http_requests_total\{operation="get_object",status="307"\} [1-9]')
        self.assertRegex(metrics, r"\nprocess_resident_memory_bytes [1-9]")
        self.assertRegex(metrics, r'\ntarn_http_request_seconds_count\{operation="put_object"\} [1-9]')

    def test_keys_that_urls_lose_are_proxied(self):
        self.call("PUT", "/bucket/r1/%2E%2E/x", b"dots")
        self.assertEqual(self.call("GET", "/bucket/r1/%2E%2E/x", agent="curl/8").body, b"dots")

    def test_a_put_is_redirected_before_its_body(self):
        request = b"PUT /bucket/r1/big HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/8\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
        answer = raw(self.server, request)
        self.assertTrue(answer.startswith(b"HTTP/1.1 307"), answer)
        self.assertIn(b"Connection: close", answer)

    def test_unknown_clients_put_through_any_rank(self):
        data = random.randbytes(2_000_000)
        for rank in (0, 1):
            self.assertEqual(self.call("PUT", "/bucket/r1/any", data, rank=rank).status, 200)
            self.assertEqual(self.call("GET", "/bucket/r1/any", rank=1 - rank).body, data)


class AlwaysRedirect(WithServer):
    OPTIONS = ("--redirect", "always", "--same-node")

    def test_everybody_but_head_and_delete(self):
        self.call("PUT", "/bucket/r1/k", b"x", rank=1)
        self.assertEqual(self.call("GET", "/bucket/r1/k").status, 307)
        self.assertEqual(self.call("PUT", "/bucket/r1/k", b"x").status, 307)
        self.assertEqual(self.call("HEAD", "/bucket/r1/k").status, 200)
        self.assertEqual(self.call("DELETE", "/bucket/r1/k").status, 204)


class NeverRedirect(WithServer):
    OPTIONS = ("--redirect", "never")

    def test_nobody(self):
        self.call("PUT", "/bucket/r1/k", b"x", agent="tarn/1")
        self.assertEqual(self.call("GET", "/bucket/r1/k", agent="tarn/1").body, b"x")


class Neighbours(WithServer):
    OPTIONS = ("--same-node",)

    def test_a_neighbours_object_is_served_from_its_files(self):
        data = random.randbytes(3_000_000)
        self.assertEqual(self.call("PUT", "/bucket/r1/k", data, agent="curl/8").status, 200)
        for _ in range(2):
            self.assertEqual(self.call("GET", "/bucket/r1/k", agent="curl/8").body, data)
        self.assertEqual(self.call("GET", "/bucket/r1/k", agent="curl/8", headers={"Range": "bytes=100-200"}).body, data[100:201])
        self.assertNotRegex(self.call("GET", "/-/metrics").body.decode(), r"\ntarn_http_redirects_total [1-9]")


class Loops(WithServer):
    OPTIONS = ("--disagree",)

    def test_ranks_that_disagree_do_not_send_clients_in_circles(self):
        code, body = curl("-L", "--max-redirs", "5", self.server.urls[0] + "/bucket/r1/k")
        self.assertEqual(code, 0)
        self.assertEqual(ElementTree.fromstring(body).findtext("Code"), "ServiceUnavailable")
        code, body = curl("-s", "-L", "-o", "/dev/null", "-w", "%{http_code} %{num_redirects}", self.server.urls[0] + "/bucket/r1/k")
        self.assertEqual(body, b"503 1")


class NotReady(unittest.TestCase):
    def test_before_all_ranks_serve_only_operations_answer(self):
        server = Server(1, "--not-ready")
        self.addCleanup(server.close)
        response = call(server, "GET", "/bucket/k")
        self.assertEqual((response.status, response.headers["Retry-After"]), (503, "1"))
        self.assertEqual(call(server, "GET", "/-/ready").status, 503)
        self.assertEqual(call(server, "GET", "/-/health").status, 200)


class Operations(WithServer):
    def test_map_health_contents(self):
        answer = json.loads(self.call("GET", "/-/map", rank=1).body)
        self.assertEqual(answer["rank"], 1)
        self.assertEqual([rank["url"] for rank in answer["ranks"]], self.server.urls)
        self.assertEqual(json.loads(self.call("GET", "/-/health").body)["status"], "ok")
        self.assertIn("/-/metrics", json.loads(self.call("GET", "/-/").body)["paths"])
        missing = self.call("GET", "/-/nothing")
        self.assertEqual((missing.status, json.loads(missing.body)["status"]), (404, 404))
        self.assertEqual(self.call("POST", "/-/health", b"x").status, 405)

    def test_sort(self):
        started = self.call("POST", "/v1/sort", b'{"test_id": "srt-test"}')
        self.assertEqual((started.status, started.body), (200, b"srt-test"))
        for name in ("id", "uuid"):
            self.assertEqual(json.loads(self.call("GET", f"/v1/sort?{name}=srt-test").body)["state"], "running")
        self.assertEqual(self.call("DELETE", "/v1/sort/abort?id=srt-test").status, 200)
        gone = self.call("GET", "/v1/sort?id=srt-test")
        answer = json.loads(gone.body)
        self.assertEqual((gone.status, answer["status"], answer["method"], answer["url_path"]), (404, 404, "GET", "/v1/sort"))
        self.assertEqual(self.call("POST", "/v1/sort", b"{").status, 400)
        self.assertEqual(self.call("POST", "/v1/sort", b"{}").status, 400)
        self.assertEqual(self.call("POST", "/v1/sort", b" " * 2_000_000).status, 400)
        self.assertEqual(self.call("GET", "/v1/sort").status, 400)
        self.assertEqual(self.call("GET", "/v1/buckets").status, 501)


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
    SERVER = sys.argv.pop(1)
    unittest.main(verbosity=1)
