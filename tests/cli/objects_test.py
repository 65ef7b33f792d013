#!/usr/bin/env python3
"""objects_test.py - put, get, cat, ls, rm, mb, rb, status against a running store."""

import filecmp
import http.server
import json
import os
import random
import shutil
import stat
import subprocess
import threading
import unittest

import tarn_store
from tarn_store import BUSY, DENIED, EXISTS, INVALID, NO_SPACE, NOT_FOUND, OK, RANK_LOST, RANKS, StoreTest, TemporaryTest, run


def make_tree(root, files=200, seed=7):
    """Files of many sizes with ordinary and awkward names. Returns their paths below root."""
    rng = random.Random(seed)
    names = [f"class-{i % 10}/img {i}.png" for i in range(files)]
    names += ["ünï/çødé.txt", "a+b&c=d%20.bin", "deep/er/and/deeper/x", "empty", "#hash?question", "semi;colon", "quote'\"", "100%"]
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(0 if name == "empty" else rng.randrange(1, 40000)))
    (root / "large.bin").write_bytes(rng.randbytes(9 << 20))
    return sorted(names + ["large.bin"])


def files_below(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


class Trees(StoreTest):
    def test_a_tree_goes_in_and_comes_out_byte_for_byte(self):
        tree, back = self.temp / "in", self.temp / "out"
        names = make_tree(tree)
        summary = self.store.ok("put", "-r", tree, "tarn://trees/").decode()
        self.assertIn(f"put {len(names)} objects", summary)
        self.assertEqual(self.store.keys("tarn://trees/"), sorted(names, key=lambda n: n.encode()))
        self.store.ok("get", "-r", "tarn://trees/", back)
        self.assertEqual(files_below(back), names)
        self.assertEqual(filecmp.cmpfiles(tree, back, names, shallow=False), (names, [], []))

    def test_keys_are_below_the_prefix(self):
        (self.temp / "d" / "sub").mkdir(parents=True)
        (self.temp / "d" / "sub" / "f").write_bytes(b"1")
        self.store.ok("put", "-r", self.temp / "d", "tarn://prefixed/runs/7")
        self.store.ok("put", "-r", str(self.temp / "d") + "/", "tarn://prefixed/runs/8/")
        self.assertEqual(self.store.keys("tarn://prefixed/"), ["runs/7/sub/f", "runs/8/sub/f"])
        self.store.ok("get", "-r", "tarn://prefixed/runs/8", self.temp / "back")
        self.assertEqual(files_below(self.temp / "back"), ["8/sub/f"])

    def test_links_to_files_are_followed_and_other_kinds_are_counted(self):
        tree = self.temp / "in"
        (tree / "dir").mkdir(parents=True)
        (tree / "file").write_bytes(b"content")
        (tree / "link").symlink_to("file")
        (tree / "to-directory").symlink_to("dir")
        (tree / "dangling").symlink_to("nothing")
        os.mkfifo(tree / "fifo")
        summary = self.store.ok("put", "-r", tree, "tarn://kinds/").decode()
        self.assertIn("put 2 objects", summary)
        self.assertIn("skipped 3", summary)
        self.assertEqual(self.store.ok("cat", "tarn://kinds/link"), b"content")

    def test_a_name_that_cannot_be_a_key_stores_nothing(self):
        deep = self.temp / "in"
        for _ in range(5):
            deep = deep / ("d" * 250)
        deep.mkdir(parents=True)
        (deep / "file").write_bytes(b"1")
        (self.temp / "in" / "good").write_bytes(b"1")
        self.store.ok("mb", "tarn://toolong/")
        self.check_fails(self.store.run("put", "-r", self.temp / "in", "tarn://toolong/"), INVALID, "1024", "nothing was stored")
        self.assertEqual(self.store.keys("tarn://toolong/"), [])
        name = os.fsencode(self.temp / "in") + b"/not-utf8-\xff"
        shutil.rmtree(self.temp / "in" / ("d" * 250))
        with open(name, "wb") as file:
            file.write(b"1")
        self.check_fails(self.store.run("put", "-r", self.temp / "in", "tarn://toolong/"), INVALID, "UTF-8")

    def test_a_missing_or_wrong_source(self):
        (self.temp / "file").write_bytes(b"1")
        self.check_fails(self.store.run("put", "-r", self.temp / "missing", "tarn://trees/"), NOT_FOUND, "missing")
        self.check_fails(self.store.run("put", "-r", self.temp / "file", "tarn://trees/"), INVALID, "not a directory")
        self.check_fails(self.store.run("put", self.temp / "missing", "tarn://trees/"), NOT_FOUND, "missing")
        self.check_fails(self.store.run("put", self.temp, "tarn://trees/"), INVALID, "-r")

    def test_keys_that_would_leave_the_directory_are_not_fetched(self):
        self.store.ok("mb", "tarn://hostile/")
        for key in ["good", "../escape", "a//b", "/rooted", "dir/x/.."]:
            self.store.ok("put", "-", f"tarn://hostile/{key}", input=b"1")
        done = self.store.run("get", "-r", "tarn://hostile/", self.temp / "out")
        self.check_fails(done, INVALID, "4 keys")
        self.assertEqual(files_below(self.temp), ["out/good"])

    def test_many_keys_come_in_pages(self):
        tree = self.temp / "many"
        tree.mkdir()
        for i in range(2100):
            (tree / f"{i:05}").write_bytes(b"")
        self.store.ok("put", "-r", tree, "tarn://many/", "--jobs", 16)
        self.assertEqual(self.store.ok("ls", "tarn://many/").decode().split(), [f"{i:05}" for i in range(2100)])
        self.assertIn("removed 2100", self.store.ok("rm", "-r", "tarn://many/").decode())
        self.assertEqual(self.store.keys("tarn://many/"), [])


class SingleObjects(StoreTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.store.ok("mb", "tarn://raw/")
        cls.content = random.Random(3).randbytes(3_000_000)
        cls.file = cls.work / "picture.png"
        cls.file.write_bytes(cls.content)

    def test_put_names_the_key_or_a_directory(self):
        self.store.ok("put", self.file, "tarn://raw/")
        self.store.ok("put", self.file, "tarn://raw/dir/")
        self.store.ok("put", self.file, "tarn://raw/exact")
        for key in ["picture.png", "dir/picture.png", "exact"]:
            self.assertEqual(self.store.ok("cat", f"tarn://raw/{key}"), self.content)

    def test_get_names_the_file(self):
        self.store.ok("put", self.file, "tarn://raw/named/picture.png")
        url = "tarn://raw/named/picture.png"
        self.store.ok("get", url, self.temp / "out.png")
        self.store.ok("get", url, self.temp)
        (self.temp / "here").mkdir()
        self.store.ok("get", url, cwd=self.temp / "here")
        for name in ["out.png", "picture.png", "here/picture.png"]:
            self.assertEqual((self.temp / name).read_bytes(), self.content)
        self.assertEqual(self.store.ok("get", url, "-"), self.content)
        self.assertEqual(sorted(os.listdir(self.temp)), ["here", "out.png", "picture.png"])  # no temporary file stays

    def test_standard_input_of_unknown_length(self):
        for size in [0, 1, 100_000, 20 << 20]:
            body = random.Random(size).randbytes(size)
            self.store.ok("put", "-", "tarn://raw/stream", input=body)
            self.assertEqual(self.store.ok("cat", "tarn://raw/stream"), body)

    def test_an_overwrite_replaces(self):
        for body in [b"old", self.content, b"new"]:
            self.store.ok("put", "-", "tarn://raw/over", input=body)
            self.assertEqual(self.store.ok("cat", "tarn://raw/over"), body)

    def test_cat_joins_and_cuts(self):
        self.store.ok("put", "-", "tarn://raw/c1", input=b"0123456789")
        self.store.ok("put", "-", "tarn://raw/c2", input=b"abcdef")
        self.assertEqual(self.store.ok("cat", "tarn://raw/c1", "tarn://raw/c2"), b"0123456789abcdef")
        self.assertEqual(self.store.ok("cat", "--offset", 2, "--length", 3, "tarn://raw/c1", "tarn://raw/c2"), b"234cde")
        self.assertEqual(self.store.ok("cat", "--offset", 4, "tarn://raw/c2"), b"ef")
        self.check_fails(self.store.run("cat", "--offset", 100, "tarn://raw/c1"), INVALID, "c1")

    def test_cat_into_a_closed_pipe_ends(self):
        self.store.ok("put", self.file, "tarn://raw/piped")
        env = tarn_store.environment()
        env["TARN_ENDPOINT_FILE"] = str(self.store.endpoint)
        done = subprocess.run(f"{tarn_store.TARN} cat tarn://raw/piped | head -c 5", shell=True, env=env, capture_output=True, timeout=30)
        self.assertEqual(done.stdout, self.content[:5])

    def test_content_types_and_metadata_for_curl(self):
        self.store.ok("put", self.file, "tarn://raw/typed.png")
        self.store.ok("put", "--content-type", "x/y", self.file, "tarn://raw/typed.json")
        endpoint = json.loads(self.store.endpoint.read_text())
        for key, expected in [("typed.png", "image/png"), ("typed.json", "x/y")]:
            head = subprocess.run(
                ["curl", "-sSI", "-H", f"Authorization: Bearer {endpoint['token']}", f"{endpoint['endpoints'][0]}/raw/{key}"],
                capture_output=True, timeout=30, check=True)  # fmt: skip
            self.assertIn(f"content-type: {expected}", head.stdout.decode().lower())

    def test_what_is_not_there(self):
        missing = self.store.run("get", "tarn://raw/none", self.temp / "none")
        self.check_fails(missing, NOT_FOUND, "none")
        self.assertFalse((self.temp / "none").exists())
        self.check_fails(self.store.run("cat", "tarn://nowhere/none"), NOT_FOUND, "nowhere")
        self.check_fails(self.store.run("put", self.file, "tarn://nowhere/x"), NOT_FOUND, "nowhere")
        self.check_fails(self.store.run("ls", "tarn://nowhere/"), NOT_FOUND, "nowhere")
        self.check_fails(self.store.run("rm", "tarn://raw/none"), NOT_FOUND, "none")
        self.check_fails(self.store.run("rm", "-r", "tarn://raw/none/"), NOT_FOUND, "none/")
        self.check_fails(self.store.run("get", "-r", "tarn://raw/none/", self.temp), NOT_FOUND, "none/")
        self.check_fails(self.store.run("rb", "tarn://nowhere/"), NOT_FOUND, "nowhere")

    def test_names_against_the_rules(self):
        for url in ["tarn://a/x", "tarn://v1/x", "tarn://Upper/x", "tarn:///x", "raw/x", "http://raw/x", "tarn://raw", "tarn://raw/"]:
            self.check_fails(self.store.run("cat", url), INVALID)
        self.check_fails(self.store.run("put", self.file, "tarn://raw/" + "k" * 1025), INVALID, "1024")
        self.store.ok("put", self.file, "tarn://raw/" + "k" * 1024)
        self.assertEqual(self.store.ok("cat", "tarn://raw/" + "k" * 1024), self.content)
        self.store.ok("rm", "tarn://raw/" + "k" * 1024)

    def test_awkward_keys(self):
        for key in ["a//b", "./x", "../y", "..", " ", "%2F", "a\tb", "a\nb", "\x01", "<&>\"'", "😀"]:
            with self.subTest(key):
                self.store.ok("put", "-", f"tarn://raw/awkward/{key}", input=key.encode())
                self.assertEqual(self.store.ok("cat", f"tarn://raw/awkward/{key}"), key.encode())
                self.assertIn("awkward/" + key, self.store.keys("tarn://raw/awkward/"))

    def test_a_directory_without_permission_and_a_full_path(self):
        (self.temp / "file").write_bytes(b"1")
        self.store.ok("put", "-", "tarn://raw/perm", input=b"1")
        done = self.store.run("get", "tarn://raw/perm", self.temp / "missing" / "out")
        self.check_fails(done, NOT_FOUND, "missing")


class Listings(StoreTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.store.ok("mb", "tarn://lists/")
        cls.store.ok("mb", "tarn://other/")
        for key in ["a/1", "a/2", "b", "c/d/3"]:
            cls.store.ok("put", "-", f"tarn://lists/{key}", input=key.encode() * 10)

    def test_names_prefixes_and_levels(self):
        self.assertEqual(self.store.ok("ls", "tarn://lists/"), b"a/1\na/2\nb\nc/d/3\n")
        self.assertEqual(self.store.ok("ls", "tarn://lists/a"), b"a/1\na/2\n")
        self.assertEqual(self.store.ok("ls", "tarn://lists/zzz"), b"")
        self.assertEqual(sorted(self.store.ok("ls", "-d", "tarn://lists/").decode().split()), ["a/", "b", "c/"])
        self.assertEqual(self.store.ok("ls"), b"tarn://lists/\ntarn://other/\n")

    def test_sizes_times_and_checksums(self):
        line = self.store.ok("ls", "-l", "tarn://lists/b").decode()
        self.assertRegex(line, r"^ +10  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z +b\n$")
        entry = json.loads(self.store.ok("ls", "--json", "tarn://lists/c"))[0]
        self.assertEqual((entry["key"], entry["size"]), ("c/d/3", 50))
        self.assertRegex(entry["checksum"], "^[0-9a-f]{32}$")
        self.assertNotEqual(entry["checksum"], "0" * 32)
        self.assertEqual(json.loads(self.store.ok("ls", "--json", "tarn://other/")), [])
        self.assertEqual([b["bucket"] for b in json.loads(self.store.ok("ls", "--json"))], ["lists", "other"])

    def test_buckets(self):
        self.check_fails(self.store.run("mb", "tarn://lists/"), EXISTS, "lists")
        self.check_fails(self.store.run("mb", "tarn://lists/key"), INVALID, "bucket")
        self.check_fails(self.store.run("mb", "tarn://No/"), INVALID)
        self.check_fails(self.store.run("rb", "tarn://lists/"), BUSY, "lists")
        self.store.ok("mb", "--durability", "sync", "tarn://short-lived/")
        durability = {b["bucket"]: b["durability"] for b in json.loads(self.store.ok("ls", "--json"))}
        self.assertEqual((durability["lists"], durability["short-lived"]), ("none", "sync"))
        self.check_fails(self.store.run("mb", "--durability", "often", "tarn://other-one/"), INVALID, "often")
        self.store.ok("put", "-", "tarn://short-lived/x", input=b"x")
        self.store.ok("rm", "tarn://short-lived/x")
        self.store.ok("rb", "tarn://short-lived/")
        self.check_fails(self.store.run("ls", "tarn://short-lived/"), NOT_FOUND)

    def test_status(self):
        text = self.store.ok("status").decode()
        self.assertIn(f"{RANKS} rank", text)
        self.assertEqual(sum("http://127.0.0.1:" in line for line in text.splitlines()), RANKS)
        state = json.loads(self.store.ok("status", "--json"))
        self.assertTrue(state["healthy"])
        self.assertEqual(state["ranks"], RANKS)
        self.assertEqual(state["nodes"], RANKS)  # --node-id-from-rank
        self.assertEqual(len(state["map"]["disks"]), RANKS)
        self.assertEqual(state["objects"], 4)
        self.assertEqual(state["object_bytes"], 10 * len("a/1a/2bc/d/3"))
        self.assertEqual(sum(rank["objects"] for rank in state["per_rank"]), 4)

    def test_status_names_the_buckets_and_their_durability(self):
        self.store.ok("mb", "--durability", "sync", "tarn://kept-safe/")
        text = self.store.ok("status").decode()
        state = json.loads(self.store.ok("status", "--json"))
        listed = json.loads(self.store.ok("ls", "--json"))
        self.store.ok("rb", "tarn://kept-safe/")
        self.assertIn("bucket kept-safe, durability sync, 1 copy, placement hash\n", text)
        self.assertIn("bucket lists, durability none, 1 copy, placement hash\n", text)
        self.assertEqual(state["buckets"], listed)
        self.assertNotIn("kept-safe", self.store.ok("status").decode())


class Access(StoreTest):
    def endpoint_with(self, **changes):
        endpoint = json.loads(self.store.endpoint.read_text())
        endpoint.update(changes)
        path = self.temp / "endpoint.json"
        path.write_text(json.dumps(endpoint))
        return path

    def test_the_wrong_token(self):
        done = run("ls", endpoint=self.endpoint_with(token="0" * 64))
        self.check_fails(done, DENIED, "token", "endpoint.json")
        done = run("ls", endpoint=self.endpoint_with(token=""))
        self.check_fails(done, DENIED, "token")

    def test_nobody_is_there(self):
        with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
            port = server.server_port
        done = run("ls", endpoint=self.endpoint_with(endpoints=[f"http://127.0.0.1:{port}"]))
        self.check_fails(done, RANK_LOST, "still running", str(port))

    def test_somebody_else_is_there(self):
        class Stranger(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<html>hello</html>")

            def log_message(self, *args):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                path = self.endpoint_with(endpoints=[f"http://127.0.0.1:{server.server_port}"])
                self.check_fails(run("ls", endpoint=path), INVALID)
                self.check_fails(run("cat", "tarn://raw/x", endpoint=path), INVALID)
            finally:
                server.shutdown()
                thread.join()

    def test_another_user_may_not_read_the_endpoint_file(self):
        self.assertEqual(stat.S_IMODE(self.store.endpoint.stat().st_mode), 0o600)
        if os.geteuid() != 0:
            self.skipTest("only root can become somebody else")
        tool = self.temp / "tarn"
        shutil.copy(tarn_store.TARN, tool)
        for directory in [self.work, self.temp]:
            directory.chmod(0o755)
        env = tarn_store.environment()
        env["TARN_ENDPOINT_FILE"] = str(self.store.endpoint)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(tool), "ls"], env=env, capture_output=True, timeout=30)  # fmt: skip
        self.check_fails(done, DENIED, "endpoint.json")

    def test_the_endpoint_file_by_flag_variable_and_place(self):
        env = tarn_store.environment()
        self.assertEqual(run("ls", "--endpoint-file", self.store.endpoint, env=env).returncode, OK)
        self.assertEqual(run("ls", env=env, cwd=self.work).returncode, OK)
        self.check_fails(run("ls", env=env, cwd=self.temp), NOT_FOUND, "endpoint.json", "tarn serve")
        bad = self.temp / "bad.json"
        for text in ["", "{", "[1]", '{"endpoints": []}', '{"endpoints": ["gopher://x"]}']:
            bad.write_text(text)
            self.check_fails(run("ls", "--endpoint-file", bad, env=env), INVALID, "bad.json" if "gopher" not in text else "gopher")


class Anonymous(StoreTest):
    options = ("--anonymous",)

    def test_no_token_is_asked_for(self):
        endpoint = json.loads(self.store.endpoint.read_text())
        self.assertEqual(endpoint["token"], "")
        self.store.ok("mb", "tarn://open/")
        self.store.ok("put", "-", "tarn://open/x", input=b"for everybody")
        for url in endpoint["endpoints"]:
            done = subprocess.run(["curl", "-sSL", f"{url}/open/x"], capture_output=True, timeout=30, check=True)
            self.assertEqual(done.stdout, b"for everybody")


@unittest.skipIf(os.geteuid() != 0, "only root can mount a small file system")
class FullDisk(TemporaryTest):
    def test_no_space_is_said_and_harms_nothing(self):
        disks = self.work / "disks"
        disks.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tarn-test", str(disks)], capture_output=True).returncode != 0:
            self.skipTest("no permission to mount")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disks)])
        store = self.start(dirs=("disks/{rank}",)).wait_ready()
        self.assertIn("warning", store.err.read_text())  # tmpfs is memory
        store.ok("mb", "tarn://full/")
        store.ok("put", "-", "tarn://full/before", input=b"b" * 100_000)
        self.check_fails(store.run("put", "-", "tarn://full/large", input=b"x" * (40 << 20)), NO_SPACE, "large")
        self.assertEqual(store.ok("cat", "tarn://full/before"), b"b" * 100_000)
        self.check_fails(store.run("cat", "tarn://full/large"), NOT_FOUND)
        store.ok("put", "-", "tarn://full/after", input=b"a" * 1000)
        self.assertEqual(store.ok("cat", "tarn://full/after"), b"a" * 1000)
        self.assertEqual(store.stop(), OK)


class Options(StoreTest):
    def test_wrong_options(self):
        for arguments, word in [
            (("put",), "operand"),
            (("put", "a"), "operand"),
            (("put", "a", "tarn://b/", "c"), "too many"),
            (("put", "--wrong", "a", "tarn://raw/"), "--wrong"),
            (("put", "--jobs", "0", "a", "tarn://raw/"), "--jobs"),
            (("put", "--jobs", "many", "a", "tarn://raw/"), "jobs"),
            (("put", "--job", "3", "a", "tarn://raw/"), "--job"),
            (("get",), "operand"),
            (("cat",), "operand"),
            (("cat", "--length", "much", "tarn://raw/x"), "--length"),
            (("cat", "--offset", "-x", "tarn://raw/x"), "offset"),
            (("ls", "a", "b"), "too many"),
            (("rm",), "operand"),
            (("status", "now"), "too many"),
            (("check",), "operand"),
        ]:
            with self.subTest(arguments):
                self.check_fails(self.store.run(*arguments), INVALID, word)


if __name__ == "__main__":
    tarn_store.main()
