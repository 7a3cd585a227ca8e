"""Made clips: a cut-out animated over a moving background, every frame a pure function of (seed, clip, frame).

An open benchmark of moving hair with true alpha does not exist; this makes one from any cut-outs. A clip is one or more
shots with cuts between them. `stylematte.video.shot` renders, `stylematte.video.motion` moves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stylematte.errors import ConfigError
from stylematte.fields import impossible, ranged
from stylematte.sampling import position_seed
from stylematte.video.cutouts import Backdrop, Cutout, drawn_backdrop
from stylematte.video.motion import Motion, draw_motion
from stylematte.video.shot import FINER, Frame, Shot


@dataclass(frozen=True)
class ClipOptions:
    """What clips look like."""

    frames: int = ranged(24, 1, 100_000)
    fps: float = ranged(24.0, 1.0, 1000.0)
    size: tuple[int, int] = (256, 256)
    """Height, width."""
    cuts: int = ranged(0, 0, 1000)
    """Other cut-out, background and motion from these frames on, at equal distances."""
    motion: float = ranged(1.0, 0.0, 10.0)
    """Multiplies the amplitudes of all movement; 0: a still."""
    light: float = ranged(1.0, 0.0, 5.0)
    """Multiplies the changes of light."""
    shutter: float = ranged(0.5, 0.0, 1.0)
    """Share of a frame's time that the shutter is open."""
    subframes: int = ranged(8, 1, 64)
    """Averaged over that time; 1: no motion blur."""
    noise: float = ranged(0.01, 0.0, 0.5)
    """Standard deviation of each frame's own noise, as of a sensor."""
    seed: int = 0

    def problems(self) -> Iterator[str]:
        if min(self.size) < 16 or max(self.size) > 8192:
            yield f"size={self.size[1]}x{self.size[0]}: expected sides of 16 to 8192 pixels"
        if self.cuts >= self.frames:
            yield f"cuts={self.cuts}: expected fewer than the {self.frames} frames"

    def check(self) -> None:
        """Raises ConfigError, one line for each value that cannot work."""
        found = list(impossible(self))
        if found:
            raise ConfigError("\n".join(found))


def parse_size(text: str) -> tuple[int, int]:
    """ "256" or "640x360" (width x height) -> (height, width). Raises ConfigError."""
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match:
        raise ConfigError(f"--size {text}: expected pixels, 256 or 640x360 (width x height)")
    width = int(match[1])
    return int(match[2] or width), width


class Clip:
    """Clip `number` of a set: its cut-outs are taken from `cutouts` by its number and the shot's, its backgrounds from
    `backdrops` by its seed (drawn where there are none)."""

    def __init__(
        self, number: int, cutouts: Sequence[Cutout], backdrops: Sequence[Backdrop], options: ClipOptions, name: str
    ) -> None:
        self.number, self.cutouts, self.backdrops, self.options, self.name = number, cutouts, backdrops, options, name
        self._shot: tuple[int, Shot] | None = None

    @property
    def starts(self) -> list[int]:
        """The first frame of each shot."""
        shots = self.options.cuts + 1
        return [self.options.frames * shot // shots for shot in range(shots)]

    def frame(self, index: int) -> Frame:
        """One frame. image (H, W, 3), alpha (H, W), float32 in [0, 1]."""
        options, starts = self.options, self.starts
        number = max(shot for shot, start in enumerate(starts) if start <= index)
        shot = self._rendered(number)
        seconds = (index - starts[number]) / options.fps
        image, alpha = shot.frame(seconds, options.shutter / options.fps, options.subframes)
        if options.noise:
            rng = np.random.default_rng(position_seed(*self._position, "noise", index))
            grain = rng.standard_normal(image.shape, np.float32) * np.float32(options.noise)
            image = np.clip(image + grain, 0, 1)
        return Frame(image, alpha)

    def cutout(self, shot: int) -> Cutout:
        return self.cutouts[(self.number + shot) % len(self.cutouts)]

    def backdrop(self, shot: int) -> Backdrop:
        seed = position_seed(*self._position, "background", shot)
        return self.backdrops[seed % len(self.backdrops)] if self.backdrops else drawn_backdrop(seed)

    def motion(self, shot: int) -> Motion:
        rng = np.random.default_rng(position_seed(*self._position, "motion", shot))
        return draw_motion(rng, self.options.motion, self.options.light)

    def as_json(self) -> dict[str, Any]:
        """What the clip is made of, for the manifest."""
        shots = [
            {
                "first_frame": start,
                "cutout": self.cutout(shot).source,
                "background": self.backdrop(shot).source,
                "motion": self.motion(shot).as_json(),
            }
            for shot, start in enumerate(self.starts)
        ]
        height, width = self.options.size
        about = {"clip": self.name, "subject": self.cutout(0).subject, "frames": self.options.frames}
        return about | {"fps": self.options.fps, "width": width, "height": height, "shots": shots}

    @property
    def _position(self) -> tuple[int | str, ...]:
        return self.options.seed, "clip", self.cutouts[0].subject, self.number

    def _rendered(self, number: int) -> Shot:
        """The shot, kept until another one is asked for."""
        if self._shot is None or self._shot[0] != number:
            options, starts = self.options, [*self.starts, self.options.frames]
            fine = FINER * max(options.size)
            seconds = (starts[number + 1] - starts[number]) / options.fps
            pictures = self.cutout(number).read(fine), self.backdrop(number).read(fine)
            self._shot = number, Shot(*pictures, self.motion(number), options.size, seconds)
        return self._shot[1]
