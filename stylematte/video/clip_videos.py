"""Made clips as video files beside their frames: image.mp4 (H.264) and alpha.mkv (FFV1, lossless). Needs PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from stylematte.imagefile import read_alpha, read_rgb, to_uint8
from stylematte.inference.photos import pictures_in
from stylematte.video.encode import SegmentEncoder
from stylematte.video.formats import FORMATS
from stylematte.video.source import About


def write_videos(folder: Path, size: tuple[int, int], fps: float) -> None:
    """folder: of a clip, with image/ and alpha/. Files that are there are kept; one appears when it is whole."""
    rate = Fraction(fps).limit_denominator(1001)
    for kind, file in (("image", folder / "image.mp4"), ("alpha", folder / "alpha.mkv")):
        if file.is_file():
            continue
        how = FORMATS["composite" if kind == "image" else "alpha", file.suffix][8]
        frames = pictures_in(folder / kind)
        about = About(size, 1 / rate, rate, len(frames), Fraction(0), Fraction(1), False)
        encoder = SegmentEncoder(file, how, about)
        for frame in frames:
            picture = to_uint8(read_rgb(frame) if kind == "image" else read_alpha(frame))
            encoder.write(picture if kind == "image" else picture[..., 0])
        encoder.close()
