"""Upsample, pad or crop, filter, decimate in plain torch: step by step, and in two faster forms.

For small pictures each axis is a banded matrix that holds zero insertion, padding, cropping, taps and decimation, so
that the op is y = A_y x A_x^T: two GEMMs, at any order of differentiation. The matrices are kept per (filter,
geometry). 2-D filters of low rank (a radial Kaiser filter has rank 4 in float32, [1,3,3,1] squared has rank 1) become
a sum of such products. Above `LARGEST` samples per axis, and for filters of high rank, strided depthwise convolutions
take over.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from stylemattegan.ops.geometry import Axis

LARGEST = 320
"""Axes of up to so many samples (before and after) use the matrix form."""
HIGHEST_RANK = 4


def _pad_or_crop(x: Float[Tensor, "n c h w"], axis_x: Axis, axis_y: Axis) -> Float[Tensor, "n c _ _"]:
    x0, x1, y0, y1 = axis_x.before, axis_x.after, axis_y.before, axis_y.after
    x = F.pad(x, [max(x0, 0), max(x1, 0), max(y0, 0), max(y1, 0)])
    return x[:, :, max(-y0, 0) : x.shape[2] - max(-y1, 0), max(-x0, 0) : x.shape[3] - max(-x1, 0)]


def by_definition(
    x: Float[Tensor, "n c h w"],
    f: Float[Tensor, " taps"] | Float[Tensor, "taps_y taps_x"],
    axis_x: Axis,
    axis_y: Axis,
    flip_filter: bool,
    gain: float,
) -> Float[Tensor, "n c _ _"]:
    """Step by step: insert zeros, pad, crop, filter, decimate."""
    n, c, h, w = x.shape
    x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, axis_x.up - 1, 0, 0, 0, axis_y.up - 1])
    x = _pad_or_crop(x.reshape(n, c, h * axis_y.up, w * axis_x.up), axis_x, axis_y)
    f = torch.outer(f.double(), f.double()) if f.ndim == 1 else f.double()
    f = (f * gain).to(x.dtype)
    f = f if flip_filter else f.flip([0, 1])
    x = F.conv2d(x, f[None, None].expand(c, 1, -1, -1), groups=c)
    return x[:, :, :: axis_y.down, :: axis_x.down]


# --- banded matrices

Matrices = list[tuple[Tensor, Tensor]]
"""Pairs (A_y, A_x): y = sum over the pairs of A_y x A_x^T."""
_kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def factors(
    f: Float[Tensor, " taps"] | Float[Tensor, "taps_y taps_x"], dtype: torch.dtype, highest: int | None = HIGHEST_RANK
) -> list[tuple[Float[Tensor, " _"], Float[Tensor, " _"]]] | None:
    """The 2-D response of f as a sum of outer products (f_y, f_x), float64 on the CPU, as exact as dtype can show.

    None if it takes more than `highest`.
    """
    f = f.detach().double().cpu()
    if f.ndim == 1:
        return [(f, f)]
    u, s, v = torch.linalg.svd(f, full_matrices=False)
    negligible = 1e-14 if dtype == torch.float64 else 1e-7
    rank = max(int((s > s[0] * negligible).sum()), 1)
    if highest is not None and rank > highest:
        return None
    root = s.sqrt()
    return [(u[:, i] * root[i], v[i] * root[i]) for i in range(rank)]


def banded(taps: Float[Tensor, " taps"], axis: Axis, size: int, flip_filter: bool) -> Float[Tensor, "_ {size}"]:
    """A (out, size) with y = A x: A[o, i] = f[i up + before - o down] where that is a tap, else 0.

    From y[o] = sum_k f[k] x_up[o down + k - before]: x_up is x[i] at o down + k - before = i up.
    """
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
    parts = factors(f, dtype)
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


def apply_matrices(x: Float[Tensor, "n c h w"], pairs: Matrices) -> Float[Tensor, "n c _ _"]:
    """Sum over the pairs of A_y x A_x^T for each plane of x (N, C, H, W)."""
    n, c, h, w = x.shape
    total: Tensor | None = None
    for a_y, a_x in pairs:
        # the axis that shrinks most (or grows least) goes first: fewer operations in the second product
        if a_x.shape[0] * h * (w + a_y.shape[0]) <= a_y.shape[0] * w * (h + a_x.shape[0]):
            y = torch.mm(x.reshape(n * c * h, w), a_x.t()).view(n * c, h, len(a_x))
            y = torch.bmm(a_y.expand(n * c, -1, -1), y)
        else:
            y = torch.bmm(a_y.expand(n * c, -1, -1), x.reshape(n * c, h, w))
            y = torch.mm(y.view(-1, w), a_x.t())
        y = y.view(n, c, a_y.shape[0], a_x.shape[0])
        total = y if total is None else total + y
    assert total is not None
    return total


# --- convolutions, for large pictures


def by_convolution(
    x: Float[Tensor, "n c h w"],
    f: Float[Tensor, " taps"] | Float[Tensor, "taps_y taps_x"],
    axis_x: Axis,
    axis_y: Axis,
    flip_filter: bool,
    gain: float,
) -> Float[Tensor, "n c _ _"]:
    """Strided and transposed depthwise convolutions: for large pictures."""
    f = f.to(x.dtype) * gain ** (f.ndim / 2) if gain > 0 or f.ndim == 2 else torch.outer(f, f).to(x.dtype) * gain
    if f.ndim == 2:
        return _convolve(x, f, axis_x, axis_y, flip_filter)
    still = Axis(1, 1, 0, 0)
    x = _convolve(x, f[None, :], axis_x, still, flip_filter)
    return _convolve(x, f[:, None], still, axis_y, flip_filter)


def _convolve(
    x: Float[Tensor, "n c h w"], f: Float[Tensor, "taps_y taps_x"], axis_x: Axis, axis_y: Axis, flip_filter: bool
) -> Float[Tensor, "n c _ _"]:
    """Depthwise: a transposed convolution inserts the zeros for nothing, a strided one decimates."""
    c = x.shape[1]
    kernel = (f if flip_filter else f.flip([0, 1]))[None, None].expand(c, 1, -1, -1)
    if axis_x.up == 1 and axis_y.up == 1:
        return F.conv2d(_pad_or_crop(x, axis_x, axis_y), kernel, stride=(axis_y.down, axis_x.down), groups=c)
    (ty, tx), (h, w) = f.shape, x.shape[2:]
    y = F.conv_transpose2d(x, kernel.flip([2, 3]), stride=(axis_y.up, axis_x.up), groups=c)
    # The transposed convolution is z[m] = sum_i x[i] g[m - i U], g[j] = f[T - 1 - j], m = 0 .. (size - 1) U + T - 1.
    # Wanted is v[q] = sum_i x[i] f[i U + p - q] = z[q + T - 1 - p], q = 0 .. size U + before + after - T: so T - 1 - p
    # samples of z are cropped before (zeros added, if that is negative), and after it is brought to that length.
    rest_x = w * axis_x.up + axis_x.before + axis_x.after - tx + 1 - y.shape[3] - (axis_x.before - tx + 1)
    rest_y = h * axis_y.up + axis_y.before + axis_y.after - ty + 1 - y.shape[2] - (axis_y.before - ty + 1)
    crop_x, crop_y = Axis(1, 1, axis_x.before - tx + 1, rest_x), Axis(1, 1, axis_y.before - ty + 1, rest_y)
    return _pad_or_crop(y, crop_x, crop_y)[:, :, :: axis_y.down, :: axis_x.down]
