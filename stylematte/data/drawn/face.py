# ruff: noqa: RUF005 - arrays are added to lists, not concatenated
"""Draws the parts of a face: eyes, brows, nose, mouth; beard, glasses, hats. Units as in `portrait`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stylematte.data.drawn.canvas import Canvas
from stylematte.data.drawn.shapes import bezier, colour_of, ellipse, grow, jitter, smooth

if TYPE_CHECKING:
    from stylematte.data.drawn.portrait import Person

IRISES = ((74, 50, 32), (60, 40, 28), (96, 74, 40), (70, 98, 70), (80, 110, 140), (98, 110, 118))


def _eye(canvas: Canvas, person: Person, side: int, iris: np.ndarray, open_: float, gaze: float) -> None:
    pose, skin = person.pose, person.skin
    at = np.array([side * 0.34 * person.wide / 0.78 + 0.2 * person.turn, -0.08])
    squeeze = 1 - 0.25 * max(0.0, side * person.turn)
    canvas.airbrush(pose(at), np.array([0.24, 0.17]) * pose.scale, skin * [0.72, 0.6, 0.58], 0.45)
    white = ellipse(at, (0.165 * squeeze, 0.088 * open_), 24, 1.7)
    mask = canvas.mask(pose(white))
    canvas.paint(mask, np.array([0.95, 0.94, 0.92]), atop=True)
    middle = at + [gaze, 0.0]
    iris_mask = np.minimum(mask, canvas.mask(pose(ellipse(middle, (0.088, 0.088), 20))))
    canvas.paint(iris_mask, iris, atop=True)
    canvas.paint(
        np.minimum(mask, canvas.mask(pose(ellipse(middle, (0.045, 0.045), 14)))), np.array([0.05] * 3), atop=True
    )
    canvas.paint(canvas.mask(pose(ellipse(middle + [0.03, -0.035], (0.022, 0.022), 8))), np.ones(3), atop=True)
    lid = pose(
        bezier(
            [at + [-0.18, 0.02]], [at + [-0.09, -0.12 * open_]], [at + [0.09, -0.12 * open_]], [at + [0.18, 0.02]], 10
        )
    )
    canvas.strands(lid, skin[None] * 0.3, 0.0075)


def draw_face(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """Eyes, brows, nose, mouth and cheeks, shifted sideways by `person.turn`."""
    pose, skin = person.pose, person.skin
    shift = 0.2 * person.turn
    iris = np.array(IRISES[rng.integers(len(IRISES))]) / 255
    open_, gaze = rng.uniform(0.7, 1.2), rng.uniform(-0.04, 0.04)
    frown, brow_width = rng.uniform(-0.12, 0.12), rng.uniform(0.005, 0.013)
    for side in (-1, 1):
        _eye(canvas, person, side, iris, open_, gaze)
        start = np.array([side * 0.18 + shift, -0.3])
        points = np.linspace(0, 1, 26)[:, None] * [side * 0.34, -0.02 + frown] + start
        points[:, 1] -= 0.06 * np.sin(np.pi * np.linspace(0, 1, 26))
        heading = np.where(side > 0, -0.35, np.pi + 0.35) + 0.2 * rng.standard_normal(26)
        brow = pose(grow(points, heading, 0.11, steps=4))
        canvas.strands(brow, jitter(person.hair * 0.75, 26, 0.15, rng), brow_width)
        cheek = pose((side * 0.42 + shift, 0.32))
        canvas.airbrush(cheek, np.array([0.2, 0.16]) * pose.scale, skin * [1.0, 0.68, 0.64], rng.uniform(0.1, 0.45))
    nose = np.array([1.25 * shift, 0.0])
    canvas.airbrush(pose(nose + [0.07, 0.1]), np.array([0.06, 0.22]) * pose.scale, skin * [0.78, 0.66, 0.62], 0.45)
    canvas.airbrush(pose(nose + [-0.02, 0.16]), np.array([0.05, 0.2]) * pose.scale, skin * 0.6 + 0.4, 0.35)
    canvas.airbrush(pose(nose + [0.0, 0.31]), np.array([0.15, 0.05]) * pose.scale, skin * [0.62, 0.46, 0.42], 0.6)
    for side in (-1, 1):
        canvas.paint(
            canvas.mask(pose(ellipse(nose + [side * 0.07, 0.31], (0.035, 0.02), 10))), skin * 0.4, 0.8, atop=True
        )
    _mouth(canvas, person, rng, np.array([1.05 * shift, 0.56]))


def _mouth(canvas: Canvas, person: Person, rng: np.random.Generator, at: np.ndarray) -> None:
    pose, skin = person.pose, person.skin
    wide, smile = rng.uniform(0.2, 0.32), rng.uniform(-0.02, 0.1)
    lips = np.clip(skin * [0.85, 0.5, 0.5] + [rng.uniform(0, 0.12), 0, rng.uniform(0, 0.06)], 0, 1)
    opened = rng.uniform(0.08, 0.14) if rng.random() < 0.35 else 0.0
    upper, lower = rng.uniform(0.04, 0.075), rng.uniform(0.06, 0.1) + opened
    ring = np.array([(-wide, -smile), (-wide * 0.35, -upper), (0, -upper * 0.7), (wide * 0.35, -upper), (wide, -smile),
                     (wide * 0.45, lower), (-wide * 0.45, lower)])  # fmt: skip
    canvas.paint(canvas.mask(pose(smooth(ring + at, 2))), lips, atop=True)
    if opened:
        inner = np.array([(-wide * 0.75, -smile * 0.7), (0, 0), (wide * 0.75, -smile * 0.7), (0, opened + 0.02)])
        canvas.paint(canvas.mask(pose(smooth(inner + at, 2))), np.array([0.94, 0.92, 0.88]), atop=True)
    ends = at + np.array([[-wide, -smile], [wide, -smile]])
    line = bezier([ends[0]], [at + [-wide * 0.4, 0.03]], [at + [wide * 0.4, 0.03]], [ends[1]], 10)
    canvas.strands(pose(line), lips[None] * 0.45, 0.005)


def draw_beard(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """A few hundred short hairs from the cheeks down; the long ones reach past the chin."""
    count = int(420 * canvas.detail)
    angle = canvas.rng.uniform(0.12, np.pi - 0.12, count)
    rho = canvas.rng.uniform(0.7, 0.98, count)
    x, y = rho * np.cos(angle) * person.wide, 0.1 + 0.9 * rho * np.sin(angle)
    x *= 1 - person.jaw * np.maximum(y, 0) ** 2
    shift = 0.15 * person.turn * (1 - rho)
    mouth = (((x + shift) / 0.3) ** 2 + ((y - 0.58) / 0.12) ** 2) > 1
    moustache = np.stack(
        [canvas.rng.uniform(-0.3, 0.3, count // 8) + 0.2 * person.turn, canvas.rng.uniform(0.4, 0.47, count // 8)], 1
    )
    roots = np.concatenate([np.stack([x + shift, y], 1)[mouth], moustache])
    length = rng.uniform(0.08, 0.22) if rng.random() < 0.6 else rng.uniform(0.25, 0.6)
    heading = np.pi / 2 - 0.7 * roots[:, 0] + 0.3 * canvas.rng.standard_normal(len(roots))
    reach = length * canvas.rng.uniform(0.5, 1.2, len(roots)) * np.clip(roots[:, 1] + 0.4, 0.4, 1.2)
    hairs = grow(roots, heading, reach, wave=0.4, phase=canvas.rng.uniform(0, 6, len(roots)))
    canvas.strands(person.pose(hairs), jitter(person.hair * 0.9, len(roots), 0.25, canvas.rng), 0.007)


def draw_glasses(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """Two rims, a bridge and the start of the temples."""
    pose = person.pose
    ink = np.array([0.08, 0.07, 0.07]) if rng.random() < 0.6 else colour_of(rng.random(), 0.6, 0.5)
    round_, radius, width = rng.choice([2.0, 3.5]), rng.uniform(0.21, 0.26), rng.uniform(0.006, 0.013)
    for side in (-1, 1):
        at = (side * 0.35 * person.wide / 0.78 + 0.2 * person.turn, -0.05)
        outline = ellipse(at, (radius, radius * 0.85), 28, round_)
        canvas.paint(canvas.mask(pose(outline)), np.array([0.85, 0.9, 0.95]), 0.15, atop=True)
        rim = pose(np.concatenate([outline, outline[:1]]))[None]
        canvas.strands(rim, ink[None], width)
        temple = np.array([[[at[0] + side * radius, -0.1], [side * person.wide * 1.02, -0.04]]])
        canvas.strands(pose(temple), ink[None], width)
    bridge = np.array([[[-0.12 + 0.2 * person.turn, -0.08], [0.12 + 0.2 * person.turn, -0.08]]])
    canvas.strands(pose(bridge), ink[None], width)


def draw_hat(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """A beanie with a turned-up edge, or a hat with a brim."""
    pose, wide = person.pose, person.wide * 1.17
    colour = colour_of(rng.random(), rng.uniform(0.1, 0.8), rng.uniform(0.2, 0.9))
    crown = ellipse((0, -0.5), (wide, 0.85), 40, 2.3)
    crown = crown[crown[:, 1] < -0.4]
    order = np.argsort(np.arctan2(crown[:, 1] + 0.4, crown[:, 0]))
    canvas.paint(canvas.mask(pose(crown[order])), colour)
    if person.hat == "beanie":
        ribs = np.linspace(-0.9, 0.9, 15)
        way = ((0.2, -1.33), (0.8, -1.25), (0.98, -0.9), (1.0, -0.5))  # sideways as a share of the rib's place; height
        lines = bezier(*(np.stack([ribs * x, np.full_like(ribs, y)], 1) for x, y in way)) * [wide, 1]
        canvas.strands(pose(lines), jitter(colour * 0.75, 15, 0.08, rng), 0.006)
        edge = ellipse((0, -0.47), (wide * 1.04, 0.16), 30, 4)
        canvas.paint(canvas.mask(pose(edge)), np.clip(colour * 1.12, 0, 1))
        if rng.random() < 0.5:  # a pompom: wool at every angle
            heading = rng.uniform(0, 2 * np.pi, 160)
            wool = grow(np.tile([0, -1.42], (160, 1)), heading, rng.uniform(0.1, 0.27, 160), bend=0.5)
            canvas.strands(pose(wool), jitter(np.clip(colour * 1.2, 0, 1), 160, 0.2, rng), 0.008)
    else:
        brim = ellipse((0, -0.42), (wide * rng.uniform(1.35, 1.7), 0.13), 40)
        canvas.paint(canvas.mask(pose(ellipse((0, -0.52), (wide * 1.0, 0.14), 30, 4))), colour * 0.45)
        canvas.paint(canvas.mask(pose(brim)), np.clip(colour * 0.9, 0, 1))
    canvas.airbrush(pose((0.2 * person.turn, -0.28)), np.array([0.7, 0.16]) * pose.scale, person.skin * 0.45, 0.45)
