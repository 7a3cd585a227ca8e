"""The stage `watch`: how diverse and how near to its training set is what the generator drew, and what was refused.

It decides nothing: `loop.runs.collapse` holds its values against the thresholds of `watch`. Compared are the pool of
`synthesize`, as it was drawn, and the generator's training set, at most watch.images of each. Precision, recall,
density, coverage and the Fréchet distances are in the features of round 0's matter, as in `select_generator`; spread is
that of pictures of 8 x 8, which a matter that went wrong cannot spoil. It is also held against that of the same seeds
at psi 1, so that truncation shows in a generator that is young and draws much alike anyway.
Out: nothing but its values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from loop.config.steps import WatchStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.fitting.device import device_for
from loop.pools import kept_files, read_index
from stylematte.imagefile import read_rgba
from stylematte.networks.weights import load_matter
from stylemattegan.metrics import cutout_distances, density_coverage, precision_recall, spread
from stylemattegan.metrics.band_statistics import BANDS
from stylemattegan.metrics.cutout_distances import Cutouts, gathered, one_batch
from stylemattegan.metrics.features import Features, joined, pixels, pooled, units
from stylemattegan.networks.weights import load_generator
from stylemattegan.sample import sample

T = TypeVar("T")
BATCH = 32
PRECISION_K, COVERAGE_K = 3, 5
"""Neighbours, as published."""
RESAMPLES = 20
"""For the standard errors of the distances, each known to a sixth by so many."""
ONE_PICTURE = 1e-3
"""Spread below which all pictures are one but for rounding: truncation has nothing to take."""
DIGITS = 5


class Measured(NamedTuple):
    """A set of N cut-outs."""

    features: list[Tensor]
    """Blocks (N, d_i) of the matter's features."""
    thumbnails: Tensor
    """(N, 256)."""
    cutouts: Cutouts


def run(ctx: Context) -> Metrics:
    images = read(WatchStep, ctx.config).images
    made, real = (_some(kept_files(ctx.inputs[name]), images) for name in ("pool", "labels"))
    values: dict[str, float] = {"generated": len(made), "real": len(real), **_selection(ctx)}
    if min(len(made), len(real)) > max(PRECISION_K, COVERAGE_K):
        device = device_for(ctx)
        features = pooled("round 0's matter", load_matter(ctx.inputs["features"]).to(device).encode, device)
        pool, reals = (_measured(ctx, features, files) for files in (made, real))
        values |= _compared(pool, reals, ctx.seed)
        untruncated = _untruncated(ctx, device, images)
        values["untruncated_spread"] = spread(untruncated, reals.thumbnails)
        if values["untruncated_spread"] > ONE_PICTURE:
            values["truncated_spread"] = spread(pool.thumbnails, untruncated)
    return {name: round(value, DIGITS) for name, value in values.items() if math.isfinite(value)}


def _some(things: Sequence[T], most: int) -> list[T]:
    """At most so many, evenly from all."""
    return [things[index * len(things) // most] for index in range(most)] if len(things) > most else list(things)


def _selection(ctx: Context) -> dict[str, float]:
    """Mean disagreement of matter and generator, and the share that `select` refused; nothing of no candidate."""
    rows = read_index(ctx.inputs["pairs"])
    if not rows:
        return {}
    seen = [row for row in rows if "disagreement" in row]  # the others were refused before the matter saw them
    refused = {"refused": float(np.mean([not row["kept"] for row in rows]))}
    return refused | ({"disagreement": float(np.mean([row["disagreement"] for row in seen]))} if seen else {})


def _measured(ctx: Context, features: Features, files: Sequence[Path]) -> Measured:
    blocks, thumbnails, parts = [], [], []
    for start in tracked(ctx, range(0, len(files), BATCH)):
        rgba = torch.stack([read_rgba(file) for file in files[start : start + BATCH]])
        blocks.append(features.of(rgba))
        thumbnails.append(pixels().of(rgba)[0])
        parts.append(one_batch(features, rgba))
    together = [torch.cat(block).double() for block in zip(*blocks, strict=True)]
    return Measured(together, torch.cat(thumbnails), gathered(parts))


def _untruncated(ctx: Context, device: torch.device, most: int) -> Tensor:
    """Thumbnails (N, 256) of the pool's seeds at psi 1."""
    G = load_generator(ctx.inputs["generator"]).to(device)
    seeds = [row["seed"] for row in _some([row for row in read_index(ctx.inputs["pool"]) if row["kept"]], most)]
    parts = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    return torch.cat([pixels().of(sample(G, part, [1.0] * len(part), BATCH))[0] for part in tracked(ctx, parts)])


def _compared(made: Measured, real: Measured, seed: int) -> dict[str, float]:
    scale = units(real.features)
    one, other = (joined(each.features, scale) for each in (made, real))
    values = {"spread": spread(made.thumbnails, real.thumbnails)}
    values["precision"], values["recall"] = precision_recall(one, other, PRECISION_K)
    values["density"], values["coverage"] = density_coverage(one, other, COVERAGE_K)
    for name in BANDS:
        bands = made.cutouts.bands[name], real.cutouts.bands[name]
        values[name], values[f"real_{name}"] = (float(band.mean()) for band in bands)
    areas = made.cutouts.bands["area"], real.cutouts.bands["area"]
    values["area_spread"] = float(areas[0].std() / (areas[1].std() or 1.0))
    return values | cutout_distances(made.cutouts, real.cutouts, resamples=RESAMPLES, seed=seed)
