"""The alias-free non-linearity of StyleGAN3: scale, bias, upsample, leaky ReLU, clip, downsample.

The C++ form (csrc/chain.h) takes 16 channels at a time (float32, AVX-512) and makes upsampled rows one by one; only as
many rows as the filters span exist at once. The CUDA form (csrc/kernels/filtered.h) makes tiles in shared memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from stylemattegan.ops import filtered_lrelu_torch as plain
from stylemattegan.ops.cpu import channels_last
from stylemattegan.ops.engine import AxisPlan, Chain, Engine, side
from stylemattegan.ops.filtered_lrelu_torch import Settings, chain_of, composed
from stylemattegan.ops.functions import FilteredLeakyReLU
from stylemattegan.ops.implementation import ENGINES, chosen, running
from stylemattegan.ops.upfirdn2d import parse_padding, plans
from stylemattegan.ops.upfirdn2d_torch import Axis


def filtered_lrelu(
    x: Tensor,
    fu: Tensor | None = None,
    fd: Tensor | None = None,
    b: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    gain: float = math.sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
    scale: Tensor | None = None,
    impl: str | None = None,
) -> Tensor:
    """x (N, C, H, W) * scale (N, C) + b (C,) -> FIR fu at `up` times the rate -> gain * leaky ReLU, clipped to +-clamp
    -> FIR fd -> every `down`-th sample.

    The bias comes before the zero insertion, so padding is true zero. Filters as in `upfirdn2d`. gain > 0.
    cpu, cuda: derivatives of every order are made of the same kernels. torch: has a first derivative of its own on the
    CPU; asked for a second it differentiates the plain composition.
    """
    if gain <= 0:
        raise ValueError(f"gain={gain}: expected a positive number")
    settings = Settings(fu, fd, up, down, parse_padding(padding), gain, slope, clamp, flip_filter)
    how = chosen(impl, x)
    if how in ENGINES:
        return compiled(x, scale, b, settings, running(how))
    if how == "torch" and x.device.type == "cpu":
        chain = chain_of(x, settings)
        if chain is not None:
            return plain.FilteredLeakyReLU.apply(channels_last(x), scale, b, chain, settings)
    return composed(x, scale, b, settings, how)


def compiled(x: Tensor, scale: Tensor | None, b: Tensor | None, settings: Settings, engine: Engine) -> Tensor:
    """By the kernels of `engine`."""
    fu, fd, up, down, (x0, x1, y0, y1), gain, slope, clamp, flip = settings
    up_y, up_x = plans(x.shape, _taps(fu), Axis(up, 1, x0, x1), Axis(up, 1, y0, y1))
    down_y, down_x = plans((up_y.out, up_x.out), _taps(fd), Axis(1, down, 0, 0), Axis(1, down, 0, 0))
    _demand_samples(x, up_y, up_x, down_y, down_x)
    # gain * leaky(x) = leaky(gain * x): both gains go into the up filter
    chain = Chain(
        side(engine, fu, up_y, up_x, flip, up**2 * gain, x),
        side(engine, fd, down_y, down_x, flip, 1.0, x),
        slope,
        math.inf if clamp is None else clamp,
    )
    scale, b = (None if t is None else t.to(x.dtype) for t in (scale, b))
    return FilteredLeakyReLU.apply(x, scale, b, chain)


def _taps(f: Tensor | None) -> tuple[int, int]:
    return (1, 1) if f is None else (f.shape[0], f.shape[-1])


def _demand_samples(x: Tensor, *axes: AxisPlan) -> None:
    if min(axis.out for axis in axes) < 1:
        raise ValueError(f"nothing is left of {tuple(x.shape[2:])} after the filters: expected more padding")
