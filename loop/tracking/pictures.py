"""Pictures of tables: a file, one member of a shard, a cut-out's alpha, or the error of a matte, as PIL images.

Imports PIL when called, so that reading a run stays light.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stylematte.shards import is_member, read_member

if TYPE_CHECKING:
    from PIL.Image import Image

HEAT = ((0, 0, 0), (120, 20, 110), (225, 60, 50), (252, 175, 50), (255, 255, 235))
"""Colours of an error of 0, 1/4, 1/2, 3/4 and 1."""
UNREADABLE = (OSError, ValueError, SyntaxError)
"""What PIL raises for a file that is missing or damaged."""


def open_picture(path: Path) -> Image:
    """Of a file or of a shard's member. Raises one of UNREADABLE."""
    from PIL import Image

    return Image.open(io.BytesIO(read_member(path)) if is_member(path) else path)


def error_map(truth: Path, prediction: Path) -> Image | None:
    """|truth - prediction| of two alphas as 8-bit grey; None when one is missing or their sizes differ."""
    from PIL import ImageChops

    try:
        with open_picture(truth) as one, open_picture(prediction) as other:
            if one.size != other.size:
                return None
            return ImageChops.difference(one.convert("L"), other.convert("L"))
    except UNREADABLE:
        return None


def heated(error: Image) -> Image:
    """Grey as a palette picture in the colours of HEAT."""
    error = error.copy()
    error.putpalette([channel for value in range(256) for channel in _heat(value / 255)])
    return error


def _heat(value: float) -> tuple[int, ...]:
    """The colour of an error in [0, 1], between those of HEAT."""
    index = min(int(value * (len(HEAT) - 1)), len(HEAT) - 2)
    share = value * (len(HEAT) - 1) - index
    return tuple(round(a + share * (b - a)) for a, b in zip(HEAT[index], HEAT[index + 1], strict=True))


def of_cell(cell: Mapping[str, str], most: int = 256) -> Image | None:
    """The picture that a table's cell names, at most `most` pixels a side; None when it cannot be read.

    cell: {"picture": FILE}, {"alpha_of": FILE} of an RGBA picture, or {"error_of": FILE, "truth": FILE}.
    """
    try:
        found = _of_cell(cell)
    except UNREADABLE:
        return None
    if found is not None:
        found.thumbnail((most, most))
    return found


def _of_cell(cell: Mapping[str, str]) -> Image | None:
    if "error_of" in cell:
        error = error_map(Path(cell["truth"]), Path(cell["error_of"]))
        return None if error is None else heated(error).convert("RGB")
    if "alpha_of" in cell:
        return open_picture(Path(cell["alpha_of"])).convert("RGBA").getchannel("A")
    picture = open_picture(Path(cell["picture"]))
    return picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
