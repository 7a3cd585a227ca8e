"""StyleMatte with a learned full-resolution path: encoder -> top-down fusion with a detail stream -> sigmoid alpha.

In place of the guided filter, which sees grey values alone and fits a straight line to the logits, convolutions look at
the picture at every resolution up to its own: an edge between two colours of one brightness can be found. An optional
trimap (or coarse mask) tells the network what is known; without one it sees that nothing is. An optional second head
says at 1/16 of the size what is foreground at all; training alone asks it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from stylematte.config import DetailConfig, checked
from stylematte.networks.fpn import conv_norm
from stylematte.networks.fusion import DetailStream, Fusion
from stylematte.networks.intermediate import build_encoder, checkpoint_blocks
from stylematte.networks.stylematte import pad_to_multiple

PICTURE, KNOWN = 3, 2


def known_channels(trimap: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 2 h w"]:
    """Trimap or coarse mask in [0, 1] -> how surely foreground, how surely background.

    max(0, 2t - 1) and max(0, 1 - 2t): on {0, 1/2, 1} the two known regions. 1/2 everywhere is (0, 0) everywhere, the
    same as no trimap, so "nothing known" needs no encoding of its own.
    """
    signed = 2 * trimap - 1
    return torch.cat([signed.clamp_min(0), (-signed).clamp_min(0)], dim=1)


class DetailStyleMatte(nn.Module):
    """image (N, 3, H, W) in [0, 1] of any size, maybe a trimap (N, 1, H, W) -> alpha (N, 1, H, W) in [0, 1].

    The backbone is a pyramid with strides 4 to 32 or a plain ViT. `channels` wide is the fusion at 1/32 to 1/8;
    `detail_channels` the path at full size, twice that at 1/2, four times at 1/4. With gradient_checkpointing, training
    keeps the inputs of blocks and computes what is inside again; channels_last is the memory order of the convolutions;
    with semantic_head, `forward` can be asked for what is foreground at 1/16, too. Raises ValueError for impossible
    options, and ConfigError.
    """

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.config = checked(config)
        channels, d = config.channels, config.detail_channels
        self.backbone = build_encoder(config.backbone)
        widths = self.backbone.channels
        # zero at the start: a pretrained encoder first sees the picture it knows
        self.tint = nn.Conv2d(KNOWN, PICTURE, 1, bias=False)
        nn.init.zeros_(self.tint.weight)
        self.stream = DetailStream(PICTURE + KNOWN, d)
        self.top = conv_norm(widths[3], channels, 1)
        self.fuse16 = Fusion(channels, [widths[2]], channels)
        self.fuse8 = Fusion(channels, [widths[1], 8 * d], channels)
        self.fuse4 = Fusion(channels, [widths[0], 4 * d], 4 * d)
        self.fuse2 = Fusion(4 * d, [2 * d], 2 * d)
        self.fuse1 = Fusion(2 * d, [PICTURE + KNOWN], d, kernel=3)
        self.head = nn.Conv2d(d, 1, 3, padding=1)
        self.semantic_head = nn.Conv2d(channels, 1, 1) if config.semantic_head else None
        if config.gradient_checkpointing:
            checkpoint_blocks(self.backbone)
        if config.channels_last:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(self, image: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """image with H and W multiples of 32 -> feature maps, NCHW, at strides 4, 8, 16, 32."""
        return self.backbone(image)

    def _fuse(self, stage: nn.Module, *maps: Tensor) -> Tensor:
        if self.config.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(stage, *maps, use_reentrant=False)
        return stage(*maps)

    def logits(
        self, image: Float[Tensor, "n 3 h w"], known: Float[Tensor, "n 2 h w"]
    ) -> tuple[Float[Tensor, "n 1 h w"], Float[Tensor, "n c h//16 w//16"]]:
        """Of a picture with sides that are multiples of 32; and the fused map at 1/16."""
        at4, at8, at16, at32 = self.encode(image + self.tint(known))
        picture = torch.cat([2 * image - 1, known], dim=1)
        if self.config.channels_last:
            picture = picture.contiguous(memory_format=torch.channels_last)
        detail2, detail4, detail8 = self.stream(picture)
        coarse = self._fuse(self.fuse16, self.top(at32), at16)
        x = self._fuse(self.fuse8, coarse, at8, detail8)
        x = self._fuse(self.fuse4, x, at4, detail4)
        x = self._fuse(self.fuse2, x, detail2)
        return self.head(self._fuse(self.fuse1, x, picture)), coarse

    def forward(
        self, image: Float[Tensor, "n 3 h w"], trimap: Float[Tensor, "n 1 h w"] | None = None, semantic: bool = False
    ) -> Float[Tensor, "n 1 h w"] | tuple[Float[Tensor, "n 1 h w"], Float[Tensor, "n 1 h w"]]:
        """semantic: give a second map, what the semantic head sees at 1/16, enlarged."""
        if image.ndim != 4 or image.shape[1] != PICTURE:
            raise ValueError(f"image of shape {tuple(image.shape)}: expected (N, 3, H, W); convert it to RGB")
        known = image.new_zeros(image.shape[0], KNOWN, *image.shape[-2:])
        if trimap is not None:
            if trimap.shape != (image.shape[0], 1, *image.shape[-2:]):
                raise ValueError(
                    f"trimap of shape {tuple(trimap.shape)} for an image of {tuple(image.shape)}: expected one channel "
                    "and the image's size; resize it"
                )
            known = known_channels(trimap.to(image.dtype))
        padded, (rows, columns) = pad_to_multiple(torch.cat([image, known], dim=1), self.backbone.stride)
        logits, coarse = self.logits(padded[:, :PICTURE], padded[:, PICTURE:])
        alpha = torch.sigmoid(logits[..., rows, columns].float())
        if not semantic:
            return alpha
        if self.semantic_head is None:
            raise ValueError("this network has no semantic head: build it with semantic_head true")
        size = padded.shape[-2:]
        whole = F.interpolate(self.semantic_head(coarse).float(), size, mode="bilinear", align_corners=False)
        return alpha, torch.sigmoid(whole[..., rows, columns])
