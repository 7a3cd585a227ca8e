"""index.jsonl, the table of a pool of cut-outs or of prepared pictures: reading, writing, choosing rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylematte.data.manifest import MEASURED, PICTURES
from stylematte.imagefile import read_alpha, read_rgb
from stylematte.jsonl import read_jsonl

Row = dict[str, Any]


def read_index(folder: Path) -> list[Row]:
    """The rows of `folder`/index.jsonl in their order; none if there is no index."""
    return read_jsonl(folder / "index.jsonl")


def write_index(folder: Path, rows: Iterable[Row], name: str = "index.jsonl") -> None:
    (folder / name).write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))


def data_rows(data: Path, split: str, domain: str | None = None, kinds: Sequence[str] = MEASURED) -> list[Row]:
    """Rows of prepared data with this split, kind and (if given) domain."""
    return [
        row
        for row in read_index(data)
        if row["split"] == split and row["kind"] in kinds and domain in (None, row["domain"])
    ]


def absolute(folder: Path, row: Row) -> Row:
    """The row with the paths of its pictures joined to the folder they are in."""
    return {**row, **{key: str(folder / row[key]) for key in PICTURES if isinstance(row.get(key), str)}}


def background_files(data: Path) -> list[Path]:
    return [
        data / row["image"] for row in read_index(data) if row["kind"] == "background" and row["split"] != "heldout"
    ]


def read_cutout(data: Path, row: Row) -> Tensor:
    """The straight RGBA (4, h, w) of a labelled row without padding: its foreground colours and its alpha."""
    return content(torch.cat([read_rgb(data / row["foreground"]), read_alpha(data / row["alpha"])]), row)


def content(picture: Tensor, row: Row) -> Tensor:
    """(C, H, W) -> the part of a prepared picture that is no padding, as the row's `box` says."""
    if "box" not in row:
        return picture
    top, left, height, width = row["box"]
    return picture[:, top : top + height, left : left + width].contiguous()


def kept_files(pool: Path) -> list[Path]:
    return [pool / row["rgba"] for row in read_index(pool) if row["kept"]]
