"""Translation and rotation of pictures as band-limited signals: the reference that equivariance is measured against.

Every function takes pictures (N, C, H, W) and gives (moved, mask), both (N, C, H, W): mask is 1 where the result is
made of pixels of the picture alone (float32 {0, 1}). Filters are Lanczos-windowed (Karras et al. 2021, appendix E).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

LOBES = 3
"""The Lanczos window ends at this zero of the sinc."""
UP = 4
"""Rotation looks up the picture on a grid that much finer, bilinearly."""
PERIOD = 64
"""Half the period, in pixels, of the sincs that are convolved."""

Array = NDArray[np.float64]
Moved = tuple[Tensor, Tensor]


def rotation_matrix(angle: float) -> Array:
    """(3, 3): x' = x cos + y sin, y' = y cos - x sin for an angle in radians; y grows downwards."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def move_by_whole_pixels(pictures: Tensor, x: float, y: float) -> Moved:
    """Moved by (x, y), in shares of width and height, rounded to whole pixels; zeros come in."""
    height, width = pictures.shape[2:]
    across, down = round(x * width), round(y * height)
    pad = (across, -across, down, -down)
    # A negative pad crops.
    return F.pad(pictures, pad), F.pad(torch.ones_like(pictures), pad)


def move(pictures: Tensor, x: float, y: float) -> Moved:
    """Moved by (x, y), in shares of width and height, between pixels: a windowed sinc for each axis."""
    rows, whole_rows = _shift_matrix(pictures.shape[2], y)
    columns, whole_columns = _shift_matrix(pictures.shape[3], x)
    down, across = (torch.from_numpy(m).to(pictures) for m in (rows, columns))
    mask = torch.from_numpy(np.outer(whole_rows, whole_columns)).to(pictures)
    return down @ pictures @ across.T, mask.expand_as(pictures)


def turn(pictures: Tensor, angle: float) -> Moved:
    """Turned about the middle by `angle` radians; frequencies that either grid cannot hold are left out."""
    height, width = pictures.shape[2:]
    matrix = rotation_matrix(angle)
    taps = bandlimit_filter(matrix, UP)
    reach = len(taps) // 2
    fine, first = _refined(pictures, taps)
    x, y = _sources(matrix, height, width)
    positions = np.stack([2 * (x - first) / (fine.shape[3] - 1) - 1, 2 * (y - first) / (fine.shape[2] - 1) - 1], -1)
    grid = torch.from_numpy(positions).to(pictures).expand(len(pictures), -1, -1, -1)
    turned = F.grid_sample(fine, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    inside = np.ones_like(x, dtype=bool)
    for at, size in ((x, width), (y, height)):
        near = np.rint(at)
        inside &= (near >= reach + 1 - UP // 2) & (near <= size * UP - reach - 2 - UP // 2)
    return turned, torch.from_numpy(inside).to(pictures).expand_as(pictures)


def band_limit_as_turned(pictures: Tensor, angle: float) -> Moved:
    """Not moved, but filtered as `turn(..., angle)` filters: what a picture made turned has to be compared through."""
    taps = bandlimit_filter(rotation_matrix(-angle), 1)
    reach = len(taps) // 2
    mask = torch.zeros_like(pictures)
    mask[:, :, reach:-reach, reach:-reach] = 1
    return _filtered(pictures, taps, reach), mask


def bandlimit_filter(matrix: Array, up: int, reach: int = 2 * LOBES) -> Array:
    """(n, n) taps, n = 2 reach up - 1, at 1/up pixel: the ideal low-pass of two grids at once, windowed.

    The second grid is the first one seen through `matrix` (3, 3). Both ideal filters are convolved, and so are both
    Lanczos windows. Every phase of the finer grid sums to 1 / up^2, so that a constant stays constant.
    """
    middle = PERIOD * up - 1
    t = np.arange(-middle, middle + 1) / up
    x, y = np.meshgrid(t, t)
    seen_x, seen_y = (matrix[row, 0] * x + matrix[row, 1] * y for row in (0, 1))
    ideal = _convolved(np.sinc(x) * np.sinc(y), np.sinc(seen_x) * np.sinc(seen_y))
    window = _convolved(_lanczos(x) * _lanczos(y), _lanczos(seen_x) * _lanczos(seen_y))
    kept = slice(middle - reach * up + 1, middle + reach * up)
    taps = np.pad((ideal * window)[kept, kept], (0, 1)).reshape(2 * reach, up, 2 * reach, up)
    taps = taps / (taps.sum((0, 2), keepdims=True) * up**2)
    return taps.reshape(2 * reach * up, 2 * reach * up)[:-1, :-1]


def _shift_matrix(size: int, share: float) -> tuple[Array, Array]:
    """(size, size) matrix that moves a row of pixels by share * size, and (size,) where all its taps are inside."""
    whole = math.floor(share * size)
    offset = np.arange(1 - LOBES, LOBES + 1)
    distance = offset - (share * size - whole)
    taps = np.sinc(distance) * _lanczos(distance)
    taps /= taps.sum()
    source = np.arange(size)[:, None] - whole - offset
    inside = (source >= 0) & (source < size)
    target, tap = np.nonzero(inside)
    matrix = np.zeros((size, size))
    matrix[target, source[inside]] = taps[tap]
    return matrix, inside.all(1).astype(float)


def _sources(matrix: Array, height: int, width: int) -> tuple[Array, Array]:
    """Where each pixel of the turned picture comes from, in steps of 1/UP pixel from the first pixel's centre."""
    back = np.linalg.inv(matrix)
    x, y = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
    from_x, from_y = (back[row, 0] * x + back[row, 1] * y for row in (0, 1))
    return (from_x + (width - 1) / 2) * UP, (from_y + (height - 1) / 2) * UP


def _lanczos(x: Array) -> Array:
    return np.where(np.abs(x) < LOBES, np.sinc(x / LOBES), 0.0)


def _convolved(a: Array, b: Array) -> Array:
    """Circular convolution about the middle of the arrays."""
    spectrum = np.fft.rfft2(np.fft.ifftshift(a)) * np.fft.rfft2(np.fft.ifftshift(b))
    return np.fft.fftshift(np.fft.irfft2(spectrum, a.shape))


def _filtered(pictures: Tensor, taps: Array, padding: int) -> Tensor:
    """Each channel convolved with taps (n, n)."""
    kernel = torch.from_numpy(taps[::-1, ::-1].copy()).to(pictures)
    planes = F.conv2d(pictures.flatten(0, 1)[:, None], kernel[None, None], padding=padding)
    return planes.view(*pictures.shape[:2], *planes.shape[2:])


def _refined(pictures: Tensor, taps: Array) -> tuple[Tensor, int]:
    """Pictures on a grid UP times finer, all that the filter spreads beyond their edges included, and where the first
    fine sample lies, in fine steps from the first pixel's centre.

    A filter of taps (2 r UP - 1, ...) between the zeros of the finer grid is UP^2 filters of 2 r taps, one for each
    position between pixels.
    """
    reach = (len(taps) + 1) // (2 * UP)
    phases = np.pad(taps, (1, 0)).reshape(2 * reach, UP, 2 * reach, UP).transpose(1, 3, 0, 2)[:, :, ::-1, ::-1]
    kernels = torch.from_numpy(phases.reshape(UP**2, 1, 2 * reach, 2 * reach).copy()).to(pictures)
    pad = 2 * reach - 1
    planes = F.conv2d(pictures.flatten(0, 1)[:, None], kernels * UP**2, padding=pad)
    fine = F.pixel_shuffle(planes, UP)
    return fine.view(*pictures.shape[:2], *fine.shape[2:]), -reach * UP
