"""Precision, recall, density, coverage and spread of a generator by nearest neighbours of features.

Kynkäänniemi et al. 2019 (precision, recall), Naeem et al. 2020 (density, coverage).
"""

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
    fakes, reals = _centred(generated, real, k)
    return _covered(fakes, reals, k), _covered(reals, fakes, k)


def density_coverage(generated: ArrayLike, real: ArrayLike, k: int = 5) -> tuple[float, float]:
    """(density, coverage) of features (N, d) and (M, d) (Naeem et al. 2020, equations 4 and 5).

    The ball of a real vector reaches to its k-th nearest real neighbour. Density: in how many balls a generated vector
    lies on average, over k; about 1 for equal distributions, above it where pictures crowd. Coverage: share of the
    balls with a generated vector inside, 1 - 2^-k on average for equal distributions of equal counts.
    Raises ValueError unless both sets have more than k vectors.
    """
    fakes, reals = _centred(generated, real, k)
    reach = _reach(fakes, reals, k)
    inside = np.concatenate([_squared(rows, reals) <= reach for rows in _parts(fakes)])
    return float(inside.sum(1).mean() / k), float(inside.any(0).mean())


def spread(generated: ArrayLike, real: ArrayLike) -> float:
    """Root of the total variance of features (N, d) over that of (M, d): 0 for equal pictures, about 1 for sets as
    diverse, whatever lies between them; infinite if only the real ones are equal."""
    fakes, reals = pair(generated, real)
    made, there = (float(x.var(0).sum()) for x in (fakes, reals))
    return float(np.sqrt(made / there)) if there else float(made and np.inf)


def _centred(generated: ArrayLike, real: ArrayLike, k: int) -> tuple[Vectors, Vectors]:
    """Both about the real ones' mean: distances do not change, but less cancels."""
    fakes, reals = pair(generated, real)
    if not 1 <= k < min(len(fakes), len(reals)):
        raise ValueError(f"k = {k} neighbours of sets of {len(fakes)} and {len(reals)}: give 1 <= k < both")
    centre = reals.mean(0)
    return fakes - centre, reals - centre


def _covered(probes: Vectors, manifold: Vectors, k: int) -> float:
    """Share of probes within the k-neighbour ball of any vector of manifold."""
    reach = _reach(probes, manifold, k)
    return float(np.concatenate([(_squared(rows, manifold) <= reach).any(1) for rows in _parts(probes)]).mean())


def _reach(probes: Vectors, manifold: Vectors, k: int) -> Vectors:
    """(M,) squared radii of the balls of manifold, to the k-th other vector of it, with what rounding needs."""
    slack = ROUNDING * max(float((x**2).sum(1).max()) for x in (probes, manifold))
    # A vector is its own nearest neighbour: the k-th other one has index k.
    radii = [np.partition(_squared(rows, manifold), k, axis=1)[:, k] for rows in _parts(manifold)]
    return np.concatenate(radii) + slack


def _parts(features: Vectors) -> list[Vectors]:
    return [features[start : start + ROWS] for start in range(0, len(features), ROWS)]


def _squared(a: Vectors, b: Vectors) -> Vectors:
    """(n, m) squared distances: |a|^2 + |b|^2 - 2 a b'."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0)
