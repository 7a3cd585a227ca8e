"""The released top: an FPN whose three smoothing convolutions are one, and a guided filter on logits.

Both upsample with `align_corners=True`, which places a cell up to 1.5 pixels from where it was made; the weights were
trained with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stylematte.networks.released.pixel_decoder import pointwise


def upsample(x: Float[Tensor, "n c _ _"], size: Sequence[int]) -> Float[Tensor, "n c _ _"]:
    """Bilinear, corner cells in the corners."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


class SharedFPN(nn.Module):
    """Four maps of `channels`, coarsest first -> one map at the size of the finest.

    The authors list the same convolution three times (`[conv] * 3`), so the released weights hold one: `smooth`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.smooth = nn.Conv2d(channels, channels, 3, padding=1)
        self.fusion = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )

    def forward(self, maps: Sequence[Float[Tensor, "n c _ _"]]) -> Float[Tensor, "n c _ _"]:
        *coarse, finest = maps
        x, *finer = [pointwise(layer, m) for layer, m in zip(self.lateral, coarse, strict=True)]
        for m in [*finer, finest]:
            x = upsample(self.smooth(x), m.shape[-2:]) + m
        return self.fusion(torch.cat([x, finest], 1))


def window_mean(values: Float[Tensor, "n c h w"], radius: int) -> Float[Tensor, "n c h w"]:
    """Mean over the (2 radius + 1) square around each pixel, counting only pixels in the picture.

    By differences of running totals, rows first. Their rounding, divided by a regulariser of 1e-4, reaches alpha: exact
    means differ from the released network by up to 3e-4 at 512 x 512. So it is part of what is reproduced.
    """
    count = values.new_ones(1, 1, *values.shape[-2:])
    for axis in (-2, -1):
        values, count = window_sum(values, radius, axis), window_sum(count, radius, axis)
    return values / count


def window_sum(values: Float[Tensor, "n c h w"], radius: int, axis: int) -> Float[Tensor, "n c h w"]:
    """The sum over i - radius ... i + radius along `axis`, which is -1 or -2."""
    size = values.shape[axis]
    totals = F.pad(values.cumsum(axis), (1, 0) if axis == -1 else (0, 0, 1, 0))  # totals[i]: of the first i
    place = torch.arange(size, device=values.device)
    last, before = (place + radius + 1).clamp_max(size), (place - radius).clamp_min(0)
    return totals.index_select(axis, last) - totals.index_select(axis, before)


def filter_logits(
    guide: Float[Tensor, "n 1 H W"], logits: Float[Tensor, "n 1 H//4 W//4"], radius: int, eps: float
) -> Float[Tensor, "n 1 H W"]:
    """q = A I + b with A = cov(I, p) / (var(I) + eps), b = mean(p) - A mean(I) of windows of the low-resolution maps.

    He and Sun, "Fast Guided Filter" (arXiv 1505.00996), without its second averaging: A and b of single windows are
    upsampled. The low-resolution guide is bicubic and not smoothed first.
    """
    low = F.interpolate(guide, size=logits.shape[-2:], mode="bicubic", align_corners=True)
    mean_guide, mean_logits = window_mean(low, radius), window_mean(logits, radius)
    covariance = window_mean(low * logits, radius) - mean_guide * mean_logits
    variance = window_mean(low * low, radius) - mean_guide * mean_guide
    slope = covariance / (variance + eps)
    offset = mean_logits - slope * mean_guide
    return upsample(slope, guide.shape[-2:]) * guide + upsample(offset, guide.shape[-2:])
