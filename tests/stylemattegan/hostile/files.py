"""What is no snapshot or checkpoint at all, and archives of torch.save that lie. Each writes a path, or makes it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import socket
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

Make = Callable[[Path], object]


def holding(data: bytes) -> Make:
    return lambda path: path.write_bytes(data)


def sparse(path: Path, start: bytes, size: int) -> None:
    """A file that is long and takes no room."""
    path.write_bytes(start)
    os.truncate(path, size)


def bound(path: Path) -> None:
    """A socket, which exists as long as its file."""
    there, here = Path.cwd(), path.parent
    os.chdir(here)  # names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(there)


def loop(path: Path) -> None:
    other = path.with_name(f"{path.name}.other")
    path.symlink_to(other)
    other.symlink_to(path)


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../canary"))
    return file.getvalue()


ANY: dict[str, Make] = {
    "empty": holding(b""),
    "one-byte": holding(b"\x80"),
    "text": holding(b"hello\n"),
    "html": holding(b"<!DOCTYPE html><html>404</html>"),
    "utf16": holding("pickle".encode("utf-16")),
    "gzip": holding(gzip.compress(bytes(2**20), mtime=0)),
    "bzip2": holding(bz2.compress(bytes(2**24))),
    "tar": holding(tar()),
    "elf": holding(b"\x7fELF" + bytes(60)),
    "png": holding(b"\x89PNG\r\n\x1a\n" + bytes(60)),
    "zeros": holding(bytes(2**20)),
    "safetensors": holding(struct.pack("<Q", 2) + b"{}"),
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "socket": bound,
    "link-to-itself": lambda path: path.symlink_to(path.name),
    "links-in-a-circle": loop,
    "link-to-nothing": lambda path: path.symlink_to("gone"),
    "link-to-zeros": lambda path: path.symlink_to("/dev/zero"),
    "link-to-a-terminal": lambda path: path.symlink_to("/dev/tty"),
    "link-to-memory": lambda path: path.symlink_to("/proc/self/mem"),
    "terabyte-of-holes": lambda path: sparse(path, b"\x80\x04]", 2**40),
    "gigabytes-of-holes": lambda path: sparse(path, b"\x80\x04]", 2**33),
    "gigabytes-as-bytes": lambda path: sparse(path, b"\x80\x04\x8e" + struct.pack("<Q", 2**32), 2**33),
    "gigabytes-as-text": lambda path: sparse(path, b"\x80\x04\x8d" + struct.pack("<Q", 2**32), 2**33),
    "missing": lambda path: None,
}
"""For either verb."""

DATA = b"\x80\x02}."
MAGIC = bytes.fromhex("6cfc9c46f920")


def archive(*entries: tuple[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as made:
        for name, data in entries:
            made.writestr(zipfile.ZipInfo(name), data, how)
    return file.getvalue()


def tensor(
    size: str = "K\x02", stride: str = "K\x01", offset: str = "K\x00", count: str = "K\x02", kind: str = "Float"
) -> bytes:
    """data.pkl of {"w": a tensor}, each number of which is an opcode of its own."""
    storage = f"((X\x07\x00\x00\x00storagectorch\n{kind}Storage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu{count}tQ"
    rebuilt = f"ctorch._utils\n_rebuild_tensor_v2\n{storage}{offset}{size}\x85{stride}\x85\x89)tR"
    return b"\x80\x02}X\x01\x00\x00\x00w" + rebuilt.encode("latin-1") + b"s."


def saved(pickle: bytes, *more: tuple[str, bytes], raw: bytes = bytes(8)) -> Make:
    return holding(archive(("a/data.pkl", pickle), ("a/data/0", raw), *more))


def nested() -> bytes:
    data = DATA
    for _ in range(50):
        data = archive(("a/data.pkl", data))
    return data


def twice() -> bytes:
    with warnings.catch_warnings(action="ignore"):
        return archive(("a/data.pkl", DATA), ("a/data.pkl", DATA))


def _set(data: bytearray, at: int, new: bytes) -> None:
    data[at : at + len(new)] = new


def central(change: Callable[[bytearray, int], None]) -> Make:
    """An archive whose first entry in the directory is changed."""
    data = bytearray(archive(("a/data.pkl", DATA), ("a/data/0", bytes(8))))
    change(data, data.index(b"PK\x01\x02"))
    return holding(bytes(data))


def overlapping() -> bytes:
    """A thousand entries of the directory that are one entry of a megabyte."""
    data = archive(*((f"a/data/{i:03}", bytes(2**20 if not i else 0)) for i in range(1000)), ("a/data.pkl", DATA))
    data, first = bytearray(data), None
    at = data.index(b"PK\x01\x02")
    for _ in range(1000):
        first = first or bytes(data[at + 16 : at + 46])
        data[at + 16 : at + 28], data[at + 42 : at + 46] = first[:12], first[26:]
        at += 46 + int.from_bytes(data[at + 28 : at + 30], "little")
    return bytes(data)


def legacy(*changes: tuple[bytes, bytes]) -> bytes:
    file = io.BytesIO()
    torch.save({"w": torch.ones(1000)}, file, _use_new_zipfile_serialization=False)
    data = file.getvalue()
    for old, new in changes:
        assert old in data
        data = data.replace(old, new)
    return data


def header(**tensors: object) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


def part(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HUGE = "\x8a\x06\x00\x00\x00\x00\x00\x01"
"""2^40, as an opcode."""
BOMB = archive(("a/data.pkl", DATA + bytes(50 * 2**20)), how=zipfile.ZIP_DEFLATED)
CHECKPOINTS: dict[str, Make] = {
    "zip-absolute": holding(archive(("/a/data.pkl", DATA))),
    "zip-parent": holding(archive(("a/../../canary", DATA), ("a/data.pkl", DATA))),
    "zip-backslash": holding(archive(("a/data.pkl", DATA), ("a\\canary", DATA))),
    "zip-newline": holding(archive(("a/data.pkl", DATA), ("a\nstylematte: fine", DATA))),
    "zip-ansi": holding(archive(("a/data.pkl", DATA), ("a\x1b[2J", DATA))),
    "zip-twice": holding(twice()),
    "zip-two-roots": holding(archive(("a/data.pkl", DATA), ("b/data.pkl", DATA))),
    "zip-no-root": holding(archive(("a/data/0", DATA))),
    "zip-empty": holding(archive()),
    "zip-bomb": holding(BOMB),
    "zip-larger-than-the-file": central(lambda data, at: _set(data, at + 20, b"\xff\xff\xff\x0f" * 2)),
    "zip-encrypted": central(lambda data, at: data.__setitem__(at + 8, 1)),
    "zip-outside": central(lambda data, at: _set(data, at + 42, b"\xff\xff\xff\x0f")),
    "zip-overlapping": holding(overlapping()),
    "zip-nested": holding(nested()),
    "zip-in-a-zip": saved(nested()),
    "zip-cut": holding(archive(("a/data.pkl", tensor()), ("a/data/0", bytes(8)))[:-30]),
    "zip-forty-thousand-entries": holding(archive(*((f"a/{i}", b"") for i in range(40_000)), ("a/data.pkl", DATA))),
    "zip-big-endian": saved(tensor(), ("a/byteorder", b"big")),
    "root-a-list": saved(b"\x80\x02]."),
    "root-a-program": saved(b"\x80\x02cos\nsystem\nX\x0c\x00\x00\x00touch canary\x85R."),
    "root-deep": saved(b"\x80\x02)" + b"\x85" * 500_000 + b"."),
    "root-empty": saved(b""),
    "storage-missing": holding(archive(("a/data.pkl", tensor()))),
    "storage-shorter": saved(tensor(), raw=bytes(4)),
    "storage-of-2^40": saved(tensor(count=HUGE)),
    "tensor-of-2^40": saved(tensor(size=HUGE)),
    "tensor-of-2^40-at-stride-0": saved(tensor(size=HUGE, stride="K\x00")),
    "tensor-negative": saved(tensor(size="J\xff\xff\xff\xff")),
    "tensor-offset": saved(tensor(offset=HUGE)),
    "tensor-complex": saved(tensor(kind="ComplexFloat")),
    "tensor-quantized": saved(tensor(kind="QInt8")),
    "tensor-of-a-word": saved(tensor(kind="Float16\x1b[2J")),
    "name-ansi": saved(tensor().replace(b"X\x01\x00\x00\x00w", b"X\x05\x00\x00\x00\x1b[2Jw")),
    "names-of-another-network": saved(tensor()),
    "legacy-other-count": holding(legacy((struct.pack("<Q", 1000), struct.pack("<Q", 2**60)))),
    "legacy-cut": holding(legacy()[:-100]),
    "legacy-big-endian": holding(legacy((b"little_endian", b"little_Endian"))),
    "legacy-a-program": holding(legacy((b"ctorch._utils\n_rebuild_tensor_v2\n", b"cos\nsystem\n"))),
    "legacy-magic": holding(legacy((MAGIC, bytes(len(MAGIC))))),
}

SAFETENSORS: dict[str, Make] = {
    "header-of-2^63": holding(struct.pack("<Q", 2**63) + b"{}"),
    "header-of-a-terabyte": holding(struct.pack("<Q", 2**40) + b"{}"),
    "header-of-spaces": holding(struct.pack("<Q", 2**26) + b" " * 2**26),
    "header-deep": holding(struct.pack("<Q", 2**20) + b"[" * 2**20),
    "header-of-holes": lambda path: sparse(path, struct.pack("<Q", 2**33 - 8), 2**33),
    "no-json": holding(struct.pack("<Q", 8) + b"\xff" * 8),
    "shorter-than-a-header": holding(b"\x01\x00"),
    "offsets-overlap": holding(header(a=part(0, 8, [2]), b=part(4, 12, [2])) + bytes(12)),
    "offsets-same": holding(header(**{f"t{i}": part(0, 8, [2]) for i in range(1000)}) + bytes(8)),
    "offsets-beyond": holding(header(a=part(0, 2**40, [2**38])) + bytes(8)),
    "offsets-backwards": holding(header(a=part(8, 0, [2])) + bytes(8)),
    "shape-overflows": holding(header(a=part(0, 8, [2**33, 2**33])) + bytes(8)),
    "shape-zero-times-huge": holding(header(a=part(0, 0, [0, 2**63]))),
    "shape-negative": holding(header(a=part(0, 8, [-2])) + bytes(8)),
    "type-unknown": holding(header(a=part(0, 8, [2], "X9")) + bytes(8)),
    "type-complex": holding(header(a=part(0, 16, [2], "C64")) + bytes(16)),
    "name-newline": holding(header(**{"a\nstylematte: fine": part(0, 8, [2])}) + bytes(8)),
    "name-of-a-megabyte": holding(header(**{"a" * 2**20: part(0, 8, [2])}) + bytes(8)),
    "hundred-thousand": holding(header(**{f"t{i}": part(0, 0, [0]) for i in range(100_000)})),
}
