"""Portraits drawn by code: shoulders, head, face and hair, strand by strand.

A head has its own units: the origin is the middle of the face, 1 is half the head's height, y points down. Layers go
from back to front: hair behind, shoulders, neck, head, features, beard, hair in front, glasses, hat, flyaways.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from stylematte.data.drawn.backgrounds import noise
from stylematte.data.drawn.canvas import Canvas, stream
from stylematte.data.drawn.face import draw_beard, draw_face, draw_glasses, draw_hat
from stylematte.data.drawn.hair import draw_back_hair, draw_flyaways, draw_front_hair
from stylematte.data.drawn.shapes import Pose, colour_of, ellipse, jitter, smooth

SKINS = ((255, 224, 203), (246, 205, 174), (233, 184, 148), (214, 158, 118), (186, 128, 90), (150, 98, 66),
         (112, 70, 48), (82, 51, 37))  # fmt: skip
HAIRS = ((24, 20, 20), (48, 34, 28), (78, 52, 36), (112, 72, 44), (140, 80, 40), (160, 68, 36), (190, 142, 84),
         (222, 190, 132), (168, 164, 160), (226, 224, 220))  # fmt: skip
STYLES = ("short", "short", "quiff", "long", "long", "wavy", "curly", "afro", "bun", "ponytail", "bob", "bald")


class Person(NamedTuple):
    """What one seed decides about a sitter; lengths in head units, colours (3,) RGB."""

    pose: Pose
    turn: float  # -1 … 1: looks to the left or right; features shift sideways
    wide: float  # half-width of the head
    jaw: float
    skin: np.ndarray
    hair: np.ndarray
    cloth: np.ndarray
    style: str
    part: float  # where the hair parts, along x
    beard: bool
    hat: str  # "", "beanie", "brim"
    glasses: bool


def imagine(seed: int) -> Person:
    """The sitter of this seed."""
    rng = stream(seed, "person")
    style = str(rng.choice(STYLES))
    tone = int(rng.integers(len(SKINS)))
    dark_only = tone > 3 and rng.random() < 0.75  # most people with dark skin have dark or grey hair
    hair = np.array(HAIRS[rng.choice([0, 0, 1, 1, 2, 8]) if dark_only else rng.integers(len(HAIRS))]) / 255
    if rng.random() < 0.06:  # dyed
        hair = colour_of(rng.random(), rng.uniform(0.3, 0.7), rng.uniform(0.4, 0.85))
    scale = rng.uniform(0.225, 0.275)
    centre = (0.5 + 0.035 * rng.standard_normal(), 0.45 + rng.uniform(-0.03, 0.03))
    long_haired = style in ("long", "wavy", "bun", "ponytail", "bob")
    return Person(
        pose=Pose(centre, scale, float(np.clip(0.08 * rng.standard_normal(), -0.2, 0.2))),
        turn=float(np.clip(0.35 * rng.standard_normal(), -0.8, 0.8)),
        wide=rng.uniform(0.72, 0.84),
        jaw=rng.uniform(0.12, 0.4),
        skin=np.clip(np.array(SKINS[tone]) / 255 * rng.uniform(0.94, 1.05), 0, 1),
        hair=np.clip(hair * rng.uniform(0.85, 1.2), 0.03, 0.96),
        cloth=colour_of(rng.random(), rng.uniform(0, 0.85), rng.uniform(0.12, 0.95)),
        style=style,
        part=rng.uniform(-0.4, 0.4),
        beard=bool(rng.random() < (0.08 if long_haired else 0.4) and not long_haired),
        hat=str(rng.choice(["beanie", "brim"])) if rng.random() < 0.15 and style not in ("bun", "ponytail") else "",
        glasses=bool(rng.random() < 0.2),
    )


def _pattern(rng: np.random.Generator, side: int, cloth: np.ndarray) -> np.ndarray:
    """Cloth colour (side, side, 3): plain, striped, checked or mottled, with soft folds."""
    whole, side = side, side // 2  # half as fine will do for cloth, which is soft
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    other = np.clip(cloth * rng.uniform(0.4, 1.5) + 0.15 * rng.standard_normal(3), 0, 1)
    kind = rng.choice(["plain", "plain", "stripes", "checks", "mottled"])
    warp = 0.02 * noise(rng, side, (3, 7))
    bands = rng.uniform(14, 34)
    rows = np.clip(3 * np.sin(2 * np.pi * bands * (y + warp)), -1, 1)
    columns = np.clip(3 * np.sin(2 * np.pi * bands * (x + warp)), -1, 1)
    blend = {"plain": np.zeros_like(x), "stripes": 0.5 + rows / 2, "checks": 0.5 + (rows + columns) / 4}.get(kind)
    if blend is None:
        blend = np.clip(0.5 + 1.5 * noise(rng, side, (9, 25)), 0, 1)
    colour = cloth + blend[..., None] * (other - cloth)
    folds = 1 + 0.16 * noise(rng, side, (5, 11)) + 0.05 * noise(rng, side, (64,))
    return cv2.resize(np.clip(colour * folds[..., None], 0, 1).astype(np.float32), (whole, whole))


def _shoulders(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    body = Pose(person.pose.centre, person.pose.scale)  # shoulders do not tilt with the head
    wide, drop, slope = rng.uniform(1.5, 1.95), rng.uniform(1.28, 1.45), rng.uniform(0.15, 0.45)
    neck = 0.42 * person.wide / 0.78
    half = [(neck * 1.25, drop - 0.16), (wide * 0.62, drop + slope * 0.3), (wide * 0.95, drop + slope),
            (wide * 1.1, drop + 1.0), (wide * 1.15, 4.0)]  # fmt: skip
    outline = np.concatenate([half, np.array(half)[::-1] * [-1, 1]])
    torso = canvas.mask(body(smooth(outline, 3)))
    canvas.paint(torso, _pattern(rng, canvas.side, person.cloth))
    for side in (-1, 1):  # arms apart from the chest by a soft shadow
        canvas.airbrush(body((side * wide * 0.72, drop + 1.5)), (0.05, 0.35), person.cloth * 0.5, 0.5, side * 0.12)
    if rng.random() < 0.3:  # seen with a wide aperture: shoulders nearer than the face are soft
        canvas.defocus(
            rng.uniform(0.006, 0.018), np.clip((np.linspace(0, 1, 64)[:, None] - 0.68) * 8, 0, 1).repeat(64, 1)
        )
    low = float(rng.choice([0.25, 0.5, 0.95]))  # round neck, low neck, V
    bottom = person.pose((0, 0.75))
    top = body((0, drop))
    shift = (bottom - top)[0] / body.scale
    throat = [(-neck + shift, 0.6), (-neck * 1.0, drop - 0.15), (-neck * 1.2, drop - 0.1), (0, drop + low)]
    outline = np.array([*throat, (neck * 1.2, drop - 0.1), (neck * 1.0, drop - 0.15), (neck + shift, 0.6)])
    canvas.paint(canvas.mask(body(smooth(outline, 2))), person.skin * 0.93)
    canvas.airbrush(person.pose((0, 1.08)), np.array([0.62, 0.26]) * body.scale, person.skin * [0.6, 0.5, 0.48], 0.75)
    if rng.random() < 0.35:  # a collar
        flap = person.cloth * rng.uniform(0.7, 0.9) + rng.choice([0, 0.25])
        for side in (-1, 1):
            wing = [
                (neck * 1.15, drop - 0.3),
                (neck * 1.5, drop - 0.1),
                (neck * 1.2, drop + 0.35),
                (0.06, drop + low * 0.8),
            ]
            canvas.paint(canvas.mask(body(np.array(wing) * [side, 1])), np.clip(flap, 0, 1))


def _head(canvas: Canvas, person: Person) -> None:
    pose, wide, skin = person.pose, person.wide, person.skin
    for side in (-1, 1):  # ears
        ear = ellipse((side * wide * 0.98 - 0.1 * person.turn, 0.08), (0.11, 0.2))
        canvas.paint(canvas.mask(pose(ear)), skin * [0.93, 0.85, 0.83])
    face = canvas.mask(pose(ellipse((0, 0), (wide, 1.0), 60, 2.15, person.jaw)))
    canvas.paint(face, skin)
    rim = np.array([0.3, 0.75]) * pose.scale
    canvas.airbrush(pose((-wide * 1.05, 0.2)), rim, skin * [0.72, 0.6, 0.58], 0.55 + 0.3 * person.turn)
    canvas.airbrush(pose((wide * 1.05, 0.2)), rim, skin * [0.72, 0.6, 0.58], 0.55 - 0.3 * person.turn)
    canvas.airbrush(pose((0.1 * person.turn, -0.45)), np.array([0.45, 0.3]) * pose.scale, skin * 0.7 + 0.3, 0.25)


def draw_portrait(canvas: Canvas, seed: int) -> np.ndarray:
    """Draw the sitter of this seed; returns (4, 3) colours of the sitter, for backgrounds that come close."""
    person, rng = imagine(seed), stream(seed, "portrait")
    draw_back_hair(canvas, person, rng)
    _shoulders(canvas, person, rng)
    _head(canvas, person)
    draw_face(canvas, person, rng)
    if person.beard:
        draw_beard(canvas, person, rng)
    draw_front_hair(canvas, person, rng)
    if person.glasses:
        draw_glasses(canvas, person, rng)
    if person.hat:
        draw_hat(canvas, person, rng)
    draw_flyaways(canvas, person, rng)
    light = rng.uniform(-0.35, 0.35)
    ramp = 1 + light * np.linspace(-1, 1, 16)[None, :] - 0.1 * np.linspace(-1, 1, 16)[:, None]
    canvas.shade(ramp * (1 + 0.03 * rng.standard_normal((16, 16))))
    if rng.random() < 0.15:  # the whole sitter a little out of focus
        canvas.defocus(rng.uniform(0.002, 0.007))
    return np.array([person.skin, person.hair, person.cloth, jitter(person.hair, 1, 0.3, rng)[0]])
