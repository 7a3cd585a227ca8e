"""StyleMatte as released: Swin-T -> deformable-attention pixel decoder -> FPN -> guided filter on logits -> sigmoid.

Chicherin and Efremyan, "Adversarially-Guided Portrait Matting" (arXiv 2305.02981). Equal to the authors' code to 1e-4
with their weights (`stylematte import-weights`), without transformers.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stylematte.config import ReleasedConfig, checked
from stylematte.networks.released.fpn import SharedFPN, filter_logits
from stylematte.networks.released.pixel_decoder import PixelDecoder
from stylematte.networks.released.swin import SwinMaps

MULTIPLE = 8
"""What the authors' evaluation pads pictures to; 500 x 512, too, although their network runs on multiples of 4."""


def mirror_index(size: int, before: int, device: torch.device) -> Tensor:
    """(before + size,) indices into an axis of `size`: its beginning mirrored, border pixel included, then itself."""
    index = torch.arange(-before, size, device=device) % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def pad_as_released(image: Float[Tensor, "n c _ _"]) -> Float[Tensor, "n c _ _"]:
    """Mirror rows onto the top and columns onto the left, 8 minus the rest by 8 of both sides; multiples of 8 stay.

    As in the authors' evaluation: as soon as one side needs it, a side that is a multiple of 8 gets 8 more too.
    """
    if image.shape[-2] % MULTIPLE == 0 and image.shape[-1] % MULTIPLE == 0:
        return image
    for axis in (-2, -1):
        size = image.shape[axis]
        image = image.index_select(axis, mirror_index(size, MULTIPLE - size % MULTIPLE, image.device))
    return image


class ReleasedStyleMatte(nn.Module):
    """image (N, 3, H, W) in [0, 1] of any size -> alpha (N, 1, H, W) in [0, 1].

    The authors' weights fit ReleasedConfig(channels=256). Raises ValueError for impossible options, and ConfigError.
    """

    def __init__(self, config: ReleasedConfig) -> None:
        super().__init__()
        self.config = checked(config)
        channels = config.channels
        self.backbone = SwinMaps(config.backbone)
        self.pixel_decoder = PixelDecoder(self.backbone.channels, channels, config.encoder_layers, config.feedforward)
        self.fpn = SharedFPN(channels)
        self.head = nn.Conv2d(channels, 1, 3, padding=1)

    def encode(self, image: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """image (N, 3, H, W) of any size -> feature maps, NCHW, at strides 4, 8, 16, 32, sizes rounded up."""
        return self.backbone(image)

    def refine(
        self, picture: Float[Tensor, "n 3 h w"], logits: Float[Tensor, "n 1 h//4 w//4"]
    ) -> Float[Tensor, "n 1 h w"]:
        """Logits at a quarter of the size -> at all of it; picture: normalised.

        float32 always: window variances cancel in half precision.
        """
        with torch.autocast(picture.device.type, enabled=False):
            guide = picture.float().mean(1, keepdim=True)
            return filter_logits(guide, logits.float(), self.config.filter_radius, self.config.filter_eps)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"image of shape {tuple(image.shape)}: expected (N, 3, H, W); convert it to RGB")
        height, width = image.shape[-2:]
        padded = pad_as_released(image)
        return self.from_normalised(self.backbone.normalise(padded))[..., -height:, -width:]

    def from_normalised(self, picture: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
        """What the authors' network takes: (N, 3, H, W) less ImageNet's mean, over its deviation; H, W multiples of 4.

        The guided filter magnifies the last bit of its input some thousand times, so a picture that was normalised by
        somebody else is better given here than denormalised and normalised again.
        """
        logits = self.head(self.fpn(self.pixel_decoder(self.backbone.maps(picture))))
        return torch.sigmoid(self.refine(picture, logits))
