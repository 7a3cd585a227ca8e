"""Guided filter: carry a coarse map to the resolution of a picture, with edges where the picture has them.

He, Sun, Tang, "Guided Image Filtering" (TPAMI 2013), and He, Sun, "Fast Guided Filter" (arXiv 1505.00996): in every
window w_k the output is linear in the guide, q = A_k I + b_k; the fast form fits A and b at low resolution and brings
them, not q, to full resolution.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def box_mean(values: Float[Tensor, "n c h w"], radius: int) -> Float[Tensor, "n c h w"]:
    """(N, C, H, W) -> mean over the (2 radius + 1) square around each pixel, counting only pixels in the picture."""
    return F.avg_pool2d(values, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)


def linear_coefficients(
    guide: Float[Tensor, "n 1 h w"], source: Float[Tensor, "n c h w"], radius: int, eps: float
) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
    """The averaged A and b of He et al. 2013: A = cov(I, p) / (var(I) + eps), b = mean(p) - A mean(I) (equations 5, 6),
    each averaged over the windows that hold a pixel (equation 8)."""
    mean_guide, mean_source = box_mean(guide, radius), box_mean(source, radius)
    covariance = box_mean(guide * source, radius) - mean_guide * mean_source
    variance = box_mean(guide * guide, radius) - mean_guide * mean_guide
    slope = covariance / (variance + eps)
    offset = mean_source - slope * mean_guide
    return box_mean(slope, radius), box_mean(offset, radius)


def guided_filter(
    guide: Float[Tensor, "n 1 _ _"], source: Float[Tensor, "n c h w"], radius: int, eps: float
) -> Float[Tensor, "n c h w"]:
    """Filter source (N, C, H, W) with guide (N, 1, H, W) of the same size. eps is in squared units of the guide."""
    if guide.shape[-2:] != source.shape[-2:]:
        raise ValueError(f"guide {tuple(guide.shape)} and source {tuple(source.shape)} differ in size: resize one")
    slope, offset = linear_coefficients(guide, source, radius, eps)
    return slope * guide + offset


def fast_guided_filter(
    guide: Float[Tensor, "n 1 H W"], source: Float[Tensor, "n c h w"], radius: int, eps: float
) -> Float[Tensor, "n c H W"]:
    """source (N, C, h, w), guide (N, 1, s h, s w) with a whole s -> (N, C, s h, s w). radius is in low-res pixels.

    The guide is reduced by averaging s x s cells, whose centres are where bilinear upsampling with
    `align_corners=False` puts the low-resolution samples: both grids agree to the sub-pixel.
    """
    (high, wide), (low_high, low_wide) = guide.shape[-2:], source.shape[-2:]
    scale = high // low_high
    if scale < 1 or (high, wide) != (scale * low_high, scale * low_wide):
        raise ValueError(f"guide of {high}x{wide} is no whole multiple of source of {low_high}x{low_wide}: pad first")
    slope, offset = linear_coefficients(F.avg_pool2d(guide, scale), source, radius, eps)
    size = (high, wide)
    slope = F.interpolate(slope, size=size, mode="bilinear", align_corners=False)
    offset = F.interpolate(offset, size=size, mode="bilinear", align_corners=False)
    return slope * guide + offset
