"""The geometry of resampling: what happens along each axis of a picture, and how padding is written.

For one axis with taps f[0 .. T - 1], `up` U, `down` D and p samples of padding before:

    x_up[m] = x[m / U] where U divides m and 0 <= m / U < size, else 0      (zero insertion, and zeros outside)
    y[o]    = sum_k f[k] x_up[o D + k - p],  o = 0 .. floor((size U + before + after - T) / D)

that is, f correlates (flip_filter=True); convolving, f[T - 1 - k] takes the place of f[k].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class Axis(NamedTuple):
    """What happens along one axis: zero insertion, padding before and after (negative crops), decimation."""

    up: int
    down: int
    before: int
    after: int

    def size(self, size: int, taps: int) -> int:
        """Samples that come out: those for which all taps lie on the padded grid of size U + before + after."""
        return (size * self.up + self.before + self.after - taps) // self.down + 1


def pair(value: int | Sequence[int]) -> tuple[int, int]:
    """(x, y) from one number or two."""
    x, y = (value, value) if isinstance(value, int) else value
    return int(x), int(y)


def parse_padding(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """(x before, x after, y before, y after) from one number, [x, y] or all four."""
    if isinstance(padding, int):
        padding = [padding] * 2
    if len(padding) == 2:
        padding = [padding[0], padding[0], padding[1], padding[1]]
    x0, x1, y0, y1 = (int(p) for p in padding)
    return x0, x1, y0, y1


def axes(up: int | Sequence[int], down: int | Sequence[int], padding: int | Sequence[int]) -> tuple[Axis, Axis]:
    """(x, y)."""
    (ux, uy), (dx, dy), (x0, x1, y0, y1) = pair(up), pair(down), parse_padding(padding)
    return Axis(ux, dx, x0, x1), Axis(uy, dy, y0, y1)


class Settings(NamedTuple):
    """The arguments of `filtered_lrelu` that are not differentiated."""

    fu: Tensor | None
    fd: Tensor | None
    up: int
    down: int
    padding: tuple[int, int, int, int]
    gain: float
    slope: float
    clamp: float | None
    flip_filter: bool
