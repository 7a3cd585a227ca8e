"""Writes trimaps, and closed-form alphas solved from them, into a prepared data folder.

A record is a row of index.jsonl; its paths are relative to the folder. Functions return changed records or set the
paths they wrote.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from stylematte.data.manifest import MEASURED, Record
from stylematte.errors import DataError
from stylematte.imagefile import read_alpha, read_rgb, read_trimap, write_alpha, write_rgb, write_trimap
from stylematte.ops.closed_form import closed_form_alpha
from stylematte.ops.foreground import estimate_foreground
from stylematte.trimap import from_mask, usable

log = logging.getLogger("stylematte")


class TrimapOptions(NamedTuple):
    """How far around a mask's edge nothing is known, in units of sqrt(area); outward None: as far as inward."""

    radius: float = 0.05
    outward: float | None = None


def record_trimap(folder: Path, record: Record, trimap: Tensor) -> str | None:
    """Write a trimap (1, S, S) and note its path in the record; None, and nothing written, if it teaches nothing."""
    ending = "pgm" if str(record["image"]).endswith(".ppm") else "png"
    record["trimap"] = f"trimap/{record['id']}.{ending}" if usable(trimap[None]).item() else None
    if record["trimap"]:
        write_trimap(folder / record["trimap"], trimap)
    return record["trimap"]


def weaken(folder: Path, record: Record, options: TrimapOptions) -> Record:
    """A training record with an alpha becomes one of kind `mask`: alpha > 1/2, its foreground and its trimap."""
    if record["split"] != "train" or record["kind"] not in MEASURED:
        return record
    mask = (read_alpha(folder / record["alpha"]) > 0.5).float()
    write_alpha(folder / record["alpha"], mask)
    write_rgb(folder / record["foreground"], estimate_foreground(read_rgb(folder / record["image"]), mask))
    record = {**record, "kind": "mask"}
    record_trimap(folder, record, from_mask(mask, *options))
    return record


def teach(folder: Path, record: Record) -> None:
    """Solve the matte of a record with a trimap in closed form, at the prepared size, and note its path.

    Where that does not converge the record stays as it is: it teaches its trimap.
    """
    try:
        alpha = closed_form_alpha(read_rgb(folder / record["image"]), read_trimap(folder / record["trimap"]))
    except DataError as error:
        log.warning("%s has no closed-form matte: %s", record.get("source", record["id"]), error)
        return
    record["closed_form"] = f"closed_form/{record['id']}{Path(record['trimap']).suffix}"
    write_alpha(folder / record["closed_form"], alpha)
