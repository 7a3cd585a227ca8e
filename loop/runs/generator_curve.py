"""A fitted generator's distances to the cut-outs it learned from, at each of its snapshots: a curve, and the nearest.

    curve.jsonl    a line a snapshot: kimg, frechet, kid and its folder
    curve.html     the same as charts; dashed: two halves of the cut-outs from each other
    sheet.png      sixteen pictures of the nearest snapshot

Features are the pictures at 8 x 8 (`stylemattegan.metrics.features.pixels`), which need no matter, in units of the
spread of the cut-outs: curves of one set of cut-outs can be compared, those of two sets cannot. No cut-out is held out,
so a copy of the training set would be at 0; look for that with `stylematte measure` and at the sheet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from loop.pools import kept_files
from loop.report.charts import Line, line_chart
from loop.report.templates import render
from stylematte.atomic import replace_file
from stylematte.imagefile import read_rgba
from stylematte.sheets import on_checkerboard, write_sheet
from stylemattegan.metrics.features import Blocks, collect, pixels
from stylemattegan.metrics.projections import SMALLEST, projected_distances
from stylemattegan.networks.weights import load_generator, read_description
from stylemattegan.sample import sample

BATCH = 32
SHOWN = 16
POOLS = ("gather_cutouts", "refine_cutouts", "label")
"""Stages whose folders hold what a fit beside them learned from; the first that is there."""


def draw_curve(
    made: Path, out: Path, images: int, track: Callable[[Iterable[Path]], Iterable[Path]] = iter
) -> list[dict[str, Any]]:
    """Measure the snapshots of the fit that `made` is, or lies beside, and write `out`. The lines, by kimg.

    images: drawn of each. Empty, and nothing written, where there are fewer than SMALLEST cut-outs or images.
    """
    fit = made if made.name == "fit_generator" else made.with_name("fit_generator")
    labels = next(made.with_name(name) for name in POOLS if (made.with_name(name) / "index.jsonl").is_file())
    files = kept_files(labels)
    if min(len(files), images) < SMALLEST:
        return []
    real = _blocks(torch.stack([read_rgba(file) for file in files]))
    rows, nearest = [], float("inf")
    for folder in track([*sorted(fit.glob("snapshots/*")), fit]):
        pictures = _drawn(folder, images)
        frechet, kid = projected_distances(_blocks(pictures), real, real)
        kimg = float(read_description(folder).meta["kimg"])
        rows.append({"kimg": kimg, "frechet": round(frechet, 5), "kid": round(kid, 6), "folder": str(folder)})
        if frechet < nearest:
            nearest = frechet
            write_sheet(out / "sheet.png", [on_checkerboard(picture) for picture in pictures[:SHOWN]], 8)
    replace_file(out / "curve.jsonl", "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    replace_file(out / "curve.html", _page(rows, _between_halves(real), len(files), images))
    return rows


def best(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The first line with the lowest Frechet distance."""
    return min(rows, key=lambda row: (row["frechet"], row["kimg"]))


def _drawn(folder: Path, images: int) -> Tensor:
    """The same latents for every snapshot."""
    return sample(load_generator(folder), range(1, images + 1), [1.0] * images, BATCH)


def _blocks(pictures: Tensor) -> Blocks:
    return collect(pixels(), pictures.split(BATCH))


def _between_halves(real: Blocks) -> float | None:
    """Frechet distance of every other cut-out from the rest; None where a half is too small."""
    halves = [[block[start::2] for block in real] for start in (0, 1)]
    if len(halves[1][0]) < SMALLEST:
        return None
    return projected_distances(halves[0], halves[1], real).frechet


def _page(rows: Sequence[dict[str, Any]], floor: float | None, files: int, images: int) -> str:
    seen = [round(1000 * row["kimg"]) for row in rows]
    lines = [Line("Frechet distance", list(zip(seen, (row["frechet"] for row in rows), strict=True)), 0)]
    if floor is not None:
        lines.append(Line("two halves of the cut-outs", [(seen[0], floor), (seen[-1], floor)], 1, dashed=True))
    kernel = [Line("kernel distance", list(zip(seen, (row["kid"] for row in rows), strict=True)), 2)]
    charts = [
        line_chart("Frechet distance", lines, "pictures seen", 640, 300, dots=True),
        line_chart("kernel distance", kernel, "pictures seen", 640, 300, dots=True),
    ]
    found = best(rows)
    lead = f"{images} pictures of each snapshot against {files} cut-outs, at 8 x 8, by pictures seen in the fit. "
    lead += f"Nearest: {found['frechet']:.4g} at {found['kimg']:g} kimg, {rows[-1]['frechet']:.4g} at the end."
    lead += "" if floor is None else f" Dashed: two halves of the cut-outs are {floor:.4g} apart."
    body = charts[0] + charts[1]
    return render("page.html", title="Generator, by snapshot", lead=lead, links=[], body=body)
