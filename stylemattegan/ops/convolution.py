"""Convolution on the CPU by whichever algorithm is fastest for its shape, differentiable any number of times.

A leaky ReLU behind it and a blur before it are parts of the same operation where that pays (convolution_algorithms.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stylemattegan.ops import cpu
from stylemattegan.ops.bias_act import bias_act
from stylemattegan.ops.compiled import plans
from stylemattegan.ops.convolution_algorithms import (
    BLUR,
    Form,
    LeakyReLU,
    by_blurred,
    convolved,
    input_gradient,
    weight_gradient,
)
from stylemattegan.ops.cpu import call, channels_last
from stylemattegan.ops.engine import side
from stylemattegan.ops.geometry import axes
from stylemattegan.ops.implementation import chosen, widened
from stylemattegan.ops.upfirdn2d import upfirdn2d


def conv2d(
    x: Float[Tensor, "n i h w"],
    w: Float[Tensor, "o i kh kw"],
    bias: Float[Tensor, " o"] | None = None,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    impl: str | None = None,
    act: LeakyReLU | None = None,
) -> Float[Tensor, "n o _ _"]:
    """`torch.nn.functional.conv2d` and a leaky ReLU; of the implementations only cpu differs from it.

    Winograd's results differ from the direct sum's by about 3e-6 of the largest in float32 (1e-6 for the latter).
    """
    if isinstance(padding, tuple) and padding[0] == padding[1]:
        padding = padding[0]
    how = chosen(impl, x)
    if not isinstance(padding, tuple) and x.dtype == w.dtype and how == "cpu":
        return _apply(x, w, bias, Form(x.shape[2], x.shape[3], w.shape[2], w.shape[3], stride, padding), act)
    if widened(how, x) and isinstance(padding, int) and 2 * padding >= w.shape[-1]:
        x, padding = F.pad(x, [padding] * 4), 0  # as in `weight_gradient`
    y = F.conv2d(x, w, bias, stride, padding)
    if act is None:
        return y
    clamp = None if math.isinf(act.clamp) else act.clamp
    return bias_act(y, act="lrelu", alpha=act.slope, gain=1.0, clamp=clamp, impl=impl)


def blurred_conv2d(
    x: Float[Tensor, "n i h w"],
    f: Float[Tensor, " taps"] | Float[Tensor, "taps_y taps_x"],
    w: Float[Tensor, "o i kh kw"],
    bias: Float[Tensor, " o"] | None = None,
    stride: int = 1,
    padding: Sequence[int] = (0, 0, 0, 0),
    impl: str | None = None,
    act: LeakyReLU | None = None,
) -> Float[Tensor, "n o _ _"]:
    """x filtered by f with `padding` around it (`upfirdn2d`), then `conv2d` without padding.

    cpu: for 3 x 3 weights at stride 2 and 4 taps the blurred picture is never in memory, nor kept for the gradients.
    """
    form = _blurred_form(x, f, w, stride, list(padding)) if chosen(impl, x) == "cpu" and x.dtype == w.dtype else None
    if form is not None:
        return _apply(x, w, bias, form, act)
    return conv2d(upfirdn2d(x, f, padding=padding, impl=impl), w, bias, stride, impl=impl, act=act)


def _blurred_form(x: Tensor, f: Tensor, w: Tensor, stride: int, padding: list[int]) -> Form | None:
    """None where one operation for both does not exist or does not pay."""
    taps = (f.shape[0], f.shape[-1])
    if stride != 2 or w.shape[2:] != (3, 3) or taps != (BLUR, BLUR) or len(set(padding)) > 1 or padding[0] < 0:
        return None
    axis_x, axis_y = axes(1, 1, padding)
    blur = side(cpu.ENGINE, f, *plans(x.shape, taps, axis_x, axis_y), False, 1.0, x)
    form = Form(x.shape[2], x.shape[3], 3, 3, stride, padding[0], blur)
    sizes = form.results(form.height, 3), form.results(form.width, 3)
    return form if len(blur.pairs) == 1 and by_blurred(len(x), x.shape[1], len(w), *sizes) else None


def _apply(x: Tensor, w: Tensor, bias: Tensor | None, form: Form, act: LeakyReLU | None) -> Tensor:
    if act is None:
        return Convolution.apply(x, w, bias, form)
    return Activated.apply(x, w, bias, form, act)


class Convolution(torch.autograd.Function):
    """`convolved`. Linear in x and in w, and so are both gradients: the three are each other's derivatives."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, form: Form) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.form = form
        return convolved(x.detach(), w.detach(), None if bias is None else bias.detach(), form)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (x, w), (by_x, by_w, by_bias, _) = ctx.saved_tensors, ctx.needs_input_grad
        return (
            InputGradient.apply(g, w, ctx.form) if by_x else None,
            WeightGradient.apply(x, g, ctx.form) if by_w else None,
            g.sum([0, 2, 3]) if by_bias else None,
            None,
        )


class Activated(torch.autograd.Function):
    """`convolved` with a leaky ReLU behind it, which its output shows the signs of: nothing else is kept of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, form: Form, act: LeakyReLU) -> Tensor:
        y = convolved(x.detach(), w.detach(), None if bias is None else bias.detach(), form, act)
        ctx.save_for_backward(x, w, y)
        ctx.form, ctx.act = form, act
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        (x, w, y), (by_x, by_w, by_bias, _, _) = ctx.saved_tensors, ctx.needs_input_grad
        g = MaskedByOutput.apply(gy, y, ctx.act)
        return (
            InputGradient.apply(g, w, ctx.form) if by_x else None,
            WeightGradient.apply(x, g, ctx.form) if by_w else None,
            g.sum([0, 2, 3]) if by_bias else None,
            None,
            None,
        )


class MaskedByOutput(torch.autograd.Function):
    """g times the derivative of the leaky ReLU whose output is y: linear in g and its own adjoint.

    By y it has no derivative but zeros. None are made: autograd puts them in where nothing else comes from y.
    """

    @staticmethod
    def forward(ctx: Any, g: Tensor, y: Tensor, act: LeakyReLU) -> Tensor:
        ctx.save_for_backward(y)
        ctx.act = act
        g, y = channels_last(g.detach()), channels_last(y.detach())
        z = torch.empty_like(y)
        call("act_masked", g.dtype, g, y, z, g.numel(), act.slope, 1.0, act.clamp)
        return z

    @staticmethod
    def backward(ctx: Any, gz: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = ctx.saved_tensors
        return MaskedByOutput.apply(gz, y, ctx.act), None, None


class InputGradient(torch.autograd.Function):
    """`input_gradient`, linear in g and in w."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, w: Tensor, form: Form) -> Tensor:
        ctx.save_for_backward(g, w)
        ctx.form = form
        return input_gradient(g.detach(), w.detach(), form)

    @staticmethod
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, ...]:
        (g, w), (by_g, by_w, _) = ctx.saved_tensors, ctx.needs_input_grad
        return (
            Convolution.apply(along, w, None, ctx.form) if by_g else None,
            WeightGradient.apply(along, g, ctx.form) if by_w else None,
            None,
        )


class WeightGradient(torch.autograd.Function):
    """`weight_gradient`, linear in x and in g."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor, form: Form) -> Tensor:
        ctx.save_for_backward(x, g)
        ctx.form = form
        return weight_gradient(x.detach(), g.detach(), form)

    @staticmethod
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, ...]:
        (x, g), (by_x, by_g, _) = ctx.saved_tensors, ctx.needs_input_grad
        return (
            InputGradient.apply(g, along, ctx.form) if by_x else None,
            Convolution.apply(x, along, None, ctx.form) if by_g else None,
            None,
        )
