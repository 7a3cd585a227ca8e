"""Tiny videos that tests write with PyAV: a disc moves over a ramp, a tone sounds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from stylematte.imagefile import from_uint8, write_alpha

HEIGHT, WIDTH = 48, 64


def alpha_of(index: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(H, W) in [0, 1]: a soft disc that moves 1.5 pixels a frame."""
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    distance = np.hypot(xs - 20 - 1.5 * index, ys - height / 2)
    return np.clip((13 - distance) / 4, 0, 1).astype(np.float32)


def picture_of(index: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(H, W, 3) uint8: the disc in red with spots, over blue and green."""
    alpha = alpha_of(index, height, width)[..., None]
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    spots = 30 * np.sin((xs - 1.5 * index) * 0.9) * np.sin(ys * 0.8)
    front = np.stack([200 + spots, 60 + spots, 50 + spots], -1)
    behind = np.stack([30 + 0 * xs, 60 + 2 * ys, 120 + xs], -1)
    return (alpha * front + (1 - alpha) * behind).clip(0, 255).astype(np.uint8)


def write_clip(
    path: Path,
    count: int = 10,
    *,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    pts: list[int] | None = None,
    base: Fraction = Fraction(1, 25),
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    rotation: int = 0,
    audio: str | None = None,
) -> Path:
    """pts: of each frame, in units of `base`. audio: a codec, or None."""
    height, width = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = stream.time_base = base
        stream.codec_context.gop_size = 4
        if rotation:
            stream.set_display_rotation(rotation)
        sound = None if audio is None else container.add_stream(audio, rate=48000, layout="mono")
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture_of(index, height, width), format="rgb24")
            frame.pts, frame.time_base = index if pts is None else pts[index], base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            _sound(container, sound, 48000 * count // 25)
    return path


def _sound(container, stream, samples: int) -> None:
    size = stream.codec_context.frame_size or 960
    for first in range(0, samples, size):
        wave = 0.2 * np.sin(2 * np.pi * 440 * (first + np.arange(size)) / 48000)
        kind = stream.codec_context.format.name
        values = wave.astype(np.float32) if kind.startswith("flt") else (wave * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(values[None], format=kind, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, first, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        _sound(container, container.add_stream("aac", rate=48000, layout="mono"), 9600)
    return path


def write_masks(folder: Path, count: int = 10, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    for index in range(count):
        write_alpha(folder / f"{index:04d}.png", from_uint8((alpha_of(index, *size) > 0.5).astype(np.uint8) * 255))
    return folder


def times_of(path: Path) -> list[float]:
    """Seconds of each frame that is shown."""
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def audio_of(path: Path) -> list[tuple[Fraction, bytes]]:
    """Time and bytes of each packet of sound."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(container.streams.audio[0]) if p.size]


def alphas_in(path: Path) -> np.ndarray:
    """(T, H, W) in [0, 1] of a file that holds alphas or cut-outs, or of a folder of PNG."""
    if path.is_dir():
        found = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in sorted(path.glob("*.png"))]
        top = np.iinfo(found[0].dtype).max
        return np.stack([f if f.ndim == 2 else f[..., 3] for f in found]) / top
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = stream.codec_context
        if path.suffix == ".webm":  # FFmpeg's own decoder of VP9 drops alpha
            decoder = av.CodecContext.create("libvpx-vp9", "r")
        frames = [
            frame for packet in container.demux(stream) for frame in decoder.decode(packet if packet.size else None)
        ]
    deep = max(component.bits for component in frames[0].format.components) > 8
    if len(frames[0].format.components) == 1 or frames[0].format.name == "yuvj420p":
        planes = [frame.to_ndarray(format="gray16le" if deep else "gray") for frame in frames]
    else:
        planes = [frame.to_ndarray(format="rgba64le" if deep else "rgba")[..., 3] for frame in frames]
    return np.stack(planes) / (65535 if deep else 255)
