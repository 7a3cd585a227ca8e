"""The alias-free non-linearity in plain torch: step by step, and in a faster form for the CPU.

How the faster form was chosen (one thread, 512 planes of 78 -> 162 -> 76 samples, ms, forward only): banded matrices as
GEMMs 110; depthwise convolutions in NCHW 31; the same with channels last 15, against 10 for the 3x3 convolution of
that layer. So on the CPU the pictures are channels last, upsampling is a strided transposed depthwise convolution and
downsampling a strided one, and a few samples go through the whole chain while they are in the cache. Nothing of
upsampled size is kept for the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from stylemattegan.ops.geometry import Settings
from stylemattegan.ops.upfirdn2d import upfirdn2d

CHUNK = 1 << 20
"""Upsampled samples (4 bytes each) that go through the chain at once."""


class Resampling(NamedTuple):
    """One depthwise (transposed) convolution: kernel (C, 1, ky, kx), stride and symmetric padding per axis."""

    kernel: Tensor
    stride: tuple[int, int]
    padding: tuple[int, int]

    def shrink(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, None, self.stride, self.padding, 1, x.shape[1])

    def grow(self, x: Tensor) -> Tensor:
        """The adjoint of `shrink`."""
        return F.conv_transpose2d(x, self.kernel, None, self.stride, self.padding, 0, x.shape[1])


class Chain(NamedTuple):
    """Everything about the op that does not depend on the values; up and down have at most two passes each.

    inner, outer: size after up and after down. growth: no upsampled sample exceeds growth times the largest input.
    """

    up: tuple[Resampling, ...]
    down: tuple[Resampling, ...]
    inner: tuple[int, int]
    outer: tuple[int, int]
    slope: float
    clamp: float | None
    growth: float


def composed(
    x: Float[Tensor, "n c h w"],
    scale: Float[Tensor, "n c"] | None,
    b: Float[Tensor, " c"] | None,
    settings: Settings,
    impl: str,
) -> Float[Tensor, "n c _ _"]:
    """The definition, with every intermediate picture."""
    fu, fd, up, down, padding, gain, slope, clamp, flip_filter = settings
    if scale is not None:
        x = x * scale.to(x.dtype)[:, :, None, None]
    if b is not None:
        x = x + b.to(x.dtype)[None, :, None, None]
    x = upfirdn2d(x, fu, up=up, padding=padding, flip_filter=flip_filter, gain=up**2, impl=impl)
    if slope != 1:
        x = F.leaky_relu(x, slope)
    if gain != 1:
        x = x * gain
    if clamp is not None:
        x = x.clamp(-clamp, clamp)
    return upfirdn2d(x, fd, down=down, flip_filter=flip_filter, impl=impl)


_kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def _kernels(f: Tensor | None, c: int, flip: bool, gain: float, dtype: torch.dtype) -> list[Tensor]:
    """The filter as depthwise kernels (C, 1, ky, kx): a column and a row, or one square; [] for the identity."""
    if f is None:
        return []
    version = None if f.is_inference() else f._version
    kept = {} if version is None else _kept.setdefault(f, {})
    key = (c, flip, gain, dtype)
    if key not in kept or kept[key][0] != version:
        with torch.inference_mode(False), torch.no_grad():
            taps = (f.detach().double() * gain ** (f.ndim / 2)).to(dtype)
            taps = taps.flip(list(range(f.ndim))) if flip else taps
            shapes = [taps[:, None], taps[None, :]] if f.ndim == 1 else [taps]
            kept[key] = (version, [s.expand(c, 1, *s.shape).contiguous() for s in shapes])
    return kept[key][1]


def chain_of(x: Tensor, settings: Settings) -> Chain | None:
    """The chain, or None if the geometry is not symmetric enough for plain (transposed) convolutions."""
    fu, fd, up, down, padding, gain, slope, clamp, flip_filter = settings
    if fu is None or (fd is None and down > 1):
        return None
    # As in upfirdn2d_torch: the transposed convolution has (size - 1) up + T samples, of which T - 1 - before are
    # cropped on the left and the rest but `inside` on the right. conv_transpose2d's own padding crops both sides alike.
    up_taps = (fu.shape[0], fu.shape[-1])
    down_taps = (1, 1) if fd is None else (fd.shape[0], fd.shape[-1])
    x0, x1, y0, y1 = padding
    inner, outer, crop = [], [], []
    for size, taps, after, before, rest in zip(x.shape[2:], up_taps, down_taps, (y0, x0), (y1, x1), strict=True):
        inside = size * up + before + rest - taps + 1
        left, right = taps - 1 - before, (size - 1) * up + taps - (taps - 1 - before) - inside
        if left != right or not 0 <= left < taps or inside < after or (inside - after) % down:
            return None
        inner.append(inside)
        outer.append((inside - after) // down + 1)
        crop.append(left)
    c = x.shape[1]
    # gain * leaky(x) = leaky(gain * x): both gains go into the up filter
    grow = _kernels(fu, c, flip_filter, up**2 * gain, x.dtype)
    shrink = _kernels(fd, c, not flip_filter, 1.0, x.dtype)
    ups = _passes(grow, up, crop)
    downs = tuple(reversed(_passes(shrink, down, [0, 0])))
    growth = math.prod(float(r.kernel[0].abs().sum()) for r in ups)
    return Chain(ups, downs, (inner[0], inner[1]), (outer[0], outer[1]), slope, clamp, growth)


def _passes(kernels: list[Tensor], factor: int, padding: Sequence[int]) -> tuple[Resampling, ...]:
    if len(kernels) == 2:
        column, row = kernels
        return (
            Resampling(row, (1, factor), (0, padding[1])),
            Resampling(column, (factor, 1), (padding[0], 0)),
        )
    return tuple(Resampling(k, (factor, factor), (padding[0], padding[1])) for k in kernels)


def _empty(like: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.empty((*like.shape[:2], *size), dtype=like.dtype, memory_format=torch.channels_last)


class FilteredLeakyReLU(torch.autograd.Function):
    """Keeps only its inputs: the backward pass upsamples again, which costs less than reading back a mask."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor | None, b: Tensor | None, chain: Chain, settings: Settings
    ) -> Tensor:
        y = _empty(x, chain.outer)
        for rows in _chunks(x, chain):
            t, bound = _upsampled(x[rows], None if scale is None else scale[rows], b, chain)
            t = F.leaky_relu_(t, chain.slope)
            if chain.clamp is not None and not bound <= chain.clamp:
                t = t.clamp_(-chain.clamp, chain.clamp)
            for resampling in chain.down:
                t = resampling.shrink(t)
            y[rows] = t
        ctx.save_for_backward(x, scale, b)
        ctx.chain, ctx.settings = chain, settings
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, b = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: let autograd differentiate the plain composition
            return *_differentiable(gy, x, scale, b, ctx.settings), None, None
        chain: Chain = ctx.chain
        gy = gy.contiguous(memory_format=torch.channels_last)
        gx = torch.empty_like(x)
        g_scale = None if scale is None else torch.empty_like(scale)
        g_b = None if b is None else torch.zeros_like(b)
        for rows in _chunks(x, chain):
            t, bound = _upsampled(x[rows], None if scale is None else scale[rows], b, chain)
            g = gy[rows]
            for resampling in reversed(chain.down):
                g = resampling.grow(g)
            g = torch.ops.aten.leaky_relu_backward(g, t, chain.slope, False)
            if chain.clamp is not None and not bound <= chain.clamp:
                g = g.masked_fill_(F.leaky_relu_(t, chain.slope).abs_() > chain.clamp, 0)
            for resampling in reversed(chain.up):
                g = resampling.shrink(g)
            if g_b is not None:
                g_b += g.sum([0, 2, 3])
            if scale is None or g_scale is None:
                gx[rows] = g
            else:
                torch.mul(g, scale[rows, :, None, None], out=gx[rows])
                g_scale[rows] = (g * x[rows]).sum([2, 3])
        return gx, g_scale, g_b, None, None


def _chunks(x: Tensor, chain: Chain) -> Iterator[slice]:
    """The samples, so many at a time that the upsampled ones stay in the cache."""
    step = max(1, CHUNK // (x.shape[1] * chain.inner[0] * chain.inner[1]))
    for i in range(0, len(x), step):
        yield slice(i, i + step)


def _upsampled(x: Tensor, scale: Tensor | None, b: Tensor | None, chain: Chain) -> tuple[Tensor, float]:
    """The input of the leaky ReLU and a bound of its magnitude (so that most clipping is skipped)."""
    t = _affine(x, scale, b)
    low, high = torch.aminmax(t.permute(0, 2, 3, 1))  # in memory order, else it is copied first
    for resampling in chain.up:
        t = resampling.grow(t)
    return t, max(-float(low), float(high)) * chain.growth


def _affine(x: Tensor, scale: Tensor | None, b: Tensor | None) -> Tensor:
    bias = None if b is None else b.to(x.dtype)[None, :, None, None]
    if scale is None:
        return x if bias is None else x + bias
    scale = scale.to(x.dtype)[:, :, None, None]
    return x * scale if bias is None else torch.addcmul(bias, x, scale)


def _differentiable(
    gy: Tensor, x: Tensor, scale: Tensor | None, b: Tensor | None, settings: Settings
) -> list[Tensor | None]:
    leaves = [t for t in (x, scale, b) if t is not None and t.requires_grad]
    y = composed(x, scale, b, settings, "torch")
    found = iter(torch.autograd.grad(y, leaves, gy, create_graph=True, allow_unused=True))
    return [next(found) if t is not None and t.requires_grad else None for t in (x, scale, b)]
