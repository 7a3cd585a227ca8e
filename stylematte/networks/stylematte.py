"""StyleMatte: backbone -> FPN logits at 1/4 -> fast guided filter to full resolution -> sigmoid alpha.

Chicherin and Efremyan, "Adversarially-Guided Portrait Matting" (arXiv 2305.02981), with a plain FPN in place of the
Mask2Former pixel decoder, the textbook guided filter (averaged A and b), and half-pixel-correct grids throughout.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stylematte.config import FpnConfig, checked
from stylematte.networks.backbone import Backbone
from stylematte.networks.fpn import FPN
from stylematte.ops.guided_filter import fast_guided_filter


def pad_axis(image: Float[Tensor, "n c _ _"], before: int, after: int, axis: int) -> Float[Tensor, "n c _ _"]:
    """Pad axis -1 or -2 by reflection, or by repeating the border where the picture is too small to reflect."""
    padding = (before, after, 0, 0) if axis == -1 else (0, 0, before, after)
    mode = "reflect" if max(before, after) < image.shape[axis] else "replicate"
    return F.pad(image, padding, mode=mode)


def pad_to_multiple(
    image: Float[Tensor, "n c _ _"], multiple: int
) -> tuple[Float[Tensor, "n c _ _"], tuple[slice, slice]]:
    """Grow H and W to multiples, evenly on both sides; also the slices that undo it."""
    crop = []
    for axis in (-2, -1):
        size = image.shape[axis]
        extra = -size % multiple
        if extra:
            image = pad_axis(image, extra // 2, extra - extra // 2, axis)
        crop.append(slice(extra // 2, extra // 2 + size))
    return image, (crop[0], crop[1])


class StyleMatte(nn.Module):
    """image (N, 3, H, W) in [0, 1] of any size -> alpha (N, 1, H, W) in [0, 1].

    Raises ValueError for impossible options, and ConfigError.
    """

    def __init__(self, config: FpnConfig) -> None:
        super().__init__()
        self.config = checked(config)
        self.backbone = Backbone(config.backbone)
        self.fpn = FPN(self.backbone.channels, config.channels)

    def encode(self, image: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """image with H and W multiples of 32 -> feature maps, NCHW, at strides 4, 8, 16, 32."""
        return self.backbone(image)

    def refine(
        self, image: Float[Tensor, "n 3 h w"], logits: Float[Tensor, "n 1 h//4 w//4"]
    ) -> Float[Tensor, "n 1 h w"]:
        """Logits at 1/4 of the size -> at all of it. float32 always: window variances cancel in half precision."""
        with torch.autocast(image.device.type, enabled=False):
            grey = image.float().mean(1, keepdim=True)
            return fast_guided_filter(grey, logits.float(), self.config.filter_radius, self.config.filter_eps)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"image of shape {tuple(image.shape)}: expected (N, 3, H, W); convert it to RGB")
        padded, (rows, columns) = pad_to_multiple(image, self.backbone.stride)
        logits = self.fpn(self.encode(padded))
        return torch.sigmoid(self.refine(padded, logits)[..., rows, columns])
