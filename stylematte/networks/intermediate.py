"""Encoders of the detail network: any timm pyramid as it is, or a plain ViT made into a pyramid.

A plain ViT has one stride. Four of its blocks, evenly spaced in depth (as in DPT, Ranftl et al., arXiv 2103.13413),
become maps at strides 4, 8, 16, 32: the shallow ones are enlarged by transposed convolutions, the deepest is pooled
(the simple feature pyramid of ViTDet, Li et al., arXiv 2203.16527, which takes all four from the last block).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stylematte.config import RESERVED, BackboneConfig
from stylematte.errors import ConfigError
from stylematte.networks.backbone import Backbone, check_name
from stylematte.networks.fpn import group_count
from stylematte.networks.normalisation import normalisation
from stylematte.networks.pretrained import build_filled

STRIDES = [4, 8, 16, 32]
PLAIN = {"vision_transformer": "", "eva": "", "deit": "token"}
"""timm's modules of ViTs with one stride (DINOv2 is in the first, DINOv3 in the second) and the pooling to ask for:
none, which keeps the last norm in its place."""


def is_plain(name: str) -> bool:
    """Whether timm builds `name` as a ViT of one stride. Raises ConfigError for names that timm does not know."""
    check_name(name)
    return timm.models.model_entrypoint(name).__module__.rsplit(".", 1)[-1] in PLAIN


def build_encoder(config: BackboneConfig) -> nn.Module:
    """`Backbone` or `PlainBackbone`, whichever `config.name` needs. Raises ConfigError."""
    return (PlainBackbone if is_plain(config.name) else Backbone)(config)


def checkpoint_blocks(encoder: nn.Module) -> None:
    """Have timm recompute the extractor's blocks in the backward pass. Raises ConfigError if it cannot."""
    extractor: Any = encoder.extractor
    model: Any = extractor if hasattr(extractor, "set_grad_checkpointing") else getattr(extractor, "model", None)
    try:
        model.set_grad_checkpointing(True)
    except (AttributeError, AssertionError):
        raise ConfigError(
            f"backbone {encoder.name!r}: timm {timm.__version__} cannot checkpoint its gradients; "
            "set gradient_checkpointing to false, or choose another backbone"
        ) from None


class PlainBackbone(nn.Module):
    """image (N, 3, H, W) in [0, 1], H and W multiples of 32 -> four maps, NCHW, at strides 4, 8, 16, 32.

    The interface of `Backbone`: channels, strides, stride; normalises as that does. A patch that is
    no power of two (14) sees the picture resized by patch / stride, so that its tokens lie on the stride's grid.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.name = name = config.name
        self.extractor: Any = build_filled(config, partial(_create, name, dict(config.kwargs)))
        depth, width = len(self.extractor.blocks), int(self.extractor.embed_dim)
        self.patch = int(self.extractor.patch_embed.patch_size[0])
        self.token_stride = 2 ** round(math.log2(self.patch))
        if depth < 4 or self.token_stride not in STRIDES:
            raise ConfigError(
                f"backbone {name!r}: {depth} blocks of patch {self.patch}, needed are at least 4 and a patch near one "
                f"of {STRIDES}; choose another"
            )
        self.blocks = [depth * (level + 1) // 4 - 1 for level in range(4)]
        ratios = [self.token_stride / stride for stride in STRIDES]
        self.channels: list[int] = [max(1, round(width / max(1.0, ratio))) for ratio in ratios]
        self.strides, self.stride = list(STRIDES), STRIDES[-1]
        self.pyramid = nn.ModuleList(_level(width, ratio) for ratio in ratios)
        mean, std = normalisation(config)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self._probe()

    @torch.no_grad()
    def _probe(self) -> None:
        self.eval()
        try:
            self(torch.zeros(1, 3, 64, 96))
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConfigError(f"backbone {self.name!r}: cannot take pictures of any size ({reason})") from error
        finally:
            self.train()

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        image = (image - self.mean) / self.std
        if self.patch != self.token_stride:
            size = [side // self.token_stride * self.patch for side in image.shape[-2:]]
            image = F.interpolate(image, size=size, mode="bilinear", align_corners=False)
        maps = self.extractor.forward_intermediates(image, indices=self.blocks, norm=True, intermediates_only=True)
        return [level(tokens) for level, tokens in zip(self.pyramid, maps, strict=True)]


def _create(name: str, kwargs: dict[str, Any], weights: dict[str, Any]) -> Any:
    reserved = sorted((RESERVED | {"num_classes", "global_pool"}) & kwargs.keys())
    if reserved:
        raise ConfigError(f"backbone {name!r}: kwargs may not hold {', '.join(reserved)}; use backbone.weights")
    pool = PLAIN[timm.models.model_entrypoint(name).__module__.rsplit(".", 1)[-1]]
    arguments = {"num_classes": 0, "global_pool": pool, "dynamic_img_size": True, **kwargs, **weights}
    try:
        return timm.create_model(name, **arguments)
    except (TypeError, RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"backbone {name!r}: kwargs {kwargs} were refused: {reason}") from error


def _level(width: int, ratio: float) -> nn.Module:
    """Enlarge by `ratio` (halving the width each time it doubles), or pool by 1 / ratio."""
    if ratio < 1:
        return nn.MaxPool2d(round(1 / ratio))
    steps: list[nn.Module] = []
    for _ in range(round(math.log2(ratio))):
        half = max(1, round(width / 2))
        steps += [nn.ConvTranspose2d(width, half, 2, stride=2), nn.GroupNorm(group_count(half), half), nn.GELU()]
        width = half
    return nn.Sequential(*steps)
