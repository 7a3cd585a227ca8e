"""Convolution on the CPU by whichever algorithm is fastest for its shape, differentiable any number of times.

3 x 3 with stride 1 goes by Winograd's F(4 x 4, 3 x 3) (csrc/winograd.h; Lavin and Gray 2016, "Fast Algorithms for
Convolutional Neural Networks"), anything else by oneDNN. Which one is decided by the shapes alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stylemattegan.ops.cpu import call, channels_last
from stylemattegan.ops.implementation import chosen, widened

_winograd = True


def set_winograd(enabled: bool) -> None:
    """Whether `conv2d` may use Winograd's algorithm. For benchmarks and for doubts."""
    global _winograd
    _winograd = enabled


def conv2d(
    x: Float[Tensor, "n i h w"],
    w: Float[Tensor, "o i kh kw"],
    bias: Float[Tensor, " o"] | None = None,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    impl: str | None = None,
) -> Float[Tensor, "n o _ _"]:
    """`torch.nn.functional.conv2d`; of the implementations only cpu differs from it.

    Winograd's results differ from the direct sum's by about 3e-6 of the largest in float32 (1e-6 for the latter).
    """
    if isinstance(padding, tuple) and padding[0] == padding[1]:
        padding = padding[0]
    how = chosen(impl, x)
    if isinstance(padding, tuple) or x.dtype != w.dtype or how != "cpu":
        if widened(how, x) and isinstance(padding, int) and 2 * padding >= w.shape[-1]:
            x, padding = F.pad(x, [padding] * 4), 0  # as in `weight_gradient`
        return F.conv2d(x, w, bias, stride, padding)
    return Convolution.apply(x, w, bias, Form(x.shape[2], x.shape[3], w.shape[2], w.shape[3], stride, padding))


class Form(NamedTuple):
    """Sizes of a convolution's input and kernel, and how it goes over the input."""

    height: int
    width: int
    kernel_y: int
    kernel_x: int
    stride: int
    padding: int

    def arguments(self, input_gradient: bool) -> tuple[Any, ...]:
        """What aten::convolution_backward wants behind its tensors, to return one of its gradients."""
        twice = [self.stride] * 2, [self.padding] * 2, [1, 1]
        return None, *twice, False, [0, 0], 1, [input_gradient, not input_gradient, False]


def by_winograd(n: int, inputs: int, outputs: int, form: Form) -> bool:
    """Whether Winograd's algorithm is the faster one for n pictures and so many channels (benchmarks.convolutions).

    Not where there are so few channels that moving the transformed samples takes longer than the products (8 x 8,
    13 x 8), nor where so few tiles share the transformed weights that reading these (4 times the weights) does.
    """
    if form.kernel_y != 3 or form.kernel_x != 3 or form.stride != 1 or form.padding > 2 or not _winograd:
        return False
    height, width = form.height + 2 * form.padding - 2, form.width + 2 * form.padding - 2
    if min(inputs, outputs) < 8 or inputs * outputs < 128 or height < 1 or width < 1:
        return False
    tiles = n * -(-height // 4) * -(-width // 4)
    return tiles >= (16 if inputs * outputs <= 128**2 else 32)


def convolved(x: Tensor, w: Tensor, bias: Tensor | None, form: Form) -> Tensor:
    """x (N, I, H, W) correlated with w (O, I, k, k), plus bias (O,)."""
    if by_winograd(len(x), x.shape[1], len(w), form):
        return _winograd_products(x, w, bias, len(w), form.padding, False)
    return F.conv2d(channels_last(x), w, bias, form.stride, form.padding)


def input_gradient(g: Tensor, w: Tensor, form: Form) -> Tensor:
    """Of `convolved` by x, along g (N, O, H', W')."""
    inputs = w.shape[1]
    if by_winograd(len(g), inputs, len(w), form):  # the weight turned by half a turn, over g
        return _winograd_products(g, w, None, inputs, 2 - form.padding, True)
    size = (len(g), inputs, form.height, form.width)  # its shape and order alone are looked at
    x = g.new_empty(1).expand(size)
    if min(inputs, len(w)) >= 8:
        x = torch.empty(size, dtype=g.dtype, memory_format=torch.channels_last)
    return torch.ops.aten.convolution_backward(channels_last(g), x, w, *form.arguments(True))[0]


def weight_gradient(x: Tensor, g: Tensor, form: Form) -> Tensor:
    """Of `convolved` by w, along g (N, O, H', W')."""
    (n, inputs), outputs = x.shape[:2], g.shape[1]
    if by_winograd(n, inputs, outputs, form):
        x, g = channels_last(x), channels_last(g)
        found = torch.empty((outputs, inputs, 3, 3), dtype=x.dtype)
        call("winograd_weight", x.dtype, x, g, found, n, form.height, form.width, form.padding, inputs, outputs)
        return found
    if form.stride > 1 and inputs * outputs >= WIDE:
        x, g = x.contiguous(), g.contiguous()
    else:
        x, g = channels_last(x), channels_last(g)
    if 2 * form.padding >= max(form.kernel_y, form.kernel_x):
        # with channels last, oneDNN takes seven times as long if the padding is its own (128 x 128 channels,
        # 148 samples, padding 2: 374 ms, zeros from here 50 ms)
        x, form = F.pad(x, [form.padding] * 4), form._replace(padding=0)
    w = x.new_empty(1).expand(outputs, inputs, form.kernel_y, form.kernel_x)
    return torch.ops.aten.convolution_backward(g, x, w, *form.arguments(False))[1]


WIDE = 128 * 256
"""Products of channels from which on oneDNN's gradient of a strided weight is faster with channels first: 1.3 to 1.75
times, the copies included (256 x 512 channels, 64 samples; half that size: 0.75 times)."""


def _winograd_products(x: Tensor, w: Tensor, bias: Tensor | None, outputs: int, padding: int, turned: bool) -> Tensor:
    (n, inputs, height, width), x = x.shape, channels_last(x)
    size = (n, outputs, height + 2 * padding - 2, width + 2 * padding - 2)
    y = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last)
    w, bias = w.contiguous(), None if bias is None else bias.contiguous()
    call("winograd", x.dtype, x, w, bias, y, n, height, width, padding, inputs, outputs, int(turned))
    return y


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
