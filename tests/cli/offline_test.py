#!/usr/bin/env python3
"""offline_test.py - what `tarn` says without a store: help, version, unknown commands."""

import re
import unittest

import tarn_store
from tarn_store import INVALID, OK, run

COMMANDS = ["serve", "put", "get", "cat", "ls", "rm", "mb", "rb", "dsort", "status", "check", "doctor"]


class Help(unittest.TestCase):
    def test_every_command_explains_itself_with_examples(self):
        listed = run("--help")
        self.assertEqual(listed.returncode, OK)
        for command in COMMANDS:
            self.assertRegex(listed.stdout.decode(), rf"(?m)^  {command} +\S")
            for flag in ["--help", "-h"]:
                done = run(command, flag)
                text = done.stdout.decode()
                self.assertEqual((done.returncode, done.stderr), (OK, b""), command)
                self.assertTrue(text.startswith(f"Usage: tarn {command}"), text)
                examples = text[text.index("\nExamples:\n") :]
                self.assertRegex(examples, rf"\n  .*\btarn {command}\b")

    def test_options_of_the_contract_are_in_the_help(self):
        for command, options in {
            "serve": "--dir --port --bind --endpoint-file --ready-file --anonymous --node-id-from-rank --redirect",
            "put": "-r --endpoint-file",
            "get": "-r --endpoint-file",
            "ls": "-l --json --endpoint-file",
            "rm": "-r --endpoint-file",
            "dsort": "--input --output --shard-size --order --seed --spec --endpoint-file",
            "check": "--rebuild",
        }.items():
            text = run(command, "--help").stdout.decode()
            for option in options.split():
                self.assertRegex(text, rf"(?<![\w-]){re.escape(option)}\b", command)

    def test_the_version(self):
        done = run("--version")
        self.assertEqual(done.returncode, OK)
        self.assertRegex(done.stdout.decode(), r"^tarn \d+\.\d+\.\d+\n$")

    def test_no_command_and_an_unknown_one(self):
        done = run()
        self.assertEqual(done.returncode, INVALID)
        self.assertIn("Usage:", done.stderr.decode())
        done = run("frobnicate")
        self.assertEqual(done.returncode, INVALID)
        self.assertIn("frobnicate", done.stderr.decode())


if __name__ == "__main__":
    tarn_store.main()
