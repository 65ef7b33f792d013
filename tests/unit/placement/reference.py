#!/usr/bin/env python3
"""An independent model of lib/placement, in 60-digit decimals: prints the golden table of placement_test.cpp.

Run it by hand when the test fails on purpose. Needs libxxhash.so.0.
"""
import ctypes
from decimal import Decimal, getcontext

getcontext().prec = 60
xxh = ctypes.CDLL("libxxhash.so.0")
xxh.XXH3_64bits.restype = ctypes.c_uint64
xxh.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
MASK = 2**64 - 1


def xxh3(data):
    return xxh.XXH3_64bits(data, len(data))


def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def disks(count, weight):
    """Disk i has the id 00..00 + big-endian i and the weight of a function."""
    return [(xxh3(i.to_bytes(16, "big")), weight(i)) for i in range(count)]


def ranking(table, bucket, key, count):
    k = xxh3(bucket.encode() + b"\0" + key.encode())
    score = lambda i: -(Decimal(max(mix(k ^ table[i][0]), 1)) / 2**64).ln() / table[i][1]
    return sorted(range(len(table)), key=score)[:count]


NAMES = [("raw", "a.png"), ("raw", "b.png"), ("train", "shard-000017.tar"), ("raw", "ünï/çødé"),
         ("a.b-c", "k" * 1024), ("raw", "x"), ("raw", "dir/0001"), ("war", "a.png")]
SETS = {
    "equal, 5 disks": disks(5, lambda i: 1000),
    "equal, 1000 disks": disks(1000, lambda i: 1 << 40),
    "weights 1 to 7, 64 disks": disks(64, lambda i: 1 + i % 7),
    "terabytes, 100 disks": disks(100, lambda i: 960197124096 * (1 + i % 3)),
}
if __name__ == "__main__":
    for name, table in SETS.items():
        print(name)
        for bucket, key in NAMES:
            print("   ", "{" + ", ".join(map(str, ranking(table, bucket, key, 4))) + "},")
