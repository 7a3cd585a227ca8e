"""The batch that a matter learns from, and the arithmetic of alpha: compositing, premultiplying, trimaps.

Colour is straight (not premultiplied) sRGB, float32 in [0, 1], NCHW. Alpha is float32 in [0, 1], N1HW. A trimap is
float32 with the values {0, 1/2, 1}. This module imports torch and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class MattingBatch(NamedTuple):
    """What one training step of the matter sees.

    image, foreground, background: (N, 3, H, W); alpha: (N, 1, H, W); all in [0, 1]; trimap: (N, 1, H, W) with the
    values {0, 1/2, 1}. weight: (N,) loss weight of each sample. known_alpha: (N,) 1.0 where alpha is a label, 0.0
    where the trimap is all that is known. taught: (N,) 1.0 where such a sample's alpha is a teacher's guess (closed
    form), 0.0 where it is the trimap once more and means nothing. trimap_input: (N, 1, H, W), what a network that takes
    a trimap is shown of it, {0, 1/2, 1}; 1/2 everywhere says nothing. agreement: (N, 1, H, W) in [0, 1], how far alpha
    may be believed at each pixel; or ones (N, 1, 1, 1), where all of it may.
    """

    image: Tensor
    alpha: Tensor
    foreground: Tensor
    background: Tensor
    trimap: Tensor
    weight: Tensor
    known_alpha: Tensor
    taught: Tensor
    trimap_input: Tensor
    agreement: Tensor


def composite(foreground: Tensor, alpha: Tensor, background: Tensor) -> Tensor:
    """I = alpha F + (1 - alpha) B, the compositing equation (Porter and Duff 1984, "over")."""
    return alpha * foreground + (1 - alpha) * background


def split_rgba(rgba: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 4, H, W) or (4, H, W) -> colour with 3 channels, alpha with 1 channel."""
    if rgba.shape[-3] != 4:
        raise ValueError(f"expected 4 channels (RGBA), got {rgba.shape[-3]}")
    return rgba[..., :3, :, :], rgba[..., 3:, :, :]


def premultiply_about_grey(rgba: Tensor) -> Tensor:
    """Straight RGBA in [0, 1] -> the generator's encoding in [-1, 1]: colour alpha (2F - 1), alpha 2a - 1.

    Where alpha is 0 the colour is exactly 0 (mid-grey), so the discriminator has no invisible colour to judge by.
    """
    colour, alpha = split_rgba(rgba)
    return torch.cat([alpha * (2 * colour - 1), 2 * alpha - 1], dim=-3)


def unpremultiply_about_grey(encoded: Tensor, floor: float = 1 / 255) -> Tensor:
    """Inverse of `premultiply_about_grey`, clipped to [0, 1]; colour under alpha below `floor` becomes mid-grey."""
    colour, alpha = split_rgba(encoded)
    alpha = ((alpha + 1) / 2).clamp(0, 1)
    straight = 0.5 + colour / (2 * alpha.clamp_min(floor))
    straight = torch.where(alpha < floor, torch.full_like(straight, 0.5), straight)
    return torch.cat([straight.clamp(0, 1), alpha], dim=-3)


def trimap_from_alpha(alpha: Tensor, radius: int, low: float = 0.02, high: float = 0.98) -> Tensor:
    """{0, 1/2, 1}: known where alpha stays below `low` or above `high` in a (2 radius + 1) square, else unknown."""
    window = 2 * radius + 1
    surely_front = -F.max_pool2d(-(alpha > high).float(), window, stride=1, padding=radius)
    maybe_front = F.max_pool2d((alpha > low).float(), window, stride=1, padding=radius)
    return torch.where(surely_front > 0.5, 1.0, torch.where(maybe_front > 0.5, 0.5, 0.0)).to(alpha.dtype)


def trimap_of_shares(back: Tensor, front: Tensor, least: float = 0.999) -> Tensor:
    """How much of each pixel is known background and known foreground, in [0, 1] -> {0, 1/2, 1}.

    How a trimap is resized or turned: its two known regions are, as pictures; a pixel stays known only if all it was
    made of was known and of one kind.
    """
    half = torch.full_like(back, 0.5)
    return torch.where(front >= least, 1.0, torch.where(back >= least, 0.0, half))


def checkerboard(height: int, width: int, cell: int = 8) -> Tensor:
    """(3, H, W) grey checkerboard to show transparency on."""
    rows = torch.arange(height).div(cell, rounding_mode="floor")
    columns = torch.arange(width).div(cell, rounding_mode="floor")
    dark = ((rows[:, None] + columns[None, :]) % 2).float()
    return (0.85 - 0.25 * dark).expand(3, height, width).contiguous()
