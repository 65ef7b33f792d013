#!/usr/bin/env python3
"""tidy_test.py - tidy.py finds each kind of fault in a small tree made for it, and none in a clean one."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TIDY = Path(__file__).with_name("tidy.py")

HEADER = "// {name} - a part.\n// Level 1.\n#pragma once\n{body}"


class Tree(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, path, text, run=False):
        file = Path(self.folder.name) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(0o755 if run else 0o644)

    def header(self, path, body):
        self.write(path, HEADER.format(name=Path(path).name, body=body))

    def tidy(self):
        run = subprocess.run([sys.executable, str(TIDY), self.folder.name], capture_output=True, text=True)
        self.assertEqual(run.stderr, "")
        self.assertEqual(run.returncode, 0 if ", 0 faults" in run.stdout else 1)
        return run.stdout

    def test_a_clean_tree_has_no_fault(self):
        self.header("lib/base/a.hpp", "#include <xxhash.h>\n")
        self.write("lib/base/a.cpp", '#include "base/a.hpp"\n\n#include <string>\n')
        self.header("lib/volume/b.hpp", '#include "base/a.hpp"\n')
        self.write("docs/A.md", "[b](../lib/base/a.hpp)\n")
        self.assertIn("4 files, 0 faults", self.tidy())

    def test_includes_go_down_only(self):
        self.header("lib/base/a.hpp", '#include "volume/b.hpp"\n')
        self.header("lib/volume/b.hpp", '#include "shard/c.hpp"\n')
        self.header("lib/http/c.hpp", '#include "mpi/d.hpp"\n#include "s3/e.hpp"\n')
        self.header("lib/s3/e.hpp", '#include "http/c.hpp"\n')
        self.header("mpi/d.hpp", '#include "mpi/tools/f.hpp"\n')
        out = self.tidy()
        for fault in ("lib/base/a.hpp:4", "lib/volume/b.hpp:4", "lib/http/c.hpp:4", "lib/s3/e.hpp:4", "mpi/d.hpp:4"):
            self.assertIn(fault, out)
        self.assertNotIn("lib/http/c.hpp:5", out)

    def test_a_package_stays_in_its_folder(self):
        self.header("lib/object/a.hpp", "#include <mpi.h>\n\n#include <boost/json.hpp>\n")
        self.header("include/tarn/open.hpp", "#include <mpi.h>\n")
        self.header("include/tarn/store.hpp", "#include <mpi.h>\n")
        self.write("tests/mpi/b.cpp", "// b.cpp - a test.\n#include <mpi.h>\n")
        out = self.tidy()
        for fault in ("lib/object/a.hpp:4", "lib/object/a.hpp:6", "include/tarn/store.hpp:4"):
            self.assertIn(fault, out)
        self.assertIn("3 faults", out)

    def test_costly_headers_stay_out_of_headers(self):
        self.header("lib/volume/a.hpp", "#include <lmdb.h>\n")
        self.write("lib/volume/a.cpp", '#include "volume/a.hpp"\n\n#include <lmdb.h>\n')
        self.assertIn("1 faults", self.tidy())

    def test_heads_and_own_headers(self):
        self.write("lib/base/a.hpp", "#pragma once\n")
        self.write("lib/base/a.cpp", '#include <string>\n#include "base/a.hpp"\n')
        self.write("lib/base/b.hpp", "// b.hpp - b.\n// Level 1.\n")
        self.write("lib/base/c.cpp", "int c;\n")
        out = self.tidy()
        self.assertIn("what it is", out)
        self.assertIn("which level", out)
        self.assertIn("own header (lib/base/a.hpp)", out)
        self.assertIn("no #pragma once", out)
        self.assertIn("lib/base/c.cpp:1: begins neither", out)

    def test_texts(self):
        self.write("docs/a.md", "tab\there\n\r\n[x](gone.md)\n" + "TO" + "DO later\nno end")
        self.write("lib/base/a.cpp", "// a.cpp - a.  \n")
        self.write("lib/base/b.cpp", b"// b.cpp - \xff\n")
        self.write("lib/base/c.cpp", "// c.cpp - long.\n" + "int x;\n" * 500)
        out = self.tidy()
        for fault in ("a tab", "carriage return", "leads nowhere", "unfinished", "no newline", "spaces at the end", "not UTF-8", "longer than 500"):
            self.assertIn(fault, out)

    def test_scripts_and_top_level(self):
        self.write("tests/a.sh", "#!/bin/bash\nset -eu\n")
        self.write("tests/b.sh", "#!/bin/bash\n", run=True)
        self.write("tests/c.py", "print()\n", run=True)
        self.write("notes.txt", "x\n")
        out = self.tidy()
        for fault in ("tests/a.sh:1: starts", "tests/b.sh:1: a script that runs", "tests/c.py:1: can be run", "notes.txt: does not belong"):
            self.assertIn(fault, out)


if __name__ == "__main__":
    unittest.main()
