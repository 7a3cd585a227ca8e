"""Upsample with zeros, pad or crop, filter (FIR), decimate: the one resampling op of the StyleGAN family."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from stylemattegan.ops import compiled
from stylemattegan.ops.geometry import axes, pair, parse_padding
from stylemattegan.ops.implementation import ENGINES, chosen, running, widened
from stylemattegan.ops.upfirdn2d_torch import LARGEST, apply_matrices, by_convolution, by_definition, matrices


def upfirdn2d(
    x: Float[Tensor, "n c h w"],
    f: Float[Tensor, " taps"] | Float[Tensor, "taps_y taps_x"] | None,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Float[Tensor, "n c _ _"]:
    """Resample x (N, C, H, W) with the filter f: (taps,) separable, (taps_y, taps_x), or None for the identity.

    Along each axis, with T taps, p samples of padding before, and zeros between and around the samples of x:
    y[n] = sum_k f[T - 1 - k] x_up[n down + k - p], x_up[m up] = x[m]  (f[k] if flip_filter; see `geometry`).

    up, down: int or [x, y]. padding: int, [x, y] or [x before, x after, y before, y after], on the upsampled grid,
    negative crops. flip_filter: False convolves, True correlates. gain scales the 2-D response.
    Output size per axis: floor((size * up + before + after - taps) / down) + 1. Twice differentiable in x.
    """
    axis_x, axis_y = axes(up, down, padding)
    if f is None:
        f = _identity(x.device)
    taps_y, taps_x = f.shape[0], f.shape[-1]
    height, width = axis_y.size(x.shape[2], taps_y), axis_x.size(x.shape[3], taps_x)
    if height < 1 or width < 1:
        raise ValueError(f"nothing is left of {tuple(x.shape[2:])} with padding {padding} and {taps_y}x{taps_x} taps")
    how = chosen(impl, x)
    if widened(how, x):
        return upfirdn2d(x.float(), f, up, down, padding, flip_filter, gain, impl).to(x.dtype)
    if how == "reference":
        return by_definition(x, f, axis_x, axis_y, flip_filter, gain)
    if how in ENGINES:
        return compiled.resample(x, f, axis_x, axis_y, flip_filter, gain, running(how))
    if max(*x.shape[2:], height, width) <= LARGEST:
        pairs = matrices(f, axis_x, axis_y, x.shape[3], x.shape[2], flip_filter, gain, x.dtype, x.device)
        if pairs is not None:
            return apply_matrices(x, pairs)
    return by_convolution(x, f, axis_x, axis_y, flip_filter, gain)


_identities: dict[torch.device, Tensor] = {}


def _identity(device: torch.device) -> Float[Tensor, 1]:
    if device not in _identities:
        with torch.inference_mode(False):
            _identities[device] = torch.ones(1, device=device)
    return _identities[device]


# --- wrappers that keep the picture centred


def _centred(padding: int | Sequence[int], before: Sequence[int], after: Sequence[int]) -> list[int]:
    x0, x1, y0, y1 = parse_padding(padding)
    return [x0 + before[0], x1 + after[0], y0 + before[1], y1 + after[1]]


def _taps(f: Tensor | None) -> tuple[int, int]:
    return (1, 1) if f is None else (f.shape[-1], f.shape[0])


def filter2d(
    x: Float[Tensor, "n c h w"],
    f: Float[Tensor, " taps"] | Float[Tensor, "taps_y taps_x"] | None,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Float[Tensor, "n c _ _"]:
    """Filter at the same size (plus `padding`)."""
    taps = _taps(f)
    # T // 2 + (T - 1) // 2 = T - 1: as many samples come out as go in. Sample o looks at o, or o - 1/2 if T is even.
    pads = _centred(padding, [t // 2 for t in taps], [(t - 1) // 2 for t in taps])
    return upfirdn2d(x, f, padding=pads, flip_filter=flip_filter, gain=gain, impl=impl)


def upsample2d(
    x: Float[Tensor, "n c h w"],
    f: Float[Tensor, " taps"] | Float[Tensor, "taps_y taps_x"] | None,
    up: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Float[Tensor, "n c _ _"]:
    """Enlarge `up` times (plus `padding`), at equal brightness."""
    taps, ups = _taps(f), pair(up)
    # (T + U - 1) // 2 + (T - U) // 2 = T - 1: size U samples come out. Sample i of x becomes the U samples about
    # i U + (U - 1) / 2 if T - U is even, else half a sample later.
    before = [(t + u - 1) // 2 for t, u in zip(taps, ups, strict=True)]
    pads = _centred(padding, before, [(t - u) // 2 for t, u in zip(taps, ups, strict=True)])
    return upfirdn2d(x, f, up=up, padding=pads, flip_filter=flip_filter, gain=gain * ups[0] * ups[1], impl=impl)


def downsample2d(
    x: Float[Tensor, "n c h w"],
    f: Float[Tensor, " taps"] | Float[Tensor, "taps_y taps_x"] | None,
    down: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Float[Tensor, "n c _ _"]:
    """Shrink `down` times (plus `padding`)."""
    taps, downs = _taps(f), pair(down)
    # (T - D + 1) // 2 + (T - D) // 2 = T - D: size // D samples come out. Sample o looks at the D samples about
    # o D + (D - 1) / 2 if T - D is even, else half a sample earlier.
    before = [(t - d + 1) // 2 for t, d in zip(taps, downs, strict=True)]
    pads = _centred(padding, before, [(t - d) // 2 for t, d in zip(taps, downs, strict=True)])
    return upfirdn2d(x, f, down=down, padding=pads, flip_filter=flip_filter, gain=gain, impl=impl)
