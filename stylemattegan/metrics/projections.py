"""Distances of small sets: features on fixed random bases, so that a few hundred pictures give a full-rank covariance.

Each block of features is brought to unit variance as a whole: in a block they keep their natural units. (Each on its
own, the alpha of corners that are always empty would rule the distance: one stray pixel there counted for more than the
whole subject.) The distances are means over the bases, of which one alone is off by a fifth.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from stylematte.sampling import generator_at
from stylemattegan.metrics.distances import Vectors, frechet_distance, kernel_distance
from stylemattegan.metrics.features import Blocks

DIRECTIONS, BASES = 32, 8
SMALLEST = 2 * DIRECTIONS
"""Pictures that a set needs at least for its covariance."""


class Distances(NamedTuple):
    """Of projected features: values of one scale can be compared, never those of two."""

    frechet: float
    kid: float


def projected_distances(generated: Blocks, real: Blocks, scale: Blocks) -> Distances:
    """Fréchet and kernel distance of two sets of features in blocks (N, d_i), in units of the spread of `scale`."""
    found = []
    for basis in range(BASES):
        one, other = (_project(blocks, scale, basis) for blocks in (generated, real))
        found.append((frechet_distance(one, other), kernel_distance(one, other)))
    frechet, kid = np.mean(found, 0)
    return Distances(float(frechet), float(kid))


def _project(blocks: Blocks, scale: Blocks, basis: int) -> Vectors:
    """Blocks of equal weight, in units of their spread, then on DIRECTIONS of one fixed orthonormal basis.

    P = [(x_b - m_b) / u_b]_b Q sqrt(d / B): with d features in B blocks, the projection of `scale` has a variance of
    about 1 in each direction.
    """
    likes = [like.double().numpy() for like in scale]
    spreads = [math.sqrt(like.var(0).sum()) or 1.0 for like in likes]  # a block that never varies says nothing
    rows = [
        (block.double().numpy() - like.mean(0)) / spread
        for block, like, spread in zip(blocks, likes, spreads, strict=True)
    ]
    width = sum(like.shape[1] for like in likes)
    # "judge" is a seed: another word, other bases, and no distance could be compared with earlier ones
    drawn = torch.randn(width, DIRECTIONS, generator=generator_at("judge", basis), dtype=torch.float64)
    return np.concatenate(rows, 1) @ np.linalg.qr(drawn.numpy())[0] * math.sqrt(width / len(likes))
