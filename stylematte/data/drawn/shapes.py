"""Curves that the drawn subjects are made of: outlines, Bezier locks, grown strands, colours. All numpy, no pixels."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np


class Pose:
    """Places a part drawn in its own units (origin its centre, y down) in the frame: scale, turn, shift."""

    def __init__(self, centre, scale: float, tilt: float = 0.0) -> None:
        self.centre, self.scale, self.tilt = np.asarray(centre, float), scale, tilt
        cos, sin = np.cos(tilt), np.sin(tilt)
        self.matrix = scale * np.array([[cos, sin], [-sin, cos]])

    def __call__(self, points) -> np.ndarray:
        """(…, 2) in the part's units -> (…, 2) in frame fractions."""
        return np.asarray(points, float) @ self.matrix + self.centre


def ellipse(centre, radii, corners: int = 40, squareness: float = 2.0, narrow: float = 0.0) -> np.ndarray:
    """Outline (corners, 2) of a superellipse; `narrow` > 0 draws its lower half in, as a jaw does."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    power = 2 / squareness
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    x = x * (1 - narrow * np.maximum(y, 0) ** 2)
    return np.stack([x * radii[0], y * radii[1]], 1) + np.asarray(centre, float)


def smooth(corners, rounds: int = 3, closed: bool = True) -> np.ndarray:
    """Chaikin's corner cutting: a smooth curve from a few control points (n, 2)."""
    points = np.asarray(corners, float)
    for _ in range(rounds):
        following = np.roll(points, -1, 0) if closed else points[1:]
        leading = points if closed else points[:-1]
        cut = np.stack([0.75 * leading + 0.25 * following, 0.25 * leading + 0.75 * following], 1).reshape(-1, 2)
        points = cut if closed else np.concatenate([points[:1], cut, points[-1:]])
    return points


def mirrored(half) -> np.ndarray:
    """Close a right half outline (n, 2), top to bottom, with its mirror image about x = 0."""
    half = np.asarray(half, float)
    return np.concatenate([half, half[::-1] * [-1, 1]])


def bezier(p0, p1, p2, p3, steps: int = 12) -> np.ndarray:
    """n cubic Bezier curves from control points (n, 2) each -> (n, steps, 2)."""
    t = np.linspace(0, 1, steps)[None, :, None]
    p0, p1, p2, p3 = (np.asarray(p, float)[:, None] for p in (p0, p1, p2, p3))
    return (1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3


def grow(roots, heading, length, bend=0.0, wave=0.0, waves=1.5, phase=0.0, steps: int = 6) -> np.ndarray:
    """n strands (n, steps, 2) from roots (n, 2): the heading (radians) turns by `bend` along the strand and swings by
    `wave`. A bend above 2 pi is a curl with a hole in it."""
    roots = np.asarray(roots, float)
    count = len(roots)
    heading, length, bend, phase = (np.broadcast_to(v, (count,))[:, None] for v in (heading, length, bend, phase))
    t = np.linspace(0, 1, steps - 1)[None]
    angle = heading + bend * t + wave * np.sin(2 * np.pi * waves * t + phase)
    moves = np.stack([np.cos(angle), np.sin(angle)], -1) * (length / (steps - 1))[..., None]
    return np.concatenate([roots[:, None], roots[:, None] + moves.cumsum(1)], 1)


def ribbon(spine, widths) -> np.ndarray:
    """Outline of a band of half-width `widths` (n,) along a curve (n, 2): a tail, a ponytail, an arm."""
    ahead = np.gradient(spine, axis=0)
    normal = np.stack([-ahead[:, 1], ahead[:, 0]], 1) / np.maximum(np.linalg.norm(ahead, axis=1), 1e-9)[:, None]
    side = normal * np.asarray(widths)[:, None]
    return np.concatenate([spine + side, (spine - side)[::-1]])


def rim(mask: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` random points on the outline of a mask, in frame fractions, and the outward angle at each."""
    contours, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)[:, 0].astype(float)
    reach = max(2, len(outline) // 60)
    ahead = np.roll(outline, -reach, 0) - np.roll(outline, reach, 0)
    pick = rng.integers(0, len(outline), count)
    # With y down, OpenCV walks an outer contour so that the outside lies to its right: (dx, dy) -> (-dy, dx).
    outward = np.arctan2(ahead[pick, 0], -ahead[pick, 1])
    return (outline[pick] + 0.5) / len(mask), outward


def colour_of(hue: float, saturation: float, value: float) -> np.ndarray:
    """(3,) RGB from HSV, each in [0, 1]; the hue wraps around."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, float(np.clip(saturation, 0, 1)), float(np.clip(value, 0, 1))))


def jitter(colour, count: int, spread: float, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) shades of a colour: brightness varies by about `spread`."""
    return np.clip(np.asarray(colour) * (1 + spread * rng.standard_normal((count, 1))), 0, 1)
