"""How far generated cut-outs are from real ones: composites, colour and alpha apart, and the bands of their alphas.

Fréchet distances (Heusel et al. 2017) in the features given; only those of Inception features may be called FID.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylematte.sampling import position_seed
from stylemattegan.metrics.alpha_statistics import LOW
from stylemattegan.metrics.band_statistics import Bands, band_distances, band_statistics, joined_bands
from stylemattegan.metrics.distances import frechet_distance
from stylemattegan.metrics.features import Blocks, Features, joined, over_grey, units

PARTS = ("composite", "rgb", "alpha")
GREY = 0.5


class Cutouts(NamedTuple):
    """A set of N cut-outs: features of each part, and the statistics of their bands."""

    parts: dict[str, Blocks]
    """Of PARTS: blocks (N, d_i)."""
    bands: Bands


def views(rgba: Tensor) -> dict[str, Tensor]:
    """Straight RGBA (N, 4, H, W) as opaque pictures of each part, in the same form.

    composite: over mid-grey. rgb: the colour wherever alpha is .02 or more, so that how soft an edge is does not count;
    mid-grey elsewhere. alpha: as a grey picture.
    """
    colour, alpha = rgba[:, :3], rgba[:, 3:]
    opaque = torch.ones_like(alpha)
    shown = torch.where(alpha >= LOW, colour, torch.full_like(colour, GREY))
    parts = zip(PARTS, (over_grey(rgba), shown, alpha.expand_as(colour)), strict=True)
    return {name: torch.cat([picture, opaque], 1) for name, picture in parts}


def cutouts(features: Features, batches: Iterable[Tensor]) -> Cutouts:
    """The set of all batches of straight RGBA (n, 4, H, W) together, at least one."""
    return gathered([one_batch(features, batch) for batch in batches])


def one_batch(features: Features, rgba: Tensor) -> Cutouts:
    return Cutouts({name: features.of(view) for name, view in views(rgba).items()}, band_statistics(rgba))


def gathered(rows: Sequence[Cutouts]) -> Cutouts:
    """Several sets as one, their features in float64."""
    parts = {
        name: [torch.cat(block).double() for block in zip(*(row.parts[name] for row in rows), strict=True)]
        for name in PARTS
    }
    return Cutouts(parts, joined_bands([row.bands for row in rows]))


def cutout_distances(
    made: Cutouts, real: Cutouts, *, scaled: bool = True, resamples: int = 0, seed: int = 0
) -> dict[str, float]:
    """Values by name: frechet_composite, frechet_rgb, frechet_alpha; band_area, band_soft, band_width, band_strand,
    band_holes, and band, the mean of these. At least 2 cut-outs a set.

    scaled: blocks are brought to unit variance on the real set. resamples: also each one's standard error as
    NAME_error, from so many bootstrap sets of pictures (Efron 1979); value ± 1.96 of it is a 95 % interval. Drawing a
    picture twice moves a distance upwards, so it is the spread of the resampled values, not their place, that counts.
    Fréchet distances fall with the number of pictures: compare equal counts only.
    """
    rows = {}
    for name in PARTS:
        unit = units(real.parts[name]) if scaled else []
        rows[name] = tuple(joined(each.parts[name], unit).numpy() for each in (made, real))
    everything = tuple(np.arange(len(each.bands["area"])) for each in (made, real))

    def distances(picks: Sequence[np.ndarray]) -> dict[str, float]:
        found = {f"frechet_{name}": frechet_distance(a[picks[0]], b[picks[1]]) for name, (a, b) in rows.items()}
        of_bands = band_distances(_picked(made.bands, picks[0]), _picked(real.bands, picks[1]))
        found |= {f"band_{name}": value for name, value in of_bands.items()}
        return found | {"band": float(np.mean(list(of_bands.values())))}

    found = distances(everything)
    if resamples:
        rng = np.random.default_rng(position_seed(seed, "cut-outs"))
        drawn = [distances([rng.choice(rows, len(rows)) for rows in everything]) for _ in range(resamples)]
        found |= {f"{name}_error": float(np.std([each[name] for each in drawn], ddof=1)) for name in list(found)}
    return found


def _picked(bands: Bands, rows: np.ndarray) -> Bands:
    return {name: values[rows] for name, values in bands.items()}
