"""The full-resolution path: a stream of convolutions that looks at the picture itself, and how it meets the encoder.

ViTMatte (Yao et al., arXiv 2305.15272) showed that a light stream at 1/2, 1/4 and 1/8, fused step by step up to the
picture, finds what an encoder of stride 16 cannot. Here the maps are narrowed before they are enlarged (a 1 x 1
convolution and bilinear interpolation commute) and added, not concatenated: a fraction of the work at full size.
Upsampling is half-pixel correct (`align_corners=False`); norms are GroupNorm, for small batches.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stylematte.networks.fpn import conv_norm, group_count


class DetailStream(nn.Module):
    """(N, inputs, H, W), H and W multiples of 8 -> maps at 1/2, 1/4, 1/8 with 2, 4, 8 times `width` channels."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        widths = [inputs, 2 * width, 4 * width, 8 * width]
        self.steps = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.GroupNorm(group_count(after), after),
                nn.ReLU(inplace=True),
            )
            for before, after in itertools.pairwise(widths)
        )

    def forward(self, picture: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        maps = []
        for step in self.steps:
            picture = step(picture)
            maps.append(picture)
        return maps


class Fusion(nn.Module):
    """A coarse map of `coarse` channels, enlarged to the size of others of `beside` channels, made one of `width`."""

    def __init__(self, coarse: int, beside: Sequence[int], width: int, kernel: int = 1) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(coarse, width, 1)
        self.lateral = nn.ModuleList(
            nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False) for channels in beside
        )
        self.norm = nn.Sequential(nn.GroupNorm(group_count(width), width), nn.ReLU(inplace=True))
        self.smooth = nn.Sequential(conv_norm(width, width, 3), nn.ReLU(inplace=True))

    def forward(self, coarse: Float[Tensor, "n _ _ _"], *beside: Float[Tensor, "n _ h w"]) -> Float[Tensor, "n _ h w"]:
        total = F.interpolate(self.narrow(coarse), size=beside[0].shape[-2:], mode="bilinear", align_corners=False)
        for lateral, finer in zip(self.lateral, beside, strict=True):
            total = total + lateral(finer)
        return self.smooth(self.norm(total))
