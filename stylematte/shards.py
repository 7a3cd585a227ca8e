"""Tar shards of pictures, an index beside each: NNNNNN.tar for `webdataset`, NNNNNN.jsonl for everything else.

The first line of the index is about the shard (bytes, SHA-256, entries), each further line about one entry: its record
and where in the tar its members are. So a member is read without reading the tar, and a pool is counted without reading
a picture. A shard exists when its index does: the index is written last. A member is named as if the tar were a folder
(`pool/000003.tar/0000017.png`); `imagefile` reads such names like any other. This module imports nothing but the
standard library and its like in the base.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

INDEX, SHARD = ".jsonl", ".tar"
MEMBERS = "members"
"""Of an entry in an index: ending -> [offset, bytes]."""
KEPT_OPEN = 64
"""Indexes held in memory by a process that reads members."""


def is_member(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads into a tar file."""
    return Path(path).parent.suffix == SHARD and Path(path).parent.is_file()


def read_member(path: str | os.PathLike[str]) -> bytes:
    """The bytes of `shard.tar/member`. Raises FileNotFoundError where the shard has no such member."""
    shard, member = Path(path).parent, Path(path).name
    state = shard.stat()
    places = _members(str(shard), state.st_mtime_ns, state.st_size)
    if member not in places:
        raise FileNotFoundError(2, "no such member of the shard", str(path))
    offset, size = places[member]
    with shard.open("rb") as file:
        return os.pread(file.fileno(), size, offset)


def entry_member(shard: str, entry: dict[str, Any], ending: str) -> str:
    """The name below the pool's folder of one member of an entry."""
    return f"{shard}/{entry['key']}.{ending}"


def parse_index(lines: Iterator[str]) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """(what the first line says of the shard, its entries, read as they are asked for). Raises ValueError."""
    try:
        head = json.loads(next(lines))
        head["shard"], head["bytes"], head["sha256"], head["entries"]
    except (StopIteration, ValueError, KeyError, TypeError):
        raise ValueError("is no index of a shard: its first line lacks shard, bytes, sha256 or entries") from None
    return head, (json.loads(line) for line in lines)


@lru_cache(maxsize=KEPT_OPEN)
def _members(shard: str, _changed: int, _size: int) -> dict[str, tuple[int, int]]:
    """Member -> (offset, bytes), by the index beside the tar, or by the tar itself where there is none."""
    index = Path(shard).with_suffix(INDEX)
    if index.is_file():
        with index.open(encoding="utf-8") as lines:
            _, entries = parse_index(iter(lines))
            return {
                f"{entry['key']}.{ending}": (place[0], place[1])
                for entry in entries
                for ending, place in entry.get(MEMBERS, {}).items()
            }
    with tarfile.open(shard) as tar:
        return {Path(member.name).name: (member.offset_data, member.size) for member in tar if member.isfile()}
