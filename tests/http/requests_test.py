"""requests_test.py - a sidecar's answers: objects, ranges, buckets, tokens, redirects, operations, by curl and http.client.

    requests_test.py PATH_OF_sidecar_server [-k NAME]
"""

import hashlib
import http.client
import json
import os
import random
import re
import socket
import sys
import unittest
import urllib.parse
import xml.etree.ElementTree as ElementTree

import sidecar_support
from sidecar_support import S3, TOKEN, Server, call, raw, error_code, curl, listing, keys_of, WithServer


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

    def test_errors_are_well_formed_whatever_the_request_holds(self):
        for rank in (0, 1):
            for encoded, shown in (("%01%1f%0b", "\ufffd\ufffd\ufffd"), ("%ef%bf%bf", "\ufffd"), ("%09%3c%26%c3%a4", "\t<&\u00e4"), ("%1b%5b31m", "\ufffd[31m")):
                missing = self.call("GET", f"/bucket/r{rank}/{encoded}")
                self.assertEqual(missing.status, 404)
                root = ElementTree.fromstring(missing.body)
                self.assertEqual(root.findtext("Resource"), f"/bucket/r{rank}/{encoded}")
                self.assertIn(shown, root.findtext("Message"))
        for target in (b"/bucket/%ff", b"/bucket/\xff\xfe", b"/bu%01cket/k", b"/bucket?list-type=2&prefix=%ff", b"/bucket/k?%01=1", b"/-/no%01%ff", b"/v1/no%ff", b"/v1/sort?id=%ff", b"/v1/\xff"):
            answer = raw(self.server, b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            head, _, body = answer.partition(b"\r\n\r\n")
            self.assertRegex(head, rb"^HTTP/1.1 (4\d\d|501) ")
            if b"application/json" in head:
                json.loads(body.decode("utf-8"))
            else:
                ElementTree.fromstring(body)
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

    def test_a_removal_without_a_condition_does_not_fail_by_one(self):
        refused = self.call("DELETE", "/bucket/while-closing")
        self.assertEqual((refused.status, error_code(refused)), (409, "OperationAborted"))

    def test_a_removal_on_condition(self):
        for rank in (0, 1):
            path = f"/bucket/r{rank}/removed"
            first = self.call("PUT", path, b"first").headers["ETag"]
            second = self.call("PUT", path, b"second").headers["ETag"]
            for headers in ({"If-Match": first}, {"If-Match": '"x"'}, {"If-None-Match": second}, {"If-None-Match": "*"}, {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}):
                refused = self.call("DELETE", path, headers=headers)
                self.assertEqual((refused.status, error_code(refused)), (412, "PreconditionFailed"), headers)
                self.assertEqual(self.call("GET", path).body, b"second")
            for headers in ({"If-Match": f"{first}, {second}"}, {"If-Match": "*"}, {"If-None-Match": first}, {"If-Unmodified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}):
                self.assertEqual(self.call("PUT", path, b"second").status, 200)
                self.assertEqual(self.call("DELETE", path, headers=headers).status, 204, headers)
                self.assertEqual(self.call("GET", path).status, 404)
            for headers, status in (({"If-Match": "*"}, 412), ({"If-Match": first}, 412), ({"If-None-Match": "*"}, 204), ({}, 204)):
                self.assertEqual(self.call("DELETE", path, headers=headers).status, status)
            self.assertEqual(error_code(self.call("DELETE", "/nobucket/k", headers={"If-Match": "*"})), "NoSuchBucket")


class Buckets(WithServer):
    def test_a_buckets_durability(self):
        refused = self.call("PUT", "/durable", headers={"x-tarn-durability": "often"})
        self.assertEqual(refused.status, 400)
        self.assertIn(b"none or sync", refused.body)
        self.assertEqual(self.call("PUT", "/durable", headers={"x-tarn-durability": "sync"}).status, 200)
        self.assertIn(b"<Name>durable</Name>", self.call("GET", "/").body)
        self.assertEqual(self.call("GET", "/").body.count(b"<Durability>sync</Durability>"), 1)
        self.assertEqual(self.call("PUT", "/durable/r0/key", b"x").status, 200)
        self.assertEqual(self.call("DELETE", "/durable/r0/key").status, 204)
        self.assertEqual(self.call("DELETE", "/durable").status, 204)

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


class Damaged(unittest.TestCase):
    """A byte of a large object flipped on disk: what is sent is right, or nothing is."""

    DATA = random.randbytes(3_000_000)
    BAD = 1_000_000  # in the block of bytes 983,040 to 1,048,575

    def serve(self, policy, read_first=False):
        server = Server(2, "--same-node", "--verify-sendfile", policy)
        self.addCleanup(server.close)
        self.assertEqual(call(server, "PUT", "/bucket").status, 200)
        self.assertEqual(call(server, "PUT", "/bucket/r0/k", self.DATA).status, 200)
        if read_first:
            self.assertEqual(call(server, "GET", "/bucket/r0/k").body, self.DATA)
        volumes = os.path.join(server.directory, "0", "volumes")
        path = max((os.path.join(volumes, name) for name in os.listdir(volumes)), key=os.path.getsize)
        with open(path, "r+b") as volume:
            volume.seek(4096 + self.BAD)
            volume.write(bytes([self.DATA[self.BAD] ^ 1]))
        return server

    def check_refused(self, server, rank):
        for field in ("bytes=1000000-1000000", "bytes=983040-2000000", "bytes=1048575-1500000"):
            response = call(server, "GET", "/bucket/r0/k", headers={"Range": field}, rank=rank, agent="curl/8")
            self.assertEqual(response.status, 500)
            self.assertIn(b"bucket/r0/k", response.body)
        for first, last in ((0, 983039), (1048576, 2999999), (2000000, 2000010)):
            response = call(server, "GET", "/bucket/r0/k", headers={"Range": f"bytes={first}-{last}"}, rank=rank, agent="curl/8")
            self.assertEqual((response.status, response.body), (206, self.DATA[first : last + 1]))
        with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)) as broken:
            call(server, "GET", "/bucket/r0/k", rank=rank, agent="curl/8")
        if isinstance(broken.exception, http.client.IncompleteRead):
            self.assertTrue(self.DATA.startswith(broken.exception.partial))

    def test_before_the_first_whole_read_everything_is_verified(self):
        server = self.serve("first")
        for rank in (0, 1):
            self.check_refused(server, rank)

    def test_always_is_always(self):
        server = self.serve("always", read_first=True)
        for rank in (0, 1):
            self.check_refused(server, rank)

    def test_never_and_what_has_been_verified_goes_as_it_is(self):
        for server in (self.serve("never"), self.serve("first", read_first=True)):
            response = call(server, "GET", "/bucket/r0/k", headers={"Range": "bytes=900000-1100000"})
            self.assertEqual(response.status, 206)
            self.assertEqual(len(response.body), 200001)
            small = call(server, "GET", "/bucket/r0/k", headers={"Range": "bytes=1000000-1000000"})
            self.assertEqual(small.status, 500)  # up to 64 KiB is read, not sent by the kernel


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


if __name__ == "__main__":
    sidecar_support.SERVER = sys.argv.pop(1)
    unittest.main(verbosity=1)
