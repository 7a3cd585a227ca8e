"""The C++ ops for autograd. Each derivative is again one of these functions, so every order is fast."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stylemattegan.ops.cpu import Side, call, channels_last, empty, lanes


class Resample(torch.autograd.Function):
    """One side: zero insertion, padding, FIR, decimation. Linear, so its derivative is the adjoint side."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, side: Side) -> Tensor:
        ctx.side = side
        x = channels_last(x.detach())
        y = empty(x, side.y.out, side.x.out)
        call("resample", x.dtype, side.handle, x, y, len(x), x.shape[1])
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        return Resample.apply(gy, ctx.side.adjoint()), None


class Chain(NamedTuple):
    """The filtered leaky ReLU without its values: up side, slope and clamp, down side."""

    up: Side
    down: Side
    slope: float
    clamp: float


class FilteredLeakyReLU(torch.autograd.Function):
    """down(clip(leaky(up(x scale + b)))); remembers two bits per upsampled sample, and x only if there is a scale."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor | None, b: Tensor | None, chain: Chain) -> Tensor:
        given, given_scale = x, scale  # what the second derivative is taken of
        x = channels_last(x.detach())
        n, c = x.shape[:2]
        blocks = n * -(-c // lanes(x.dtype))
        y = empty(x, chain.down.y.out, chain.down.x.out)
        inner = (blocks, chain.up.y.out, chain.up.x.out)
        wanted = any(ctx.needs_input_grad)
        positive = torch.empty(inner, dtype=torch.int16) if wanted else None
        clipped = torch.empty(inner, dtype=torch.int16) if wanted and math.isfinite(chain.clamp) else None
        any_clipped = torch.zeros(blocks, dtype=torch.uint8)
        scale, b = (None if t is None else t.detach().contiguous() for t in (scale, b))
        sides = (chain.up.handle, chain.down.handle)
        numbers = (chain.slope, chain.clamp, n, c)
        call("filtered_lrelu", x.dtype, *sides, x, scale, b, y, positive, clipped, any_clipped, *numbers)
        if wanted:
            clipped = clipped if any_clipped.any() else None
            ctx.save_for_backward(None if scale is None else given, given_scale, positive, clipped)
            ctx.chain, ctx.biased = chain, b is not None
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, positive, clipped = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return *_all_gradients(gy, x, scale, positive, clipped, ctx.chain, ctx.biased), None
        gz = Masked.apply(gy, positive, clipped, ctx.chain, True)
        g_b = gz.sum([0, 2, 3]) if ctx.biased else None
        if scale is None:
            return gz, None, g_b, None
        return gz * scale[:, :, None, None], (gz * x).sum([2, 3]), g_b, None


def _all_gradients(
    gy: Tensor,
    x: Tensor | None,
    scale: Tensor | None,
    positive: Tensor,
    clipped: Tensor | None,
    chain: Chain,
    biased: bool,
) -> tuple[Tensor | None, ...]:
    """Those of x, scale and b, in one pass over gy."""
    gy, x = channels_last(gy), None if x is None else channels_last(x)
    scale = None if scale is None else scale.contiguous()
    up, down = chain.down.adjoint(), chain.up.adjoint()
    n, c = gy.shape[:2]
    gx = empty(gy, down.y.out, down.x.out)
    sums = torch.empty((n, c), dtype=gy.dtype) if biased else None
    g_scale = None if scale is None else torch.empty((n, c), dtype=gy.dtype)
    arguments = (up.handle, down.handle, gy, x, scale, gx, sums, g_scale, positive, clipped, chain.slope, n, c)
    call("masked", gy.dtype, *arguments)
    return gx, g_scale, None if sums is None else sums.sum(0)


class Masked(torch.autograd.Function):
    """The derivative of the filtered leaky ReLU along g, or its adjoint: linear in g, the signs are given."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, positive: Tensor, clipped: Tensor | None, chain: Chain, adjoint: bool) -> Tensor:
        ctx.save_for_backward(positive, clipped)
        ctx.chain, ctx.adjoint = chain, adjoint
        up, down = (chain.down.adjoint(), chain.up.adjoint()) if adjoint else (chain.up, chain.down)
        g = channels_last(g.detach())
        z = empty(g, down.y.out, down.x.out)
        nothing = (None, None)
        numbers = (chain.slope, len(g), g.shape[1])
        call("masked", g.dtype, up.handle, down.handle, g, *nothing, z, *nothing, positive, clipped, *numbers)
        return z

    @staticmethod
    def backward(ctx: Any, gz: Tensor) -> tuple[Tensor | None, ...]:
        positive, clipped = ctx.saved_tensors
        return Masked.apply(gz, positive, clipped, ctx.chain, not ctx.adjoint), None, None, None, None


class Activate(torch.autograd.Function):
    """clip(gain leaky(x)), gain > 0 and slope >= 0. Remembers its output, which tells where it was cut or bent."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float, gain: float, clamp: float) -> Tensor:
        x = _dense(x.detach())
        y = torch.empty_like(x)
        call("act", x.dtype, x, y, x.numel(), slope, gain, clamp)
        ctx.save_for_backward(y)
        ctx.numbers = (slope, gain, clamp)
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = ctx.saved_tensors
        return ActivateMasked.apply(gy, y, *ctx.numbers), None, None, None


class ActivateMasked(torch.autograd.Function):
    """g times the derivative of `Activate` at output y: linear in g and its own adjoint.

    The derivative by y is zeros, not nothing: what depends on y only here (a bias, in R1) gets a gradient of zeros as
    in plain torch, and so the same treatment by the optimizer.
    """

    @staticmethod
    def forward(ctx: Any, g: Tensor, y: Tensor, slope: float, gain: float, clamp: float) -> Tensor:
        ctx.save_for_backward(y)
        ctx.numbers = (slope, gain, clamp)
        g, y = g.detach(), y.detach()
        z = torch.empty_like(y)
        if g.stride() != y.stride():
            g = torch.empty_like(y).copy_(g)
        call("act_masked", g.dtype, g, y, z, g.numel(), slope, gain, clamp)
        return z

    @staticmethod
    def backward(ctx: Any, gz: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = ctx.saved_tensors
        zeros = torch.zeros_like(y) if ctx.needs_input_grad[1] else None
        return ActivateMasked.apply(gz, y, *ctx.numbers), zeros, None, None, None


def _dense(x: Tensor) -> Tensor:
    """x without gaps in memory, in whichever order it has."""
    if x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)):
        return x
    return x.contiguous()


class ScalePlanes(torch.autograd.Function):
    """x (N, C, H, W) times s (N, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, s: Tensor) -> Tensor:
        ctx.save_for_backward(x, s)
        x, s = channels_last(x.detach()), s.detach().contiguous()
        y = torch.empty_like(x)
        n, c, h, w = x.shape
        call("scale_planes", x.dtype, x, s, y, n, h * w, c)
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, s = ctx.saved_tensors
        if torch.is_grad_enabled():
            return ScalePlanes.apply(gy, s), (gy * x).sum([2, 3])
        gy, x, s = channels_last(gy), channels_last(x), s.contiguous()
        n, c, h, w = gy.shape
        gx, gs = torch.empty_like(gy), torch.empty_like(s)
        call("scale_planes_backward", gy.dtype, gy, x, s, gx, gs, n, h * w, c)
        return gx, gs
