"""The matting metrics written as their definitions, slow: what the fast ones are tested and timed against.

Written from the published definitions (P3M: Li et al. 2021, arXiv 2104.14222; Grad and Conn: Rhemann et al. 2009, "A
perceptually motivated online benchmark for image matting"). Arguments are (H, W) float arrays in [0, 1].
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import ndimage

from stylematte.metrics.checked import as_read, checked, regions
from stylematte.metrics.gradient import adobe_slope

_FOUR_NEIGHBOURS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def sad(pred: np.ndarray, truth: np.ndarray) -> float:
    """Sum of absolute differences, in thousands: sum |p - a| / 1000. Grows with the picture's area."""
    return float(np.abs(_difference(pred, truth)).sum() / 1000)


def mse(pred: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared difference, raw (some papers print it times 1000)."""
    return float(np.square(_difference(pred, truth)).mean())


def mad(pred: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute difference, raw."""
    return float(np.abs(_difference(pred, truth)).mean())


def grad(pred: np.ndarray, truth: np.ndarray, sigma: float = 1.4) -> float:
    """sum (|grad p| - |grad a|)^2 / 10, with first derivatives of a Gaussian of `sigma` pixels, border mirrored."""
    pred, truth = checked(pred, truth)
    return float(np.square(gaussian_slope(pred, sigma) - gaussian_slope(truth, sigma)).sum() / 10)


def conn(pred: np.ndarray, truth: np.ndarray, step: float = 0.1, theta: float = 0.15) -> float:
    """Connectivity error: sum |phi(p) - phi(a)| / 1000, with phi(v) = 1 - d [d >= theta] and d = v - l.

    l is, per pixel, the last threshold at which the pixel still belongs to the largest 4-connected body shared by
    {p >= t} and {a >= t}; a threshold at which they share no pixel leaves l as it is. All in float32, as in P3M:
    values that lie on a threshold fall on the side that float32 puts them.
    """
    pred, truth = (array.astype(np.float32) for array in checked(pred, truth))
    return float(_conn_map(pred, truth, step, theta, empty_ends=False).sum(dtype=np.float64) / 1000)


def score_pair(pred: np.ndarray, truth: np.ndarray, trimap: np.ndarray | None = None) -> dict[str, float]:
    """What `stylematte.metrics.score_pair` gives, by the functions of this file."""
    names = {"SAD": sad, "MSE": mse, "MAD": mad, "Grad": grad, "Conn": conn}
    scores = {name: figure(pred, truth) for name, figure in names.items()}
    if trimap is None:
        return scores
    unknown, foreground, background = regions(trimap, np.shape(truth))
    filled = np.where(foreground, 1.0, np.where(background, 0.0, pred))
    count = unknown.sum()
    scores |= {"SAD-T": sad(filled, truth)}
    scores |= {"MSE-T": mse(filled, truth) * truth.size / count, "MAD-T": mad(filled, truth) * truth.size / count}
    adobe = composition_1k(pred, truth, trimap)
    scores |= {"Grad-T": adobe["Grad"], "Conn-T": adobe["Conn"]}
    error = np.abs(_difference(pred, truth))
    return {
        **scores,
        "SAD-FG": float((error * foreground).sum() / 1000),
        "SAD-BG": float((error * background).sum() / 1000),
    }


def composition_1k(pred: np.ndarray, truth: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    """What `stylematte.metrics.composition_1k` gives: all five over the unknown pixels alone."""
    pred, truth = (as_read(array) for array in checked(pred, truth))
    unknown = regions(trimap, truth.shape).unknown
    error = (pred - truth)[unknown]
    slopes = [_unit_slope(array)[unknown] for array in (pred, truth)]
    return {
        "SAD": float(np.abs(error).sum() / 1000),
        "MSE": float(np.square(error).mean()),
        "MAD": float(np.abs(error).mean()),
        "Grad": float(np.square(slopes[0] - slopes[1]).sum() / 1000),
        "Conn": float(_conn_map(pred, truth, 0.1, 0.15, empty_ends=True)[unknown].sum() / 1000),
    }


def gaussian_slope(alpha: np.ndarray, sigma: float) -> np.ndarray:
    """Length of the Gaussian-smoothed gradient, (H, W). The filter runs in float32, as the protocol does."""
    alpha = alpha.astype(np.float32)
    down = ndimage.gaussian_filter(alpha, sigma, order=(1, 0))
    across = ndimage.gaussian_filter(alpha, sigma, order=(0, 1))
    return np.sqrt(np.square(down, dtype=np.float64) + np.square(across, dtype=np.float64))


def _unit_slope(alpha: np.ndarray) -> np.ndarray:
    smooth, derive, _ = adobe_slope()
    parts = [
        ndimage.correlate1d(ndimage.correlate1d(alpha, derive, axis, mode="nearest"), smooth, 1 - axis, mode="nearest")
        for axis in (0, 1)
    ]
    return np.hypot(*parts)


def _difference(pred: np.ndarray, truth: np.ndarray) -> np.ndarray:
    pred, truth = checked(pred, truth)
    return pred.astype(np.float64) - truth


def _conn_map(pred: np.ndarray, truth: np.ndarray, step: float, theta: float, empty_ends: bool) -> np.ndarray:
    thresholds = np.arange(0, 1 + step / 2, step).astype(pred.dtype)
    level = np.ones_like(pred)
    connected = np.ones(pred.shape, dtype=bool)
    for below, threshold in itertools.pairwise(thresholds):
        shared = (pred >= threshold) & (truth >= threshold)
        if not shared.any() and not empty_ends:
            continue
        body = _largest_body(shared)
        level[connected & ~body] = below
        connected &= body
    phi_pred, phi_truth = (1 - (v - level) * (v - level >= pred.dtype.type(theta)) for v in (pred, truth))
    return np.abs(phi_pred - phi_truth)


def _largest_body(mask: np.ndarray) -> np.ndarray:
    """The largest 4-connected component of a mask; the background is never a component."""
    labels, count = ndimage.label(mask, structure=_FOUR_NEIGHBOURS)
    if not count:
        return np.zeros_like(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()
