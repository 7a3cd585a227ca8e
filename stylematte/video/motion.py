"""The motion, light and warp of a made clip: a few sine waves drawn from a seed, functions of the time alone.

Lengths are in frame heights, angles in radians, times in seconds. A shot's motion is all numbers, so that the clip's
manifest can hold it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Wave:
    """amplitude sin(2 pi (t / period + phase))"""

    amplitude: float
    period: float
    phase: float

    def at(self, seconds: float) -> float:
        return self.amplitude * math.sin(2 * math.pi * (seconds / self.period + self.phase))


@dataclass(frozen=True)
class Motion:
    """x, y: shift of the subject; angle, growth (the scale is exp(growth)): about the middle of the frame's lower edge.

    sway: sideways shift of the subject's upper part, rising from 0 at `sway_reach` below its top; flutter: the same in
    waves, finer and faster, as hair moves. light: exp(light) multiplies the subject's colours, slope is how much more
    on one side than on the other, ambience is the background's light. pan_from, pan_to: the background's middle at the
    start and the end of the shot (or of 2 s), -1 ... 1 of what it can move; zoom likewise, 1: it just covers the frame.
    """

    x: Wave
    y: Wave
    angle: Wave
    growth: Wave
    sway: Wave
    flutter: Wave
    sway_reach: float
    light: Wave
    slope: Wave
    ambience: Wave
    pan_from: tuple[float, float]
    pan_to: tuple[float, float]
    zoom_from: float
    zoom_to: float

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; a wave is [amplitude, period, phase]."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: [value.amplitude, value.period, value.phase] if isinstance(value, Wave) else value
            for name, value in values.items()
        }


AMPLITUDES = {
    "x": (0.03, 0.12), "y": (0.0, 0.03), "angle": (0.01, 0.1), "growth": (0.0, 0.1), "sway": (0.0, 0.03),
    "flutter": (0.003, 0.012),
}  # fmt: skip
LIGHTS = {"light": (0.05, 0.35), "slope": (0.0, 0.3), "ambience": (0.0, 0.25)}
FAST = ("sway", "flutter")


def draw_motion(rng: np.random.Generator, strength: float = 1.0, light: float = 1.0) -> Motion:
    """Motion of a shot; `strength` and `light` multiply all amplitudes, 0: nothing moves, the light stays."""

    def wave(name: str, low: float, high: float, factor: float) -> Wave:
        period = rng.uniform(0.4, 1.2) if name in FAST else rng.uniform(1.5, 4.0)
        return Wave(factor * rng.uniform(low, high), float(period), float(rng.uniform()))

    moves = {name: wave(name, *bounds, strength) for name, bounds in AMPLITUDES.items()}
    lights = {name: wave(name, *bounds, light) for name, bounds in LIGHTS.items()}
    ends = (strength > 0) * rng.uniform(-1, 1, (2, 2))
    zooms = 1.1 + min(strength, 3) * rng.uniform(0, 0.3, 2) if strength else (1.1, 1.1)
    (a, b), (c, d) = ends.tolist()
    return Motion(
        **moves,
        **lights,
        sway_reach=float(rng.uniform(0.25, 0.55)),
        pan_from=(a, b),
        pan_to=(c, d),
        zoom_from=float(zooms[0]),
        zoom_to=float(zooms[1]),
    )
