"""The released backbone: Swin with a norm on every stage's output, and windows that are padded, then rolled.

Liu et al., "Swin Transformer" (ICCV 2021). Modules and parameters are timm's; the forward pass is here, because timm
rolls the map first and pads afterwards: other windows, and features that differ by 0.3 to 1.6 wherever a map is no
multiple of the window. Everything is NHWC inside.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock
from torch import Tensor, nn

from stylematte.config import RESERVED, BackboneConfig
from stylematte.errors import ConfigError
from stylematte.networks.backbone import check_name
from stylematte.networks.normalisation import normalisation
from stylematte.networks.pretrained import build_filled
from stylematte.networks.windows import APART, attend, padded_by_index
from stylematte.ops.pointwise import feedforward, project
from stylematte.ops.pointwise import linear as product

PATCH = 4
NEEDED = (
    "variant 'released' is built on timm's Swin with 4 stages, patch 4 and square windows, for example "
    "swin_tiny_patch4_window7_224; choose it, or another variant"
)


def pad_to(x: Float[Tensor, "n _ _ c"], multiple: int) -> Float[Tensor, "n _ _ c"]:
    """x with zeros below and right, so that H and W are multiples."""
    if torch.compiler.is_exporting():
        return padded_by_index(x, multiple)
    return F.pad(x, (0, 0, 0, -x.shape[2] % multiple, 0, -x.shape[1] % multiple))


def windows(x: Shaped[Tensor, "n h w c"], window: int, *split: int) -> Shaped[Tensor, "_ {window*window} ..."]:
    """(N, H, W, C) -> (N H/w W/w, w w, *split): the cells of each window; `split` divides C."""
    n, height, width, _ = x.shape
    x = x.view(n, height // window, window, width // window, window, -1)
    return x.transpose(2, 3).reshape(-1, window * window, *split)


def roll_mask(
    height: int, width: int, window: int, shift: int, device: torch.device
) -> Float[Tensor, "_ {window*window} {window*window}"]:
    """For each window, 0 between cells that were neighbours before the roll, -100 between those that were not."""

    def band(size: int) -> Tensor:
        index = torch.arange(size, device=device)
        return (index >= size - window).long() + (index >= size - shift).long()

    region = (3 * band(height)[:, None] + band(width)).view(1, height, width, 1)
    label = windows(region, window)
    return (label[:, :, None] != label[:, None, :]).float() * APART


def window_attention(block: SwinTransformerBlock, x: Float[Tensor, "n h w c"]) -> Float[Tensor, "n h w c"]:
    """softmax(q k^T / sqrt d + B + M) v in windows of (rolled) padded x, at x's size; x is normalised.

    B: the relative position bias; M: `roll_mask`, where the window is shifted.
    """
    if torch.compiler.is_exporting():
        return attend(block, x, padded_first=True)
    attention, window, shift = block.attn, block.window_size[0], max(block.shift_size)
    n, height, width, channels = x.shape
    heads = attention.num_heads
    # padding is zeros before the projection: its bias alone after it
    qkv = pad_to(product(x, attention.qkv.weight), window) + attention.qkv.bias
    bias = attention._get_rel_pos_bias()  # (1, heads, w w, w w)
    if shift:
        qkv = qkv.roll((-shift, -shift), (1, 2))
        bias = bias + roll_mask(*qkv.shape[1:3], window, shift, x.device)[:, None]
        bias = bias.repeat(n, 1, 1, 1)
    padded = qkv.shape[1:3]
    q, k, v = windows(qkv, window, 3, heads, channels // heads).permute(2, 0, 3, 1, 4)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
    y = y.transpose(1, 2).reshape(n, padded[0] // window, padded[1] // window, window, window, channels)
    y = y.transpose(2, 3).reshape(n, *padded, channels)
    if shift:
        y = y.roll((shift, shift), (1, 2))
    return project(attention.proj, y[:, :height, :width])


def run_block(block: SwinTransformerBlock, x: Float[Tensor, "n h w c"]) -> Float[Tensor, "n h w c"]:
    """One Swin block."""
    x = x + block.drop_path1(window_attention(block, block.norm1(x)))
    return x + block.drop_path2(feedforward(block.norm2(x), block.mlp.fc1, block.mlp.act, block.mlp.fc2))


def merge(downsample: nn.Module, x: Float[Tensor, "n _ _ _"]) -> Float[Tensor, "n _ _ _"]:
    """Patch merging: 2 x 2 cells become one of twice the channels; odd sizes get a row or column of zeros."""
    if isinstance(downsample, nn.Identity):
        return x
    x = pad_to(x, 2)
    n, height, width, channels = x.shape
    x = x.view(n, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 4, 2, 5).flatten(3)
    return project(downsample.reduction, downsample.norm(x))


class SwinMaps(nn.Module):
    """image (N, 3, H, W) in [0, 1] -> four normalised maps, NCHW, finest first, of ceil(H / 4), then half each.

    Attributes: channels and strides of the maps (lists of 4), stride (what H and W need be
    multiples of for sharp cells: the patch). Raises ConfigError.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.swin: Any = build_filled(config, partial(_create, config.name, dict(config.kwargs)))
        self.channels: list[int] = [stage.blocks[0].dim for stage in self.swin.layers]
        self.strides, self.stride = [4, 8, 16, 32], PATCH
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in self.channels)
        mean, std = normalisation(config)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def normalise(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        return (image - self.mean) / self.std

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        return self.maps(self.normalise(image))

    def maps(self, normalised: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """The maps of a picture that is normalised already."""
        height, width = normalised.shape[-2:]
        x = F.pad(normalised, (0, -width % PATCH, 0, -height % PATCH))
        x = self.swin.patch_embed.norm(self.swin.patch_embed.proj(x).permute(0, 2, 3, 1))
        maps = []
        for stage, norm in zip(self.swin.layers, self.norms, strict=True):
            x = merge(stage.downsample, x)
            for block in stage.blocks:
                x = run_block(block, x)
            maps.append(norm(x).permute(0, 3, 1, 2))
        return maps


def _create(name: str, kwargs: dict[str, Any], weights: dict[str, Any]) -> SwinTransformer:
    """timm's Swin without its head and last norm; ConfigError for anything else."""
    check_name(name)
    reserved = sorted(RESERVED & kwargs.keys())
    if reserved:
        raise ConfigError(f"backbone {name!r}: kwargs may not hold {', '.join(reserved)}; use backbone.weights")
    asked = {"drop_path_rate": 0.3, **kwargs, "always_partition": True, "strict_img_size": False, "num_classes": 0}
    try:
        swin = timm.create_model(name, **asked, **weights)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"backbone {name!r}: kwargs {kwargs} were refused: {reason}; {NEEDED}") from error
    blocks = [block for stage in getattr(swin, "layers", []) for block in getattr(stage, "blocks", [])]
    right = isinstance(swin, SwinTransformer) and len(swin.layers) == 4 and swin.patch_embed.patch_size == (PATCH,) * 2
    if not right or any(len(set(block.window_size)) > 1 for block in blocks):
        raise ConfigError(f"backbone {name!r}: {NEEDED}")
    swin.norm, swin.head = nn.Identity(), nn.Identity()
    return swin
