"""The decoder: a feature pyramid network, from four maps to one map of logits at a quarter of the resolution.

Lin et al., "Feature Pyramid Networks" (CVPR 2017): 1x1 laterals, top-down sums, a 3x3 smoothing convolution of its own
for every level. GroupNorm, because a matting batch is small. Upsampling is half-pixel correct
(`align_corners=False`): the released StyleMatte shifts its maps by up to 1.5 pixels at the borders.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def group_count(channels: int) -> int:
    """The most groups, at most 32, that divide `channels` and leave at least 4 channels in each."""
    return max((g for g in range(1, 33) if channels % g == 0 and channels // g >= 4), default=1)


def conv_norm(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Convolution without bias, then GroupNorm; keeps the size."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.GroupNorm(group_count(outputs), outputs),
    )


class FPN(nn.Module):
    """Maps of `in_channels`, finest first -> logits (N, 1, h, w) at the size of the finest map."""

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(conv_norm(c, channels, 1) for c in in_channels)
        self.smooth = nn.ModuleList(nn.Sequential(conv_norm(channels, channels, 3), nn.ReLU()) for _ in in_channels)
        self.head = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, maps: Sequence[Float[Tensor, "n _ _ _"]]) -> Float[Tensor, "n 1 _ _"]:
        x = self.smooth[-1](self.lateral[-1](maps[-1]))
        for level in range(len(maps) - 2, -1, -1):
            up = F.interpolate(x, size=maps[level].shape[-2:], mode="bilinear", align_corners=False)
            x = self.smooth[level](self.lateral[level](maps[level]) + up)
        return self.head(x)
