"""A stage's pool as tar shards in out/shards, made shard by shard: a killed stage goes on at the first that is missing.

Shards grow in the stage's scratch, which survives a kill, and are moved into its result at the end. The rows name their
pictures as members of a shard (`shards/000000.tar/KEY.png`), which `stylematte.imagefile` reads like any file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any

from torch import Tensor

from loop.engine.stage import Context
from stylematte.pools.place import LocalPlace
from stylematte.pools.pool import Pool
from stylematte.pools.writer import Entry, rgba_entry, shard_name, write_shard
from stylematte.shards import INDEX, SHARD

Row = dict[str, Any]
FOLDER = "shards"
OWN = ("key", "members", "sha256", "shard", "height", "width", "hash")
"""What a shard's index adds to a stage's row and its index.jsonl does without."""


def write_shards(
    ctx: Context, count: int, per_shard: int, pictures: Callable[[int, int], Iterable[tuple[Row, Tensor]]]
) -> list[Row]:
    """The rows of `count` pictures, written as shards.

    pictures(start, stop): rows with an "id", and their straight RGBA (4, H, W), of these positions; asked for each
    shard that is not there, so they must be a function of the positions.
    """
    at = LocalPlace(ctx.scratch / FOLDER)
    rows: list[Row] = []
    for number, start in enumerate(range(0, count, per_shard)):
        name = shard_name(number)
        if not {name, name.removesuffix(SHARD) + INDEX} <= set(at.names()):
            made = pictures(start, min(start + per_shard, count))
            write_shard(at, name, (_entry(row, rgba) for row, rgba in made))
        for entry in Pool(at, [name]).entries():
            plain = {key: value for key, value in entry.items() if key not in OWN}
            rows.append({**plain, "rgba": f"{FOLDER}/{name}/{entry['key']}.png"})
    if rows:
        for left in at.folder.glob(".*.partial"):
            left.unlink()
        os.replace(at.folder, ctx.out / FOLDER)
    return rows


def loose_name(rgba: str) -> str:
    """The name of a picture, that may be a member of a shard, as a file by itself: below rgba/."""
    path = PurePosixPath(rgba)
    return f"rgba/{path.name}" if path.parent.suffix == SHARD else rgba


def _entry(row: Row, rgba: Tensor) -> Entry:
    figures = rgba_entry(str(row["id"]).replace("/", "-").replace(".", "-"), row, rgba)
    return figures._replace(record={**figures.record, **row})  # the stage's own figures are the truer ones
