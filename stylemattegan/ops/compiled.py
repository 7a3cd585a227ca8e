"""The resampling and the filtered leaky ReLU by the kernels of a compiled engine (cpu.py, cuda.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from stylemattegan.ops.engine import AxisPlan, Chain, Engine, side
from stylemattegan.ops.functions import FilteredLeakyReLU, Resample
from stylemattegan.ops.geometry import Axis, Settings


def plans(shape: Sequence[int], taps: tuple[int, int], axis_x: Axis, axis_y: Axis) -> tuple[AxisPlan, AxisPlan]:
    """What happens along y and along x of a picture (..., H, W); taps (y, x)."""
    return (
        AxisPlan(axis_y.up, axis_y.down, axis_y.before, shape[-2], axis_y.size(shape[-2], taps[0])),
        AxisPlan(axis_x.up, axis_x.down, axis_x.before, shape[-1], axis_x.size(shape[-1], taps[1])),
    )


def resample(
    x: Float[Tensor, "n c h w"],
    f: Float[Tensor, " taps"] | Float[Tensor, "taps_y taps_x"],
    axis_x: Axis,
    axis_y: Axis,
    flip_filter: bool,
    gain: float,
    engine: Engine,
) -> Float[Tensor, "n c _ _"]:
    """By the kernels of `engine`."""
    y_plan, x_plan = plans(x.shape, (f.shape[0], f.shape[-1]), axis_x, axis_y)
    return Resample.apply(x, side(engine, f, y_plan, x_plan, flip_filter, gain, x))


def filtered_lrelu(
    x: Float[Tensor, "n c h w"],
    scale: Float[Tensor, "n c"] | None,
    b: Float[Tensor, " c"] | None,
    settings: Settings,
    engine: Engine,
) -> Float[Tensor, "n c _ _"]:
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
