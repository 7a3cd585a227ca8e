"""Upsample with zeros, pad or crop, filter (FIR), decimate: the one resampling op of the StyleGAN family.

The fast form for small pictures writes each axis as a banded matrix that holds zero insertion, padding, cropping, taps
and decimation, so that the op is y = A_y x A_x^T: two GEMMs, at any order of differentiation. The matrices are kept per
(filter, geometry). 2-D filters of low rank (a radial Kaiser filter has rank 4 in float32, [1,3,3,1] squared has rank 1)
become a sum of such products. Above `LARGEST` samples per axis, and for filters of high rank, strided depthwise
convolutions take over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from stylemattegan.ops.implementation import chosen

LARGEST = 320
"""Axes of up to so many samples (before and after) use the matrix form."""
HIGHEST_RANK = 4


class Axis(NamedTuple):
    """What happens along one axis: zero insertion, padding before and after (negative crops), decimation."""

    up: int
    down: int
    before: int
    after: int

    def size(self, size: int, taps: int) -> int:
        return (size * self.up + self.before + self.after - taps) // self.down + 1


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
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


def _axes(up: int | Sequence[int], down: int | Sequence[int], padding: int | Sequence[int]) -> tuple[Axis, Axis]:
    (ux, uy), (dx, dy), (x0, x1, y0, y1) = _pair(up), _pair(down), parse_padding(padding)
    return Axis(ux, dx, x0, x1), Axis(uy, dy, y0, y1)


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Tensor:
    """Resample x (N, C, H, W) with the filter f: (taps,) separable, (taps_y, taps_x), or None for the identity.

    up, down: int or [x, y]. padding: int, [x, y] or [x before, x after, y before, y after], on the upsampled grid,
    negative crops. flip_filter: False convolves, True correlates. gain scales the 2-D response.
    Output size per axis: floor((size * up + before + after - taps) / down) + 1. Twice differentiable in x.
    """
    axis_x, axis_y = _axes(up, down, padding)
    if f is None:
        f = _identity(x.device)
    taps_y, taps_x = f.shape[0], f.shape[-1]
    height, width = axis_y.size(x.shape[2], taps_y), axis_x.size(x.shape[3], taps_x)
    if height < 1 or width < 1:
        raise ValueError(f"nothing is left of {tuple(x.shape[2:])} with padding {padding} and {taps_y}x{taps_x} taps")
    if chosen(impl) == "reference":
        return _by_definition(x, f, axis_x, axis_y, flip_filter, gain)
    if max(*x.shape[2:], height, width) <= LARGEST:
        pairs = matrices(f, axis_x, axis_y, x.shape[3], x.shape[2], flip_filter, gain, x.dtype, x.device)
        if pairs is not None:
            return apply_matrices(x, pairs)
    return _by_convolution(x, f, axis_x, axis_y, flip_filter, gain)


_identities: dict[torch.device, Tensor] = {}


def _identity(device: torch.device) -> Tensor:
    if device not in _identities:
        with torch.inference_mode(False):
            _identities[device] = torch.ones(1, device=device)
    return _identities[device]


# --- reference


def _pad_or_crop(x: Tensor, axis_x: Axis, axis_y: Axis) -> Tensor:
    x0, x1, y0, y1 = axis_x.before, axis_x.after, axis_y.before, axis_y.after
    x = F.pad(x, [max(x0, 0), max(x1, 0), max(y0, 0), max(y1, 0)])
    return x[:, :, max(-y0, 0) : x.shape[2] - max(-y1, 0), max(-x0, 0) : x.shape[3] - max(-x1, 0)]


def _by_definition(x: Tensor, f: Tensor, axis_x: Axis, axis_y: Axis, flip_filter: bool, gain: float) -> Tensor:
    """Step by step: insert zeros, pad, crop, filter, decimate."""
    n, c, h, w = x.shape
    x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, axis_x.up - 1, 0, 0, 0, axis_y.up - 1])
    x = _pad_or_crop(x.reshape(n, c, h * axis_y.up, w * axis_x.up), axis_x, axis_y)
    f = torch.outer(f.double(), f.double()) if f.ndim == 1 else f.double()
    f = (f * gain).to(x.dtype)
    f = f if flip_filter else f.flip([0, 1])
    x = F.conv2d(x, f[None, None].expand(c, 1, -1, -1), groups=c)
    return x[:, :, :: axis_y.down, :: axis_x.down]


# --- fast: banded matrices

Matrices = list[tuple[Tensor, Tensor]]
"""Pairs (A_y, A_x): y = sum over the pairs of A_y x A_x^T."""
_kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def factors(f: Tensor) -> list[tuple[Tensor, Tensor]] | None:
    """The 2-D response of f as a sum of outer products (f_y, f_x), float64 on the CPU; None if the rank is high."""
    f = f.detach().double().cpu()
    if f.ndim == 1:
        return [(f, f)]
    u, s, v = torch.linalg.svd(f, full_matrices=False)
    rank = int((s > s[0] * 1e-7).sum()) if s[0] > 0 else 1
    if rank > HIGHEST_RANK:
        return None
    root = s.sqrt()
    return [(u[:, i] * root[i], v[i] * root[i]) for i in range(rank)]


def banded(taps: Tensor, axis: Axis, size: int, flip_filter: bool) -> Tensor:
    """A (out, size): A[o, i] is the tap that brings input i to output o, at offset i * up + before - o * down."""
    taps = taps if flip_filter else taps.flip(0)
    offset = torch.arange(size) * axis.up + axis.before - torch.arange(axis.size(size, len(taps)))[:, None] * axis.down
    inside = (offset >= 0) & (offset < len(taps))
    return taps[offset.clamp(0, len(taps) - 1)] * inside


def matrices(
    f: Tensor,
    axis_x: Axis,
    axis_y: Axis,
    width: int,
    height: int,
    flip_filter: bool,
    gain: float,
    dtype: torch.dtype,
    device: torch.device,
) -> Matrices | None:
    """The pairs for one filter and geometry, made once and kept as long as the filter lives unchanged."""
    # a filter made under inference_mode counts no versions; such filters are not kept
    version = None if f.is_inference() else f._version
    kept = {} if version is None else _kept.setdefault(f, {})
    key = (axis_x, axis_y, width, height, flip_filter, gain, dtype, device)
    if key not in kept or kept[key][0] != version:
        with torch.inference_mode(False), torch.no_grad():
            kept[key] = (version, _build(f, *key))
    return kept[key][1]


def _build(
    f: Tensor,
    axis_x: Axis,
    axis_y: Axis,
    width: int,
    height: int,
    flip_filter: bool,
    gain: float,
    dtype: torch.dtype,
    device: torch.device,
) -> Matrices | None:
    parts = factors(f)
    if parts is None:
        return None
    scale = math.sqrt(abs(gain))
    sign = math.copysign(1.0, gain)
    return [
        (
            (banded(fy, axis_y, height, flip_filter) * (scale * sign)).to(device, dtype),
            (banded(fx, axis_x, width, flip_filter) * scale).to(device, dtype),
        )
        for fy, fx in parts
    ]


def apply_matrices(x: Tensor, pairs: Matrices) -> Tensor:
    """Sum over the pairs of A_y x A_x^T for each plane of x (N, C, H, W)."""
    n, c, h, w = x.shape
    total: Tensor | None = None
    for a_y, a_x in pairs:
        # the axis that shrinks most (or grows least) goes first: fewer operations in the second product
        if a_x.shape[0] * h * (w + a_y.shape[0]) <= a_y.shape[0] * w * (h + a_x.shape[0]):
            y = torch.mm(x.reshape(-1, w), a_x.t()).view(n * c, h, -1)
            y = torch.bmm(a_y.expand(n * c, -1, -1), y)
        else:
            y = torch.bmm(a_y.expand(n * c, -1, -1), x.reshape(n * c, h, w))
            y = torch.mm(y.view(-1, w), a_x.t())
        y = y.view(n, c, a_y.shape[0], a_x.shape[0])
        total = y if total is None else total + y
    assert total is not None
    return total


# --- fast: convolutions, for large pictures


def _by_convolution(x: Tensor, f: Tensor, axis_x: Axis, axis_y: Axis, flip_filter: bool, gain: float) -> Tensor:
    f = f.to(x.dtype) * gain ** (f.ndim / 2) if gain > 0 or f.ndim == 2 else torch.outer(f, f).to(x.dtype) * gain
    if f.ndim == 2:
        return _convolve(x, f, axis_x, axis_y, flip_filter)
    still = Axis(1, 1, 0, 0)
    x = _convolve(x, f[None, :], axis_x, still, flip_filter)
    return _convolve(x, f[:, None], still, axis_y, flip_filter)


def _convolve(x: Tensor, f: Tensor, axis_x: Axis, axis_y: Axis, flip_filter: bool) -> Tensor:
    """Depthwise: a transposed convolution inserts the zeros for nothing, a strided one decimates."""
    c = x.shape[1]
    kernel = (f if flip_filter else f.flip([0, 1]))[None, None].expand(c, 1, -1, -1)
    if axis_x.up == 1 and axis_y.up == 1:
        return F.conv2d(_pad_or_crop(x, axis_x, axis_y), kernel, stride=(axis_y.down, axis_x.down), groups=c)
    (ty, tx), (h, w) = f.shape, x.shape[2:]
    y = F.conv_transpose2d(x, kernel.flip([2, 3]), stride=(axis_y.up, axis_x.up), groups=c)
    # the full convolution starts taps - 1 samples early and lacks the zeros after the last sample
    rest_x = w * axis_x.up + axis_x.before + axis_x.after - tx + 1 - y.shape[3] - (axis_x.before - tx + 1)
    rest_y = h * axis_y.up + axis_y.before + axis_y.after - ty + 1 - y.shape[2] - (axis_y.before - ty + 1)
    crop_x, crop_y = Axis(1, 1, axis_x.before - tx + 1, rest_x), Axis(1, 1, axis_y.before - ty + 1, rest_y)
    return _pad_or_crop(y, crop_x, crop_y)[:, :, :: axis_y.down, :: axis_x.down]


# --- wrappers that keep the picture centred


def _centred(padding: int | Sequence[int], before: Sequence[int], after: Sequence[int]) -> list[int]:
    x0, x1, y0, y1 = parse_padding(padding)
    return [x0 + before[0], x1 + after[0], y0 + before[1], y1 + after[1]]


def _taps(f: Tensor | None) -> tuple[int, int]:
    return (1, 1) if f is None else (f.shape[-1], f.shape[0])


def filter2d(
    x: Tensor,
    f: Tensor | None,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Tensor:
    """Filter at the same size (plus `padding`)."""
    taps = _taps(f)
    pads = _centred(padding, [t // 2 for t in taps], [(t - 1) // 2 for t in taps])
    return upfirdn2d(x, f, padding=pads, flip_filter=flip_filter, gain=gain, impl=impl)


def upsample2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Tensor:
    """Enlarge `up` times (plus `padding`), at equal brightness."""
    taps, ups = _taps(f), _pair(up)
    before = [(t + u - 1) // 2 for t, u in zip(taps, ups, strict=True)]
    pads = _centred(padding, before, [(t - u) // 2 for t, u in zip(taps, ups, strict=True)])
    return upfirdn2d(x, f, up=up, padding=pads, flip_filter=flip_filter, gain=gain * ups[0] * ups[1], impl=impl)


def downsample2d(
    x: Tensor,
    f: Tensor | None,
    down: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Tensor:
    """Shrink `down` times (plus `padding`)."""
    taps, downs = _taps(f), _pair(down)
    before = [(t - d + 1) // 2 for t, d in zip(taps, downs, strict=True)]
    pads = _centred(padding, before, [(t - d) // 2 for t, d in zip(taps, downs, strict=True)])
    return upfirdn2d(x, f, down=down, padding=pads, flip_filter=flip_filter, gain=gain, impl=impl)
