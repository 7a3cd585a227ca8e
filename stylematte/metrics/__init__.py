"""SAD, MSE, MAD, Grad and Conn of a matte, at the truth's own size, by the protocol of P3M and AM-2k. Lower is better.

Predictions and truths are float arrays (H, W) in [0, 1], trimaps {0, 1/2, 1}. uint8 is refused, because a difference
of bytes wraps around (a prediction one grey level off then scores SAD 361 instead of 1.4). P3M is Li et al. 2021,
"Privacy-Preserving Portrait Matting"; Grad and Conn go back to Rhemann et al. 2009. `reference` says the same slowly;
`meters` are the same as torchmetrics.

Read Conn with care: a prediction that shares no opaque pixel with the truth scores 0, so an empty matte looks perfect.
Never rank on Conn alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from stylematte.metrics import connectivity, gradient
from stylematte.metrics.checked import Regions, checked, regions

__all__ = [
    "FIGURES", "PROTOCOL", "TRIMAP_FIGURES", "composition_1k", "conn", "grad", "mad", "mse", "sad", "score_pair",
]  # fmt: skip

FIGURES = ("SAD", "MSE", "MAD", "Grad", "Conn")
"""The keys of `score_pair` without a trimap, in the order every table prints them."""
TRIMAP_FIGURES = (*FIGURES, "SAD-T", "MSE-T", "MAD-T", "Grad-T", "Conn-T", "SAD-FG", "SAD-BG")
"""The keys of `score_pair` with one."""
PROTOCOL = "p3m-2"
"""Raise its number when a figure changes for equal input: kept rows of `stylematte evaluate` are then made again."""

_MEANS = ("SAD", "MSE", "MAD")


def sad(pred: np.ndarray, truth: np.ndarray) -> float:
    """Sum of absolute differences, in thousands: sum |p - a| / 1000. Grows with the picture's area."""
    return _means(*checked(pred, truth))["SAD"]


def mse(pred: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared difference, raw (some papers print it times 1000)."""
    return _means(*checked(pred, truth))["MSE"]


def mad(pred: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute difference, raw."""
    return _means(*checked(pred, truth))["MAD"]


def grad(pred: np.ndarray, truth: np.ndarray, sigma: float = 1.4) -> float:
    """sum (|grad p| - |grad a|)^2 / 10, with first derivatives of a Gaussian of `sigma` pixels, border mirrored."""
    return gradient.grad(*checked(pred, truth), sigma)


def conn(pred: np.ndarray, truth: np.ndarray, step: float = 0.1) -> float:
    """Connectivity error, sum |phi(p) - phi(a)| / 1000; defined in `reference.conn`, theta is 0.15."""
    return connectivity.conn(*checked(pred, truth), step)


def score_pair(
    pred: np.ndarray, truth: np.ndarray, trimap: np.ndarray | None = None, only: Sequence[str] | None = None
) -> dict[str, float]:
    """The figures of one prediction by name: `FIGURES`, or `TRIMAP_FIGURES` with a trimap; or `only` some of them.

    SAD-T, MSE-T, MAD-T: the prediction is set to 0 and 1 where the trimap knows; the sums run over the picture, the
    means divide by the number of unknown pixels (P3M). SAD-FG, SAD-BG: as predicted, inside trimap 1 and 0 (P3M).
    Grad-T, Conn-T: over the unknown pixels as Composition-1k counts them, see `composition_1k`; P3M has none.
    Raises ValueError with one line.
    """
    pred, truth = checked(pred, truth)
    wanted = only or (FIGURES if trimap is None else TRIMAP_FIGURES)
    scores: dict[str, float] = _means(pred, truth) if any(key in _MEANS for key in wanted) else {}
    if "Grad" in wanted:
        scores["Grad"] = gradient.grad(pred, truth)
    if "Conn" in wanted:
        scores["Conn"] = connectivity.conn(pred, truth)
    if trimap is not None:
        scores |= _inside(pred, truth, regions(trimap, truth.shape), wanted)
    return {key: scores[key] for key in wanted}


def composition_1k(pred: np.ndarray, truth: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    """`FIGURES` over the unknown pixels alone, by the evaluation code of Composition-1k (Xu et al. 2017).

    Grad differs from P3M's: kernels of L2 norm 1 and / 1000. Conn too: a threshold that no pixel reaches ends it.
    """
    pred, truth = checked(pred, truth)
    unknown = regions(trimap, truth.shape).unknown
    return {
        **_means(pred[unknown], truth[unknown]),
        "Grad": gradient.grad_unknown(pred, truth, unknown),
        "Conn": connectivity.conn_unknown(pred, truth, unknown),
    }


def _means(pred: Float[np.ndarray, ...], truth: Float[np.ndarray, ...]) -> dict[str, float]:
    """SAD, MSE and MAD of arrays of one shape."""
    error = np.subtract(pred, truth, dtype=np.float64).ravel()
    squares = float(np.dot(error, error))
    total = float(np.abs(error, out=error).sum())
    return {"SAD": total / 1000, "MSE": squares / error.size, "MAD": total / error.size}


def _inside(pred: np.ndarray, truth: np.ndarray, here: Regions, wanted: Sequence[str]) -> dict[str, float]:
    """The figures that need a trimap."""
    scores = _known_overwritten(pred, truth, here)
    if "Grad-T" in wanted:
        scores["Grad-T"] = gradient.grad_unknown(pred, truth, here.unknown)
    if "Conn-T" in wanted:
        scores["Conn-T"] = connectivity.conn_unknown(pred, truth, here.unknown)
    error = np.abs(np.subtract(pred, truth, dtype=np.float64))
    return {**scores, "SAD-FG": _thousands(error[here.foreground]), "SAD-BG": _thousands(error[here.background])}


def _known_overwritten(pred: np.ndarray, truth: np.ndarray, here: Regions) -> dict[str, float]:
    filled = pred.astype(np.float64)
    filled[here.foreground], filled[here.background] = 1, 0
    whole = _means(filled, truth)
    share = here.unknown.sum() / truth.size
    return {"SAD-T": whole["SAD"], "MSE-T": whole["MSE"] / share, "MAD-T": whole["MAD"] / share}


def _thousands(values: np.ndarray) -> float:
    return float(values.sum() / 1000)
