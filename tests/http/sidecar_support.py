"""sidecar_support.py - starts sidecars over real stores and talks to them: what the tests beside it share."""

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
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
