"""Distances of two sets of features: Fréchet (FID, Heusel et al. 2017) and kernel (KID, Binkowski et al. 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stylematte.sampling import position_seed

Vectors = NDArray[np.float64]


def pair(a: ArrayLike, b: ArrayLike) -> tuple[Vectors, Vectors]:
    """Both as finite float64 (N, d) and (M, d), at least two vectors each; ValueError says what is not so."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    for features in (first, second):
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(f"expected at least 2 feature vectors as (N, d), got shape {features.shape}")
        if not np.isfinite(features).all():
            raise ValueError("features contain nan or infinity: check the pictures or the network they came from")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"features differ in length, {first.shape[1]} and {second.shape[1]}: use one network for both")
    return first, second


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Frechet distance of two Gaussians fitted to features (N, d) and (M, d). 0 for equal statistics.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) with covariances divided by N (Heusel et al. 2017).
    Biased for few samples: compare only values with the same counts, or use `kernel_distance`.
    """
    first, second = pair(a, b)
    mean_a, mean_b = first.mean(0), second.mean(0)
    left, right = (first - mean_a) / np.sqrt(len(first)), (second - mean_b) / np.sqrt(len(second))
    # With C_a = L'L and C_b = R'R the trace of (C_a C_b)^(1/2) is the sum of the singular values of L R'; if N > d,
    # triangular factors of the same products keep that matrix small.
    left, right = (np.asarray(np.linalg.qr(x, mode="r")) if len(x) > x.shape[1] else x for x in (left, right))
    cross = np.linalg.svd(left @ right.T, full_matrices=False, compute_uv=False).sum()
    shift = ((mean_a - mean_b) ** 2).sum()
    return float(max(shift + (left**2).sum() + (right**2).sum() - 2 * cross, 0.0))


def kernel_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Unbiased squared MMD with the kernel (x'y / d + 1)^3 (Binkowski et al. 2018, KID). May be below 0."""
    first, second = pair(a, b)
    dimension = first.shape[1]

    def kernel(x: Vectors, y: Vectors) -> Vectors:
        return (x @ y.T / dimension + 1) ** 3

    def within(x: Vectors) -> float:
        values = kernel(x, x)
        return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)))

    return within(first) + within(second) - 2 * float(kernel(first, second).mean())


def kernel_distance_of_blocks(a: ArrayLike, b: ArrayLike, blocks: int = 100, size: int = 1000, seed: int = 0) -> float:
    """Mean of `kernel_distance` over random blocks of `size` vectors of each set, as KID is published.

    A block is drawn without replacement and never larger than the smaller set; one block of everything is
    `kernel_distance` itself. Memory is of size^2, whatever the sets have.
    """
    first, second = pair(a, b)
    size = min(size, len(first), len(second))
    rng = np.random.default_rng(position_seed(seed, "kernel blocks"))
    values = []
    for _ in range(blocks):
        picks = (rng.choice(len(features), size, replace=False) for features in (first, second))
        values.append(kernel_distance(*(features[pick] for features, pick in zip((first, second), picks, strict=True))))
    return float(np.mean(values))
