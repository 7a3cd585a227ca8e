"""Picture files as data URIs, small enough that a report with hundreds of them stays one file."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from loop.tracking.pictures import UNREADABLE, error_map, heated, open_picture

if TYPE_CHECKING:
    from PIL.Image import Image

AS_THEY_ARE = 60_000  # bytes: smaller files are embedded unchanged
QUALITY = 82  # of WebP: at 88 the pages of ten rounds are half as large again
CHECKER = 8  # pixels of a square of the checkerboard


def data_uri(path: Path, most: int, as_they_are: int = AS_THEY_ARE) -> tuple[str, int] | None:
    """The picture at `path`, at most `most` pixels wide, and its width; None when it is missing or unreadable."""
    try:
        with open_picture(path) as picture:
            if picture.width <= most and path.stat().st_size <= as_they_are and picture.format == "PNG":
                return _uri(path.read_bytes(), "png"), picture.width
            small = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
            small.thumbnail((most, 16 * most))
            return _webp(small), small.width
    except UNREADABLE:
        return None


def cutout_uris(path: Path, most: int) -> tuple[str, str] | None:
    """A straight RGBA picture, which may be a member of a shard, on a checkerboard; and its alpha. None as above."""
    from PIL import Image

    try:
        with open_picture(path) as picture:
            cutout = picture.convert("RGBA")
        cutout.thumbnail((most, most))
        board = _checkerboard(cutout.size)
        shown = Image.alpha_composite(board, cutout)
        return _webp(shown.convert("RGB")), _webp(cutout.getchannel("A"))
    except UNREADABLE:
        return None


def error_uri(truth: Path, prediction: Path, most: int) -> str | None:
    """|truth - prediction| of two alphas in colours; None when one is missing or their sizes differ."""
    error = error_map(truth, prediction)
    if error is None:
        return None
    error.thumbnail((most, most))
    memory = io.BytesIO()
    heated(error).save(memory, "PNG", optimize=True)
    return _uri(memory.getvalue(), "png")


def _checkerboard(size: tuple[int, int]) -> Image:
    from PIL import Image

    small = Image.new("L", ((size[0] + CHECKER - 1) // CHECKER, (size[1] + CHECKER - 1) // CHECKER))
    small.putdata([(205, 245)[(x + y) % 2] for y in range(small.height) for x in range(small.width)])
    board = small.resize((small.width * CHECKER, small.height * CHECKER), Image.Resampling.NEAREST)
    return board.crop((0, 0, *size)).convert("RGBA")


def _webp(picture: Image) -> str:
    memory = io.BytesIO()
    picture.save(memory, "WEBP", quality=QUALITY)
    return _uri(memory.getvalue(), "webp")


def _uri(raw: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(raw).decode()}"
