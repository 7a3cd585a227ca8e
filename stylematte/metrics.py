"""The five matting figures, by the P3M protocol: over the whole picture, at the truth's own size.

Predictions and truths are float arrays (H, W) in [0, 1]. uint8 is refused, because a difference of bytes wraps around
(a prediction one grey level off then scores SAD 361 instead of 1.4). The definitions are those of P3M (Li et al. 2021,
"Privacy-Preserving Portrait Matting"); Grad and Conn go back to Rhemann et al. 2009. Lower is better for all five.

Read Conn with care: a prediction that shares no opaque pixel with the truth scores 0, so an empty matte looks perfect.
Never rank on Conn alone.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import ndimage

FIGURES = ("SAD", "MSE", "MAD", "Grad", "Conn")
"""The keys of `score_pair`, in the order every table prints them."""

_FOUR_NEIGHBOURS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def sad(pred: np.ndarray, truth: np.ndarray) -> float:
    """Sum of absolute differences, in thousands: sum |p - a| / 1000. Grows with the picture's area."""
    pred, truth = _checked(pred, truth)
    return float(np.abs(pred - truth).sum() / 1000)


def mse(pred: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared difference, raw (some papers print it times 1000)."""
    pred, truth = _checked(pred, truth)
    return float(np.square(pred - truth).mean())


def mad(pred: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute difference, raw."""
    pred, truth = _checked(pred, truth)
    return float(np.abs(pred - truth).mean())


def grad(pred: np.ndarray, truth: np.ndarray, sigma: float = 1.4) -> float:
    """sum (|grad p| - |grad a|)^2 / 10, with first derivatives of a Gaussian of `sigma` pixels, border mirrored."""
    pred, truth = _checked(pred, truth)
    return float(np.square(_slope(pred, sigma) - _slope(truth, sigma)).sum() / 10)


def conn(pred: np.ndarray, truth: np.ndarray, step: float = 0.1, theta: float = 0.15) -> float:
    """Connectivity error: sum |phi(p) - phi(a)| / 1000, with phi(v) = 1 - d [d >= theta] and d = v - l.

    l is, per pixel, the last threshold at which the pixel still belongs to the largest 4-connected body shared by
    {p >= t} and {a >= t}; a threshold at which they share no pixel leaves l as it is. All in float32, as in P3M:
    values that lie on a threshold fall on the side that float32 puts them.
    """
    pred, truth = (array.astype(np.float32) for array in _checked(pred, truth))
    thresholds = np.arange(0, 1 + step / 2, step).astype(np.float32)
    level = np.ones_like(pred)
    connected = np.ones(pred.shape, dtype=bool)
    for below, threshold in itertools.pairwise(thresholds):
        shared = (pred >= threshold) & (truth >= threshold)
        if not shared.any():
            continue
        body = _largest_body(shared)
        level[connected & ~body] = below
        connected &= body
    phi_pred, phi_truth = (1 - (v - level) * (v - level >= np.float32(theta)) for v in (pred, truth))
    return float(np.abs(phi_pred - phi_truth).sum(dtype=np.float64) / 1000)


def score_pair(pred: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """All five figures of one prediction, by name; see `FIGURES`."""
    return dict(zip(FIGURES, (figure(pred, truth) for figure in (sad, mse, mad, grad, conn)), strict=True))


def _checked(pred: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 (H, W), or a ValueError that says which array is wrong and how to cure it."""
    pred, truth = np.asarray(pred), np.asarray(truth)
    for name, array in (("prediction", pred), ("truth", truth)):
        if not np.issubdtype(array.dtype, np.floating):
            raise ValueError(f"{name} is {array.dtype}, expected floats in [0, 1]; divide 8-bit values by 255 first")
        if array.ndim != 2 or array.size == 0:
            raise ValueError(f"{name} has shape {array.shape}, expected (height, width); pass one matte at a time")
    if pred.shape != truth.shape:
        raise ValueError(
            f"prediction {pred.shape} and truth {truth.shape} differ in size; resize the prediction, never the truth"
        )
    for name, array in (("prediction", pred), ("truth", truth)):
        low, high = float(array.min()), float(array.max())
        if not (low >= -1e-6 and high <= 1 + 1e-6):  # written so that NaN fails as well
            raise ValueError(f"{name} has values from {low:g} to {high:g}, expected floats in [0, 1]")
    return pred.astype(np.float64), truth.astype(np.float64)


def _slope(alpha: np.ndarray, sigma: float) -> np.ndarray:
    """Length of the Gaussian-smoothed gradient, (H, W). The filter runs in float32, as the protocol does."""
    alpha = alpha.astype(np.float32)
    down = ndimage.gaussian_filter(alpha, sigma, order=(1, 0))
    across = ndimage.gaussian_filter(alpha, sigma, order=(0, 1))
    return np.sqrt(np.square(down, dtype=np.float64) + np.square(across, dtype=np.float64))


def _largest_body(mask: np.ndarray) -> np.ndarray:
    """The largest 4-connected component of a non-empty mask; the background is never a component."""
    labels, _ = ndimage.label(mask, structure=_FOUR_NEIGHBOURS)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()
