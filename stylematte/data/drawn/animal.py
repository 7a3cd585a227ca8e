# ruff: noqa: RUF005 - arrays are added to lists, not concatenated
"""Animals drawn by code: head, ears, muzzle, body, tail, and fur strand by strand.

A head has its own units: the origin is its middle, 1 is half its height, y points down. What is furry is painted flat
with its pattern first; the fur then takes its colours from the paint below it, inside and beyond the outline.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from stylematte.data.drawn.backgrounds import noise
from stylematte.data.drawn.canvas import Canvas, stream
from stylematte.data.drawn.muzzle import draw_eyes, draw_muzzle, draw_whiskers
from stylematte.data.drawn.shapes import Pose, bezier, colour_of, ellipse, grow, jitter, ribbon, rim, smooth


class Kind(NamedTuple):
    """What all of a kind share. Lengths in head units; coats are RGB 0 … 255."""

    coats: tuple[tuple[int, int, int], ...]
    wide: tuple[float, float]  # half-width of the head
    ears: tuple[str, ...]  # "point", "round", "flop", "long"
    muzzle: tuple[float, float]  # half-width of the muzzle
    fur: tuple[float, float]  # length of the fur
    marks: tuple[str, ...]  # "plain", "tabby", "patches", "mask", "bib", "spots", "panda"
    whiskers: bool = False
    slit: bool = False  # a cat's pupil
    tail: bool = True
    mane: bool = False
    cheeks: float = 0.0  # tufts beside the jaw


GREYS = ((40, 38, 40), (120, 118, 118), (180, 176, 170), (232, 228, 222))
BROWNS = ((72, 48, 34), (128, 84, 52), (176, 124, 78), (214, 172, 124))
KINDS: dict[str, Kind] = {
    "cat": Kind((*GREYS, *BROWNS, (204, 132, 66)), (1.0, 1.18), ("point",), (0.36, 0.46), (0.08, 0.24),
                ("plain", "tabby", "tabby", "patches", "bib"), whiskers=True, slit=True, cheeks=0.12),
    "dog": Kind((*GREYS, *BROWNS), (0.84, 1.0), ("flop", "flop", "point"), (0.42, 0.56), (0.05, 0.3),
                ("plain", "patches", "bib", "mask")),
    "fox": Kind(((206, 104, 44), (188, 88, 40), (222, 136, 70), (150, 150, 154), (236, 234, 230)), (0.98, 1.12),
                ("point",), (0.3, 0.38), (0.12, 0.24), ("bib",), whiskers=True, slit=True, cheeks=0.3),
    "bear": Kind((*BROWNS[:3], (44, 36, 32), (236, 230, 214), (150, 104, 64)), (1.0, 1.16), ("round",), (0.42, 0.54),
                 (0.08, 0.22), ("plain", "plain", "panda"), tail=False),
    "rabbit": Kind((*GREYS, *BROWNS), (0.82, 0.95), ("long",), (0.32, 0.4), (0.07, 0.16), ("plain", "bib", "patches"),
                   whiskers=True, tail=False),
    "lion": Kind(((206, 160, 100), (190, 140, 86), (220, 184, 130)), (0.9, 1.0), ("round",), (0.44, 0.54),
                 (0.05, 0.1), ("plain",), whiskers=True, mane=True),
    "leopard": Kind(((216, 172, 104), (196, 190, 180), (210, 132, 58)), (1.0, 1.12), ("round",), (0.42, 0.5),
                    (0.06, 0.14), ("spots", "tabby"), whiskers=True, cheeks=0.1),
}  # fmt: skip
NAMES = ("cat", "cat", "dog", "dog", "fox", "bear", "rabbit", "lion", "leopard")


class Beast(NamedTuple):
    """What one seed decides about an animal."""

    kind: Kind
    pose: Pose
    turn: float
    wide: float
    coat: np.ndarray
    second: np.ndarray  # the colour of marks
    light: np.ndarray  # muzzle, chest
    mark: str
    ears: str
    fur: float


def imagine(seed: int) -> Beast:
    """The animal of this seed."""
    rng = stream(seed, "beast")
    kind = KINDS[NAMES[rng.integers(len(NAMES))]]
    mark, ears = str(rng.choice(kind.marks)), str(rng.choice(kind.ears))
    coat = np.array(kind.coats[rng.integers(len(kind.coats))]) / 255 * rng.uniform(0.85, 1.12)
    if mark == "panda":
        coat = np.array([0.93, 0.92, 0.88])
    dark = mark in ("tabby", "spots", "panda", "mask") or rng.random() < 0.5
    second = coat * (0.13 if mark == "panda" else rng.uniform(0.25, 0.55)) if dark else coat * 0.3 + 0.68
    scale = rng.uniform(0.22, 0.265) * (0.88 if ears == "long" or kind.mane else 1.0)
    height = 0.47 if ears == "long" else 0.43
    return Beast(
        kind=kind,
        pose=Pose((0.5 + 0.035 * rng.standard_normal(), height + rng.uniform(-0.03, 0.04)), scale,
                  float(np.clip(0.1 * rng.standard_normal(), -0.25, 0.25))),
        turn=float(np.clip(0.3 * rng.standard_normal(), -0.7, 0.7)),
        wide=rng.uniform(*kind.wide),
        coat=np.clip(coat + 0.02 * rng.standard_normal(3), 0.04, 0.97),
        second=np.clip(second, 0.03, 0.97),
        light=np.clip(coat * 0.35 + 0.6, 0, 0.97) if rng.random() < 0.75 else np.clip(coat * 1.12, 0, 1),
        mark=mark,
        ears=ears,
        fur=rng.uniform(*kind.fur),
    )  # fmt: skip


def comb(
    canvas: Canvas, mask, beast: Beast, length: float, rng: np.random.Generator, middle, dense: float = 1.0
) -> None:
    """Fur on a painted part: strands inside it that flow away from `middle` and hang, and strands over its outline."""
    inside = int(380 * dense * canvas.detail)
    rows, columns = np.nonzero(mask > 127)
    pick = canvas.rng.integers(0, len(rows), inside)
    roots = (np.stack([columns[pick], rows[pick]], 1) + 0.5) / canvas.side
    away = roots - middle
    heading = np.arctan2(away[:, 1] + 0.05, away[:, 0]) + 0.35 * canvas.rng.standard_normal(inside)
    hairs = grow(
        roots,
        heading,
        0.8 * length * canvas.rng.uniform(0.5, 1.2, inside),
        bend=0.4 * canvas.rng.standard_normal(inside),
        steps=4,
    )
    shades = np.clip(canvas.colour_at(roots) * (1 + 0.14 * canvas.rng.standard_normal((inside, 1))), 0, 1)
    canvas.strands(hairs, shades, 0.004)
    edge = int(560 * dense * canvas.detail)
    roots, outward = rim(mask, edge, canvas.rng)
    roots = roots - 0.35 * length * np.stack([np.cos(outward), np.sin(outward)], 1)
    locks = np.sin(rng.integers(9, 17) * outward + rng.uniform(0, 6))  # fur parts into locks that lean together
    lean = 0.35 * locks + 0.3 * canvas.rng.standard_normal(edge)
    length = length * (1 + 0.3 * np.sin(rng.integers(3, 7) * outward + rng.uniform(0, 6)))
    sag = np.cos(outward) * 0.5  # gravity turns what points sideways down
    hairs = grow(
        roots,
        outward + lean,
        length * canvas.rng.uniform(0.5, 1.4, edge),
        bend=sag + 0.4 * canvas.rng.standard_normal(edge),
        steps=5,
    )
    shades = np.clip(canvas.colour_at(roots) * (1 + 0.14 * canvas.rng.standard_normal((edge, 1))), 0, 1)
    canvas.strands(hairs, shades, 0.004)


def _marked(canvas: Canvas, beast: Beast, rng: np.random.Generator) -> np.ndarray:
    """Coat colour (side, side, 3) with the marks that have no fixed place: tabby stripes, spots, patches."""
    side = canvas.side // 2
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    mottle = 1 + 0.12 * noise(rng, side, (6, 14, 50))
    if beast.mark == "tabby":
        from_middle = np.hypot(x - beast.pose.centre[0], 0.7 * (y - beast.pose.centre[1] - 0.2))
        wave = np.sin(2 * np.pi * (rng.uniform(11, 16) * (from_middle + 0.05 * noise(rng, side, (4, 9)))))
        blend = np.clip(1.6 * wave - 0.4, 0, 1) * 0.75
    elif beast.mark == "spots":
        blend = np.zeros((side, side), np.float32)
        for at in rng.uniform(0, side, (210, 2)):
            radius = int(side * rng.uniform(0.008, 0.018))
            cv2.circle(blend, at.astype(int).tolist(), radius, 0.9, -1 if rng.random() < 0.5 else max(1, side // 90))
    elif beast.mark == "patches":
        blend = np.clip(9 * noise(rng, side, (4, 7)) - 0.3, 0, 1)
    else:
        blend = np.zeros((side, side), np.float32)
    colour = (beast.coat + blend[..., None] * (beast.second - beast.coat)) * mottle[..., None]
    return cv2.resize(np.clip(colour, 0, 1).astype(np.float32), (canvas.side, canvas.side))


def _tail(canvas: Canvas, beast: Beast, paint: np.ndarray, rng: np.random.Generator) -> None:
    side = float(rng.choice([-1, 1]))
    body = Pose(beast.pose.centre, beast.pose.scale)
    spine = bezier([(side * 0.8, 2.3)], [(side * rng.uniform(1.8, 2.3), 2.4)], [(side * rng.uniform(1.2, 2.1), 0.9)],
                   [(side * rng.uniform(1.4, 2.2), rng.uniform(-0.1, 0.8))], 20)[0]  # fmt: skip
    thick = rng.uniform(0.1, 0.3) * np.linspace(0.9, 1.1, 20) * np.sin(np.linspace(0.9, 3.0, 20)) ** 0.5
    mask = canvas.mask(body(ribbon(spine, thick)))
    canvas.paint(mask, paint)
    if rng.random() < 0.5:
        canvas.airbrush(body(spine[-3]), (0.06, 0.06), beast.light if beast.mark == "bib" else beast.second, 0.9)
    comb(canvas, mask, beast, (beast.fur + 0.06) * beast.pose.scale, rng, body(spine[0]), 0.55)


def _body(canvas: Canvas, beast: Beast, paint: np.ndarray, rng: np.random.Generator) -> None:
    body = Pose(beast.pose.centre, beast.pose.scale)
    neck, chest = rng.uniform(0.7, 0.85) * beast.wide, rng.uniform(1.05, 1.4)
    half = [(neck, 0.2), (neck * 1.02, 0.75), (chest * 0.9, 1.4), (chest, 2.2), (chest * 1.05, 4.0)]
    mask = canvas.mask(body(smooth(np.concatenate([half, np.array(half)[::-1] * [-1, 1]]), 3)))
    canvas.paint(mask, beast.second if beast.mark == "panda" else paint)
    if beast.mark == "bib" or rng.random() < 0.3:
        canvas.airbrush(body((0.15 * beast.turn, 1.6)), np.array([0.5, 0.8]) * body.scale, beast.light, 0.95)
    for side in (-1, 1):  # forelegs
        canvas.airbrush(body((side * chest * 0.5, 2.4)), np.array([0.07, 0.7]) * body.scale, beast.coat * 0.35, 0.55)
    canvas.airbrush(body((0, 1.0)), np.array([0.95, 0.35]) * body.scale, beast.coat * 0.3, 0.6)
    comb(canvas, mask, beast, (beast.fur + 0.04) * body.scale, rng, body((0, 0.3)))


def _ear(beast: Beast, side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Outlines (in head units) of one ear and of its inside."""
    wide, up = beast.wide, rng.uniform(0.9, 1.15)
    if beast.ears == "round":
        centre = (side * wide * 0.72, -0.82)
        return ellipse(centre, (0.33, 0.33 * up)), ellipse((centre[0], centre[1] + 0.04), (0.19, 0.2 * up))
    if beast.ears == "flop":
        outer = [(wide * 0.45, -0.92), (wide * 0.95, -0.9), (wide * 1.32, -0.2), (wide * 1.2, 0.6 * up),
                 (wide * 0.95, 0.75 * up), (wide * 0.8, 0.1), (wide * 0.72, -0.5)]  # fmt: skip
        inner = ellipse((wide * 1.05, 0.1), (0.01, 0.01), 8)
        return smooth(np.array(outer) * [side, 1], 3), inner * [side, 1]
    if beast.ears == "long":
        lean = rng.uniform(0.05, 0.5)
        base, tip = np.array([wide * 0.42, -0.75]), np.array([wide * 0.42 + lean, -0.75 - 1.25 * up])
        spine = np.linspace(base, tip, 12)
        shape = np.sin(np.linspace(0.5, np.pi, 12)) ** 0.7
        return ribbon(spine, 0.21 * shape) * [side, 1], ribbon(spine[1:-1], 0.11 * shape[1:-1]) * [side, 1]
    outline = smooth(np.array([(wide * 0.2, -0.85), (wide * 0.72, -0.8 - 0.78 * up), (wide * 0.98, -0.3)]), 1)
    middle = outline.mean(0) + [0.0, 0.08]
    return outline * [side, 1], (middle + 0.58 * (outline - middle)) * [side, 1]


def _ears(canvas: Canvas, beast: Beast, paint: np.ndarray, rng: np.random.Generator) -> None:
    pose, scale = beast.pose, beast.pose.scale
    flesh = np.clip(beast.coat * 0.45 + [0.42, 0.24, 0.24], 0, 1)
    for side in (-1, 1):
        outer, inner = _ear(beast, side, rng)
        mask = canvas.mask(pose(outer))
        dark = beast.second if beast.mark in ("panda", "mask") else None
        canvas.paint(mask, paint if dark is None else dark)
        if beast.ears == "flop":
            canvas.airbrush(pose((side * beast.wide, 0.1)), np.array([0.35, 0.8]) * scale, beast.coat * 0.5, 0.6)
        comb(canvas, mask, beast, (0.5 * beast.fur + 0.03) * scale, rng, pose((0, -0.2)), 0.35)
        if beast.ears != "flop":
            canvas.paint(canvas.mask(pose(inner), soften=0.006), flesh, 0.75, atop=True)
            roots = inner[rng.integers(0, len(inner), 26)] * 0.8 + inner.mean(0) * 0.2
            tufts = grow(
                pose(roots), -np.pi / 2 + side * rng.uniform(-0.2, 0.9, 26), 0.3 * scale * rng.random(26), steps=4
            )
            canvas.strands(tufts, jitter(beast.light, 26, 0.1, rng), 0.003)


def _mane(canvas: Canvas, beast: Beast, rng: np.random.Generator) -> None:
    """Several hundred long locks all around the head."""
    pose, n = beast.pose, int(750 * canvas.detail)
    colour = beast.coat * rng.uniform(0.45, 0.85)
    canvas.paint(canvas.mask(pose(ellipse((0, 0.15), (beast.wide * 1.35, 1.3)))), colour * 0.6)
    angle, rho = canvas.rng.uniform(0, 2 * np.pi, n), canvas.rng.uniform(0.75, 1.45, n)
    order = np.argsort(-rho)
    angle, rho = angle[order], rho[order]
    roots = np.stack([np.cos(angle) * rho * beast.wide * 0.95, np.sin(angle) * rho * 0.92 + 0.12], 1)
    bend = np.cos(angle) * canvas.rng.uniform(0.1, 1.2, n)
    heading, length = angle + 0.25 * canvas.rng.standard_normal(n), canvas.rng.uniform(0.3, 0.75, n)
    locks = grow(roots, heading, length, bend=bend, wave=0.3,
                 phase=canvas.rng.uniform(0, 6, n), steps=8)  # fmt: skip
    shades = jitter(colour, n, 0.22, canvas.rng) * np.clip(1.35 - 0.35 * rho, 0.5, 1.2)[:, None]
    canvas.strands(pose(locks), shades, 0.006)


def _head(canvas: Canvas, beast: Beast, paint: np.ndarray, rng: np.random.Generator) -> None:
    pose, wide, scale = beast.pose, beast.wide, beast.pose.scale
    skull = ellipse((0, 0), (wide, 0.95), 50, 2.2, 0.12)
    parts = [skull]
    if beast.kind.cheeks:
        reach = wide + beast.kind.cheeks
        for side in (-1, 1):
            parts.append(
                smooth(np.array([(wide * 0.75, -0.15), (reach, 0.42), (wide * 0.6, 0.8), (0.2, 0.6)]) * [side, 1], 1)
            )
    mask = canvas.mask(*(pose(part) for part in parts))
    canvas.paint(mask, paint)
    if beast.mark == "bib":
        for side in (-1, 1):
            canvas.airbrush(pose((side * 0.62, 0.5)), np.array([0.48, 0.36]) * scale, beast.light, 1.0)
        canvas.airbrush(pose((0.2 * beast.turn, -0.5)), np.array([0.12, 0.5]) * scale, beast.light, 0.4)
    if beast.mark in ("mask", "panda"):
        for side in (-1, 1):
            at = (side * 0.42 + 0.2 * beast.turn, -0.1)
            canvas.airbrush(pose(at), np.array([0.26, 0.36]) * scale, beast.second, 1.0, side * 0.5)
    canvas.airbrush(pose((wide * 0.9, 0.3)), np.array([0.4, 0.7]) * scale, beast.coat * 0.4, 0.3 - 0.2 * beast.turn)
    canvas.airbrush(pose((-wide * 0.9, 0.3)), np.array([0.4, 0.7]) * scale, beast.coat * 0.4, 0.3 + 0.2 * beast.turn)
    comb(canvas, mask, beast, beast.fur * scale, rng, pose((0.2 * beast.turn, 0.1)))


def draw_animal(canvas: Canvas, seed: int) -> np.ndarray:
    """Draw the animal of this seed; returns (4, 3) of its colours, for backgrounds that come close."""
    beast, rng = imagine(seed), stream(seed, "animal")
    paint = _marked(canvas, beast, rng)
    if beast.kind.tail and rng.random() < 0.7:
        _tail(canvas, beast, paint, rng)
    _body(canvas, beast, paint, rng)
    if rng.random() < 0.3:  # the body behind the plane of focus
        canvas.defocus(
            rng.uniform(0.005, 0.014), np.clip((np.linspace(0, 1, 64)[:, None] - 0.7) * 6, 0, 1).repeat(64, 1)
        )
    if beast.kind.mane:
        _mane(canvas, beast, rng)
    if beast.ears != "flop":
        _ears(canvas, beast, paint, rng)
    _head(canvas, beast, paint, rng)
    if beast.ears == "flop":
        _ears(canvas, beast, paint, rng)
    draw_muzzle(canvas, beast, rng)
    draw_eyes(canvas, beast, rng)
    light = rng.uniform(-0.3, 0.3)
    canvas.shade(1 + light * np.linspace(-1, 1, 16)[None, :] - 0.12 * np.linspace(-1, 1, 16)[:, None])
    if beast.kind.whiskers:
        draw_whiskers(canvas, beast, rng)
    if rng.random() < 0.3:  # a collar tag is a solid thing among the fur
        body = Pose(beast.pose.centre, beast.pose.scale)
        canvas.paint(
            canvas.mask(body(ellipse((0.1 * beast.turn, 1.12), (0.13, 0.14), 20))), colour_of(rng.random(), 0.6, 0.85)
        )
    return np.array([beast.coat, beast.second, beast.light, beast.coat * 0.7])
