#!/usr/bin/env python3
"""read_volumes.py - reads a disk of a Tarn store without Tarn, written from docs/FORMATS.md alone.

  read_volumes.py DISK        prints a line of JSON for each object

Nothing but Python's standard library and libxxhash. It never writes to the disk. Section names below are those of FORMATS.md.
"""

import ctypes
import ctypes.util
import dataclasses
import json
import os
import re
import sys

BLOCK = 512
HEADER_BYTES_MAX = 64 * 1024
OPERATIONS = ("delete", "bucket-create", "bucket-remove", "assembled")  # those that change what is there; others are skipped
SUM_BLOCK = 64 * 1024  # of an object: each has a hash
XATTR = b"SCHILY.xattr.user.tarn."


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


XXHASH = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
XXHASH.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
XXHASH.XXH3_64bits_withSeed.restype = ctypes.c_uint64
XXHASH.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
XXHASH.XXH3_128bits.restype = Hash128


def xxh3_64(data: bytes, seed: int) -> str:
    return f"{XXHASH.XXH3_64bits_withSeed(data, len(data), seed):016x}"


def xxh3_128(data: bytes) -> str:
    value = XXHASH.XXH3_128bits(data, len(data))
    return f"{value.high:016x}{value.low:016x}"


@dataclasses.dataclass
class Member:
    op: str  # "" for an object
    bucket: bytes
    key: bytes
    sequence: int
    mtime_ns: int
    checksum: str
    content_type: bytes
    metadata: dict
    durability: str
    volume: str
    data_offset: int
    size: int
    end: int
    solo: bool
    object_size: int  # of the object: not the member's for an assembled one
    object_checksum: str


@dataclasses.dataclass
class Extent:
    """A part of an assembled object: data of a member of a solo volume."""

    volume: str
    data_offset: int
    size: int


@dataclasses.dataclass
class Disk:
    identity: dict
    objects: dict  # (bucket, key) -> Member
    buckets: dict  # name -> the Member that made it, or None
    damages: list  # (volume, begin, end): what is neither a member nor an archive's end nor an interrupted write


def padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def ustar(block: bytes, kind: bytes):
    """(name, size) of a ustar block of this type; None when it is not one, or its sum is wrong."""
    if len(block) < BLOCK or block[257:265] != b"ustar\x0000" or block[156:157] != kind:
        return None
    try:
        stated, size = (int(block[at : at + n].strip(b" \0") or b"0", 8) for at, n in [(148, 8), (124, 12)])
    except ValueError:
        return None
    if stated != sum(block[:148]) + 8 * ord(" ") + sum(block[156:]):
        return None
    return block[:100].split(b"\0")[0], size


def pax_records(data: bytes):
    """Yields (keyword, value, offset of the value). ValueError: malformed."""
    at = 0
    while at < len(data):
        blank = data.index(b" ", at)
        end = at + int(data[at:blank])
        equals = data.index(b"=", blank)
        if not equals < end <= len(data) or data[end - 1 : end] != b"\n":
            raise ValueError("a pax record")
        yield data[blank + 1 : equals], data[equals + 1 : end - 1], equals + 1
        at = end


class CutShort(Exception):
    """The begin of a member whose end is missing."""


def member_at(volume: bytes, name: str, number: int, disk: str, offset: int):
    """"A member": the one that begins at this offset and can be believed, or None. Raises CutShort."""
    begin = volume[offset : offset + BLOCK]
    plain = f"PaxHeaders/{disk}/{number:08d}".encode()
    if len(begin) < BLOCK and plain.startswith(begin[: len(plain)]):
        raise CutShort
    first = ustar(begin, b"x")
    if first is None or first[0] not in (plain, plain + b"/solo") or not 0 < first[1] <= HEADER_BYTES_MAX:
        return None
    data_offset = offset + 2 * BLOCK + padded(first[1])
    if data_offset > len(volume):
        raise CutShort
    header = volume[offset:data_offset]
    second = ustar(header[-BLOCK:], b"0")
    if second is None:
        return None
    size, tarn, meta, hashed = second[1], {}, {}, None
    try:
        for keyword, value, at in pax_records(header[BLOCK : BLOCK + first[1]]):
            if keyword == b"size":
                size = int(value)
            elif keyword.startswith(XATTR + b"meta."):
                meta[keyword[len(XATTR) + 5 :]] = value
            elif keyword.startswith(XATTR):
                tarn[keyword[len(XATTR) :]] = value
            if keyword == XATTR + b"hdr":
                at += BLOCK
                hashed = header[:at] + b"0" * 16 + header[at + 16 :]
        if hashed is None or xxh3_64(hashed, offset) != tarn[b"hdr"].decode():
            return None
        op = tarn.get(b"op", b"").decode()
        if op in ("", *OPERATIONS) and not {b"bucket", b"seq"} <= tarn.keys() or op == "" and b"xxh3" not in tarn:
            return None
        assembled = op == "assembled"
        if assembled and not {b"xxh3", b"object-size", b"object-xxh3"} <= tarn.keys():
            return None
        member = Member(op, tarn.get(b"bucket", b""), tarn.get(b"key", b""), int(tarn.get(b"seq", 0)), int(tarn.get(b"mtime", 0)),
                        tarn.get(b"xxh3", b"").decode(), tarn.get(b"type", b""), meta, tarn.get(b"durability", b"none").decode(), name,
                        data_offset, size, data_offset + padded(size), first[0] != plain,
                        int(tarn[b"object-size"]) if assembled else size,
                        tarn[b"object-xxh3" if assembled else b"xxh3"].decode() if op in ("", "assembled") else "")  # fmt: skip
    except (ValueError, KeyError):
        return None
    if member.end > len(volume):
        raise CutShort
    return member


def read_volume(path: str, disk: str, damages: list):
    """"Reading a volume without the index": yields the members of a volume, over damage."""
    name = os.path.basename(path)
    number = int(name.split(".")[0])
    with open(path, "rb") as file:
        volume = file.read()
    good = at = 0
    cut_short = False  # at `good`
    while at < len(volume):
        member = None
        try:
            member = member_at(volume, name, number, disk, at)
        except CutShort:
            cut_short |= at == good
        if member is None:
            at += BLOCK
            continue
        if at != good:
            damages.append((name, good, at))
        yield member
        good, at, cut_short = member.end, member.end, False
    rest = volume[good:]
    if rest and not cut_short and rest != bytes(2 * BLOCK):
        damages.append((name, good, len(volume)))


def read_disk(directory: str) -> Disk:
    with open(os.path.join(directory, "disk.json"), encoding="utf-8") as file:
        identity = json.load(file)
    if identity["format"] > 1:
        raise ValueError(f"{directory}: format {identity['format']} is newer than this reader")
    newest, notes, damages = {}, {}, []
    volumes = os.path.join(directory, "volumes")
    for name in sorted(os.listdir(volumes)):
        if not re.fullmatch(r"\d{8,}\.tar", name):
            continue
        for member in read_volume(os.path.join(volumes, name), identity["disk"], damages):
            if member.op in ("bucket-create", "bucket-remove"):
                kept, key = notes, member.bucket
            elif member.op in ("", "delete", "assembled"):
                kept, key = newest, (member.bucket, member.key)
            else:
                continue  # a kind that this reader does not know
            if key not in kept or kept[key].sequence < member.sequence:
                kept[key] = member
    # Buckets that begin with a full stop are Tarn's own.
    objects = {key: member for key, member in sorted(newest.items()) if member.op != "delete" and not key[0].startswith(b".")}
    buckets = {name: note for name, note in notes.items() if note.op == "bucket-create"}
    for bucket, _ in objects:
        buckets.setdefault(bucket, None)
    return Disk(identity, objects, buckets, damages)


def data_of(directory: str, place) -> bytes:
    with open(os.path.join(directory, "volumes", place.volume), "rb") as file:
        file.seek(place.data_offset)
        return file.read(place.size)


def extents_of(directory: str, member: Member) -> list:
    """"Objects that were assembled": where an object's bytes lie, in order. ValueError: the list is damaged."""
    if member.op != "assembled":
        return [member]
    text = data_of(directory, member)
    if xxh3_128(text) != member.checksum:
        raise ValueError(f"{member.bucket!r}/{member.key!r} in {member.volume}: its list does not match its checksum")
    lines = [line.split() for line in text.decode().splitlines()]
    return [Extent(f"{int(volume):08d}.tar", int(offset), int(size)) for volume, offset, size, _, _ in lines]


def read_object(directory: str, member: Member) -> bytes:
    """ValueError: the bytes are not those that were put."""
    try:
        data = b"".join(data_of(directory, extent) for extent in extents_of(directory, member))
    except FileNotFoundError as error:
        raise ValueError(f"{member.bucket!r}/{member.key!r}: {error}") from error
    if xxh3_128(data) != member.object_checksum:
        raise ValueError(f"{member.bucket!r}/{member.key!r} in {member.volume}: its bytes do not match their checksum")
    return data


def read_range(directory: str, member, offset: int, length: int) -> bytes:
    """"The block hashes of a solo volume": a part of an object of 1 MiB or more, or of one of its extents. ValueError: a block is not what was put."""
    table = member.data_offset + padded(member.size) + 3 * BLOCK
    part = b""
    with open(os.path.join(directory, "volumes", member.volume), "rb") as file:
        for number in range(offset // SUM_BLOCK, -(-(offset + length) // SUM_BLOCK)):
            file.seek(table + 8 * number)
            wanted = int.from_bytes(file.read(8), "little")
            file.seek(member.data_offset + SUM_BLOCK * number)
            block = file.read(min(SUM_BLOCK, member.size - SUM_BLOCK * number))
            if int(xxh3_64(block, number), 16) != wanted:
                raise ValueError(f"{member.volume}: block {number} of the data at {member.data_offset} does not match its hash")
            part += block
    begin = offset % SUM_BLOCK
    return part[begin : begin + length]


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    directory = sys.argv[1]
    disk = read_disk(directory)
    for (bucket, key), member in disk.objects.items():
        read_object(directory, member)
        print(json.dumps({"bucket": bucket.decode(), "key": key.decode(), "bytes": member.object_size, "xxh3": member.object_checksum}))
    for volume, begin, end in disk.damages:
        print(f"{volume}: bytes {begin} to {end} are damaged", file=sys.stderr)


if __name__ == "__main__":
    main()
