"""Picture files as data URIs, small enough that a report with hundreds of them stays one file."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from stylematte.shards import is_member, read_member

if TYPE_CHECKING:
    from PIL.Image import Image

AS_THEY_ARE = 400_000  # bytes: smaller files are embedded unchanged
CHECKER = 8  # pixels of a square of the checkerboard
HEAT = ((0, 0, 0), (120, 20, 110), (225, 60, 50), (252, 175, 50), (255, 255, 235))
"""Colours of an error of 0, 1/4, 1/2, 3/4 and 1."""


def data_uri(path: Path, most: int, as_they_are: int = AS_THEY_ARE) -> tuple[str, int] | None:
    """The picture at `path`, at most `most` pixels wide, and its width; None when it is missing or unreadable."""
    try:
        with _open(path) as picture:
            if picture.width <= most and path.stat().st_size <= as_they_are and picture.format == "PNG":
                return _uri(path.read_bytes(), "png"), picture.width
            small = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
            small.thumbnail((most, 16 * most))
            return _webp(small), small.width
    except (OSError, ValueError, SyntaxError):
        return None


def cutout_uris(path: Path, most: int) -> tuple[str, str] | None:
    """A straight RGBA picture, which may be a member of a shard, on a checkerboard; and its alpha. None as above."""
    from PIL import Image

    try:
        with _open(path) as picture:
            cutout = picture.convert("RGBA")
        cutout.thumbnail((most, most))
        board = _checkerboard(cutout.size)
        shown = Image.alpha_composite(board, cutout)
        return _webp(shown.convert("RGB")), _webp(cutout.getchannel("A"))
    except (OSError, ValueError, SyntaxError):
        return None


def error_uri(truth: Path, prediction: Path, most: int) -> str | None:
    """|truth - prediction| of two alphas in the colours of HEAT; None when one is missing or their sizes differ."""
    from PIL import Image, ImageChops

    try:
        with Image.open(truth) as one, Image.open(prediction) as other:
            if one.size != other.size:
                return None
            error = ImageChops.difference(one.convert("L"), other.convert("L"))
    except (OSError, ValueError, SyntaxError):
        return None
    error.thumbnail((most, most))
    error.putpalette([channel for value in range(256) for channel in _heat(value / 255)])
    memory = io.BytesIO()
    error.save(memory, "PNG", optimize=True)
    return _uri(memory.getvalue(), "png")


def _heat(value: float) -> tuple[int, ...]:
    """The colour of an error in [0, 1], between those of HEAT."""
    index = min(int(value * (len(HEAT) - 1)), len(HEAT) - 2)
    share = value * (len(HEAT) - 1) - index
    return tuple(round(a + share * (b - a)) for a, b in zip(HEAT[index], HEAT[index + 1], strict=True))


def _open(path: Path) -> Image:
    from PIL import Image

    return Image.open(io.BytesIO(read_member(path)) if is_member(path) else path)


def _checkerboard(size: tuple[int, int]) -> Image:
    from PIL import Image

    small = Image.new("L", ((size[0] + CHECKER - 1) // CHECKER, (size[1] + CHECKER - 1) // CHECKER))
    small.putdata([(205, 245)[(x + y) % 2] for y in range(small.height) for x in range(small.width)])
    board = small.resize((small.width * CHECKER, small.height * CHECKER), Image.Resampling.NEAREST)
    return board.crop((0, 0, *size)).convert("RGBA")


def _webp(picture: Image) -> str:
    memory = io.BytesIO()
    picture.save(memory, "WEBP", quality=88)
    return _uri(memory.getvalue(), "webp")


def _uri(raw: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(raw).decode()}"
