"""The four losses of portrait enhancement (arXiv 2208.06601): adversarial, entropy, pixel, perceptual.

The entropy counts outside the transition band only: pushing the band to 0 or 1 destroys hair.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylemattegan.networks.discriminator import Discriminator


class Matte(NamedTuple):
    """What a matter says of N pictures."""

    alpha: Tensor
    """(N, 1, H, W) in [0, 1]."""
    logits: Tensor | None = None
    """(N, 3, H, W) of its trimap (background, unknown, foreground), if it is trimap-based."""


Matter = Callable[[Tensor], Matte]
"""RGB (N, 3, H, W) in [0, 1] -> its matte. One without gradients has an attribute `differentiable = False`."""
Critic = Callable[[Tensor, Tensor], Tensor]
"""Picture (N, 3, H, W) and alpha (N, 1, H, W) -> logits (N,): above 0 where the pair looks real."""


def entropy_map(matte: Matte) -> Tensor:
    """(N, 1, H, W) in [0, 1]: of alpha in bits, or of the trimap's three classes over log 3.

    Finite, with finite gradients, for any logits: x log x by log_softmax, and alpha kept off 0 and 1.
    """
    if matte.logits is not None:
        logs = matte.logits.float().log_softmax(1)
        return -(logs.exp() * logs).sum(1, keepdim=True) / math.log(3)
    alpha = matte.alpha.float().clamp(1e-6, 1 - 1e-6)
    return -(alpha * alpha.log() + (1 - alpha) * (1 - alpha).log()) / math.log(2)


def outside_band(alpha: Tensor, low: float = 0.02, high: float = 0.98, share: float = 0.02) -> Tensor:
    """alpha (N, 1, H, W) -> the same shape, 1 outside the transition band, which is widened by `share` of the side."""
    radius = max(1, round(share * min(alpha.shape[-2:])))
    band = ((alpha > low) & (alpha < high)).float()
    edge = F.max_pool2d(alpha, 3, 1, 1) - -F.max_pool2d(-alpha, 3, 1, 1) > high - low  # a hard edge is one, too
    band = torch.maximum(band, edge.float())
    return 1 - F.max_pool2d(band, 2 * radius + 1, stride=1, padding=radius)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """(N,) means of values where mask is 1; 0 where it is nowhere."""
    return (values * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3)).clamp_min(1)


def pair_critic(D: Discriminator) -> Critic:
    """An RGBA discriminator judges the pair itself: the picture cut out with the predicted matte.

    D's spread within groups would make pictures depend on each other: each is its own group.
    """
    D = D.eval().requires_grad_(False)
    D.b4.group_size = 1

    def critic(picture: Tensor, alpha: Tensor) -> Tensor:
        pairs = torch.cat([alpha * (2 * picture - 1), 2 * alpha - 1], 1)
        side = D.img_resolution
        if pairs.shape[-2:] != (side, side):
            pairs = F.interpolate(pairs, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        return D(pairs)[:, 0]

    return critic


def composite_critic(D: Callable[[Tensor], Tensor], foreground: Tensor, background: Tensor) -> Critic:
    """An RGB discriminator, (N, 3, R, R) in [-1, 1] -> logits, judges a composite made with the predicted matte.

    As in the paper foreground and background (1 or N, 3, R, R) are given: the composite depends on alpha alone.
    """

    def critic(picture: Tensor, alpha: Tensor) -> Tensor:
        return D(2 * (alpha * foreground + (1 - alpha) * background) - 1).mean(1)

    return critic
