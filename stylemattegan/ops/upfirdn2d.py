"""Upsample with zeros, pad or crop, filter (FIR), decimate: the one resampling op of the StyleGAN family."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stylemattegan.ops.engine import AxisPlan, Engine, side
from stylemattegan.ops.functions import Resample
from stylemattegan.ops.implementation import ENGINES, chosen, running
from stylemattegan.ops.upfirdn2d_torch import LARGEST, Axis, apply_matrices, by_convolution, by_definition, matrices


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    """(x, y) from one number or two."""
    x, y = (value, value) if isinstance(value, int) else value
    return int(x), int(y)


def parse_padding(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    """(x before, x after, y before, y after) from one number, [x, y] or all four."""
    if isinstance(padding, int):
        padding = [padding] * 2
    if len(padding) == 2:
        padding = [padding[0], padding[0], padding[1], padding[1]]
    x0, x1, y0, y1 = (int(p) for p in padding)
    return x0, x1, y0, y1


def _axes(up: int | Sequence[int], down: int | Sequence[int], padding: int | Sequence[int]) -> tuple[Axis, Axis]:
    (ux, uy), (dx, dy), (x0, x1, y0, y1) = _pair(up), _pair(down), parse_padding(padding)
    return Axis(ux, dx, x0, x1), Axis(uy, dy, y0, y1)


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Tensor:
    """Resample x (N, C, H, W) with the filter f: (taps,) separable, (taps_y, taps_x), or None for the identity.

    up, down: int or [x, y]. padding: int, [x, y] or [x before, x after, y before, y after], on the upsampled grid,
    negative crops. flip_filter: False convolves, True correlates. gain scales the 2-D response.
    Output size per axis: floor((size * up + before + after - taps) / down) + 1. Twice differentiable in x.
    """
    axis_x, axis_y = _axes(up, down, padding)
    if f is None:
        f = _identity(x.device)
    taps_y, taps_x = f.shape[0], f.shape[-1]
    height, width = axis_y.size(x.shape[2], taps_y), axis_x.size(x.shape[3], taps_x)
    if height < 1 or width < 1:
        raise ValueError(f"nothing is left of {tuple(x.shape[2:])} with padding {padding} and {taps_y}x{taps_x} taps")
    how = chosen(impl, x)
    if how == "reference":
        return by_definition(x, f, axis_x, axis_y, flip_filter, gain)
    if how in ENGINES:
        return compiled(x, f, axis_x, axis_y, flip_filter, gain, running(how))
    if max(*x.shape[2:], height, width) <= LARGEST:
        pairs = matrices(f, axis_x, axis_y, x.shape[3], x.shape[2], flip_filter, gain, x.dtype, x.device)
        if pairs is not None:
            return apply_matrices(x, pairs)
    return by_convolution(x, f, axis_x, axis_y, flip_filter, gain)


_identities: dict[torch.device, Tensor] = {}


def _identity(device: torch.device) -> Tensor:
    if device not in _identities:
        with torch.inference_mode(False):
            _identities[device] = torch.ones(1, device=device)
    return _identities[device]


def plans(shape: Sequence[int], taps: tuple[int, int], axis_x: Axis, axis_y: Axis) -> tuple[AxisPlan, AxisPlan]:
    """What happens along y and along x of a picture (..., H, W); taps (y, x)."""
    return (
        AxisPlan(axis_y.up, axis_y.down, axis_y.before, shape[-2], axis_y.size(shape[-2], taps[0])),
        AxisPlan(axis_x.up, axis_x.down, axis_x.before, shape[-1], axis_x.size(shape[-1], taps[1])),
    )


def compiled(
    x: Tensor, f: Tensor, axis_x: Axis, axis_y: Axis, flip_filter: bool, gain: float, engine: Engine
) -> Tensor:
    """By the kernels of `engine`."""
    y_plan, x_plan = plans(x.shape, (f.shape[0], f.shape[-1]), axis_x, axis_y)
    return Resample.apply(x, side(engine, f, y_plan, x_plan, flip_filter, gain, x))


# --- wrappers that keep the picture centred


def _centred(padding: int | Sequence[int], before: Sequence[int], after: Sequence[int]) -> list[int]:
    x0, x1, y0, y1 = parse_padding(padding)
    return [x0 + before[0], x1 + after[0], y0 + before[1], y1 + after[1]]


def _taps(f: Tensor | None) -> tuple[int, int]:
    return (1, 1) if f is None else (f.shape[-1], f.shape[0])


def filter2d(
    x: Tensor,
    f: Tensor | None,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Tensor:
    """Filter at the same size (plus `padding`)."""
    taps = _taps(f)
    pads = _centred(padding, [t // 2 for t in taps], [(t - 1) // 2 for t in taps])
    return upfirdn2d(x, f, padding=pads, flip_filter=flip_filter, gain=gain, impl=impl)


def upsample2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Tensor:
    """Enlarge `up` times (plus `padding`), at equal brightness."""
    taps, ups = _taps(f), _pair(up)
    before = [(t + u - 1) // 2 for t, u in zip(taps, ups, strict=True)]
    pads = _centred(padding, before, [(t - u) // 2 for t, u in zip(taps, ups, strict=True)])
    return upfirdn2d(x, f, up=up, padding=pads, flip_filter=flip_filter, gain=gain * ups[0] * ups[1], impl=impl)


def downsample2d(
    x: Tensor,
    f: Tensor | None,
    down: int | Sequence[int] = 2,
    padding: int | Sequence[int] = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    impl: str | None = None,
) -> Tensor:
    """Shrink `down` times (plus `padding`)."""
    taps, downs = _taps(f), _pair(down)
    before = [(t - d + 1) // 2 for t, d in zip(taps, downs, strict=True)]
    pads = _centred(padding, before, [(t - d) // 2 for t, d in zip(taps, downs, strict=True)])
    return upfirdn2d(x, f, down=down, padding=pads, flip_filter=flip_filter, gain=gain, impl=impl)
