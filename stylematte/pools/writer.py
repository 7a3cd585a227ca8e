"""Writes a shard: a tar of pictures and their JSON side-cars as `webdataset` reads it, then its index. Whole or not.

The bytes depend on the entries alone (no times, no owners). The tar is moved to its place first, the index last: a
shard whose index is missing does not exist and is made again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylematte.data.near_duplicates import fingerprint
from stylematte.imagecode import encode
from stylematte.imagefile import from_bytes, to_uint8
from stylematte.pools.place import Place
from stylematte.shards import INDEX, MEMBERS, SHARD

SIDECAR = "json"


class Entry(NamedTuple):
    """One pair to be written. key: unique in the pool, without dots; record: JSON; pictures: ending -> bytes.

    Endings: "png" (straight RGBA), or "image.png" and "alpha.png". None: refused, only the index has it.
    """

    key: str
    record: Mapping[str, Any]
    pictures: Mapping[str, bytes]


def shard_name(number: int) -> str:
    return f"{number:06d}{SHARD}"


def rgba_entry(key: str, record: Mapping[str, Any], rgba: Tensor, bits: int = 8) -> Entry:
    """An entry of straight RGBA (4, H, W) in [0, 1], with the figures that `pool stats` and `dedup` go by."""
    figures = {
        "height": rgba.shape[1],
        "width": rgba.shape[2],
        "foreground": round(float(rgba[3].mean()), 5),
        "hash": perceptual_hash(rgba),
    }
    return Entry(key, {**record, **figures}, {"png": rgba_png(rgba, bits)})


def rgba_png(rgba: Tensor, bits: int = 8) -> bytes:
    """Lossless PNG of 8 or 16 bits a channel."""
    if bits == 8:
        return encode("rgba.png", to_uint8(rgba))
    deep = rgba.double().clamp(0, 1).mul(65535).add(0.5).floor().permute(1, 2, 0).numpy().astype(np.uint16)
    return encode("rgba.png", deep)


def perceptual_hash(rgba: Tensor) -> str:
    """128 bits (hex) of `near_duplicates.fingerprint`, of the cut-out before mid-grey."""
    alpha = rgba[3:]
    bits = fingerprint(alpha * rgba[:3] + (1 - alpha) * 0.5).bits[0]
    return np.packbits(bits).tobytes().hex()


def copied_entry(entry: Mapping[str, Any], pictures: Mapping[str, bytes]) -> Entry:
    """An entry of an index and its pictures, to be written once more as they are."""
    record = {name: value for name, value in entry.items() if name not in (MEMBERS, "key", "sha256")}
    return Entry(str(entry["key"]), record, {end: data for end, data in pictures.items() if end != SIDECAR})


def write_shard(to: Place, name: str, entries: Iterable[Entry]) -> dict[str, Any]:
    """Write shard `name` (NNNNNN.tar) and its index; what the index says of it. Entries are taken one by one.

    Raises ValueError for a key that is there twice or holds a dot or a slash.
    """
    stem = name.removesuffix(SHARD)
    partial = to.workshop() / f".{name}.{os.getpid()}.partial"
    rows: list[str] = []
    seen: set[str] = set()
    try:
        with partial.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for entry in entries:
                if entry.key in seen or "." in entry.key or "/" in entry.key:
                    raise ValueError(f"{name}: key {entry.key!r} is there twice, or holds a dot or a slash")
                seen.add(entry.key)
                rows.append(json.dumps(_add(tar, entry), sort_keys=True, ensure_ascii=False))
        head = {"shard": name, "entries": len(rows), "bytes": partial.stat().st_size, "sha256": digest_of(partial)}
        to.take(name, partial)
    finally:
        partial.unlink(missing_ok=True)
    lines = [json.dumps(head, sort_keys=True), *rows]
    to.write(stem + INDEX, ("\n".join(lines) + "\n").encode())
    return head


def digest_of(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def decoded(pictures: Mapping[str, bytes], name: str) -> Tensor:
    """The RGBA (4, H, W) of an entry's members, of one picture or of image and alpha. Raises BadPicture."""
    if "png" in pictures:
        picture = from_bytes(name, pictures["png"])
        return picture if picture.shape[0] == 4 else torch.cat([picture.expand(3, -1, -1), torch.ones_like(picture)])
    return torch.cat([from_bytes(name, pictures["image.png"])[:3], from_bytes(name, pictures["alpha.png"])[:1]])


def _add(tar: tarfile.TarFile, entry: Entry) -> dict[str, Any]:
    """Put the members of an entry into the tar; its row of the index."""
    if not entry.pictures:
        return {**entry.record, "key": entry.key}
    row: dict[str, Any] = {**entry.record, "key": entry.key, MEMBERS: {}}
    row["sha256"] = hashlib.sha256(b"".join(entry.pictures[end] for end in sorted(entry.pictures))).hexdigest()
    side = json.dumps({**entry.record, "key": entry.key}, sort_keys=True, ensure_ascii=False).encode()
    for ending, data in sorted({**entry.pictures, SIDECAR: side}.items()):
        info = tarfile.TarInfo(f"{entry.key}.{ending}")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
        row[MEMBERS][ending] = [tar.offset - -(-len(data) // 512) * 512, len(data)]
    return row


def shard_numbers(count: int, rank: int = 0, world: int = 1) -> Sequence[int]:
    """Of shards 0, 1, ... count - 1 those that one of `world` processes (over all nodes) writes."""
    return range(rank, count, world)
