"""StyleMatte as released: Swin-T -> deformable-attention pixel decoder -> FPN -> guided filter on logits -> sigmoid.

Chicherin and Efremyan, "Adversarially-Guided Portrait Matting" (arXiv 2305.02981). Equal to the authors' code to 1e-4
with their weights (`stylematte import-weights`), without transformers.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn

from stylematte.networks.released.fpn import SharedFPN, filter_logits
from stylematte.networks.released.pixel_decoder import GROUPS, PixelDecoder
from stylematte.networks.released.swin import PATCH, SwinMaps

MULTIPLE = 8
"""What the authors' evaluation pads odd pictures to; their network itself runs on multiples of 4 and on no others."""


def mirror_index(size: int, before: int, device: torch.device) -> Tensor:
    """(before + size,) indices into an axis of `size`: its beginning mirrored, border pixel included, then itself."""
    place = torch.arange(-before, size, device=device) % (2 * size)
    return torch.minimum(place, 2 * size - 1 - place)


def pad_as_released(image: Tensor) -> Tensor:
    """Mirror rows onto the top and columns onto the left, 8 minus the rest by 8 of both sides.

    As in the authors' evaluation: as soon as one side needs it, a side that is a multiple of 8 gets 8 more too.
    """
    for axis in (-2, -1):
        size = image.shape[axis]
        image = image.index_select(axis, mirror_index(size, MULTIPLE - size % MULTIPLE, image.device))
    return image


class ReleasedStyleMatte(nn.Module):
    """image (N, 3, H, W) in [0, 1] of any size -> alpha (N, 1, H, W) in [0, 1].

    backbone: timm's name of a Swin; backbone_kwargs go to timm; backbone_weights: local file or None (random).
    channels: width of the decoder, 64, 96, .... encoder_layers, feedforward: depth and hidden width of the
    deformable encoder. filter_radius: in quarter-resolution pixels. filter_eps: in squares of the normalised guide.
    The defaults are the released network. `config` holds these arguments, all plain types.
    """

    def __init__(
        self,
        backbone: str = "swin_tiny_patch4_window7_224",
        backbone_kwargs: dict[str, Any] | None = None,
        backbone_weights: str | None = None,
        channels: int = 256,
        encoder_layers: int = 6,
        feedforward: int = 1024,
        filter_radius: int = 1,
        filter_eps: float = 1e-4,
    ) -> None:
        super().__init__()
        if channels < 2 * GROUPS or channels % GROUPS or encoder_layers < 0 or feedforward < 1:
            raise ValueError(
                f"channels {channels} must be a multiple of {GROUPS} from {2 * GROUPS} on, "
                f"encoder_layers {encoder_layers} at least 0, feedforward {feedforward} at least 1"
            )
        if filter_radius < 0 or filter_eps <= 0:
            raise ValueError(f"filter_radius {filter_radius} must be at least 0, filter_eps {filter_eps} positive")
        self.config: dict[str, Any] = {
            "variant": "released",
            "backbone": backbone,
            "backbone_kwargs": json.loads(json.dumps(dict(backbone_kwargs or {}))),  # tuples become lists, as on disk
            "backbone_weights": backbone_weights,
            "channels": channels,
            "encoder_layers": encoder_layers,
            "feedforward": feedforward,
            "filter_radius": filter_radius,
            "filter_eps": filter_eps,
        }
        self.filter_radius, self.filter_eps = filter_radius, filter_eps
        self.backbone = SwinMaps(backbone, backbone_kwargs, backbone_weights)
        self.pixel_decoder = PixelDecoder(self.backbone.channels, channels, encoder_layers, feedforward)
        self.fpn = SharedFPN(channels)
        self.head = nn.Conv2d(channels, 1, 3, padding=1)

    def encode(self, image: Tensor) -> list[Tensor]:
        """image (N, 3, H, W) of any size -> feature maps, NCHW, at strides 4, 8, 16, 32, sizes rounded up."""
        return self.backbone(image)

    def refine(self, picture: Tensor, logits: Tensor) -> Tensor:
        """picture: normalised (N, 3, H, W). Logits (N, 1, H/4, W/4) -> (N, 1, H, W).

        float32 always: window variances cancel in half precision.
        """
        with torch.autocast(picture.device.type, enabled=False):
            guide = picture.float().mean(1, keepdim=True)
            return filter_logits(guide, logits.float(), self.filter_radius, self.filter_eps)

    def forward(self, image: Tensor) -> Tensor:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"image of shape {tuple(image.shape)}: expected (N, 3, H, W); convert it to RGB")
        height, width = image.shape[-2:]
        if height % PATCH or width % PATCH:
            image = pad_as_released(image)
        return self.from_normalised(self.backbone.normalise(image))[..., -height:, -width:]

    def from_normalised(self, picture: Tensor) -> Tensor:
        """What the authors' network takes: (N, 3, H, W) less ImageNet's mean, over its deviation; H, W multiples of 4.

        The guided filter magnifies the last bit of its input some thousand times, so a picture that was normalised by
        somebody else is better given here than denormalised and normalised again.
        """
        logits = self.head(self.fpn(self.pixel_decoder(self.backbone.maps(picture))))
        return torch.sigmoid(self.refine(picture, logits))
