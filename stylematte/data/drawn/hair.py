"""Draws the hair of portraits, strand by strand. Units as in `portrait`: 1 is half the head's height.

A style is a mass (opaque, inside), strands that run beyond it (so the outline is made of hairs, with background
between them), and flyaways. Curls are strands that turn by more than a full circle: one sees through them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stylematte.data.drawn.canvas import Canvas
from stylematte.data.drawn.shapes import bezier, ellipse, grow, jitter, ribbon, smooth

if TYPE_CHECKING:
    from stylematte.data.drawn.portrait import Person

LENGTHS = {"long": (1.3, 2.3), "wavy": (1.2, 2.1), "bob": (0.75, 1.05)}
HAIR_WIDTH = 0.006


def _shades(person: Person, count: int, rng: np.random.Generator, across: np.ndarray | None = None) -> np.ndarray:
    """(count, 3): the hair colour, darker and lighter by strand, with a streak of light where `across` is near 0."""
    shades = jitter(person.hair, count, 0.22, rng)
    if across is not None:
        glow = 0.35 * np.exp(-((np.asarray(across) / 0.25) ** 2))[:, None]
        shades = shades + glow * (0.5 * person.hair + 0.25)
    return np.clip(shades, 0, 1)


def _fall(u, person: Person, reach, flare, wave: float, rng: np.random.Generator, inner=0.0) -> np.ndarray:
    """Strands that leave the parting, round the skull and fall: (n, 16, 2); u in [-1, 1] runs from ear to ear;
    `inner` (n,) brings the start forward, down to the hairline."""
    n, zero, wide = len(u), np.zeros_like(u), person.wide * 1.16
    side = np.abs(u)
    strands = bezier(
        np.stack([person.part + 0.3 * u, -1.1 + 0.1 * side + inner], 1),
        np.stack([person.part * 0.5 + 0.72 * u * wide, zero - 1.2 + inner], 1),
        np.stack([1.3 * u * wide, zero - 0.35], 1),
        np.stack([u * wide * flare, zero + reach], 1),
        16,
    )
    t = np.linspace(0, 1, 16)[None]
    phase = 4 * u[:, None] + 0.7 * rng.standard_normal((n, 1))
    strands[..., 0] += wave * t * np.sin(11 * t + phase)
    return strands


def _falling_back(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    low, high = LENGTHS[person.style]
    reach, flare = rng.uniform(low, high), rng.uniform(0.95, 1.35)
    wave = rng.uniform(0.1, 0.2) if person.style == "wavy" else rng.uniform(0, 0.06)
    wide = person.wide
    half = np.array([(0.1, -1.15), (wide * 0.72, -1.02), (wide * 1.12, -0.45), (wide * 1.05 * flare, reach * 0.75),
                     (wide * 0.75 * flare, reach * 0.96)])  # fmt: skip
    mass = np.concatenate([half, half[::-1] * [-1, 1]])
    canvas.paint(canvas.mask(person.pose(smooth(mass, 3))), person.hair * 0.62)
    n = int(360 * canvas.detail)
    u = np.sign(canvas.rng.uniform(-1, 1, n)) * canvas.rng.uniform(0.1, 1, n) ** 0.6
    tips = reach * np.clip(1 + 0.1 * canvas.rng.standard_normal(n), 0.6, 1.2)
    strands = _fall(u, person, tips, flare, wave, canvas.rng)
    strands += 0.02 * canvas.rng.standard_normal((n, 1, 2))
    canvas.strands(person.pose(strands), _shades(person, n, canvas.rng) * 0.88, HAIR_WIDTH)
    loose = int(70 * canvas.detail)  # hairs that fell out of line: the soft part of the outline
    u = np.sign(canvas.rng.uniform(-1, 1, loose)) * canvas.rng.uniform(0.9, 1.0, loose)
    flares = flare * (1 + 0.22 * np.abs(canvas.rng.standard_normal(loose)))
    strands = _fall(u, person, reach * canvas.rng.uniform(0.5, 1.15, loose), flares, wave + 0.07, canvas.rng)
    canvas.strands(person.pose(strands), _shades(person, loose, canvas.rng), 0.001)


def _curls(canvas: Canvas, person: Person, spread: float, count: int, front: bool) -> None:
    """Loops around a lumpy core; those at the outline leave holes."""
    low, high = (np.pi * 1.08, np.pi * 1.92) if front else (np.pi * 0.72, np.pi * 2.28)
    count = int(count * canvas.detail)
    angle = canvas.rng.uniform(low, high, count)
    rho = (
        (0.98 + spread * canvas.rng.uniform(0.0, 1, count))
        if front
        else (0.75 + spread * 1.05 * canvas.rng.uniform(0, 1, count) ** 0.7)
    )
    centre = np.stack([np.cos(angle) * rho * person.wide * 1.12, np.sin(angle) * rho - 0.1], 1)
    size = canvas.rng.uniform(0.28, 0.75, count) * (0.75 if spread > 0.5 else 1.0)
    turn = canvas.rng.choice([-1, 1], count) * canvas.rng.uniform(1.2, 2.6, count) * np.pi
    loops = grow(
        centre,
        canvas.rng.uniform(0, 2 * np.pi, count),
        size,
        bend=turn,
        wave=0.5,
        phase=canvas.rng.uniform(0, 6, count),
        steps=16,
    )
    order = np.argsort(-rho) if not front else np.arange(count)
    canvas.strands(person.pose(loops[order]), _shades(person, count, canvas.rng), HAIR_WIDTH * 1.1)


def draw_back_hair(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """What lies behind the head and the shoulders."""
    pose, style = person.pose, person.style
    if style in LENGTHS:
        _falling_back(canvas, person, rng)
    elif style in ("curly", "afro"):
        spread = 0.75 if style == "afro" else 0.42
        core = ellipse((0, -0.25), (person.wide * (1 + spread * 0.55), 0.9 + spread * 0.5), 40)
        canvas.paint(canvas.mask(pose(core)), person.hair * 0.6)
        _curls(canvas, person, spread, 330 if style == "afro" else 260, front=False)
    elif style == "ponytail":
        side = float(rng.choice([-1, 1]))
        spine = bezier(
            [(side * 0.4, -0.9)], [(side * 1.7, -1.3)], [(side * 1.5, 0.4)], [(side * rng.uniform(1.0, 1.5), 1.5)], 20
        )[0]
        canvas.paint(
            canvas.mask(pose(ribbon(spine, 0.02 + 0.15 * np.sin(np.pi * np.linspace(0.1, 0.9, 20))))), person.hair * 0.7
        )
        n = int(150 * canvas.detail)
        offset = canvas.rng.standard_normal((n, 1, 1)) * np.linspace(0.03, 0.22, 20)[None, :, None] * [1, 0.6]
        locks = spine[None] + offset + [[[side * 0.05, 0]]] + 0.02 * canvas.rng.standard_normal((n, 1, 2))
        canvas.strands(pose(locks), _shades(person, n, canvas.rng), HAIR_WIDTH)
    elif style == "bun":
        at, radius = np.array([0.15 * person.part, -1.25]), rng.uniform(0.27, 0.4)
        canvas.paint(canvas.mask(pose(ellipse(at, (radius, radius * 0.9)))), person.hair * 0.7)
        n = int(90 * canvas.detail)
        angle = canvas.rng.uniform(0, 2 * np.pi, n)
        start = at + np.stack([np.cos(angle), np.sin(angle)], 1) * (radius * canvas.rng.uniform(0.2, 1.0, (n, 1)))
        coils = grow(
            start, angle + np.pi / 2, canvas.rng.uniform(0.2, 0.7, n), bend=canvas.rng.uniform(1.4, 2.6, n), steps=9
        )
        canvas.strands(pose(coils), _shades(person, n, canvas.rng), HAIR_WIDTH)


def _cap(person: Person, lift: float, hairline: float) -> np.ndarray:
    """Outline of the hair on the skull: from temple over the crown to temple, back along the hairline."""
    angle = np.linspace(np.pi * 0.99, np.pi * 2.01, 24)
    outer = np.stack([np.cos(angle) * (person.wide + lift * 0.8), np.sin(angle) * (1 + lift) - 0.02], 1)
    wide = person.wide
    side = [(wide * 0.97, -0.02), (wide * 0.84, -0.36), (wide * 0.5, hairline - 0.05)]
    line = np.array([*side, (person.part, hairline - 0.13), *((-x, y) for x, y in reversed(side))])
    return np.concatenate([outer, smooth(line, 2, closed=False)])


def _short_front(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    tall = person.style == "quiff"
    hairline = rng.uniform(-0.62, -0.5)
    canvas.paint(canvas.mask(person.pose(_cap(person, 0.13 if tall else 0.06, hairline))), person.hair * 0.72)
    n = int(430 * canvas.detail)
    angle = canvas.rng.uniform(np.pi * 1.0, np.pi * 2.0, n)
    rho = canvas.rng.uniform(0.66, 1.07, n)
    roots = np.stack([np.cos(angle) * rho * person.wide * 1.03, np.sin(angle) * rho], 1)
    roots = roots[(roots[:, 1] < hairline + 0.05) | (np.abs(roots[:, 0]) > person.wide * 0.88)]
    n = len(roots)
    up = np.arctan2(roots[:, 1] * 1.0 - 0.15, roots[:, 0])
    lean = rng.uniform(-0.9, 0.9)  # combed to one side
    length = rng.uniform(0.28, 0.5) if tall else rng.uniform(0.12, 0.3)
    heading, reach = up + lean + 0.3 * canvas.rng.standard_normal(n), length * canvas.rng.uniform(0.5, 1.3, n)
    phase = canvas.rng.uniform(0, 6, n)
    strands = grow(roots, heading, reach, bend=lean * 0.8, wave=0.25, phase=phase, steps=7)
    order = np.argsort(roots[:, 1])[::-1] if tall else np.argsort(roots[:, 1])
    canvas.strands(
        person.pose(strands[order]), _shades(person, n, canvas.rng, roots[order, 0] - 0.3 * lean), HAIR_WIDTH
    )


def _long_front(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    hairline = rng.uniform(-0.74, -0.6)
    canvas.paint(canvas.mask(person.pose(_cap(person, 0.1, hairline))), person.hair * 0.7)
    pulled = person.style in ("bun", "ponytail")
    n = int((260 if pulled else 300) * canvas.detail)
    if pulled:  # combed back to the knot
        angle = canvas.rng.uniform(np.pi * 1.02, np.pi * 1.98, n)
        root = np.stack([np.cos(angle) * person.wide * 0.98, np.maximum(np.sin(angle) * 0.62, -0.62)], 1)
        knot = np.array([0.15 * person.part, -1.18]) + 0.08 * canvas.rng.standard_normal((n, 2))
        middle = root * [1.08, 1] + [0, -0.4]
        strands = bezier(root, (root + middle) / 2, middle, knot, 9)
    else:
        u = np.sort(canvas.rng.uniform(0.03, 1, n)) * canvas.rng.choice([-1, 1], n)
        reach = rng.uniform(0.3, 1.0) * LENGTHS[person.style][1] * canvas.rng.uniform(0.5, 1.1, n)
        inner = canvas.rng.uniform(0, 1, n) * (hairline + 0.98)
        strands = _fall(u, person, reach, 1.05, 0.06, canvas.rng, inner)
        face = np.abs(strands[..., 0]) < person.wide * (0.78 - 0.1 * np.clip(strands[..., 1], 0, 1))
        inward = face & (strands[..., 1] > -0.55)  # keep the face free
        strands[..., 0] = np.where(inward, np.sign(u)[:, None] * person.wide * 0.8, strands[..., 0])
    across = strands[:, 4, 1] + 0.75 if not pulled else strands[:, 4, 0]
    canvas.strands(person.pose(strands), _shades(person, n, canvas.rng, across), HAIR_WIDTH)
    if not pulled and rng.random() < 0.35:  # fringe
        count = int(120 * canvas.detail)
        x = canvas.rng.uniform(-0.85, 0.85, count) * person.wide
        roots = np.stack([0.7 * x + 0.3 * person.part, -0.95 + 0.1 * canvas.rng.random(count)], 1)
        fringe = grow(roots, np.pi / 2 - 0.5 * x, canvas.rng.uniform(0.45, 0.62, count), bend=0.3 * np.sign(x), steps=7)
        canvas.strands(person.pose(fringe), _shades(person, count, canvas.rng, fringe[:, 3, 0]), HAIR_WIDTH)


def draw_front_hair(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """What lies on the skull and in front of the face."""
    if person.style in ("short", "quiff"):
        _short_front(canvas, person, rng)
    elif person.style in ("curly", "afro"):
        canvas.paint(canvas.mask(person.pose(_cap(person, 0.12, -0.6))), person.hair * 0.68)
        _curls(canvas, person, 0.75 if person.style == "afro" else 0.42, 150, front=True)
        count = int(90 * canvas.detail)
        roots = np.stack(
            [canvas.rng.uniform(-0.85, 0.85, count) * person.wide, canvas.rng.uniform(-0.85, -0.6, count)], 1
        )
        loops = grow(
            roots,
            canvas.rng.uniform(0, 6.3, count),
            canvas.rng.uniform(0.2, 0.5, count),
            bend=canvas.rng.uniform(4, 8, count),
            steps=12,
        )
        canvas.strands(person.pose(loops), _shades(person, count, canvas.rng, roots[:, 0]), HAIR_WIDTH)
    elif person.style == "bald":
        skin = np.clip(person.skin * 0.6 + 0.4, 0, 1)
        canvas.airbrush(person.pose((0.2, -0.75)), np.array([0.3, 0.14]) * person.pose.scale, skin, 0.5)
    else:
        _long_front(canvas, person, rng)


def draw_flyaways(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    """Single hairs that left the rest, each thinner than a pixel."""
    if person.style == "bald":
        return
    n = int(rng.integers(8, 45) * canvas.detail)
    falling = person.style in LENGTHS
    angle = canvas.rng.uniform(np.pi * (0.85 if falling else 1.02), np.pi * (2.15 if falling else 1.98), n)
    rim = 1.1 + (0.55 if person.style == "afro" else 0.3 if person.style == "curly" else 0.02)
    roots = np.stack([np.cos(angle) * person.wide * rim * 1.03, np.sin(angle) * (rim - 0.02) - 0.02], 1)
    if person.hat:
        roots = roots[roots[:, 1] > -0.3]
    n = len(roots)
    outward = np.arctan2(roots[:, 1], roots[:, 0])
    lean = canvas.rng.choice([-1, 1], n) * canvas.rng.uniform(0.5, 1.35, n)  # most lie nearly along the head
    heading, bend = outward + lean, lean * canvas.rng.uniform(-0.3, 1.2, n)
    hairs = grow(
        roots,
        heading,
        canvas.rng.uniform(0.2, 0.65, n),
        bend=bend,
        wave=0.15,
        phase=canvas.rng.uniform(0, 6, n),
        steps=10,
    )
    canvas.strands(person.pose(hairs), _shades(person, n, canvas.rng), 0.001)
