# ruff: noqa: RUF005 - arrays are added to lists, not concatenated
"""Draws the faces of animals: eyes, muzzle, nose, mouth, whiskers. Units as in `animal`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stylematte.data.drawn.canvas import Canvas
from stylematte.data.drawn.shapes import bezier, colour_of, ellipse, grow, jitter, smooth

if TYPE_CHECKING:
    from stylematte.data.drawn.animal import Beast

DOWN = 0.42  # the muzzle's middle, below the head's


def draw_eyes(canvas: Canvas, beast: Beast, rng: np.random.Generator) -> None:
    """Two eyes with iris, pupil and a light; a dark rim, as animals have no white."""
    pose, scale = beast.pose, beast.pose.scale
    iris = np.array([0.32, 0.2, 0.1]) * rng.uniform(0.5, 1.8)
    if beast.kind.slit:
        iris = colour_of(rng.uniform(0.08, 0.33), rng.uniform(0.5, 0.85), rng.uniform(0.55, 0.9))
    if rng.random() < 0.12:
        iris = np.array([0.45, 0.66, 0.85])
    size, open_ = rng.uniform(0.14, 0.19) * (1.15 if beast.kind.slit else 1.0), rng.uniform(0.75, 1.05)
    for side in (-1, 1):
        at = np.array([side * 0.43 * beast.wide + 0.22 * beast.turn, -0.12])
        canvas.airbrush(pose(at), np.array([0.27, 0.25]) * scale, beast.coat * 0.45, 0.45)
        almond = ellipse((0, 0), (size * 1.25, size * open_ * 1.18), 24, 1.8)
        slant = _rotation(-side * 0.22)
        rim_mask = canvas.mask(pose(almond @ slant + at))
        canvas.paint(rim_mask, np.array([0.07, 0.05, 0.05]), atop=True)
        inner = canvas.mask(pose((almond * 0.82) @ slant + at))
        canvas.paint(inner, np.clip(iris, 0, 1), atop=True)
        canvas.airbrush(pose(at + [0, -0.1]), np.array([0.2, 0.08]) * scale, iris * 0.3, 0.4)
        pupil = ellipse(at, (size * (0.3 if beast.kind.slit else 0.55), size * (0.95 if beast.kind.slit else 0.6)), 18)
        canvas.paint(np.minimum(inner, canvas.mask(pose(pupil))), np.array([0.03, 0.03, 0.03]), atop=True)
        canvas.paint(canvas.mask(pose(ellipse(at + [0.05, -0.06], (0.04, 0.04), 10))), np.ones(3), atop=True)


def _rotation(angle: float) -> np.ndarray:
    """Rotation matrix for row vectors."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def draw_muzzle(canvas: Canvas, beast: Beast, rng: np.random.Generator) -> None:
    """A lighter muzzle of two cheeks with short fur, the nose, the mouth."""
    pose, scale = beast.pose, beast.pose.scale
    wide = rng.uniform(*beast.kind.muzzle)
    at = np.array([0.32 * beast.turn, DOWN])
    parts = [ellipse(at + [side * wide * 0.42, 0.0], (wide * 0.62, wide * 0.56)) for side in (-1, 1)]
    parts.append(ellipse(at + [0, -wide * 0.45], (wide * 0.5, wide * 0.75)))
    parts.append(ellipse(at + [0, wide * 0.45], (wide * 0.5, wide * 0.4)))
    canvas.paint(canvas.mask(*(pose(part) for part in parts), soften=0.008), beast.light, 0.9, atop=True)
    canvas.airbrush(pose(at + [0, wide * 0.95]), np.array([wide * 0.7, 0.12]) * scale, beast.coat * 0.35, 0.5)
    count = int(110 * canvas.detail)
    roots = at + canvas.rng.standard_normal((count, 2)) * [wide * 0.5, wide * 0.32]
    heading = np.arctan2(roots[:, 1] - at[1] + 0.1, roots[:, 0] - at[0])
    canvas.strands(
        grow(pose(roots), heading, 0.12 * scale, steps=4), jitter(beast.light, count, 0.07, canvas.rng), 0.003
    )
    nose_colour = np.array([0.1, 0.08, 0.08]) if rng.random() < 0.65 else np.array([0.72, 0.42, 0.42])
    half = wide * rng.uniform(0.34, 0.46)
    top = at + [0, -wide * 0.3]
    nose = smooth(
        np.array([(-half, -half * 0.55), (half, -half * 0.55), (half * 0.35, half * 0.6), (-half * 0.35, half * 0.6)]),
        2,
    )
    canvas.paint(canvas.mask(pose(nose + top)), nose_colour, atop=True)
    canvas.airbrush(
        pose(top + [-half * 0.3, -half * 0.35]),
        np.array([half * 0.4, half * 0.2]) * scale,
        nose_colour * 0.4 + 0.6,
        0.6,
    )
    ink = np.clip(nose_colour * 0.6, 0, 1)[None]
    drop = top + [0, wide * 0.55]
    canvas.strands(pose(np.array([[top + [0, half * 0.5], drop]])), ink, 0.006)
    for side in (-1, 1):
        corner = drop + [side * wide * 0.62, -0.02]
        lip = bezier([drop], [drop + [side * wide * 0.2, 0.14]], [corner + [-side * 0.05, 0.12]], [corner], 9)
        canvas.strands(pose(lip), ink, 0.006)
    if rng.random() < 0.25:  # the tongue
        tongue = ellipse(drop + [0, wide * 0.34], (wide * 0.24, wide * 0.36), 20)
        canvas.paint(canvas.mask(pose(tongue)), np.array([0.86, 0.42, 0.45]))


def draw_whiskers(canvas: Canvas, beast: Beast, rng: np.random.Generator) -> None:
    """Long hairs of one render pixel, a quarter of a pixel of the picture, that leave the head's outline."""
    colour = np.array([0.93, 0.92, 0.9]) if beast.coat.mean() < 0.8 or rng.random() < 0.7 else np.array([0.2, 0.2, 0.2])
    for side in (-1, 1):
        n = int(rng.integers(5, 9))
        roots = np.array([0.32 * beast.turn + side * 0.3, DOWN]) + rng.uniform(-0.1, 0.1, (n, 2))
        heading = (0 if side > 0 else np.pi) + side * np.linspace(-0.35, 0.4, n) + 0.06 * rng.standard_normal(n)
        hairs = grow(roots, heading, rng.uniform(0.9, 1.6, n), bend=side * rng.uniform(-0.2, 0.6, n), steps=12)
        canvas.strands(beast.pose(hairs), jitter(colour, n, 0.05, rng), 0.001)
