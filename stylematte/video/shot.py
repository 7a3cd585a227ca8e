"""Renders frames of a cut-out that moves over a moving background, with motion blur; alpha is exact.

A frame is the mean of sub-frames over the shutter's opening. Each is rendered twice as fine as wanted, from
premultiplied colour and alpha (so that nothing bleeds), composited, and averaged over areas. So for every pixel

    I = mean_s (P_s + (1 - a_s) B_s)      alpha = mean_s a_s

which is the compositing equation with the exposure's mean colour, coverage and background (the one weighted by what
the subject leaves free). Where the cut-out's own frame cuts a body it goes on beyond it, repeating the border.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from stylematte.video.motion import Motion

FINER = 2
"""Render pixels per wanted pixel, each way."""
SLOWEST = 2.0
"""Seconds that the background takes for its way at least: a short shot sees a part of it."""
OPEN = 0.02
"""Alpha above which a pixel counts as the subject's."""
CUT = 0.05
"""A run of opaque pixels, as a share of a side of the cut-out's frame, from where on the side cuts a body, not hair."""


class Frame(NamedTuple):
    """image (H, W, 3), alpha (H, W): float32 in [0, 1]."""

    image: np.ndarray
    alpha: np.ndarray


class Shot:
    """One subject over one background, for `seconds`; rendered at any time of them."""

    def __init__(
        self,
        premultiplied: Float[np.ndarray, "h w 4"],
        background: Float[np.ndarray, "bh bw 3"],
        motion: Motion,
        size: tuple[int, int],
        seconds: float,
    ) -> None:
        """size: (height, width) of the frames. The cut-out is fitted to the frame's height; where its subject is cut by
        the left or right border, it is enlarged to cover the frame's width, its top edge kept."""
        height, width = size
        self.size, self.fine, self.motion = size, (FINER * height, FINER * width), motion
        self.seconds = max(seconds, SLOWEST)
        grid = np.mgrid[0 : self.fine[0], 0 : self.fine[1]].astype(np.float32)
        self.y = (grid[0] + 0.5) / self.fine[0]  # frame heights from the top
        self.x = (grid[1] + 0.5 - self.fine[1] / 2) / self.fine[0]  # from the middle
        cutout = _fitted(premultiplied, self.fine)
        rows = np.flatnonzero((cutout[..., 3] > OPEN).any(1))
        self.top = rows[0] / self.fine[0] if len(rows) else 0.0
        self.cutout = _framed(cutout)
        self.background = _covering(background, self.fine)

    def frame(self, seconds: float, opening: float = 0.0, subframes: int = 1) -> Frame:
        """The frame whose shutter is open for `opening` seconds around this time."""
        image = np.zeros((*self.size, 3), np.float64)
        alpha = np.zeros(self.size, np.float64)
        for step in range(subframes):
            moment = seconds + opening * ((step + 0.5) / subframes - 0.5)
            front, cover = self._subject(moment)
            fine = front + (1 - cover[..., None]) * self._behind(moment)
            width_height = self.size[::-1]
            image += cv2.resize(fine, width_height, interpolation=cv2.INTER_AREA)
            alpha += cv2.resize(cover, width_height, interpolation=cv2.INTER_AREA)
        return Frame(*(np.clip(total / subframes, 0, 1).astype(np.float32) for total in (image, alpha)))

    def _subject(self, moment: float) -> tuple[np.ndarray, np.ndarray]:
        """Lit premultiplied colour and alpha at this moment, in render pixels."""
        source_x, source_y = self._source(moment)
        warped = cv2.remap(self.cutout, source_x, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = warped[..., 3]
        across = self.x[:1] * (self.size[0] / self.size[1])
        light = np.exp(self.motion.light.at(moment) + self.motion.slope.at(moment) * across)
        return np.minimum(warped[..., :3] * light[..., None], alpha[..., None]), alpha

    def _source(self, moment: float) -> tuple[np.ndarray, np.ndarray]:
        """Where in the cut-out each render pixel's content is from: the motion turned round, then the warp."""
        motion = self.motion
        angle, scale = motion.angle.at(moment), math.exp(motion.growth.at(moment))
        x, y = self.x - motion.x.at(moment), self.y - 1 - motion.y.at(moment)
        cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
        x, y = cos * x + sin * y, 1 - sin * x + cos * y
        free = np.clip((self.top + motion.sway_reach - y) / motion.sway_reach, 0, 1)
        free = free * free * (3 - 2 * free)
        wave, flutter = 2 * math.pi * moment / motion.flutter.period, motion.flutter.amplitude
        x = x - free * (motion.sway.at(moment) + flutter * np.sin(wave + 19 * y + 11 * x))
        y = y - free * flutter * np.sin(1.3 * wave + 13 * x - 7 * y)
        wide = self.cutout.shape[1]
        source_x, source_y = x * self.fine[0] + wide / 2 - 0.5, y * self.fine[0] + 0.5  # beside a frame of one pixel
        return source_x.astype(np.float32), source_y.astype(np.float32)

    def _behind(self, moment: float) -> np.ndarray:
        """The background's part in the frame, in render pixels."""
        motion, share = self.motion, min(max(moment / self.seconds, 0.0), 1.0)
        zoom = motion.zoom_from + share * (motion.zoom_to - motion.zoom_from)
        high, wide = self.background.shape[:2]
        seen = [side / zoom * _least(self.fine, (high, wide)) for side in self.fine]
        pans = [a + share * (b - a) for a, b in zip(motion.pan_from, motion.pan_to, strict=True)]
        middle_x = wide / 2 + pans[0] * (wide - seen[1]) / 2
        middle_y = high / 2 + pans[1] * (high - seen[0]) / 2
        step = seen[0] / self.fine[0]
        matrix = np.array(
            [[step, 0, middle_x - seen[1] / 2 + step / 2 - 0.5], [0, step, middle_y - seen[0] / 2 + step / 2 - 0.5]]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        view = cv2.warpAffine(self.background, matrix, self.fine[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
        return np.clip(view * np.float32(math.exp(motion.ambience.at(moment))), 0, 1)


def _least(fine: tuple[int, int], picture: tuple[int, int]) -> float:
    """Picture pixels per render pixel at which the picture just covers the frame."""
    return min(picture[0] / fine[0], picture[1] / fine[1])


def _fitted(premultiplied: np.ndarray, fine: tuple[int, int]) -> np.ndarray:
    """The cut-out at its scale in the frame, its top edge the frame's."""
    high, wide = premultiplied.shape[:2]
    cut = any(_cuts(premultiplied[:, side, 3]) for side in (0, -1))
    scale = max(fine[0] / high, fine[1] / wide) if cut else fine[0] / high
    return _scaled(premultiplied, max(1, round(high * scale)), max(1, round(wide * scale)))


def _framed(cutout: np.ndarray) -> np.ndarray:
    """With a frame of one pixel, which is repeated beyond: the border where it cuts the body, else transparent."""
    framed = cv2.copyMakeBorder(cutout, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    for side in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        if not _cuts(framed[side][:, 3]):
            framed[side] = 0
    return framed


def _cuts(border: np.ndarray) -> bool:
    """Whether a body crosses this border, alpha (n,)."""
    run = np.ones(max(2, round(CUT * len(border))), np.float32)
    return bool(len(border) >= len(run) and np.convolve(border > 0.9, run, "valid").max() >= len(run) - 0.5)


def _covering(background: np.ndarray, fine: tuple[int, int]) -> np.ndarray:
    """The background with no more pixels than the frame shows of it at a zoom of 1.5 (a finer one would alias)."""
    high, wide = background.shape[:2]
    shrink = 1.5 / _least(fine, (high, wide))
    if shrink >= 1:
        return np.ascontiguousarray(background, np.float32)
    return _scaled(background, max(1, round(high * shrink)), max(1, round(wide * shrink)))


def _scaled(picture: np.ndarray, high: int, wide: int) -> np.ndarray:
    smaller = high < picture.shape[0]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(picture.astype(np.float32), (wide, high), interpolation=way))
