# ruff: noqa: RUF005 - arrays are added to lists, not concatenated
"""Backgrounds drawn by code: hills, rooms, noise, stripes, bricks, bokeh, leaves, clutter in the subject's colours."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from stylematte.data.drawn.canvas import stream
from stylematte.data.drawn.shapes import colour_of, ellipse, jitter

FINER = 2  # backgrounds need no exact edges: twice the wanted size is enough

Painter = Callable[[np.random.Generator, int, np.ndarray], np.ndarray]


def noise(rng: np.random.Generator, side: int, scales: tuple[int, ...], roughness: float = 0.5) -> np.ndarray:
    """Value noise (side, side), about [-1, 1]: random grids of `scales` cells, each `roughness` times weaker."""
    total, strength, weight = np.zeros((side, side), np.float32), 1.0, 0.0
    for cells in scales:
        grid = rng.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
        total += strength * cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
        weight, strength = weight + strength, strength * roughness
    return total / weight


def _ramp(side: int, first, second, angle: float) -> np.ndarray:
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    t = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1)[..., None]
    return (1 - t) * np.float32(first) + t * np.float32(second)


def _polygon(picture: np.ndarray, points: np.ndarray, colour) -> None:
    fixed = np.rint((points * len(picture) - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(picture, [fixed], np.asarray(colour, float).tolist(), cv2.LINE_8, 4)


def _gradient(rng: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    picture = _ramp(side, palette[0], palette[1], rng.uniform(0, 2 * np.pi))
    return picture + rng.uniform(0, 0.12) * noise(rng, side, (2, 5, 40))[..., None]


def _plaster(rng: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    blend = np.clip(0.5 + noise(rng, side, (3, 9, 27, 81), rng.uniform(0.4, 0.95)), 0, 1)[..., None]
    return (1 - blend) * np.float32(palette[0]) + blend * np.float32(palette[1])


def _stripes(rng: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    angle, count = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]), rng.uniform(4, 16)
    wobble = 0.03 * noise(rng, side, (3, 6))
    wave = np.sin(2 * np.pi * count * (x * np.cos(angle) + y * np.sin(angle) + wobble))
    blend = (0.5 + 0.5 * np.clip(wave * rng.uniform(1, 8), -1, 1))[..., None].astype(np.float32)
    return (1 - blend) * np.float32(palette[0]) + blend * np.float32(palette[1])


def _bricks(rng: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    picture = np.full((side, side, 3), palette[1], np.float32)
    rows, gap = int(rng.integers(6, 13)), rng.uniform(0.05, 0.14)
    height = 1 / rows
    width = height * rng.uniform(1.6, 2.8)
    for row in range(rows):
        for column in range(-1, int(1 / width) + 2):
            low = np.array([(column + 0.5 * (row % 2)) * width, row * height]) + gap * height / 2
            high = low + [width - gap * height, height * (1 - gap)]
            corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
            _polygon(picture, corners, jitter(palette[0], 1, 0.13, rng)[0])
    return picture * (1 + 0.12 * noise(rng, side, (4, 30))[..., None])


def _bokeh(rng: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    picture = _ramp(side, palette[0] * 0.5, palette[1] * 0.4, rng.uniform(0, 2 * np.pi))
    for _ in range(rng.integers(12, 36)):
        disc = np.zeros((side, side), np.float32)
        at, radius = rng.integers(0, side, 2).tolist(), int(side * rng.uniform(0.02, 0.1))
        cv2.circle(disc, at, radius, rng.uniform(0.2, 0.75), -1)
        cv2.circle(disc, at, radius, rng.uniform(0.4, 0.9), max(1, side // 128))
        glow = np.clip(jitter(palette[rng.integers(len(palette))] * 0.5 + 0.5, 1, 0.15, rng)[0], 0, 1)
        picture += disc[..., None] * (glow.astype(np.float32) - picture)
    return cv2.GaussianBlur(picture, (0, 0), side * 0.006)


def _clutter(rng: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    picture = _ramp(side, palette[0], palette[1], rng.uniform(0, 2 * np.pi))
    for _ in range(rng.integers(10, 40)):
        centre, radii, turn = rng.uniform(0, 1, 2), rng.uniform(0.03, 0.22, 2), rng.uniform(0, np.pi)
        shape = ellipse((0, 0), radii, int(rng.choice([3, 4, 5, 24])))
        spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        _polygon(picture, shape @ spin + centre, jitter(palette[rng.integers(len(palette))], 1, 0.2, rng)[0])
    return picture * (1 + 0.1 * noise(rng, side, (3, 24))[..., None])


def _leaves(rng: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    green = colour_of(rng.uniform(0.2, 0.42), rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.7))
    picture = _ramp(side, green * 0.4, green * rng.uniform(0.5, 1.1), rng.uniform(0, 2 * np.pi))
    for shade in np.sort(rng.uniform(0.4, 1.35, 130)):
        centre, turn = rng.uniform(0, 1, 2), rng.uniform(0, np.pi)
        blade = ellipse((0, 0), (rng.uniform(0.03, 0.1), rng.uniform(0.006, 0.025)), 10)
        spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        ink = np.clip(green * shade + 0.04 * rng.standard_normal(3), 0, 1)
        _polygon(picture, blade @ spin + centre, ink)
    return picture


def _landscape(rng: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    sky = colour_of(rng.choice([0.57, 0.6, 0.05, 0.9]), rng.uniform(0.1, 0.5), rng.uniform(0.7, 1))
    picture = _ramp(side, sky, sky * 0.4 + 0.6, np.pi / 2)
    picture += 0.25 * np.clip(noise(rng, side, (3, 6, 12, 24)), 0, 1)[..., None]
    ground = colour_of(rng.uniform(0.08, 0.4), rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.6))
    x = np.linspace(0, 1, 40)
    for layer in range(int(rng.integers(2, 5))):
        level = 0.45 + 0.13 * layer + rng.uniform(-0.08, 0.08)
        ridge = level + sum(rng.uniform(0, 0.05) * np.sin(k * 6 * x + rng.uniform(0, 6)) for k in (0.5, 1, 2.3))
        far = 0.55 - 0.18 * layer
        outline = np.concatenate([np.stack([x, ridge], 1), [[1, 1.1], [0, 1.1]]])
        _polygon(picture, outline, np.clip((1 - far) * ground * rng.uniform(0.7, 1.2) + far * sky, 0, 1))
    return picture * (1 + 0.08 * noise(rng, side, (8, 50))[..., None])


def _room(rng: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    picture = _ramp(side, palette[0], palette[0] * rng.uniform(0.6, 0.95), rng.uniform(0, 2 * np.pi))
    if rng.random() < 0.6:
        floor = rng.uniform(0.6, 0.9)
        _polygon(picture, np.array([[0, floor], [1, floor + rng.uniform(-0.08, 0.08)], [1, 1.1], [0, 1.1]]), palette[1])
    for _ in range(rng.integers(1, 5)):  # window frames, pictures, shelves
        low, extent = rng.uniform(-0.1, 0.8, 2), rng.uniform(0.1, 0.45, 2)
        for inset, ink in (
            (0.0, palette[rng.integers(len(palette))] * 0.6),
            (0.02, jitter(palette[2], 1, 0.3, rng)[0]),
        ):
            a, b = low + inset, low + extent - inset
            _polygon(picture, np.array([a, [b[0], a[1]], b, [a[0], b[1]]]), np.clip(ink, 0, 1))
    return picture * (1 + 0.06 * noise(rng, side, (3, 20))[..., None])


PAINTERS: tuple[Painter, ...] = (
    _gradient, _plaster, _stripes, _bricks, _bokeh, _clutter, _leaves, _landscape, _room,
)  # fmt: skip


def _palette(rng: np.random.Generator, near: np.ndarray | None) -> np.ndarray:
    """(4, 3) colours that go together; close to those of `near` (n, 3) where given."""
    hue, spread = rng.random(), rng.choice([0.05, 0.15, 0.5])
    free = [
        colour_of(hue + spread * rng.uniform(-1, 1), rng.uniform(0, 1) ** 1.5 * 0.8, rng.uniform(0.15, 1))
        for _ in range(4)
    ]
    if near is None:
        return np.array(free)
    alike = near[rng.integers(0, len(near), 4)] * rng.uniform(0.75, 1.25, (4, 1)) + 0.03 * rng.standard_normal((4, 3))
    return np.clip(np.where(rng.random((4, 1)) < 0.75, alike, np.array(free)), 0, 1)


def paint_background(seed: int, size: int, near: np.ndarray | None = None) -> np.ndarray:
    """(size, size, 3) float32 in [0, 1]; `near` (n, 3) are subject colours to come close to, for hard pictures."""
    rng = stream(seed, "background")
    side = FINER * size
    palette = _palette(rng, near)
    picture = PAINTERS[rng.integers(len(PAINTERS))](rng, side, palette).astype(np.float32)
    if rng.random() < 0.55:  # out of focus, as behind most portraits
        picture = cv2.GaussianBlur(picture, (0, 0), side * rng.uniform(0.004, 0.035))
    picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    picture *= (1 - rng.uniform(0, 0.9) * (x * x + y * y))[..., None]  # vignette
    grain = rng.uniform(0, 0.02) * rng.standard_normal((size, size, 1)).astype(np.float32)
    return np.clip(picture + grain, 0, 1)
