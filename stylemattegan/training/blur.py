"""The blur of what D sees at the start of a fit: coarse structure first (Karras et al. 2021, config R).

R's 1 x 1 convolutions let D win early by detail that G cannot draw yet.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stylemattegan.ops import filter2d


def blur_sigma(shown: int, initial: float, fade_kimg: float) -> float:
    """Pixels: from `initial` in a line to 0 while fade_kimg thousand pictures are shown. fade_kimg=0: 0."""
    return max(1 - shown / (fade_kimg * 1000), 0.0) * initial if fade_kimg > 0 else 0.0


def blur(images: Tensor, sigma: float) -> Tensor:
    """(N, C, H, W) filtered along both axes with 2^-((k / sigma)^2), |k| <= 3 sigma, sum 1; zeros outside.

    The base is 2, so the standard deviation is sigma / sqrt(2 ln 2). Below a radius of one pixel nothing is done.
    """
    radius = math.floor(3 * sigma)
    if radius < 1:
        return images
    taps = torch.arange(-radius, radius + 1, dtype=torch.float32, device=images.device).div(sigma).square().neg().exp2()
    return filter2d(images, taps / taps.sum())


def blur_encoded(encoded: Tensor, sigma: float) -> Tensor:
    """`blur` of encoded RGBA (N, 4, H, W): outside the picture is transparent, not half so."""
    base = encoded.new_tensor([0, 0, 0, 1]).view(4, 1, 1)
    return blur(encoded + base, sigma) - base if sigma > 0 else encoded
