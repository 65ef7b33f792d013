"""rules.py - the style of the tree as data: levels, packages, sizes, names (DESIGN of the layers: docs/ARCHITECTURE.md)."""

# A file may include its own folder and folders of lower levels.
LEVELS = {
    "include/tarn": 0,
    "lib/base": 1,
    "lib/volume": 2,
    "lib/placement": 2,
    "lib/shard": 2,
    "lib/job": 2,
    "lib/object": 3,
    "lib/plan": 4,
    "lib/redundancy": 4,
    "lib/s3": 5,
    "lib/http": 5,
    "lib/hdf5": 5,
    "mpi": 6,
    "mpi/tools": 7,
}
# Neighbours on one level that may be included all the same.
NEIGHBOURS = {("lib/http", "lib/s3")}

# Third-party headers (by prefix) and the folders that may name them. Longest prefix wins.
PACKAGES = {
    "xxhash.h": ["lib/base"],
    "spdlog/": ["lib/base"],
    "fmt/": ["lib/base"],
    "prometheus/": ["lib/base"],
    "boost/json": ["lib/base"],
    "lmdb.h": ["lib/volume"],
    "archive.h": ["lib/shard"],
    "archive_entry.h": ["lib/shard"],
    "zlib.h": ["lib/shard"],
    "boost/asio": ["lib/http"],
    "boost/beast": ["lib/http"],
    "boost/url": ["lib/http"],
    "boost/system": ["lib/http"],
    "pugixml.hpp": ["lib/s3"],
    "openssl/": ["lib/s3", "lib/base"],
    "boost/program_options": ["mpi/tools"],
    "tl/": ["include/tarn"],
    "mpi.h": ["mpi", "mpi/tools", "include/tarn/open.hpp"],
    "hdf5.h": ["lib/hdf5", "include/tarn/hdf5.hpp"],
}
# Folders whose files are tests or examples: they may include any header that the product includes.
FREE = ("tests/", "examples/")
TEST_PACKAGES = ("catch2/", "benchmark/")

# Costly to compile: in .cpp files only.
HEAVY = ("boost/beast", "lmdb.h", "catch2/")

LINES_MAX = 500

TOP_LEVEL = {
    ".ci", ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore",
    "CHANGELOG.md", "CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md",
    "docs", "examples", "include", "lib", "mpi", "slurm", "tests",
}  # fmt: skip

# Put together from parts, so that this file keeps the rule as well.
UNFINISHED = tuple(a + b for a, b in (("TO", "DO"), ("FIX", "ME"), ("XX", "X:"), ("HA", "CK:"), ("for n", "ow,")))
