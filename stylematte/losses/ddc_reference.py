"""The reference of `ddc.py`: every candidate of every pixel unfolded, autograd for the gradient (arXiv 2408.10539).

Slow and hungry (about a gigabyte at 512 x 512). It is what the fast version must equal, and what benchmarks compare.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stylematte.config import DdcConfig
from stylematte.ops import neighbours as nb


def _unfold(padded: Tensor, window: int) -> Tensor:
    """(N, C, H + 2r, W + 2r) -> (N, C, window^2, H, W)."""
    n, channels, height, width = padded.shape
    size = (height - window + 1, width - window + 1)
    return F.unfold(padded, window).view(n, channels, window**2, *size)


def reference_maps(
    image: Float[Tensor, "n 3 h w"], alpha: Float[Tensor, "n 1 h w"], config: DdcConfig, stable_ties: bool
) -> tuple[Float[Tensor, "n 1 h w"], Float[Tensor, "n 1 h w"]]:
    """Cost and floor of every pixel by the equations at the top of `ddc.py`."""
    window, radius, k = config.window, config.window // 2, config.neighbours
    colours = _unfold(nb.pad_colour(image, radius, config.border), window)
    d = (colours - image[:, :, None]).norm(2, dim=1)  # (N, window^2, H, W)
    if not config.include_self:
        d[:, window**2 // 2] = torch.inf
    if stable_ties:
        order = nb.spiral(window).to(d.device)
        index = order[d[:, order].sort(dim=1, stable=True).indices[:, :k]]
    else:
        index = d.topk(k, 1, largest=False).indices
    d = d.gather(1, index)
    x = (alpha - _unfold(nb.pad(alpha, radius, config.border), window)[:, 0]).gather(1, index)
    if config.variant != "ddc":
        x = x * _contrast(image, config)
    cost = (x.abs() - d).clamp_min(0) if config.variant == "hinge" else (x - d).abs()
    floor = torch.zeros_like(d) if config.variant == "hinge" else d
    return cost.mean(1, keepdim=True), floor.mean(1, keepdim=True)


def _contrast(image: Float[Tensor, "n 3 h w"], config: DdcConfig) -> Float[Tensor, "n 1 h w"]:
    """Mean of the k brightest minus mean of the k darkest lumas of the window."""
    radius, k = config.window // 2, config.neighbours
    lumas = _unfold(nb.pad(nb.luma(image), radius, config.border), config.window)[:, 0]
    within = _unfold(nb.pad(torch.ones_like(image[:, :1]), radius, config.border), config.window)[:, 0] > 0
    if config.border != "exclude":
        within = torch.ones_like(within)
    darkest = lumas.where(within, torch.inf).topk(k, 1, largest=False).values.mean(1, keepdim=True)
    brightest = lumas.where(within, -torch.inf).topk(k, 1).values.mean(1, keepdim=True)
    return brightest - darkest
