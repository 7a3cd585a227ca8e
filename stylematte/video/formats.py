"""What is written, by what it is and by the ending of its name: codec, pixel format, options.

| | .mkv | .mp4 | .mov | .webm | a folder |
|---|---|---|---|---|---|
| alpha | FFV1, lossless | H.264 4:0:0, lossless | - | - | PNG, lossless |
| cutout | FFV1 BGRA, lossless | - | ProRes 4444 | VP9 with alpha | PNG, lossless |
| composite | H.264 | H.264 | H.264 | VP9 | PNG |
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from stylematte.errors import ConfigError

KINDS = ("alpha", "cutout", "composite")
FOLDER = ""


class Format(NamedTuple):
    """codec: FFmpeg's encoder. pixels: its pixel format, odd: for odd sides, which 4:2:0 of H.264 cannot have.
    array: format of the arrays it is given, by bits (8, 16). full_range: grey 0 is black."""

    codec: str
    pixels: str
    array: str
    options: dict[str, str]
    odd: str | None = None
    full_range: bool = False


_FFV1 = {"level": "3", "g": "1", "slicecrc": "1"}
_VP9 = {"b": "0", "deadline": "good", "cpu-used": "4", "auto-alt-ref": "0", "lag-in-frames": "0"}
_H264 = Format("libx264", "yuv420p", "rgb24", {"crf": "18", "preset": "medium", "bf": "0"}, odd="yuv444p")
FORMATS: dict[tuple[str, str], dict[int, Format]] = {
    ("alpha", ".mkv"): {
        8: Format("ffv1", "gray", "gray", _FFV1, full_range=True),
        16: Format("ffv1", "gray16le", "gray16le", _FFV1, full_range=True),
    },
    ("alpha", ".mp4"): {
        8: Format("libx264", "gray", "gray", {"qp": "0", "preset": "veryfast", "bf": "0"}, full_range=True)
    },
    ("cutout", ".mkv"): {8: Format("ffv1", "bgra", "rgba", _FFV1)},
    ("cutout", ".mov"): {
        8: Format("prores_ks", "yuva444p10le", "rgba", {"profile": "4", "alpha_bits": "16"}),
        16: Format("prores_ks", "yuva444p10le", "rgba64le", {"profile": "4", "alpha_bits": "16"}),
    },
    ("cutout", ".webm"): {8: Format("libvpx-vp9", "yuva420p", "rgba", _VP9 | {"crf": "12"})},
    ("composite", ".mp4"): {8: _H264},
    ("composite", ".mov"): {8: _H264},
    ("composite", ".mkv"): {8: _H264},
    ("composite", ".webm"): {8: Format("libvpx-vp9", "yuv420p", "rgb24", _VP9 | {"crf": "24"})},
}


def kind_of(out: Path, asked: str | None, background: bool) -> str:
    """What is written: as asked, or composite with a background, cutout where the ending has alpha, else alpha."""
    if background and asked not in (None, "composite"):
        raise ConfigError(f"--background makes a composite, --write asks for {asked}: give one of the two")
    if asked == "composite" and not background:
        raise ConfigError("--write composite needs --background: a colour, a picture or a video")
    if asked is not None:
        return asked
    if background:
        return "composite"
    return "cutout" if ending_of(out) in (".mov", ".webm", FOLDER) else "alpha"


def ending_of(out: Path) -> str:
    return FOLDER if out.is_dir() else out.suffix.lower()


def format_of(out: Path, kind: str, bits: int) -> Format | None:
    """None for a folder of PNG files. Raises ConfigError for what an ending cannot hold."""
    ending = ending_of(out)
    if ending == FOLDER:
        return None
    found = FORMATS.get((kind, ending))
    if found is None:
        able = sorted(end for what, end in FORMATS if what == kind)
        raise ConfigError(f"-o {out}: {kind} cannot be written as {ending}; expected {', '.join(able)}, or a folder")
    if bits not in found:
        deep = sorted(end for (what, end), formats in FORMATS.items() if what == kind and bits in formats)
        raise ConfigError(f"--bits {bits}: {ending} holds 8 for {kind}; {', '.join(deep) or 'a folder'} holds {bits}")
    return found[bits]
