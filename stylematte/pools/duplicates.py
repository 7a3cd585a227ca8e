"""`pool dedup`: near-duplicates among any number of entries, by the perceptual hashes in the indexes alone.

Two entries are near-duplicates if at most `near` of 128 bits differ. By the pigeonhole principle they then agree in at
least one of near + 1 bands of bits, so only entries that share a band are compared: exact, and far from quadratic. The
earliest entry of a group stays. Memory: 16 bytes an entry, and its index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

NEAR = 6
BITS = 128
BLOCK = 2048
"""Entries with the same band that are compared at once."""


def groups(hashes: Iterable[str], near: int = NEAR) -> np.ndarray:
    """(N,) the position of the first entry of each entry's group (its own where it has no near-duplicate).

    hashes: 32 hexadecimal digits each. Groups are joined transitively.
    """
    packed = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, BITS // 8)
    if not len(packed):
        return np.zeros(0, np.int64)
    distinct, earliest, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    parents = np.arange(len(packed))
    parents[:] = earliest[which.ravel()]  # equal hashes are joined at once
    for one, other in _pairs(distinct, near):
        a, b = _root(parents, int(earliest[one])), _root(parents, int(earliest[other]))
        if a != b:
            parents[max(a, b)] = min(a, b)
    return np.array([_root(parents, number) for number in range(len(packed))], np.int64)


def group_of(rows: Iterable[dict[str, Any]], near: int = NEAR) -> tuple[list[str], np.ndarray]:
    """(keys, `groups`) of the rows that have a hash; what has none is a group of its own and left out."""
    keys, hashes = [], []
    for row in rows:
        if row.get("hash"):
            keys.append(str(row["key"]))
            hashes.append(str(row["hash"]))
    return keys, groups(hashes, near)


def _pairs(packed: np.ndarray, near: int) -> Iterator[tuple[int, int]]:
    bits = np.unpackbits(packed, axis=1)
    for band in np.array_split(np.arange(BITS), near + 1):
        values = np.packbits(bits[:, band], axis=1)
        value = np.ascontiguousarray(values).view([("", np.uint8)] * values.shape[1]).ravel()
        order = np.argsort(value, kind="stable")
        edges = np.flatnonzero(np.r_[True, value[order][1:] != value[order][:-1], True])
        for start, end in pairwise(edges.tolist()):
            if end - start > 1:
                yield from _within(packed, order[start:end], near)


def _within(packed: np.ndarray, members: np.ndarray, near: int) -> Iterator[tuple[int, int]]:
    for start in range(0, len(members), BLOCK):
        rows = members[start : start + BLOCK]
        for other in range(start, len(members), BLOCK):
            columns = members[other : other + BLOCK]
            differ = np.bitwise_count(packed[rows][:, None] ^ packed[columns][None]).sum(-1)
            for i, j in zip(*np.nonzero(differ <= near), strict=True):
                if rows[i] < columns[j]:
                    yield int(rows[i]), int(columns[j])


def _root(parents: np.ndarray, number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = int(parents[number])
    return number
