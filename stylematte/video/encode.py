"""Encodes arrays into one segment of a video, and PNG files of a folder: key frames only at segments' starts matter."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from stylematte.errors import ConfigError, DataError
from stylematte.video.formats import Format
from stylematte.video.source import About, pyav, threads

BT601, BT709, SRGB = 5, 1, 0
FULL, LIMITED = 2, 1


class Writer(Protocol):
    """Takes the pictures of one segment in their order."""

    def write(self, picture: np.ndarray) -> None: ...

    def close(self) -> None:
        """All is on the disk, under the segment's name."""
        ...


class SegmentEncoder:
    """pictures (H, W), (H, W, 3) or (H, W, 4) as the format takes them -> a file that appears when it is closed.

    Frame i has the time i / rate: the true timestamps are kept beside the segment, and given when segments are joined.
    """

    def __init__(self, path: Path, how: Format, about: About) -> None:
        av = pyav()
        self.path, self.how = path, how
        self.partial = path.with_name(f"partial-{path.name}")
        self.count = 0
        self.rate = Fraction(about.rate).limit_denominator(1001)
        height, width = about.size
        self.space = BT709 if min(height, width) >= 720 else BT601
        self.container = av.open(str(self.partial), "w")
        try:
            self.stream = self.container.add_stream(how.codec, rate=self.rate)
        except (ValueError, LookupError):
            raise ConfigError(f"this build of FFmpeg has no encoder {how.codec}: choose another ending") from None
        odd = how.odd is not None and (height % 2 or width % 2)
        self._configure(self.stream, width, height, how.odd if odd and how.odd else how.pixels, about)

    def _configure(self, stream: Any, width: int, height: int, pixels: str, about: About) -> None:
        coded = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        coded.options, coded.thread_count = self.how.options, threads()
        coded.sample_aspect_ratio = about.aspect
        coded.color_range = FULL if self.how.full_range else LIMITED
        if pixels.startswith("yuv"):
            coded.colorspace = self.space
            coded.color_primaries = coded.color_trc = 1 if self.space == BT709 else 6
        self.pixels = pixels

    def write(self, picture: np.ndarray) -> None:
        av = pyav()
        frame = av.VideoFrame.from_ndarray(picture, format=self.how.array)
        if self.pixels.startswith("yuv"):
            frame = frame.reformat(format=self.pixels, dst_colorspace=self.space)
        elif self.pixels != self.how.array:
            frame = frame.reformat(format=self.pixels)
        if self.how.full_range:
            frame.color_range = FULL
        frame.pts, frame.time_base = self.count, 1 / self.rate
        self.count += 1
        try:
            self.container.mux(self.stream.encode(frame))
        except av.error.FFmpegError as error:
            raise DataError(f"{self.path.name}: {self.how.codec} cannot encode this ({error})") from None

    def close(self) -> None:
        self.container.mux(self.stream.encode(None))
        self.container.close()
        os.replace(self.partial, self.path)


class PictureWriter:
    """frame_0000001.png, ... in a folder; `first` is the number of the segment's first frame, from 0."""

    def __init__(self, folder: Path, first: int) -> None:
        self.folder, self.number = folder, first
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, picture: np.ndarray) -> None:
        self.number += 1
        if picture.ndim == 3:
            picture = cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR)
        path = self.folder / f"frame_{self.number:07d}.png"
        if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_PNG_COMPRESSION, 2]):
            raise OSError(f"{path}: cannot be written")

    def close(self) -> None:
        """Each file is written whole; a segment that was not closed is written again."""
