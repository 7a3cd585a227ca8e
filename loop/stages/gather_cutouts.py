"""The stage `gather_cutouts`: RGBA files of a folder -> a pool of framed cut-outs, to fit a generator alone on.

Out: index.jsonl and rgba/NNNNNN.png, as `label` writes them. Files without transparency or a subject are left out.
"""

from __future__ import annotations

import logging
from pathlib import Path

from loop.config.steps import GatherCutoutsStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.pools import Row, write_index
from stylematte.errors import BadPicture, DataError
from stylematte.imagefile import read_rgba, write_rgba
from stylematte.inference.photos import pictures_in
from stylemattegan.framing import frame_cutout

log = logging.getLogger("stylematte")


def run(ctx: Context) -> Metrics:
    step = read(GatherCutoutsStep, ctx.config)
    folder = Path(step.root)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected RGBA pictures in it")
    files = pictures_in(folder)
    rows: list[Row] = []
    for file in tracked(ctx, files):
        name = f"rgba/{len(rows):06d}.png"
        try:
            _write_framed(file, ctx.out / name, step.size)
        except BadPicture as error:
            log.warning("left out %s", error)
            continue
        rows.append({"id": file.stem, "kind": "alpha", "kept": True, "rgba": name, "source": file.name})
    if len(rows) < 2:
        raise DataError(f"{folder}: {len(rows)} of {len(files)} files are RGBA cut-outs, a generator needs 2 or more")
    write_index(ctx.out, rows)
    return {"cutouts": len(rows), "left_out": len(files) - len(rows)}


def _write_framed(file: Path, target: Path, size: int) -> None:
    rgba = read_rgba(file)
    if (rgba[3] == 1).all():
        raise BadPicture(file, "has no transparency, expected an RGBA cut-out")
    try:
        write_rgba(target, frame_cutout(rgba, size))
    except ValueError as error:
        raise BadPicture(file, str(error)) from None
