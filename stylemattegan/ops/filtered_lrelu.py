"""The alias-free non-linearity of StyleGAN3: scale, bias, upsample, leaky ReLU, clip, downsample (Karras et al. 2021,
section 3.1: the non-linearity acts on a finer grid, and what the coarse one cannot hold is filtered away).

The C++ form (csrc/chain.h) takes 16 channels at a time (float32, AVX-512) and makes upsampled rows one by one; only as
many rows as the filters span exist at once. The CUDA form (csrc/kernels/filtered.h) makes tiles in shared memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from stylemattegan.ops import compiled
from stylemattegan.ops import filtered_lrelu_torch as plain
from stylemattegan.ops.cpu import channels_last
from stylemattegan.ops.filtered_lrelu_torch import chain_of, composed
from stylemattegan.ops.geometry import Settings, parse_padding
from stylemattegan.ops.implementation import ENGINES, chosen, running, widened


def filtered_lrelu(
    x: Float[Tensor, "n c h w"],
    fu: Float[Tensor, " taps"] | Float[Tensor, "taps_y taps_x"] | None = None,
    fd: Float[Tensor, " down_taps"] | Float[Tensor, "down_taps_y down_taps_x"] | None = None,
    b: Float[Tensor, " c"] | None = None,
    up: int = 1,
    down: int = 1,
    padding: int | Sequence[int] = 0,
    gain: float = math.sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
    scale: Float[Tensor, "n c"] | None = None,
    impl: str | None = None,
) -> Float[Tensor, "n c _ _"]:
    """x (N, C, H, W) * scale (N, C) + b (C,) -> FIR fu at `up` times the rate -> gain * leaky ReLU, clipped to +-clamp
    -> FIR fd -> every `down`-th sample. Along one axis, with T taps of fu, p samples of padding before:

        u[m] = up sum_k fu[T - 1 - k] z[m + k - p],  z[i up] = x[i] scale + b, else 0      (on the fine grid)
        y[o] = sum_k fd[T' - 1 - k] clip(gain leaky(u[o down + k]), -clamp, clamp)         (without padding)

    Size of y: floor((size up + before + after - T + 1 - T') / down) + 1. flip_filter: fu[k] and fd[k]. The bias comes
    before the zero insertion, so padding is true zero. Filters as in `upfirdn2d`. gain > 0.
    cpu, cuda: derivatives of every order are made of the same kernels. torch: has a first derivative of its own on the
    CPU; asked for a second it differentiates the plain composition.
    """
    if gain <= 0:
        raise ValueError(f"gain={gain}: expected a positive number")
    settings = Settings(fu, fd, up, down, parse_padding(padding), gain, slope, clamp, flip_filter)
    how = chosen(impl, x)
    if widened(how, x):
        y = filtered_lrelu(x.float(), fu, fd, b, up, down, padding, gain, slope, clamp, flip_filter, scale, impl)
        return y.to(x.dtype)
    if how in ENGINES:
        return compiled.filtered_lrelu(x, scale, b, settings, running(how))
    if how == "torch" and x.device.type == "cpu":
        chain = chain_of(x, settings)
        if chain is not None:
            return plain.FilteredLeakyReLU.apply(channels_last(x), scale, b, chain, settings)
    return composed(x, scale, b, settings, how)
