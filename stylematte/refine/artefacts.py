"""What generators do wrong with alphas, drawn into clean ones: the classes measured on LayerDiffuse pictures.

Each is a function (alpha, rng) -> alpha of (H, W) float32 arrays in [0, 1]; sizes are relative to the shorter side.
`corrupt` applies several, `CURABLE` are what refinement has to mend, `HOPELESS` what it has to refuse, `FALSE` what
alpha alone cannot tell from a true one. `spoil` draws what happens to one picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np

Array = np.ndarray[Any, Any]
Artefact = Callable[[Array, np.random.Generator], Array]


def translucent_core(alpha: Array, rng: np.random.Generator, share: float = 0.16, most: float = 0.35) -> Array:
    """Patches over `share` of the body's inside let up to `most` of what is behind through; the edge stays right."""
    depth = _depth(alpha)
    core = depth > 0
    if not core.any():
        return alpha
    field = _noise(alpha.shape, 0.06, rng)
    patch = np.clip((field - np.quantile(field[core], 1 - share)) / (0.5 * float(field[core].std()) + 1e-6), 0, 1)
    fade = np.clip(depth / (0.03 * min(alpha.shape)), 0, 1)
    return (alpha * (1 - most * patch * fade)).astype(np.float32)


def haze(alpha: Array, rng: np.random.Generator, most: float = 0.1) -> Array:
    """A slow veil of alpha 0 to `most` over the whole frame, behind the subject too."""
    field = _noise(alpha.shape, 0.25, rng)
    field = (field - field.min()) / (np.ptp(field) + 1e-6)
    return (alpha + (1 - alpha) * most * field).astype(np.float32)


def specks(alpha: Array, rng: np.random.Generator, count: int = 12) -> Array:
    """Small soft spots of alpha 0.3 to 1 outside the subject."""
    outside = cv2.distanceTransform((alpha < 0.02).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    spots = np.zeros_like(alpha)
    for row, column in _some_pixels(outside > 0.02 * min(alpha.shape), count, rng):
        spots = np.maximum(spots, _spot(alpha.shape, row, column, rng.uniform(0.004, 0.012), rng.uniform(0.3, 1)))
    return np.maximum(alpha, spots)


def holes(alpha: Array, rng: np.random.Generator, count: int = 6) -> Array:
    """Small soft holes deep in the body, down to alpha 0 to 0.7."""
    result = alpha
    for row, column in _some_pixels(_depth(alpha) > 0.06 * min(alpha.shape), count, rng):
        spot = _spot(alpha.shape, row, column, rng.uniform(0.004, 0.01), rng.uniform(0.3, 1))
        result = result * (1 - spot)
    return result.astype(np.float32)


def frame_bands(alpha: Array, rng: np.random.Generator, most: float = 0.4) -> Array:
    """Stripes of alpha along two sides of the frame where no subject is."""
    result = alpha.copy()
    width = max(2, round(0.015 * min(alpha.shape)))
    for turns in rng.choice(4, 2, replace=False):
        side = np.rot90(result, turns)
        side[:width] = np.maximum(side[:width], rng.uniform(0.2, most) * (side[:width] < 0.02))
    return result


def glass(alpha: Array, rng: np.random.Generator, opacity: float = 0.35) -> Array:
    """A subject that is transparent throughout but for highlights: 94 % of its core is below 1."""
    field = _noise(alpha.shape, 0.04, rng)
    lit = np.clip((field - np.quantile(field, 0.94)) / (float(field.std()) + 1e-6), 0, 1)
    return (alpha * (opacity + (1 - opacity) * lit)).astype(np.float32)


def full_haze(alpha: Array, rng: np.random.Generator) -> Array:
    """A veil so thick (mean about 0.18) that nobody can tell what is edge."""
    return haze(alpha, rng, 0.36)


def ghost(alpha: Array, rng: np.random.Generator) -> Array:
    """A second, paler subject beside the first: the body moved aside at alpha 0.6."""
    moved = np.roll(alpha, round(alpha.shape[1] * rng.uniform(0.35, 0.5)) * int(rng.choice([-1, 1])), 1)
    return np.maximum(alpha, 0.6 * moved).astype(np.float32)


def wrong_edge(alpha: Array, rng: np.random.Generator) -> Array:
    """The body grown or eaten by 1 to 4 % of the shorter side, with the same soft edge."""
    reach = 2 * round(rng.uniform(0.01, 0.04) * min(alpha.shape)) + 1
    return (cv2.dilate if rng.random() < 0.5 else cv2.erode)(alpha, np.ones((reach, reach), np.uint8))


def lost_part(alpha: Array, rng: np.random.Generator) -> Array:
    """A disc of 10 to 25 % of the shorter side around a point of the subject is gone."""
    rows, columns = np.nonzero(alpha > 0.5)
    if not len(rows):
        return alpha
    at = int(rng.integers(len(rows)))
    y, x = np.ogrid[: alpha.shape[0], : alpha.shape[1]]
    distance = np.hypot(y - rows[at], x - columns[at])
    return alpha * np.clip((distance - rng.uniform(0.1, 0.25) * min(alpha.shape)) / 3 + 0.5, 0, 1).astype(np.float32)


CURABLE: Mapping[str, Artefact] = {
    "translucent core": translucent_core,
    "haze": haze,
    "specks": specks,
    "holes": holes,
    "frame bands": frame_bands,
}
HOPELESS: Mapping[str, Artefact] = {"glass": glass, "full haze": full_haze}
FALSE: Mapping[str, Artefact] = {"ghost": ghost, "wrong edge": wrong_edge, "lost part": lost_part}
ALL: Mapping[str, Artefact] = {**CURABLE, **HOPELESS, **FALSE}
CLEAN_SHARE = 0.25
"""Of the pictures that `spoil` leaves as they are."""


class Spoilt(NamedTuple):
    """alpha (H, W) float32, and the names of what was done to it, of `ALL`."""

    alpha: Array
    artefacts: tuple[str, ...]


def spoil(alpha: Array, rng: np.random.Generator) -> Spoilt:
    """Left as it is one time in four, else spoilt by one or two artefacts of `ALL`, all equally likely."""
    count = 0 if rng.random() < CLEAN_SHARE else int(rng.integers(1, 3))
    names = tuple(list(ALL)[k] for k in rng.choice(len(ALL), count, replace=False))
    return Spoilt(corrupt(alpha, [ALL[name] for name in names], rng), names)


def corrupt(alpha: Array, artefacts: Iterable[Artefact], rng: np.random.Generator) -> Array:
    """One after the other, then rounded to 8 bits as files are."""
    for artefact in artefacts:
        alpha = artefact(alpha, rng)
    return (np.rint(np.clip(alpha, 0, 1) * 255) / 255).astype(np.float32)


def _noise(shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> Array:
    """Smooth noise whose spots are about `scale` of the shorter side; mean about 0."""
    height, width = shape
    coarse = [max(2, round(side / (scale * min(shape)))) + 1 for side in (height, width)]
    return cv2.resize(rng.standard_normal(coarse).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)


def _depth(alpha: Array) -> Array:
    """How deep each pixel lies in what is opaque."""
    return cv2.distanceTransform((alpha >= 0.98).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)


def _spot(shape: tuple[int, ...], row: int, column: int, radius: float, height: float) -> Array:
    """A disc of that height with an edge 2 pixels wide."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(y - row, x - column).astype(np.float32)
    return height * np.clip((max(1.0, radius * min(shape)) - distance) / 2 + 0.5, 0, 1)


def _some_pixels(where: Array, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    chosen = np.flatnonzero(where)
    if not len(chosen):
        return []
    picked = chosen[rng.integers(0, len(chosen), count)]
    return [(int(at // where.shape[1]), int(at % where.shape[1])) for at in picked]
