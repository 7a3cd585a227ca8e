"""What is written of a frame and its alpha: the alpha, the cut-out, or a composite over a colour, picture or video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylematte.errors import DataError
from stylematte.imagefile import from_uint8, to_uint8
from stylematte.inference.matte import covering, read_background
from stylematte.inference.matter import cut_out
from stylematte.ops.pymatting_methods import method as loaded
from stylematte.picture_endings import PICTURE_ENDINGS
from stylematte.rgba import composite, split_rgba
from stylematte.video.source import Frame, Source, VideoFile

Background = Callable[[Fraction], Tensor]
"""Seconds from the output's begin -> (3, H, W) or (3, 1, 1) in [0, 1]."""


class Composer:
    """image (H, W, 3), alpha (H, W) -> the array that is encoded. kind: one of `formats.KINDS`. bits: 8 or 16.

    foreground: how colours are found, one of `matter.FOREGROUNDS`. background: of kind composite.
    """

    def __init__(self, kind: str, bits: int, foreground: str, background: Background | None) -> None:
        self.kind, self.top, self.foreground, self.background = kind, 2**bits - 1, foreground, background
        if kind != "alpha" and foreground != "none":
            loaded("foreground.estimate_foreground_ml")  # in the main thread: see `pymatting_methods`

    def __call__(self, image: np.ndarray, alpha: np.ndarray, seconds: Fraction) -> np.ndarray:
        if self.kind == "alpha":
            return self._integers(alpha)
        matte = torch.from_numpy(alpha)[None]
        if self.kind == "cutout" and self.foreground == "none":
            colour = image if image.dtype == np.uint8 else image / 257.0
            scale = np.float32(self.top / 255)
            found = colour if self.top == 255 else colour * scale
            return np.dstack([self._kind(found), self._integers(alpha)])
        rgba = cut_out(from_uint8(image), matte, self.foreground)
        if self.kind == "cutout":
            return self._integers(rgba.permute(1, 2, 0).numpy())
        assert self.background is not None, "a composite has one"
        front, _ = split_rgba(rgba)
        behind = covering(self.background(seconds), tuple(alpha.shape))
        return to_uint8(composite(front, matte, behind))

    def _integers(self, values: np.ndarray) -> np.ndarray:
        return self._kind(values.clip(0, 1) * self.top)

    def _kind(self, values: np.ndarray) -> np.ndarray:
        if values.dtype in (np.uint8, np.uint16):
            return values
        return (values + 0.5).astype(np.uint8 if self.top == 255 else np.uint16)


def background_of(asked: str) -> Background:
    """A colour, a picture, or a video, which is shown from its begin and again from there. ConfigError, DataError."""
    path = Path(asked)
    if path.is_file() and path.suffix.lower() not in PICTURE_ENDINGS:
        return _Looped(VideoFile(path))
    still = read_background(asked)
    return lambda seconds: still


class _Looped:
    """The frames of a video at increasing times, for ever."""

    def __init__(self, source: Source) -> None:
        self.source, self.begin = source, Fraction(0)
        self.frames = self._endless()
        self.current, self.following = next(self.frames), next(self.frames)

    def __call__(self, seconds: Fraction) -> Tensor:
        while self.following[0] <= seconds:
            self.current, self.following = self.following, next(self.frames)
        return from_uint8(self.current[1].image)

    def _endless(self) -> Iterator[tuple[Fraction, Frame]]:
        begin, about = Fraction(0), self.source.about
        while True:
            first = last = None
            for frame in self.source.frames():
                first = frame.pts if first is None else first
                last = begin + (frame.pts - first) * about.time_base
                yield last, frame
            if last is None:
                raise DataError(f"{self.source.path}: has no frames")
            begin = last + 1 / about.rate
