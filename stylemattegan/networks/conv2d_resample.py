"""Convolution with resampling around it, as StyleGAN2's networks use it (Karras et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stylemattegan.ops import bias_act, upfirdn2d
from stylemattegan.ops.convolution import blurred_conv2d, conv2d
from stylemattegan.ops.convolution_algorithms import LeakyReLU
from stylemattegan.ops.geometry import parse_padding


def conv2d_resample(
    x: Float[Tensor, "n i h w"],
    w: Float[Tensor, "o _ kh kw"],
    f: Float[Tensor, "fh fw"] | Float[Tensor, " fw"] | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    groups: int = 1,
    flip_weight: bool = True,
    bias: Float[Tensor, " o"] | None = None,
    act: LeakyReLU | None = None,
) -> Float[Tensor, "n o _ _"]:
    """Enlarge x (N, C, H, W) `up` times with the filter f, correlate with w (O, C / groups, k, k), shrink `down` times.

    padding: int, [x, y] or [x before, x after, y before, y after], on the upsampled grid, negative crops; the filters'
    own margins come on top, so that the picture stays centred. flip_weight: True correlates, False convolves.
    bias, act: of the result.
    """
    if not flip_weight:
        w = w.flip([2, 3])
    if up == down == 1:
        return _padded(x, w, bias, parse_padding(padding), groups, act)
    if f is None:
        raise ValueError(f"up={up} and down={down} need a filter")
    pads = _with_margins(parse_padding(padding), (f.shape[-1], f.shape[0]), up, down)
    if up == 1 and w.shape[-1] == w.shape[-2] == 1:  # the filter before the 1x1 convolution: fewer pixels
        return _conv2d(upfirdn2d(x, f, down=down, padding=pads), w, bias, groups=groups, act=act)
    if up == 1 and groups == 1:  # filter and convolution commute
        return blurred_conv2d(x, f, w, bias, down, pads, act=act)
    x = upfirdn2d(x, f, up=up, padding=pads, gain=up**2)
    if up == 1 or down == 1:
        return _conv2d(x, w, bias, stride=down, groups=groups, act=act)
    y = upfirdn2d(_conv2d(x, w, groups=groups), f, down=down)
    return _activated(y if bias is None else y + bias[:, None, None], act)


def _with_margins(pads: Sequence[int], taps: tuple[int, int], up: int, down: int) -> list[int]:
    """`pads` and what `upsample2d` and `downsample2d` add of their own: T - 1 samples up, T - D down."""
    out = []
    for (before, after), n in zip((pads[:2], pads[2:]), taps, strict=True):
        if up > 1:
            before, after = before + (n + up - 1) // 2, after + (n - up) // 2
        if down > 1:
            before, after = before + (n - down + 1) // 2, after + (n - down) // 2
        out += [before, after]
    return out


def _padded(
    x: Tensor, w: Tensor, bias: Tensor | None, pads: tuple[int, int, int, int], groups: int, act: LeakyReLU | None
) -> Tensor:
    x0, x1, y0, y1 = pads
    if x0 == x1 >= 0 and y0 == y1 >= 0:
        return _conv2d(x, w, bias, padding=(y0, x0), groups=groups, act=act)
    return _conv2d(F.pad(x, pads), w, bias, groups=groups, act=act)


def _conv2d(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    groups: int = 1,
    act: LeakyReLU | None = None,
) -> Tensor:
    if groups == 1:
        return conv2d(x, w, bias, stride, padding, act=act)
    return _activated(F.conv2d(x, w, bias, stride, padding, groups=groups), act)


def _activated(y: Tensor, act: LeakyReLU | None) -> Tensor:
    if act is None:
        return y
    return bias_act(y, act="lrelu", alpha=act.slope, gain=1.0, clamp=None if math.isinf(act.clamp) else act.clamp)
