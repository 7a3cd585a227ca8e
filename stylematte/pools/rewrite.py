"""`pool split`, `pool dedup -o` and `pool export`: a pool's entries into new shards or into files. Each goes on.

Shards are made from the entries in their order, so what was whole is passed over and a killed command typed again ends
with the bytes of one that was not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from stylematte.imagefile import write_alpha, write_rgb
from stylematte.pools.duplicates import NEAR, group_of
from stylematte.pools.place import Place, place
from stylematte.pools.pool import Pool, Row
from stylematte.pools.writer import copied_entry, decoded, shard_name, write_shard
from stylematte.shards import INDEX, SHARD

PER_SHARD = 1000
Track = Callable[[Iterable[Any]], Iterable[Any]]


def without_duplicates(pool: Pool, near: int = NEAR) -> tuple[list[Row], Iterator[Row]]:
    """(duplicates, each with the key of what it repeats under "of"; the kept entries that stay, read on demand)."""
    keys, first = group_of(pool.entries(kept_only=True), near)
    twins = [{"key": keys[i], "of": keys[at]} for i, at in enumerate(first.tolist()) if at != i]
    gone = {twin["key"] for twin in twins}
    return twins, (row for row in pool.entries(kept_only=True) if row["key"] not in gone)


def split_of(group: str, share: float, seed: int = 0) -> str:
    """ "val" for `share` of all groups, else "train": by the name alone, so that a growing pool moves nothing."""
    number = int.from_bytes(hashlib.sha256(f"{seed}\x1f{group}".encode()).digest()[:8], "big")
    return "val" if number < share * 2**64 else "train"


def assigned(pool: Pool, share: float, seed: int = 0, near: int = NEAR) -> Iterator[Row]:
    """The kept entries with their "split". Near-duplicates, and what has the same "group", are in the same one."""
    keys, first = group_of(pool.entries(kept_only=True), near)
    of = {key: keys[at] for key, at in zip(keys, first.tolist(), strict=True) if keys[at] != key}
    names = {row["key"]: row["group"] for row in pool.entries(kept_only=True) if row.get("group")}
    for row in pool.entries(kept_only=True):
        leader = of.get(row["key"], row["key"])
        yield {**row, "split": split_of(names.get(leader, leader), share, seed)}


def write_pool(pool: Pool, rows: Iterable[Row], to: Place, per_shard: int = PER_SHARD, track: Track = iter) -> int:
    """Write `rows` of a pool as shards of a new one; shards that are whole stay. The number of entries."""
    there, count = set(to.names()), 0
    for number, part in enumerate(_parts(track(rows), per_shard)):
        name = shard_name(number)
        count += len(part)
        if not {name, name.removesuffix(SHARD) + INDEX} <= there:
            write_shard(to, name, (copied_entry(_bare(row), pool.pictures(row)) for row in part))
    return count


def split_pool(pool: Pool, out: str, share: float, seed: int = 0, per_shard: int = PER_SHARD) -> dict[str, int]:
    """Write out/train and out/val; how many entries each has."""
    counts = {}
    for split in ("train", "val"):
        rows = (row for row in assigned(pool, share, seed) if row["split"] == split)
        counts[split] = write_pool(pool, rows, place(f"{out.rstrip('/')}/{split}"), per_shard)
    return counts


def export_files(pool: Pool, rows: Iterable[Row], out: Path, track: Track = iter) -> Iterator[Row]:
    """Write {split}/fg/KEY.png and {split}/alpha/KEY.png of each row (no split: no such folder), and give the row back.

    Files that are there are passed over: they were written whole.
    """
    for row in track(rows):
        folder = out / row["split"] if row.get("split") else out
        fore, matte = folder / "fg" / f"{row['key']}.png", folder / "alpha" / f"{row['key']}.png"
        if not (fore.is_file() and matte.is_file()):
            rgba = decoded(pool.pictures(row), f"{pool.at.where}/{row['key']}")
            write_rgb(fore, rgba[:3])
            write_alpha(matte, rgba[3:], 16 if row.get("bits") == 16 else 8)
        yield {**row, "file": str(fore.relative_to(out)), "alpha": str(matte.relative_to(out))}


def _bare(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("shard", "rgba")}


def _parts(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    rows = iter(rows)
    while part := list(islice(rows, size)):
        yield part
