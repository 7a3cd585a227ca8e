"""Finds what is wrong with an RGBA picture somebody made: premultiplied colour, burnt-in checkerboard, haze, bands.

Each function takes colour (H, W, 3) and alpha (H, W), float32 in [0, 1], and returns figures; `ingest` decides. Radii
are fractions of the shorter side, as in the refinement of alphas.
"""

from __future__ import annotations

import cv2
import numpy as np

SOFT = (0.02, 0.98)
CELLS = (2, 4, 8, 10, 12, 16, 20, 24, 32, 48, 64)
"""Sides of the squares of checkerboards that editors and previews draw."""


def premultiplied(colour: np.ndarray, alpha: np.ndarray) -> bool:
    """Whether colour is already multiplied by alpha.

    No channel then exceeds alpha, and the divided colour continues that of the opaque pixels better than the given one.
    A black subject fulfils the first either way, so the second must hold by a clear margin.
    """
    soft = (alpha > 0.05) & (alpha < 0.9)
    solid = alpha >= SOFT[1]
    if soft.sum() < 16 or solid.sum() < 16:
        return False
    if (colour[soft].max(-1) <= alpha[soft] + 2 / 255).mean() < 0.995:
        return False
    near = _nearest_colour(colour, solid)[soft]
    given = np.abs(colour[soft] - near).mean()
    divided = np.abs(np.clip(colour[soft] / alpha[soft, None], 0, 1) - near).mean()
    return bool(divided < 0.7 * given and given - divided > 0.01)


def checkerboard(colour: np.ndarray, alpha: np.ndarray) -> float:
    """How clearly the colour has a checkerboard where alpha says there is background or nothing is transparent.

    0 to 1, of the best side of a square: grey pixels change sign about their local mean when moved by one square along
    an axis, and not when moved along both.
    """
    opaque = alpha.min() > SOFT[0]
    where = np.ones_like(alpha, bool) if opaque else (alpha > SOFT[0]) & (alpha < SOFT[1])
    grey = colour.mean(-1)
    where &= np.ptp(colour, axis=-1) < 0.03
    if where.mean() < 0.02 and where.sum() < 256:
        return 0.0
    return max((_alternation(grey, where, cell) for cell in CELLS if 3 * cell < min(grey.shape)), default=0.0)


def swapped_channels(colour: np.ndarray, alpha: np.ndarray) -> tuple[float, float]:
    """Shares of the opaque pixels with the colour of skin, as they are and with red and blue exchanged.

    The region in CbCr of Chai and Ngan 1999 (77 to 127, 133 to 173).
    """
    solid = alpha >= SOFT[1]
    if not solid.any():
        return 0.0, 0.0
    pixels = (np.clip(colour[solid], 0, 1) * 255).astype(np.uint8)[None]
    return _skin(pixels), _skin(pixels[..., ::-1])


def edge_bands(alpha: np.ndarray, most: float = 0.03) -> dict[str, int]:
    """Width in pixels of bands of alpha that cling to whole sides of the frame and end within `most` of the picture."""
    found = {}
    sides = {"top": alpha, "bottom": alpha[::-1], "left": alpha.T, "right": alpha.T[::-1]}
    for side, turned in sides.items():
        reach = max(2, round(most * len(turned)))
        shares = (turned[: reach + 1] > 0.03).mean(1)
        width = int(np.argmax(shares < 0.5)) if (shares < 0.5).any() else 0
        if width and shares[0] >= 0.9:
            found[side] = width
    return found


def without_bands(alpha: np.ndarray, bands: dict[str, int]) -> np.ndarray:
    """Each band takes the line just inside it, so that a subject cut off by the frame stays cut off by it."""
    alpha = alpha.copy()
    views = {"top": alpha, "bottom": alpha[::-1], "left": alpha.T, "right": alpha.T[::-1]}
    for side, width in bands.items():
        views[side][:width] = views[side][width]
    return alpha


def far_background(alpha: np.ndarray, radius: float = 0.08) -> dict[str, float]:
    """Mean of alpha, and the share above 0, farther than `radius` from the body (alpha of 1/2 or more)."""
    body = (alpha >= 0.5).astype(np.uint8)
    far = cv2.distanceTransform(1 - body, cv2.DIST_L2, 3) > radius * min(alpha.shape) if body.any() else body == 0
    if not far.any():
        return {"haze": 0.0, "hazy": 0.0}
    return {"haze": float(alpha[far].mean()), "hazy": float((alpha[far] > 1.5 / 255).mean())}


def core_deficit(alpha: np.ndarray, radius: float = 0.04) -> dict[str, float]:
    """1 - alpha on average, and the share below 250/255, deeper than `radius` inside the filled subject."""
    inside = _filled(alpha >= 0.15)
    depth = cv2.distanceTransform(np.pad(inside, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    core = depth > min(radius * min(alpha.shape), 0.5 * float(depth.max()))
    if not core.any():
        return {"deficit": 0.0, "translucent": 0.0}
    return {"deficit": float(1 - alpha[core].mean()), "translucent": float((alpha[core] < 250 / 255).mean())}


def _filled(mask: np.ndarray) -> np.ndarray:
    """The largest body without its holes, uint8."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    out = np.zeros(mask.shape, np.uint8)
    if contours:
        cv2.drawContours(out, [max(contours, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return out


def _nearest_colour(colour: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(H, W, 3): each pixel's colour of the nearest known pixel."""
    _, labels = cv2.distanceTransformWithLabels(
        1 - known.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros((labels.max() + 1, 3), np.float32)
    table[labels[known]] = colour[known]
    return table[labels]


def _alternation(grey: np.ndarray, where: np.ndarray, cell: int) -> float:
    """min(-correlation along either axis, correlation along both), at least 0, of the picture without its low tones."""
    window = (4 * cell + 1, 4 * cell + 1)
    weight = cv2.boxFilter(where.astype(np.float32), -1, window)
    mean = cv2.boxFilter(np.where(where, grey, 0).astype(np.float32), -1, window) / np.maximum(weight, 1e-6)
    rest = np.where(where, grey - mean, 0)
    across = _correlation(rest, where, 0, cell)
    down = _correlation(rest, where, cell, 0)
    both = _correlation(rest, where, cell, cell)
    return max(0.0, min(-across, -down, both))


def _correlation(rest: np.ndarray, where: np.ndarray, down: int, across: int) -> float:
    height, width = rest.shape
    one, other = rest[: height - down, : width - across], rest[down:, across:]
    both = where[: height - down, : width - across] & where[down:, across:]
    if both.sum() < 64:
        return 0.0
    a, b = one[both], other[both]
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / spread if spread > 1e-3 * both.sum() ** 0.5 else 0.0


def _skin(pixels: np.ndarray) -> float:
    ycc = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2YCrCb).astype(np.int16)
    red, blue = ycc[..., 1], ycc[..., 2]
    return float(((blue >= 77) & (blue <= 127) & (red >= 133) & (red <= 173)).mean())
