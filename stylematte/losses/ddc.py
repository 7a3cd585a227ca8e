"""Directional distance consistency loss (arXiv 2408.10539), and the loss on the known pixels of a trimap.

Similar colours have similar alphas, and differ in alpha by their distance in colour: Liu et al., "Training Matting
Models without Alpha Labels". With T_i the k pixels j of the window
around i with the smallest d_ij = ||I_i - I_j||_2 (RGB in [0, 1], so d <= sqrt 3), x_ij = alpha_i - alpha_j and s_i the
local contrast |F - B| (mean of the k brightest minus mean of the k darkest lumas of the window), a pixel costs

    ddc      (1/k) sum_{j in T_i} | x_ij - d_ij |            the paper
    scaled   (1/k) sum_{j in T_i} | x_ij s_i - d_ij |        Yang et al., "MatAnyone" (CVPR 2025), equation 5
    hinge    (1/k) sum_{j in T_i} max(0, |x_ij| s_i - d_ij)  ours: alpha may not differ by more than colour, no sign

and the loss is the mean over the pixels. The reference multiplies by 10; here that is the weight of the term (10
reproduces the paper, about 2 suits small networks). Pictures have no gradient: only alpha learns.

A constant matte has x = 0 and reaches the `floor` mean d (hinge: 0), which depends on the picture alone: compare
pictures by `excess` = value - floor. It is no lower bound: a matte that follows the colours in the right direction
lies below it. With border "zero" the frame has alpha 0, so a matte of another constant differs from the floor where
black outside the picture is among the nearest colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from stylematte.config import DdcBorder, DdcConfig, DdcRegion, DdcVariant
from stylematte.ops import neighbours as nb

PAPER = DdcConfig(DdcVariant.ddc, 11, 11, DdcBorder.zero, include_self=True, region=DdcRegion.all, warmup=0)
"""As the paper measures it."""


class Sweep(NamedTuple):
    """How the loss is computed; but for ties, what comes out does not depend on it."""

    stable_ties: bool = False
    """The same neighbours on every machine."""
    band_rows: int = 0
    """Rows of the batch worked on at once; 0: what fits a cache."""
    reference: bool = False
    """The slow, obvious version."""


FAST = Sweep()


def ddc(
    image: Float[Tensor, "n 3 h w"],
    alpha: Float[Tensor, "n 1 h w"],
    trimap: Float[Tensor, "n 1 h w"] | None = None,
    config: DdcConfig = PAPER,
    sweep: Sweep = FAST,
) -> Float[Tensor, " n"]:
    """Consistency of alpha with image, both in [0, 1], of each sample: float32 also under autocast.

    trimap, in {0, 1/2, 1}, is needed for region "unknown" only, which is 0 where nothing is unknown. Float64 stays
    float64. Raises ValueError.
    """
    return ddc_and_floor(image, alpha, trimap, config, sweep)[0]


def floor(
    image: Float[Tensor, "n 3 h w"],
    trimap: Float[Tensor, "n 1 h w"] | None = None,
    config: DdcConfig = PAPER,
    sweep: Sweep = FAST,
) -> Float[Tensor, " n"]:
    """What a constant matte reaches on this picture: the mean distance d; 0 for "hinge". Raises ValueError."""
    with torch.no_grad():
        return ddc_and_floor(image, torch.zeros_like(image[:, :1]), trimap, config, sweep)[1]


def excess(
    image: Float[Tensor, "n 3 h w"],
    alpha: Float[Tensor, "n 1 h w"],
    trimap: Float[Tensor, "n 1 h w"] | None = None,
    config: DdcConfig = PAPER,
    sweep: Sweep = FAST,
) -> Float[Tensor, " n"]:
    """`ddc` - `floor` in one pass; the gradient is that of `ddc`. Raises ValueError."""
    value, lowest = ddc_and_floor(image, alpha, trimap, config, sweep)
    return value - lowest


def ddc_and_floor(
    image: Float[Tensor, "n 3 h w"],
    alpha: Float[Tensor, "n 1 h w"],
    trimap: Float[Tensor, "n 1 h w"] | None = None,
    config: DdcConfig = PAPER,
    sweep: Sweep = FAST,
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Both for the price of one: `ddc` with a gradient, `floor` without. Raises ValueError."""
    _check(image, alpha, trimap, config, sweep)
    image, alpha = _exact(image.detach(), alpha), _exact(alpha, image)
    weight = _region_weight(alpha, trimap, config.region)
    if sweep.reference:
        from stylematte.losses.ddc_reference import reference_maps

        value_map, floor_map = reference_maps(image, alpha, config, sweep.stable_ties)
        value_map, floor_map = (torch.where(weight > 0, part, 0.0) for part in (value_map, floor_map))
        return (value_map * weight).flatten(1).sum(1), (floor_map * weight).flatten(1).sum(1).detach()
    return _Consistency.apply(alpha, image, weight, config, sweep)


def ddc_maps(
    image: Float[Tensor, "n 3 h w"],
    alpha: Float[Tensor, "n 1 h w"],
    trimap: Float[Tensor, "n 1 h w"] | None = None,
    config: DdcConfig = PAPER,
    sweep: Sweep = FAST,
) -> tuple[Float[Tensor, "n 1 h w"], Float[Tensor, "n 1 h w"]]:
    """What every pixel costs, and what it would with a constant matte; 0 outside the region.

    Their means over the region are `ddc` and `floor`. No gradient. Raises ValueError.
    """
    _check(image, alpha, trimap, config, sweep)
    with torch.no_grad():
        image, alpha = _exact(image, alpha), _exact(alpha, image)
        weight = _region_weight(alpha, trimap, config.region)
        value_map, floor_map, _ = _sweep(image, alpha, weight, config, sweep, False)
    return value_map, floor_map


def known_region(alpha: Float[Tensor, "n 1 h w"], trimap: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    """Mean |alpha - trimap| over the known pixels (trimap exactly 0 or 1), at any size; 0 where none is known.

    Anything between 0 and 1 in the trimap counts as unknown, so 128/255 does too. Raises ValueError.
    """
    if alpha.shape != trimap.shape or alpha.ndim != 4 or alpha.shape[1] != 1:
        raise ValueError(f"alpha of shape {_size(alpha)} with a trimap of {_size(trimap)}: expected (N, 1, H, W) twice")
    alpha, trimap = _exact(alpha, trimap), _exact(trimap, alpha)
    known = (trimap == 0) | (trimap == 1)
    error = torch.where(known, (alpha - trimap).abs(), 0.0)
    return error.flatten(1).sum(1) / known.flatten(1).sum(1).clamp_min(1)


class _Consistency(torch.autograd.Function):
    """The value is piecewise linear in alpha, so its gradient is found while the neighbours are at hand.

    All that waits for the backward pass is one number per pixel, whatever the window and k.
    """

    @staticmethod
    def forward(
        ctx: Any, alpha: Tensor, image: Tensor, weight: Tensor, config: DdcConfig, sweep: Sweep
    ) -> tuple[Tensor, Tensor]:
        value_map, floor_map, gradient = _sweep(image, alpha, weight, config, sweep, ctx.needs_input_grad[0])
        if gradient is not None:
            ctx.save_for_backward(gradient)
        value, lowest = ((part * weight).flatten(1).sum(1) for part in (value_map, floor_map))
        ctx.mark_non_differentiable(lowest)
        return value, lowest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_value: Tensor, _: Tensor) -> tuple[Tensor, None, None, None, None]:
        return of_value[:, None, None, None] * ctx.saved_tensors[0], None, None, None, None


def _sweep(
    image: Float[Tensor, "n 3 h w"],
    alpha: Float[Tensor, "n 1 h w"],
    weight: Float[Tensor, "n 1 h w"],
    config: DdcConfig,
    sweep: Sweep,
    with_gradient: bool,
) -> tuple[Float[Tensor, "n 1 h w"], Float[Tensor, "n 1 h w"], Float[Tensor, "n 1 h w"] | None]:
    """Cost and floor of every pixel where weight > 0 (else 0), and d(sum of cost * weight)/d alpha."""
    flat = torch.cat([alpha.flatten(), alpha.new_zeros(1)])  # the last one stands for all that lies outside
    value_map, floor_map, gradient = (torch.zeros_like(flat) for _ in range(3))
    share = weight.flatten() / config.neighbours
    for i, j, d, contrast in _neighbours(image, weight, config, sweep):
        cost, slope = _cost(flat[i] - flat[j], d, contrast, config.variant)
        value_map[i] = cost.mean(0)
        if config.variant != "hinge":
            floor_map[i] = d.mean(0)
        if with_gradient:
            slope = slope * share[i]
            gradient.index_add_(0, i, slope.sum(0))
            gradient.index_add_(0, j.flatten(), slope.neg_().flatten())
    shape = alpha.shape
    value_map, floor_map, gradient = (part[:-1].view(shape) for part in (value_map, floor_map, gradient))
    return value_map, floor_map, gradient if with_gradient else None


def _cost(
    x: Float[Tensor, "k p"], d: Float[Tensor, "k p"], contrast: Float[Tensor, " p"] | None, variant: str
) -> tuple[Float[Tensor, "k p"], Float[Tensor, "k p"]]:
    """The terms of the equations above and their derivatives by x."""
    scaled = x if contrast is None else x * contrast
    if variant == "hinge":
        over = scaled.abs() - d  # max(0, |x s| - d)
        cost, slope = over.clamp_min(0), torch.where(over > 0, scaled.sign(), 0.0)
    else:
        over = scaled - d  # |x s - d|
        cost, slope = over.abs(), over.sign()
    return cost, slope if contrast is None else slope * contrast


def _neighbours(image: Tensor, weight: Tensor, config: DdcConfig, sweep: Sweep) -> Iterator[nb.Found]:
    return nb.neighbours_by_band(
        image,
        weight[:, 0] > 0,
        window=config.window,
        neighbours=config.neighbours,
        border=config.border,
        include_self=config.include_self,
        stable_ties=sweep.stable_ties,
        with_contrast=config.variant != "ddc",
        band_rows=sweep.band_rows,
    )


def _exact(values: Tensor, other: Tensor) -> Tensor:
    """Half precision would quantise distances: float32, unless one of the two is float64."""
    return values.to(torch.float64 if torch.float64 in (values.dtype, other.dtype) else torch.float32)


def _region_weight(
    alpha: Float[Tensor, "n 1 h w"], trimap: Float[Tensor, "n 1 h w"] | None, region: str
) -> Float[Tensor, "n 1 h w"]:
    """1 / (pixels of the region) in the region, else 0."""
    inside = torch.ones_like(alpha) if region == "all" else ((trimap > 0) & (trimap < 1)).to(alpha.dtype)
    return inside / inside.flatten(1).sum(1).clamp_min(1)[:, None, None, None]


def _size(values: Tensor) -> str:
    return " x ".join(map(str, values.shape))


def _check(image: Tensor, alpha: Tensor, trimap: Tensor | None, config: DdcConfig, sweep: Sweep) -> None:
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"image of shape {_size(image)}: expected (N, 3, H, W)")
    for name, values in (("alpha", alpha), ("trimap", trimap)):
        if values is not None and values.shape != (len(image), 1, *image.shape[2:]):
            raise ValueError(f"{name} of shape {_size(values)} with an image of {_size(image)}: expected (N, 1, H, W)")
    for name, value, known in (("variant", config.variant, DdcVariant), ("region", config.region, DdcRegion)):
        if value not in [*known]:
            raise ValueError(f"{name} is {value!r}: expected one of {', '.join(one.value for one in known)}")
    if config.region == "unknown" and trimap is None:
        raise ValueError("region is 'unknown' but there is no trimap: give one, or take region 'all'")
    if sweep.band_rows < 0:
        raise ValueError(f"band_rows is {sweep.band_rows}: expected a number of rows, or 0 for as many as fit")
    size = (image.shape[2], image.shape[3])
    nb.check_window(size, config.window, config.neighbours, config.border, config.include_self)
