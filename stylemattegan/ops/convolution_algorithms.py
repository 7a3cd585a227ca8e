"""The convolution and its two gradients on the CPU, each by whichever algorithm is fastest for its shape.

3 x 3 with stride 1, and with stride 2 behind a blur, go by Winograd's algorithm (csrc/winograd.h; Lavin and Gray 2016,
"Fast Algorithms for Convolutional Neural Networks"), 1 x 1 by matrix products (csrc/dense.h), anything else by oneDNN.
Which one is decided by the shapes alone.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylemattegan.ops.cpu import call, channels_last
from stylemattegan.ops.engine import Side

_winograd = True


def set_winograd(enabled: bool) -> None:
    """Whether `conv2d` may use Winograd's algorithm. For benchmarks and for doubts."""
    global _winograd
    _winograd = enabled


class LeakyReLU(NamedTuple):
    """clip(leaky(v), -clamp, clamp); slope from 0 to 1, clamp infinity: no clipping."""

    slope: float = 0.2
    clamp: float = math.inf


LINEAR = LeakyReLU(1.0)


class Form(NamedTuple):
    """Sizes of a convolution's input and kernel, and how it goes over the input.

    blur: 4 taps along each axis, over the input with `padding` zeros around it; the convolution has none of its own.
    """

    height: int
    width: int
    kernel_y: int
    kernel_x: int
    stride: int
    padding: int
    blur: Side | None = None

    def results(self, size: int, kernel: int) -> int:
        """Samples that come out along an axis of `size` samples."""
        blurred = 0 if self.blur is None else BLUR - 1
        return (size + 2 * self.padding - blurred - kernel) // self.stride + 1

    def arguments(self, input_gradient: bool) -> tuple[Any, ...]:
        """What aten::convolution_backward wants behind its tensors, to return one of its gradients."""
        twice = [self.stride] * 2, [self.padding] * 2, [1, 1]
        return None, *twice, False, [0, 0], 1, [input_gradient, not input_gradient, False]


BLUR = 4
"""Taps of the blur that one operation makes with the convolution behind it, along each axis."""


def by_winograd(n: int, inputs: int, outputs: int, form: Form) -> bool:
    """Whether Winograd's algorithm is the faster one for n pictures and so many channels (benchmarks.convolutions).

    Not where there are so few channels that moving the transformed samples takes longer than the products (8 x 8),
    nor where so few tiles share the transformed weights that reading these (4 times the weights) does.
    """
    if form.kernel_y != 3 or form.kernel_x != 3 or form.stride != 1 or form.padding > 2 or not _winograd:
        return False
    height, width = form.height + 2 * form.padding - 2, form.width + 2 * form.padding - 2
    if min(inputs, outputs) < 8 or inputs * outputs < 96 or height < 1 or width < 1:
        return False
    tiles = n * -(-height // 4) * -(-width // 4)
    return tiles >= (16 if inputs * outputs <= 128**2 else 32)


def by_blurred(n: int, inputs: int, outputs: int, height: int, width: int) -> bool:
    """Whether blur and 3 x 3 convolution with stride 2 are faster as one operation, to height x width results."""
    if not _winograd or height < 1 or width < 1:
        return False
    return n * -(-height // 4) * -(-width // 4) >= (8 if inputs * outputs <= 128**2 else 32)


def by_products(outputs: int, form: Form) -> bool:
    """Whether a 1 x 1 convolution is a matrix product of ours: oneDNN is as fast, but torch asks it only sometimes.

    Not for a few outputs, as of toRGB: half a register does not pay.
    """
    return form.kernel_y == form.kernel_x == form.stride == 1 and form.padding == 0 and outputs >= 8


def convolved(x: Tensor, w: Tensor, bias: Tensor | None, form: Form, act: LeakyReLU = LINEAR) -> Tensor:
    """act(x (N, I, H, W) correlated with w (O, I, k, k) + bias (O,))."""
    outputs = len(w)
    if form.blur is not None:
        return _blurred_products(x, w, bias, form, act)
    if by_winograd(len(x), x.shape[1], outputs, form):
        return _winograd_products(x, w, bias, outputs, form.padding, False, act)
    if by_products(outputs, form):
        return _products(x, w, bias, outputs, False, act)
    y = F.conv2d(channels_last(x), w, bias, form.stride, form.padding)
    if act != LINEAR:
        y = channels_last(y)
        call("act", y.dtype, y, y, y.numel(), act.slope, 1.0, act.clamp)
    return y


def input_gradient(g: Tensor, w: Tensor, form: Form) -> Tensor:
    """Of `convolved` by x, along g (N, O, H', W')."""
    inputs = w.shape[1]
    size = (len(g), inputs, form.height, form.width)
    if form.blur is not None:
        g, x = channels_last(g), torch.empty(size, dtype=g.dtype, memory_format=torch.channels_last)
        call("blurred_input", g.dtype, form.blur.taps, g, w.contiguous(), x, *_sizes(len(g), w, form))
        return x
    if by_winograd(len(g), inputs, len(w), form):  # the weight turned by half a turn, over g
        return _winograd_products(g, w, None, inputs, 2 - form.padding, True)
    if by_products(len(w), form):
        return _products(g, w, None, inputs, True)
    # of x, shape and order alone are looked at
    x = g.new_empty(1).expand(size)
    if min(inputs, len(w)) >= 8:
        x = torch.empty(size, dtype=g.dtype, memory_format=torch.channels_last)
    return torch.ops.aten.convolution_backward(channels_last(g), x, w, *form.arguments(True))[0]


def weight_gradient(x: Tensor, g: Tensor, form: Form) -> Tensor:
    """Of `convolved` by w, along g (N, O, H', W')."""
    (n, inputs), outputs = x.shape[:2], g.shape[1]
    found = torch.empty((outputs, inputs, form.kernel_y, form.kernel_x), dtype=x.dtype)
    if form.blur is not None:
        x, g = channels_last(x), channels_last(g)
        call("blurred_weight", x.dtype, form.blur.taps, x, g, found, *_sizes(n, found, form))
        return found
    if by_products(outputs, form) and outputs >= 16:
        x, g = channels_last(x), channels_last(g)
        call("dense_weight", x.dtype, x, g, found, n * form.height * form.width, inputs, outputs)
        return found
    if by_winograd(n, inputs, outputs, form):
        x, g = channels_last(x), channels_last(g)
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


def _winograd_products(
    x: Tensor, w: Tensor, bias: Tensor | None, outputs: int, padding: int, turned: bool, act: LeakyReLU = LINEAR
) -> Tensor:
    (n, inputs, height, width), x = x.shape, channels_last(x)
    size = (n, outputs, height + 2 * padding - 2, width + 2 * padding - 2)
    y = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last)
    w, bias = w.contiguous(), None if bias is None else bias.contiguous()
    call("winograd", x.dtype, x, w, bias, y, *act, n, height, width, padding, inputs, outputs, int(turned))
    return y


def _products(
    x: Tensor, w: Tensor, bias: Tensor | None, outputs: int, swapped: bool, act: LeakyReLU = LINEAR
) -> Tensor:
    (n, inputs, height, width), x = x.shape, channels_last(x)
    y = torch.empty((n, outputs, height, width), dtype=x.dtype, memory_format=torch.channels_last)
    w, bias = w.contiguous(), None if bias is None else bias.contiguous()
    call("dense", x.dtype, x, w, bias, y, *act, n * height * width, inputs, outputs, int(swapped))
    return y


def _blurred_products(x: Tensor, w: Tensor, bias: Tensor | None, form: Form, act: LeakyReLU) -> Tensor:
    assert form.blur is not None
    x, w, bias = channels_last(x), w.contiguous(), None if bias is None else bias.contiguous()
    size = (len(x), len(w), form.results(form.height, 3), form.results(form.width, 3))
    y = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last)
    call("blurred", x.dtype, form.blur.taps, x, w, bias, y, *act, *_sizes(len(x), w, form))
    return y


def _sizes(n: int, w: Tensor, form: Form) -> tuple[int, ...]:
    """As the blurred operations want them: pictures, height, width, padding, channels in and out."""
    return n, form.height, form.width, form.padding, w.shape[1], w.shape[0]
