"""Directional distance consistency written down: every candidate of every pixel unfolded, autograd for the gradient.

Slow and hungry (about a gigabyte at 512 x 512). It is what the fast version must equal, and what benchmarks compare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from stylematte.ops import neighbours as nb

if TYPE_CHECKING:
    from stylematte.losses.ddc import DdcOptions


def _unfold(padded: Tensor, window: int) -> Tensor:
    """(N, C, H + 2r, W + 2r) -> (N, C, window^2, H, W)."""
    n, channels, height, width = padded.shape
    size = (height - window + 1, width - window + 1)
    return F.unfold(padded, window).view(n, channels, window**2, *size)


def reference_maps(image: Tensor, alpha: Tensor, given: DdcOptions) -> tuple[Tensor, Tensor]:
    """Cost and floor of every pixel, (N, 1, H, W) each, by the equations at the top of `ddc.py`."""
    window, radius, k = given.window, given.window // 2, given.neighbours
    colours = _unfold(nb.pad_colour(image, radius, given.border), window)
    d = (colours - image[:, :, None]).norm(2, dim=1)  # (N, window^2, H, W)
    if not given.include_self:
        d[:, window**2 // 2] = torch.inf
    if given.stable_ties:
        order = nb.spiral(window).to(d.device)
        index = order[d[:, order].sort(dim=1, stable=True).indices[:, :k]]
    else:
        index = d.topk(k, 1, largest=False).indices
    d = d.gather(1, index)
    x = (alpha - _unfold(nb.pad(alpha, radius, given.border), window)[:, 0]).gather(1, index)
    if given.variant != "ddc":
        x = x * _contrast(image, given)
    cost = (x.abs() - d).clamp_min(0) if given.variant == "hinge" else (x - d).abs()
    floor = torch.zeros_like(d) if given.variant == "hinge" else d
    return cost.mean(1, keepdim=True), floor.mean(1, keepdim=True)


def _contrast(image: Tensor, given: DdcOptions) -> Tensor:
    """(N, 1, H, W): mean of the k brightest minus mean of the k darkest lumas of the window."""
    radius, k = given.window // 2, given.neighbours
    lumas = _unfold(nb.pad(nb.luma(image), radius, given.border), given.window)[:, 0]
    within = _unfold(nb.pad(torch.ones_like(image[:, :1]), radius, given.border), given.window)[:, 0] > 0
    if given.border != "exclude":
        within = torch.ones_like(within)
    darkest = lumas.where(within, torch.inf).topk(k, 1, largest=False).values.mean(1, keepdim=True)
    brightest = lumas.where(within, -torch.inf).topk(k, 1).values.mean(1, keepdim=True)
    return brightest - darkest
