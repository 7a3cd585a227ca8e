"""A picture in overlapping tiles, blended without seams: memory for the network is bounded by the tile.

Where two tiles overlap the later one fades in linearly, out + w (new - out) with w from 0 to 1: the two weights are
1 - w and w, so they sum to 1 exactly and equal answers stay as they are, bit for bit. Tiles are joined to rows first,
rows to the picture then: beside the result, one row of answers is all that is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

OVERLAP = 64


def tile_starts(size: int, tile: int, overlap: int) -> list[int]:
    """Where tiles along an axis of `size` begin: as few as overlap by at least `overlap`, spread evenly.

    Raises ValueError unless 0 <= overlap < tile.
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"tile {tile} and overlap {overlap}: the overlap must be at least 0 and less than the tile")
    if size <= tile:
        return [0]
    steps = -(-(size - tile) // (tile - overlap))
    return [round(step * (size - tile) / steps) for step in range(steps + 1)]


def _blend(onto: Tensor, part: Tensor, start: int, done: int, axis: int) -> None:
    """Write `part` into `onto` at `start` along `axis`, fading in over what is there already, up to `done`."""
    shared, length = max(0, done - start), part.shape[axis]
    if shared:
        ramp = (torch.arange(shared, dtype=onto.dtype, device=onto.device) + 0.5) / shared
        ramp = ramp[:, None] if axis == -2 else ramp
        old = onto.narrow(axis, start, shared)
        old += ramp * (part.narrow(axis, 0, shared) - old)
    onto.narrow(axis, start + shared, length - shared).copy_(part.narrow(axis, shared, length - shared))


def in_tiles(function: Callable[[Tensor], Tensor], image: Tensor, tile: int, overlap: int = OVERLAP) -> Tensor:
    """function(image) piece by piece: image (N, C, H, W) -> (N, D, H, W) on image's device.

    function: (N, C, h, w) -> (N, D, h, w), h = min(H, tile), w = min(W, tile). overlap: pixels that neighbours share,
    at least. Raises ValueError unless 0 <= overlap < tile, and if `function` changes the size.
    """
    height, width = image.shape[-2:]
    high = min(height, tile)
    result: Tensor | None = None
    below = 0
    for top, row in _rows(function, image, tile, overlap):
        if result is None:
            result = row.new_empty(*row.shape[:2], height, width)
        _blend(result, row, top, below, -2)
        below = top + high
    assert result is not None
    return result


def _rows(function: Callable[[Tensor], Tensor], image: Tensor, tile: int, overlap: int) -> Iterator[tuple[int, Tensor]]:
    """Each row of tiles: its top, and its blended answers (N, D, h, W)."""
    height, width = image.shape[-2:]
    high, wide = min(height, tile), min(width, tile)
    columns = tile_starts(width, tile, overlap)
    for top in tile_starts(height, tile, overlap):
        row: Tensor | None = None
        right = 0
        for left in columns:
            part = function(image[..., top : top + high, left : left + wide])
            if part.shape[-2:] != (high, wide):
                raise ValueError(f"a tile of {high} x {wide} came back as {tuple(part.shape[-2:])}")
            if row is None:
                row = part.new_empty(*part.shape[:2], high, width)
            _blend(row, part, left, right, -1)
            right = left + wide
        assert row is not None
        yield top, row
