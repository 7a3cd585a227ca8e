"""Precision and recall of a generator by nearest neighbours of features (Kynkäänniemi et al. 2019)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stylemattegan.metrics.distances import Vectors, pair

ROWS = 1024
ROUNDING = 1e-12
"""Of the squared length: what float64 leaves of the distance of a vector to itself."""


def precision_recall(generated: ArrayLike, real: ArrayLike, k: int = 3) -> tuple[float, float]:
    """(precision, recall) of features (N, d) and (M, d) (Kynkaanniemi et al. 2019).

    Precision: share of generated vectors nearer to some real one than that one's k-th nearest real neighbour. Recall:
    the same with the sets exchanged. Raises ValueError unless both sets have more than k vectors.
    """
    fakes, reals = pair(generated, real)
    if not 1 <= k < min(len(fakes), len(reals)):
        raise ValueError(f"k = {k} neighbours of sets of {len(fakes)} and {len(reals)}: give 1 <= k < both")
    # Distances do not change, but less cancels.
    centre = reals.mean(0)
    fakes, reals = fakes - centre, reals - centre
    return _covered(fakes, reals, k), _covered(reals, fakes, k)


def _covered(probes: Vectors, manifold: Vectors, k: int) -> float:
    """Share of probes within the k-neighbour ball of any vector of manifold."""
    slack = ROUNDING * max(float((x**2).sum(1).max()) for x in (probes, manifold))
    # A vector is its own nearest neighbour: the k-th other one has index k.
    radii = np.concatenate([np.partition(_squared(rows, manifold), k, axis=1)[:, k] for rows in _parts(manifold)])
    inside = [(_squared(rows, manifold) <= radii + slack).any(1) for rows in _parts(probes)]
    return float(np.concatenate(inside).mean())


def _parts(features: Vectors) -> list[Vectors]:
    return [features[start : start + ROWS] for start in range(0, len(features), ROWS)]


def _squared(a: Vectors, b: Vectors) -> Vectors:
    """(n, m) squared distances: |a|^2 + |b|^2 - 2 a b'."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0)
