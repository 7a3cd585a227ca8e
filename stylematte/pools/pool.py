"""Reads a pool entry by entry, by the indexes of its shards; a plain folder of RGBA files is a pool, too."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from stylematte.errors import DataError
from stylematte.pools.place import LocalPlace, Place, place
from stylematte.shards import INDEX, MEMBERS, SHARD, parse_index

Row = dict[str, Any]
PLAIN = "index.jsonl"


class Pool(NamedTuple):
    """shards: the names of those that are whole, in order; none of a plain folder."""

    at: Place
    shards: list[str]

    def head(self, shard: str) -> Row:
        """What the index says of the shard. Raises DataError."""
        lines = self.at.lines(shard.removesuffix(SHARD) + INDEX)
        try:
            return parse_index(lines)[0]
        except ValueError as error:
            raise DataError(f"{self.at.where}/{shard.removesuffix(SHARD)}{INDEX}: {error}") from None

    def entries_of(self, shard: str) -> Iterator[Row]:
        """Its entries, each with the shard's name under "shard"."""
        try:
            _, entries = parse_index(self.at.lines(shard.removesuffix(SHARD) + INDEX))
            for entry in entries:
                yield {**entry, "shard": shard}
        except ValueError as error:
            raise DataError(f"{self.at.where}/{shard.removesuffix(SHARD)}{INDEX}: {error}") from None

    def entries(self, kept_only: bool = False) -> Iterator[Row]:
        """All entries in order, never more than one in memory."""
        rows = (entry for shard in self.shards for entry in self.entries_of(shard)) if self.shards else self._plain()
        yield from (row for row in rows if not kept_only or row.get("kept", True))

    def pictures(self, entry: Row) -> dict[str, bytes]:
        """Ending -> bytes of an entry's members."""
        if "shard" in entry:
            places = entry.get(MEMBERS, {})
            return {end: self.at.read(entry["shard"], offset, size) for end, (offset, size) in places.items()}
        assert isinstance(self.at, LocalPlace)
        return {"png": (self.at.folder / entry["rgba"]).read_bytes()}

    def _plain(self) -> Iterator[Row]:
        assert isinstance(self.at, LocalPlace)
        folder = self.at.folder
        if (folder / PLAIN).is_file():
            with (folder / PLAIN).open(encoding="utf-8") as lines:
                for line in lines:
                    row = json.loads(line)
                    if row.get("rgba"):
                        yield {"key": Path(row["rgba"]).stem, **row}
            return
        for file in sorted(folder.rglob("*.png")):
            name = file.relative_to(folder)
            yield {"key": name.with_suffix("").as_posix().replace("/", "_").replace(".", "_"), "rgba": str(name)}


def open_pool(where: str | os.PathLike[str]) -> Pool:
    """The pool at a folder or URL: of shards (also in its sub-folder shards/), or plain. Raises DataError."""
    at = place(where)
    names = at.names()
    if "shards" in names and not any(name.endswith(SHARD) for name in names):
        at = place(f"{str(where).rstrip('/')}/shards")
        names = at.names()
    shards = [name for name in names if name.endswith(SHARD) and name.removesuffix(SHARD) + INDEX in names]
    if not shards and not (isinstance(at, LocalPlace) and (PLAIN in names or any(at.folder.rglob("*.png")))):
        raise DataError(f"{where}: no pool; expected shards NNNNNN.tar with NNNNNN.jsonl, index.jsonl, or RGBA PNGs")
    return Pool(at, shards)
