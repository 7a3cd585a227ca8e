"""A discriminator on frozen features, small trained heads on a pretrained backbone's maps: vision-aided GANs (Kumari et
al., arXiv 2112.09130) and Projected GANs (Sauer et al., arXiv 2111.01007).

 The backbone is
any module that turns pictures (N, 3, S, S) in [0, 1] into maps (N, C_i, h_i, w_i); who gives it (`loop`) says where
its weights are from. It is never trained, never in `state_dict`, never written beside the heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stylemattegan.networks.discriminator import ConvLayer, minibatch_std


class Head(nn.Module):
    """(N, C, h, w) -> (N, 1): two convolutions, the spread within groups of samples, one number a position."""

    def __init__(self, channels: int, width: int, group_size: int | None) -> None:
        super().__init__()
        self.group_size = group_size
        self.narrow = ConvLayer(channels, width, 1)
        self.conv = ConvLayer(width, width, 3)
        self.out = ConvLayer(width + 1, 1, 1, activation="linear")

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1"]:
        x = minibatch_std(self.conv(self.narrow(x)), self.group_size)
        return self.out(x).mean((2, 3))


class ProjectedDiscriminator(nn.Module):
    """Pictures (N, 3, R, R) in [-1, 1] -> logits (N, maps), one for each map of the backbone.

    channels: of the backbone's maps. size: pictures are brought to size x size for the backbone. width: of the heads.
    """

    def __init__(
        self, backbone: nn.Module, channels: Sequence[int], size: int, width: int = 64, group_size: int | None = 4
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"channels": list(channels), "size": size, "width": width}
        self.config |= {"group_size": group_size}
        # In a tuple, so that it is no submodule: not in checkpoints, not among the parameters, never put to train().
        self._frozen = (backbone.eval().requires_grad_(False),)
        self.size = size
        self.heads = nn.ModuleList(Head(count, width, group_size) for count in channels)

    def maps(self, pictures: Float[Tensor, "n 3 r r"]) -> list[Float[Tensor, "n _ _ _"]]:
        """What the heads see: each map with mean 0 and variance 1 over the whole of a picture."""
        (backbone,) = self._frozen
        pictures = (pictures + 1) / 2
        if pictures.shape[-1] != self.size:
            pictures = F.interpolate(pictures, size=(self.size, self.size), mode="bilinear", align_corners=False)
        return [F.group_norm(found, 1) for found in backbone.to(pictures.device)(pictures)]

    def score(self, maps: Sequence[Float[Tensor, "n _ _ _"]]) -> Float[Tensor, "n maps"]:
        """Logits (N, maps) of what `maps` gave."""
        return torch.cat([head(found) for head, found in zip(self.heads, maps, strict=True)], dim=1)

    def forward(self, pictures: Float[Tensor, "n 3 r r"]) -> Float[Tensor, "n maps"]:
        return self.score(self.maps(pictures))
