"""Contact sheets for people: pictures in a grid, cut-outs on a checkerboard, thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from stylematte.imagefile import read_rgba, resize, write_rgb
from stylematte.rgba import checkerboard, composite, split_rgba


def contact_sheet(pictures: Sequence[Tensor], columns: int, gap: int = 2) -> Tensor:
    """Pictures of 1, 3 or 4 channels in a grid, row by row, on white: (3, H', W').

    RGBA is shown on a checkerboard. Smaller pictures keep their size in the upper left of their cell.
    """
    if not pictures or columns < 1:
        raise ValueError(f"a contact sheet needs pictures and columns, got {len(pictures)} and {columns}")
    shown = [_in_colour(picture.detach().cpu().float()) for picture in pictures]
    height, width = (max(picture.shape[axis] for picture in shown) for axis in (1, 2))
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    sheet = torch.ones(3, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for index, picture in enumerate(shown):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[:, top : top + picture.shape[1], left : left + picture.shape[2]] = picture
    return sheet


def on_checkerboard(rgba: Tensor) -> Tensor:
    """(4, H, W) straight RGBA -> (3, H, W), the checkerboard eight cells wide."""
    colour, alpha = split_rgba(rgba)
    height, width = rgba.shape[-2:]
    return composite(colour, alpha, checkerboard(height, width, max(width // 8, 1)))


def write_sheet(path: Path, pictures: Sequence[Tensor], columns: int) -> None:
    """The contact sheet of pictures (C, H, W) as a file; nothing if there is no picture."""
    if pictures:
        write_rgb(path, contact_sheet(list(pictures), columns))


def write_cutout_sheet(path: Path, files: Sequence[Path], columns: int = 8, most: int = 16) -> None:
    """The first `most` RGBA files on checkerboards."""
    write_sheet(path, [on_checkerboard(read_rgba(file)) for file in files[:most]], columns)


def to_longest_side(picture: Tensor, side: int) -> Tensor:
    """(C, H, W) scaled so that its longest side is `side` pixels."""
    return resize(picture, at_longest_side(picture.shape, side))


def at_longest_side(shape: Sequence[int], side: int) -> tuple[int, int]:
    """(height, width) of a picture (C, H, W) whose longest side becomes `side` pixels."""
    scale = side / max(shape[-2:])
    return max(1, round(shape[-2] * scale)), max(1, round(shape[-1] * scale))


def thumbnail(picture: Tensor, side: int = 160) -> Tensor:
    """(C, H, W), shrunk if its longest side exceeds `side` pixels."""
    return to_longest_side(picture, min(side, max(picture.shape[-2:])))


def _in_colour(picture: Tensor) -> Tensor:
    if picture.shape[0] == 4:
        colour, alpha = split_rgba(picture)
        picture = composite(colour, alpha, checkerboard(*picture.shape[1:]))
    return picture.expand(3, -1, -1)
