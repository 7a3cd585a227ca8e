"""Conn, fast: one byte per pixel instead of eleven masks, and a flood instead of labels.

Let m = min(p, a) per pixel. The pixels shared by {p >= t} and {a >= t} are {m >= t}, so a picture of bytes, "how many
thresholds does m reach", holds every threshold's mask. The largest body of the highest mask lies in all lower masks;
a flood from it that covers more than half of a mask is that mask's largest body, without labels or ties. Only where
it does not are all bodies labelled.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from stylematte.metrics.checked import as_read

THETA = 0.15
_FIXED_MASK = cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | 4 | (1 << 8)


def strays(
    pred: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"], step: float, empty_ends: bool
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """1 - phi(p) and 1 - phi(a) per pixel, in the type of the arguments; phi as in `stylematte.metrics.reference.conn`.

    empty_ends: whether a threshold that no pixel reaches takes all pixels out of the body (Composition-1k) or leaves
    them as they are (P3M).
    """
    thresholds = np.arange(0, 1 + step / 2, step).astype(pred.dtype)
    assert 2 <= len(thresholds) <= 128
    kept, top = _kept(_levels(cv2.min(pred, truth), thresholds[1:]))
    last = np.ones(256, pred.dtype)  # kept = k: the pixel left the body at threshold k + 1, so it belonged to it at k
    last[: len(thresholds) - 1] = thresholds[:-1]
    if not empty_ends:
        last[top] = 1
    level = cv2.LUT(kept, last)
    return _beyond(pred, level), _beyond(truth, level)


def conn(pred: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"], step: float = 0.1) -> float:
    """sum |phi(p) - phi(a)| / 1000 over the picture, by the P3M protocol, in float32. Of `checked` arrays."""
    pred, truth = (array.astype(np.float32, copy=False) for array in (pred, truth))
    return float(cv2.norm(*strays(pred, truth, step, empty_ends=False), cv2.NORM_L1) / 1000)


def conn_unknown(
    pred: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"], unknown: Bool[np.ndarray, "h w"], step: float = 0.1
) -> float:
    """sum |phi(p) - phi(a)| / 1000 over the unknown pixels, by the Composition-1k protocol, in float64."""
    beyond = strays(as_read(pred), as_read(truth), step, empty_ends=True)
    return float(cv2.norm(*beyond, cv2.NORM_L1, unknown.view(np.uint8)) / 1000)


def _levels(shared: Float[np.ndarray, "h w"], thresholds: Float[np.ndarray, " t"]) -> UInt8[np.ndarray, "h w"]:
    """How many of the rising thresholds each pixel reaches."""
    levels = np.zeros(shared.shape, np.uint8)
    for threshold in thresholds:
        levels += (shared >= threshold).view(np.uint8)
    return levels


def _kept(levels: UInt8[np.ndarray, "h w"]) -> tuple[UInt8[np.ndarray, "h w"], int]:
    """At how many thresholds in a row, from the lowest, a pixel is in the largest body; the top level."""
    sizes = cv2.calcHist([levels], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    top = int(np.flatnonzero(sizes)[-1])
    kept = np.zeros_like(levels)
    body, seed, area = kept, (0, 0), 0
    for level in range(top, 0, -1):
        if sizes[level]:  # else this mask is the one above
            area += int(sizes[level])
            body, seed = _body(levels, level, seed if level < top else _middle(levels == top), area)
        kept += 1
        kept *= body
    return kept, top


def _body(levels: np.ndarray, level: int, seed: tuple[int, int], area: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The largest 4-connected body of {levels >= level}, (H, W) of 0 and 1, and a pixel (x, y) of it.

    seed: a pixel (x, y) of the mask, likely in that body; area: the number of the mask's pixels.
    """
    framed = np.zeros((levels.shape[0] + 2, levels.shape[1] + 2), np.uint8)
    down = int(levels[seed[1], seed[0]]) - level
    filled = cv2.floodFill(levels, framed, seed, 0, down, 255, _FIXED_MASK)[0]
    if 2 * filled > area:
        return framed[1:-1, 1:-1], seed
    body = _largest((levels >= level).view(np.uint8))
    return body, _middle(body)


def _middle(mask: np.ndarray) -> tuple[int, int]:
    """(x, y) of the pixel of a non-empty mask that has as many before as after it, row by row."""
    inside = np.flatnonzero(mask)
    y, x = divmod(int(inside[len(inside) // 2]), mask.shape[1])
    return x, y


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest body of a non-empty mask of 0 and 1; of equals the one met first, row by row. Background is none."""
    count, labels = cv2.connectedComponents(mask, connectivity=4)
    sizes = np.bincount(labels.ravel(), minlength=count)
    sizes[0] = 0
    equals = np.flatnonzero(sizes == sizes.max())
    if len(equals) == 1:
        return (labels == equals[0]).view(np.uint8)
    first = np.isin(labels, equals).argmax()
    return (labels == labels.ravel()[first]).view(np.uint8)


def _beyond(alpha: np.ndarray, level: np.ndarray) -> np.ndarray:
    """1 - phi = d [d >= theta] with d = alpha - level."""
    distance = cv2.subtract(alpha, level)
    just_below = np.nextafter(distance.dtype.type(THETA), distance.dtype.type(0))  # OpenCV keeps what is greater
    return cv2.threshold(distance, float(just_below), 0, cv2.THRESH_TOZERO, dst=distance)[1]
