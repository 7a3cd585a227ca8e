"""`pool verify`: whether every shard holds what its index says, nothing is there twice, and nothing is left over.

Shards are read once, block by block, against their SHA-256; pictures are decoded only if asked. Memory: 8 bytes an
entry, for keys that are there twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from stylematte.errors import BadPicture, DataError
from stylematte.pools.place import Place
from stylematte.pools.pool import Pool
from stylematte.pools.writer import decoded
from stylematte.shards import INDEX, MEMBERS, SHARD


class Verified(NamedTuple):
    """entries: that were looked at; problems: one line each."""

    entries: int
    problems: list[str]


def verify(pool: Pool, deep: bool = False, track: Callable[[Iterable[Any]], Iterable[Any]] = iter) -> Verified:
    """deep: decode every picture, too. A plain folder has nothing but its pictures to look at."""
    if not pool.shards:
        rows = list(pool.entries())
        return Verified(len(rows), [line for row in track(rows) for line in _undecodable(pool, row)])
    problems = leftovers(pool.at)
    keys: list[np.ndarray] = []
    for shard in track(pool.shards):
        found, own = _verify_shard(pool, shard, deep)
        problems += found
        keys.append(own)
    together = np.concatenate(keys) if keys else np.zeros(0, np.uint64)
    twice = len(together) - len(np.unique(together))
    if twice:
        problems.append(f"{pool.at.where}: {twice} keys are there more than once")
    return Verified(len(together), problems)


def leftovers(at: Place) -> list[str]:
    """What a writer that was killed has left, and shards without their index: no part of the pool."""
    names = at.names()
    found = [f"{at.where}/{name}: left over by a writer; remove it" for name in names if name.endswith(".partial")]
    for name in names:
        index = name.removesuffix(SHARD) + INDEX
        if name.endswith(SHARD) and not name.startswith(".") and index not in names:
            found.append(f"{at.where}/{name}: has no {index}; its writer was killed: type its command again")
    return found


def _verify_shard(pool: Pool, shard: str, deep: bool) -> tuple[list[str], np.ndarray]:
    """(problems, 8-byte hashes of the keys)."""
    where = f"{pool.at.where}/{shard}"
    problems: list[str] = []
    try:
        head = pool.head(shard)
        size, digest = 0, hashlib.sha256()
        for chunk in pool.at.chunks(shard):
            size += len(chunk)
            digest.update(chunk)
        if size != head["bytes"]:
            problems.append(f"{where}: {size} bytes, its index says {head['bytes']}")
        elif digest.hexdigest() != head["sha256"]:
            problems.append(f"{where}: its bytes have changed since it was written")
        keys = []
        for entry in pool.entries_of(shard):
            keys.append(_short(entry["key"]))
            if any(offset + length > size for offset, length in entry.get(MEMBERS, {}).values()):
                problems.append(f"{where}: {entry['key']} lies beyond its end")
            elif deep and entry.get(MEMBERS):
                problems += _undecodable(pool, entry)
        if len(keys) != head["entries"]:
            problems.append(f"{where}: {len(keys)} entries in its index, which speaks of {head['entries']}")
    except (DataError, OSError) as error:
        return [*problems, f"{where}: {error}"], np.zeros(0, np.uint64)
    return problems, np.array(keys, np.uint64)


def _undecodable(pool: Pool, row: dict[str, Any]) -> list[str]:
    try:
        decoded(pool.pictures(row), f"{pool.at.where}/{row['key']}")
    except (BadPicture, OSError, KeyError) as error:
        return [str(error)]
    return []


def _short(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
