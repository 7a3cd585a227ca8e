"""Convolution whose input channels a style scales per sample (Karras et al. 2020, "Analyzing StyleGAN", eq. 1-3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stylemattegan.ops.convolution import conv2d
from stylemattegan.ops.functions import ScalePlanes
from stylemattegan.ops.implementation import chosen


def modulated_conv2d(
    x: Float[Tensor, "n i h w"],
    w: Float[Tensor, "o i kh kw"],
    s: Float[Tensor, "n i"],
    demodulate: bool = True,
    padding: int | tuple[int, int] = 0,
    input_gain: Float[Tensor, ""] | Float[Tensor, " i"] | Float[Tensor, "n i"] | None = None,
    impl: str | None = None,
) -> Float[Tensor, "n o _ _"]:
    """Correlate x (N, I, H, W) with w (O, I, k, k) scaled by the style s (N, I); returns (N, O, H', W').

    demodulate: scale each output so that unit-variance input gives unit variance, W' = W / sqrt(sum W^2 + 1e-8) with
    W = w s. The weight and the style are brought to unit second moment first, each sample alone, which the
    demodulation cancels but for its 1e-8. input_gain: scalar, (I,) or (N, I), applied to x after all that.

    reference: one weight per sample, N convolutions. Else one shared weight; the style scales the input, the
    demodulation the output, d[n, o] = rsqrt(sum_i (sum_k w^2)[o, i] s^2[n, i] + 1e-8).
    """
    if demodulate:
        w, s = unit_weight(w), unit_style(s)
    if chosen(impl, x) == "reference":
        return _per_sample(x, w, s, demodulate, padding, input_gain)
    y = styled_conv2d(x, w, s, padding, input_gain, impl)
    return scale_planes(y, demodulation(w, s), impl) if demodulate else y


def unit_weight(w: Float[Tensor, "o i kh kw"]) -> Float[Tensor, "o i kh kw"]:
    """w (O, I, k, k) at unit mean square per output."""
    return w * w.square().mean([1, 2, 3], keepdim=True).rsqrt()


def unit_style(s: Float[Tensor, "n i"]) -> Float[Tensor, "n i"]:
    """s (N, I) at unit mean square per sample."""
    return s * s.square().mean(1, keepdim=True).rsqrt()


def demodulation(w: Float[Tensor, "o i kh kw"], s: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
    """d (N, O) for weight w (O, I, k, k) and style s (N, I)."""
    return (s.square() @ w.square().sum([2, 3]).t() + 1e-8).rsqrt()


def _per_sample(
    x: Float[Tensor, "n i h w"],
    w: Float[Tensor, "o i kh kw"],
    s: Float[Tensor, "n i"],
    demodulate: bool,
    padding: int | tuple[int, int],
    input_gain: Float[Tensor, ""] | Float[Tensor, " i"] | Float[Tensor, "n i"] | None,
) -> Float[Tensor, "n o _ _"]:
    out = []
    for n in range(len(x)):
        weight = w * s[n][None, :, None, None]
        if demodulate:
            weight = weight * (weight.square().sum([1, 2, 3], keepdim=True) + 1e-8).rsqrt()
        if input_gain is not None:
            gain = input_gain.expand(s.shape)[n]
            weight = weight * gain[None, :, None, None]
        out.append(F.conv2d(x[n : n + 1], weight, padding=padding))
    return torch.cat(out)


def styled_conv2d(
    x: Float[Tensor, "n i h w"],
    w: Float[Tensor, "o i kh kw"],
    s: Float[Tensor, "n i"],
    padding: int | tuple[int, int] = 0,
    input_gain: Float[Tensor, ""] | Float[Tensor, " i"] | Float[Tensor, "n i"] | None = None,
    impl: str | None = None,
) -> Float[Tensor, "n o _ _"]:
    """The shared-weight form without its output scale (`demodulation`), which a following op may take over."""
    x = scale_planes(x, s if input_gain is None else s * input_gain, impl)
    return conv2d(x, w.to(x.dtype), padding=padding, impl=impl)


def scale_planes(
    x: Float[Tensor, "n c h w"], s: Float[Tensor, "n c"], impl: str | None = None
) -> Float[Tensor, "n c h w"]:
    """x (N, C, H, W) times s (N, C)."""
    s = s.to(x.dtype)
    if chosen(impl, x) == "cpu":
        return ScalePlanes.apply(x, s)
    return x * s[:, :, None, None]
