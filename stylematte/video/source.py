"""Reads video in any container FFmpeg knows, through PyAV, or a folder of frames: upright RGB, with its timestamps.

The Python package is `av` (extra `video`); its wheels carry FFmpeg's libraries. Nothing of it is imported before use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from stylematte.errors import ConfigError, DataError
from stylematte.imagefile import read_rgb, to_uint8
from stylematte.picture_endings import PICTURE_ENDINGS

MOST = 8192 * 4352
"""Pixels of a frame, 8K: more would take a GiB a frame in the pipeline."""
DEPTH = 8
"""Bits a channel that are read as uint8; above it as uint16."""
UNSPECIFIED = 2
ATTACHED = 0x400
"""AV_DISPOSITION_ATTACHED_PIC: a cover, not a video."""


class Frame(NamedTuple):
    """image (H, W, 3), uint8 or uint16, upright. pts: in units of the source's time_base, strictly increasing."""

    image: np.ndarray
    pts: int


class About(NamedTuple):
    """size: (height, width) upright. count: frames as far as the file says, 0 if it does not. rate: mean, frames a
    second. start: seconds on the file's clock at which its first stream begins. deep: above 8 bits a channel."""

    size: tuple[int, int]
    time_base: Fraction
    rate: Fraction
    count: int
    start: Fraction
    aspect: Fraction
    deep: bool


class Source(Protocol):
    """Frames in their order; `frames` may be called again and begins anew."""

    path: Path
    about: About

    def frames(self) -> Iterator[Frame]: ...

    def seek(self, pts: int) -> Iterator[Frame]: ...


def open_source(path: Path, fps: float | None = None) -> Source:
    """A video file, or a folder of pictures at `fps` (25). Raises ConfigError, DataError with one line."""
    if path.is_dir():
        return FrameFolder(path, Fraction(25 if fps is None else fps).limit_denominator(1001))
    if fps is not None:
        raise ConfigError(f"--fps is for a folder of frames; {path} has timestamps of its own")
    return VideoFile(path)


def pyav() -> ModuleType:
    """The package `av`. Raises ConfigError if it is not installed."""
    try:
        import av
    except ImportError:
        raise ConfigError("video needs the package av: pip install 'stylematte[video]'") from None
    av.logging.set_level(av.logging.PANIC)  # what fails is raised; the rest would be lines between ours
    return av


def threads() -> int:
    """Of a decoder or an encoder: as many as torch may use, up to four."""
    return min(4, torch.get_num_threads())


class VideoFile:
    """One video stream, the best of the file. Raises DataError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        """Packets that could not be decoded when frames were read last."""
        with self._opened() as (container, stream):
            coded = stream.codec_context
            _check_size(path, coded.width, coded.height)
            base, rate = stream.time_base, stream.average_rate or stream.guessed_rate or Fraction(25)
            start = Fraction(container.start_time or 0, 1_000_000)
            length = Fraction(stream.duration or 0) * base or Fraction(container.duration or 0, 1_000_000)
            aspect = stream.sample_aspect_ratio or Fraction(1)
            try:
                first = next(self._decoded(container, stream), None)
            except _errors() as error:
                raise DataError(f"{path}: its video cannot be decoded ({_reason(error)})") from None
            if first is None:
                raise DataError(f"{path}: none of its frames can be decoded: the file is damaged or cut short")
            turned = first.rotation % 180 != 0
            size = (first.width, first.height) if turned else (first.height, first.width)
            depth = max(component.bits for component in first.format.components)
            self.about = About(
                size, base, rate, stream.frames or round(length * rate), start,
                1 / aspect if turned and aspect else aspect or Fraction(1), depth > DEPTH,
            )  # fmt: skip

    def frames(self) -> Iterator[Frame]:
        """From the first one. Damaged packets are passed over and counted."""
        with self._opened() as (container, stream):
            yield from self._timed(self._decoded(container, stream))

    def seek(self, pts: int) -> Iterator[Frame]:
        """From a key frame at or before `pts`, as well as the container can."""
        with self._opened() as (container, stream):
            try:
                container.seek(pts, stream=stream)
            except _errors():
                return
            yield from self._timed(self._decoded(container, stream))

    def _timed(self, decoded: Iterator[Any]) -> Iterator[Frame]:
        """With timestamps that increase: one that is missing or goes back is a frame's time after the last."""
        last: int | None = None
        step = max(1, round(1 / (self.about.rate * self.about.time_base)))
        for frame in decoded:
            pts = frame.pts
            if pts is None or (last is not None and pts <= last):
                pts = 0 if last is None else last + step
            last = pts
            image = self._upright(frame)
            if image.shape[:2] == self.about.size:
                yield Frame(image, pts)
            else:
                self.damaged += 1

    def _upright(self, frame: Any) -> np.ndarray:
        space = frame.colorspace
        if space == UNSPECIFIED:  # as players do
            space = 1 if min(frame.height, frame.width) >= 720 else 5
        image = frame.to_ndarray(format="rgb48le" if self.about.deep else "rgb24", src_colorspace=space)
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    def _decoded(self, container: Any, stream: Any) -> Iterator[Any]:
        av = pyav()
        self.damaged = 0
        stream.codec_context.thread_count = threads()
        for packet in self._packets(container, stream):
            try:
                yield from packet.decode()
            except (av.error.InvalidDataError, EOFError):
                self.damaged += 1

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        try:
            yield from container.demux(stream)
        except _errors():  # cut short: what was read so far is what there is
            self.damaged += 1

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        with opened(self.path) as container:
            videos = [stream for stream in container.streams.video if not stream.disposition.value & ATTACHED]
            if not videos:
                kinds = sorted({stream.type for stream in container.streams})
                raise DataError(f"{self.path}: has no video stream (only {', '.join(kinds) or 'nothing'})")
            yield container, videos[0]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A container. Raises DataError with one line for what is none."""
    av = pyav()
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if not path.stat().st_size:
        raise DataError(f"{path}: is empty")
    try:
        container = av.open(str(path))
    except _errors() as error:
        expected = "expected a video such as .mp4, .mov, .mkv, .webm, or a folder of frames"
        raise DataError(f"{path}: cannot be read ({_reason(error)}); {expected}") from None
    with container:
        yield container


def _errors() -> tuple[type[BaseException], ...]:
    return (pyav().error.FFmpegError, OSError)


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MOST:
        raise DataError(f"{path}: frames of {width} x {height}, at most {MOST} pixels (8K); reduce it before")


class FrameFolder:
    """The pictures of a folder, by name, at a constant rate. Raises DataError."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path = path
        self.files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURE_ENDINGS)
        if not self.files:
            raise DataError(f"{path}: holds no pictures; expected frames such as 0001.png")
        if rate <= 0:
            raise ConfigError(f"--fps {float(rate):g}: expected a number above 0")
        size = tuple(read_rgb(self.files[0]).shape[-2:])
        _check_size(path, size[1], size[0])
        self.about = About((size[0], size[1]), 1 / rate, rate, len(self.files), Fraction(0), Fraction(1), False)

    def frames(self) -> Iterator[Frame]:
        return self.seek(0)

    def seek(self, pts: int) -> Iterator[Frame]:
        for index in range(pts, len(self.files)):
            image = to_uint8(read_rgb(self.files[index]))
            if image.shape[:2] != self.about.size:
                own, wanted = (f"{size[1]} x {size[0]}" for size in (image.shape, self.about.size))
                raise DataError(f"{self.files[index]}: is {own}, the frames before it are {wanted}")
            yield Frame(image, index)
