"""The compiled ops for autograd. Each derivative is again one of these functions, so every order is fast."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stylemattegan.ops.cpu import call, channels_last
from stylemattegan.ops.engine import Chain, Engine, Masks, Side


class Resample(torch.autograd.Function):
    """One side: zero insertion, padding, FIR, decimation. Linear, so its derivative is the adjoint side."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, side: Side) -> Tensor:
        ctx.side = side
        return side.engine.resample(side, x.detach())

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        return Resample.apply(gy, ctx.side.adjoint()), None


class FilteredLeakyReLU(torch.autograd.Function):
    """down(clip(leaky(up(x scale + b)))); remembers two bits per upsampled sample, and x only if there is a scale."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor | None, b: Tensor | None, chain: Chain) -> Tensor:
        wanted = any(ctx.needs_input_grad)
        values = (None if t is None else t.detach().contiguous() for t in (scale, b))
        y, masks = chain.up.engine.filtered(chain, x.detach(), *values, wanted)
        if wanted:  # x and scale as given: the second derivative is taken of them
            ctx.save_for_backward(None if scale is None else x, scale, *masks)
            ctx.chain, ctx.biased = chain, b is not None
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, *masks = ctx.saved_tensors
        chain, biased = ctx.chain, ctx.biased
        if not torch.is_grad_enabled():
            return *chain.up.engine.gradients(chain, Masks(*masks), gy, x, scale, biased), None
        gz = Masked.apply(gy, *masks, chain, True)
        g_b = gz.sum([0, 2, 3]) if biased else None
        if scale is None:
            return gz, None, g_b, None
        return gz * scale[:, :, None, None], (gz * x).sum([2, 3]), g_b, None


class Masked(torch.autograd.Function):
    """The derivative of the filtered leaky ReLU along g, or its adjoint: linear in g, the signs are given."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, positive: Tensor, clipped: Tensor | None, chain: Chain, adjoint: bool) -> Tensor:
        ctx.save_for_backward(positive, clipped)
        ctx.chain, ctx.adjoint = chain, adjoint
        up, down = (chain.down.adjoint(), chain.up.adjoint()) if adjoint else (chain.up, chain.down)
        return up.engine.masked(up, down, chain.slope, Masks(positive, clipped), g.detach())

    @staticmethod
    def backward(ctx: Any, gz: Tensor) -> tuple[Tensor | None, ...]:
        return Masked.apply(gz, *ctx.saved_tensors, ctx.chain, not ctx.adjoint), None, None, None, None


class Activate(torch.autograd.Function):
    """clip(gain leaky(x)), gain > 0 and slope >= 0. Remembers its output, which shows where it was cut or bent."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float, gain: float, clamp: float, engine: Engine) -> Tensor:
        y = engine.act(_dense(x.detach()), slope, gain, clamp)
        ctx.save_for_backward(y)
        ctx.numbers = (slope, gain, clamp, engine)
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = ctx.saved_tensors
        return ActivateMasked.apply(gy, y, *ctx.numbers), None, None, None, None


class ActivateMasked(torch.autograd.Function):
    """g times the derivative of `Activate` at output y: linear in g and its own adjoint.

    The derivative by y is zeros, not nothing: what depends on y only here (a bias, in R1) gets a gradient of zeros as
    in plain torch, and so the same treatment by the optimizer.
    """

    @staticmethod
    def forward(ctx: Any, g: Tensor, y: Tensor, slope: float, gain: float, clamp: float, engine: Engine) -> Tensor:
        ctx.save_for_backward(y)
        ctx.numbers = (slope, gain, clamp, engine)
        g, y = g.detach(), y.detach()
        if g.stride() != y.stride():
            g = torch.empty_like(y).copy_(g)
        return engine.act_masked(g, y, slope, gain, clamp)

    @staticmethod
    def backward(ctx: Any, gz: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = ctx.saved_tensors
        zeros = torch.zeros_like(y) if ctx.needs_input_grad[1] else None
        return ActivateMasked.apply(gz, y, *ctx.numbers), zeros, None, None, None, None


def _dense(x: Tensor) -> Tensor:
    """x without gaps in memory, in whichever order it has."""
    if x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)):
        return x
    return x.contiguous()


class ScalePlanes(torch.autograd.Function):
    """x (N, C, H, W) times s (N, C), on the CPU."""

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
