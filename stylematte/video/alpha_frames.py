"""Reads the alphas of a video file frame by frame: its alpha channel where it has one, else its grey."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stylematte.errors import DataError
from stylematte.video.source import DEPTH, opened, pyav

VIDEO_ENDINGS = frozenset({".mkv", ".mp4", ".mov", ".webm", ".avi"})


def alphas_of(path: Path) -> Iterator[np.ndarray]:
    """(H, W) float32 in [0, 1] of each frame, upright. Raises ConfigError without PyAV, DataError."""
    av = pyav()
    with opened(path) as container:
        if not container.streams.video:
            raise DataError(f"{path}: has no video stream")
        stream = container.streams.video[0]
        decoder = stream.codec_context
        if decoder.name == "vp9":  # FFmpeg's own decoder drops alpha
            decoder = av.CodecContext.create("libvpx-vp9", "r")
        try:
            for packet in container.demux(stream):
                for frame in decoder.decode(packet if packet.size else None):
                    yield _upright(_alpha(frame), frame.rotation)
        except av.error.FFmpegError as error:
            raise DataError(f"{path}: cannot be decoded ({error.strerror})") from None


def _alpha(frame: Any) -> np.ndarray:
    parts = frame.format.components
    deep = max(part.bits for part in parts) > DEPTH
    if any(part.is_alpha for part in parts):
        plane = frame.to_ndarray(format="rgba64le" if deep else "rgba")[..., 3]
    elif len(parts) == 1:
        plane = frame.to_ndarray(format="gray16le" if deep else "gray")
    else:
        plane = frame.to_ndarray(format="rgb48le" if deep else "rgb24")[..., 1]
    return plane.astype(np.float32) / np.float32(65535 if deep else 255)


def _upright(plane: np.ndarray, rotation: float) -> np.ndarray:
    turns = round(rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(plane, turns)) if turns else plane
