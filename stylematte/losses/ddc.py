"""Learning from trimaps: what a matte owes to the colours of its picture, and to the pixels that are known.

Directional distance consistency: similar colours have similar alphas, and differ in alpha by their distance in colour
(Liu et al., "Training Matting Models without Alpha Labels", arXiv 2408.10539). With T_i the k pixels j of the window
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

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from stylematte.ops import neighbours as nb

VARIANTS = ("ddc", "scaled", "hinge")
REGIONS = ("all", "unknown")


@dataclass(frozen=True)
class DdcOptions:
    """How the consistency is measured. The defaults are the paper's.

    variant: "ddc" | "scaled" | "hinge". window: side of the square in pixels, odd. neighbours: k. border: what lies
    outside the picture, "zero" | "replicate" | "exclude". include_self: a pixel counts among its own neighbours.
    region: the mean runs over "all" pixels or the "unknown" ones. stable_ties: the same neighbours on every machine.
    band_rows: rows of the batch worked on at once (0: what fits a cache); the result does not depend on it.
    reference: the slow, obvious version.
    """

    variant: str = "ddc"
    window: int = 11
    neighbours: int = 11
    border: str = "zero"
    include_self: bool = True
    region: str = "all"
    stable_ties: bool = False
    band_rows: int = 0
    reference: bool = False


def ddc(
    image: Tensor,
    alpha: Tensor,
    trimap: Tensor | None = None,
    *,
    variant: str = "ddc",
    window: int = 11,
    neighbours: int = 11,
    border: str = "zero",
    include_self: bool = True,
    region: str = "all",
    stable_ties: bool = False,
    band_rows: int = 0,
    reference: bool = False,
) -> Tensor:
    """Consistency of alpha (N, 1, H, W) with image (N, 3, H, W), both in [0, 1]: (N,), float32 also under autocast.

    trimap (N, 1, H, W) in {0, 1/2, 1} is needed for region "unknown" only, which is 0 where nothing is unknown. The
    options are explained at `DdcOptions`. Float64 stays float64. Raises ValueError.
    """
    options = DdcOptions(variant, window, neighbours, border, include_self, region, stable_ties, band_rows, reference)
    return _value_and_floor(image, alpha, trimap, options)[0]


def floor(image: Tensor, trimap: Tensor | None = None, **options: Any) -> Tensor:
    """(N,): what a constant matte reaches on this picture with the same options; 0 for "hinge". Raises ValueError."""
    with torch.no_grad():
        return ddc_and_floor(image, torch.zeros_like(image[:, :1]), trimap, **options)[1]


def excess(image: Tensor, alpha: Tensor, trimap: Tensor | None = None, **options: Any) -> Tensor:
    """(N,): `ddc` - `floor` in one pass; the gradient is that of `ddc`. Raises ValueError."""
    value, lowest = ddc_and_floor(image, alpha, trimap, **options)
    return value - lowest


def ddc_and_floor(image: Tensor, alpha: Tensor, trimap: Tensor | None = None, **options: Any) -> tuple[Tensor, Tensor]:
    """Both for the price of one: (N,) with a gradient, (N,) without. Raises ValueError."""
    return _value_and_floor(image, alpha, trimap, DdcOptions(**options))


def _value_and_floor(image: Tensor, alpha: Tensor, trimap: Tensor | None, given: DdcOptions) -> tuple[Tensor, Tensor]:
    _check(image, alpha, trimap, given)
    image, alpha = _exact(image.detach(), alpha), _exact(alpha, image)
    weight = _region_weight(alpha, trimap, given.region)
    if given.reference:
        from stylematte.losses.ddc_reference import reference_maps

        value_map, floor_map = reference_maps(image, alpha, given)
        value_map, floor_map = (torch.where(weight > 0, part, 0.0) for part in (value_map, floor_map))
        return (value_map * weight).flatten(1).sum(1), (floor_map * weight).flatten(1).sum(1).detach()
    return _Consistency.apply(alpha, image, weight, given)


def ddc_maps(image: Tensor, alpha: Tensor, trimap: Tensor | None = None, **options: Any) -> tuple[Tensor, Tensor]:
    """What every pixel costs, and what it would with a constant matte, (N, 1, H, W) each; 0 outside the region.

    Their means over the region are `ddc` and `floor`. No gradient. Raises ValueError.
    """
    given = DdcOptions(**options)
    _check(image, alpha, trimap, given)
    with torch.no_grad():
        image, alpha = _exact(image, alpha), _exact(alpha, image)
        value_map, floor_map, _ = _sweep(image, alpha, _region_weight(alpha, trimap, given.region), given, False)
    return value_map, floor_map


def known_region(alpha: Tensor, trimap: Tensor) -> Tensor:
    """(N,): mean |alpha - trimap| over the known pixels (trimap exactly 0 or 1), at any size; 0 where none is known.

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
    def forward(ctx: Any, alpha: Tensor, image: Tensor, weight: Tensor, given: DdcOptions) -> tuple[Tensor, Tensor]:
        value_map, floor_map, gradient = _sweep(image, alpha, weight, given, ctx.needs_input_grad[0])
        if gradient is not None:
            ctx.save_for_backward(gradient)
        value, lowest = ((part * weight).flatten(1).sum(1) for part in (value_map, floor_map))
        ctx.mark_non_differentiable(lowest)
        return value, lowest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_value: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        return of_value[:, None, None, None] * ctx.saved_tensors[0], None, None, None


def _sweep(
    image: Tensor, alpha: Tensor, weight: Tensor, given: DdcOptions, with_gradient: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Cost and floor of every pixel where weight > 0 (else 0), and d(sum of cost * weight)/d alpha; (N, 1, H, W)."""
    flat = torch.cat([alpha.flatten(), alpha.new_zeros(1)])  # the last one stands for all that lies outside
    value_map, floor_map, gradient = (torch.zeros_like(flat) for _ in range(3))
    share = weight.flatten() / given.neighbours
    for i, j, d, contrast in nb.neighbours_by_band(image, weight[:, 0] > 0, **_of_neighbours(given)):
        cost, slope = _cost(flat[i] - flat[j], d, contrast, given.variant)
        value_map[i] = cost.mean(0)
        if given.variant != "hinge":
            floor_map[i] = d.mean(0)
        if with_gradient:
            slope = slope * share[i]
            gradient.index_add_(0, i, slope.sum(0))
            gradient.index_add_(0, j.flatten(), slope.neg_().flatten())
    shape = alpha.shape
    value_map, floor_map, gradient = (part[:-1].view(shape) for part in (value_map, floor_map, gradient))
    return value_map, floor_map, gradient if with_gradient else None


def _cost(x: Tensor, d: Tensor, contrast: Tensor | None, variant: str) -> tuple[Tensor, Tensor]:
    """The terms of the equations above and their derivatives by x, both (k, P)."""
    scaled = x if contrast is None else x * contrast
    if variant == "hinge":
        over = scaled.abs() - d
        cost, slope = over.clamp_min(0), torch.where(over > 0, scaled.sign(), 0.0)
    else:
        over = scaled - d
        cost, slope = over.abs(), over.sign()
    return cost, slope if contrast is None else slope * contrast


def _of_neighbours(given: DdcOptions) -> dict[str, Any]:
    names = ("window", "neighbours", "border", "include_self", "stable_ties", "band_rows")
    return {name: getattr(given, name) for name in names} | {"with_contrast": given.variant != "ddc"}


def _exact(values: Tensor, other: Tensor) -> Tensor:
    """Half precision would quantise distances: float32, unless one of the two is float64."""
    return values.to(torch.float64 if torch.float64 in (values.dtype, other.dtype) else torch.float32)


def _region_weight(alpha: Tensor, trimap: Tensor | None, region: str) -> Tensor:
    """(N, 1, H, W): 1 / (pixels of the region) in the region, else 0."""
    inside = torch.ones_like(alpha) if region == "all" else ((trimap > 0) & (trimap < 1)).to(alpha.dtype)
    return inside / inside.flatten(1).sum(1).clamp_min(1)[:, None, None, None]


def _size(values: Tensor) -> str:
    return " x ".join(map(str, values.shape))


def _check(image: Tensor, alpha: Tensor, trimap: Tensor | None, given: DdcOptions) -> None:
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"image of shape {_size(image)}: expected (N, 3, H, W)")
    for name, values in (("alpha", alpha), ("trimap", trimap)):
        if values is not None and values.shape != (len(image), 1, *image.shape[2:]):
            raise ValueError(f"{name} of shape {_size(values)} with an image of {_size(image)}: expected (N, 1, H, W)")
    for name, value, known in (("variant", given.variant, VARIANTS), ("region", given.region, REGIONS)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}: expected one of {', '.join(known)}")
    if given.region == "unknown" and trimap is None:
        raise ValueError("region is 'unknown' but there is no trimap: give one, or take region 'all'")
    if given.band_rows < 0:
        raise ValueError(f"band_rows is {given.band_rows}: expected a number of rows, or 0 for as many as fit")
    size = (image.shape[2], image.shape[3])
    nb.check_window(size, given.window, given.neighbours, given.border, given.include_self)
