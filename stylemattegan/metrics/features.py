"""Features by which sets of pictures are compared: pixels, the pooled maps of any backbone, Inception.

Each is a function of straight RGBA pictures (N, 4, H, W) in [0, 1], so that all distances take the same input. A
network comes from the caller; nothing is ever downloaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylematte.imagefile import resize
from stylematte.rgba import composite, premultiply_about_grey, split_rgba

Blocks = list[Tensor]
"""Features of N pictures in groups of one natural unit each: (N, d_1), (N, d_2), ..."""
THUMBNAIL = 8
COARSEST = 32
"""Backbones take sides that are multiples of it."""


class Features(NamedTuple):
    """How pictures are compared. `of`: straight RGBA (N, 4, H, W) in [0, 1] -> blocks (N, d_i) on the CPU."""

    name: str
    of: Callable[[Tensor], Blocks]
    scaled: bool = False
    """Each block is to be brought to unit variance, as a whole, on the real pictures: their natural units differ."""
    is_inception: bool = False
    """Whether their Fréchet distance is FID and their kernel distance KID."""


def pixels() -> Features:
    """One block (N, 256): the picture at 8 x 8, colour times alpha about grey, all in [-1, 1]."""
    return Features("pixels", lambda rgba: [resize(premultiply_about_grey(rgba), (THUMBNAIL, THUMBNAIL)).flatten(1)])


def pooled(name: str, encode: Callable[[Tensor], Sequence[Tensor]], device: torch.device | str = "cpu") -> Features:
    """A block for each map of a backbone, its mean over the cut-out on mid-grey, and one for the alpha at 8 x 8.

    encode: RGB (N, 3, S, S) in [0, 1] on `device`, S a multiple of 32, -> maps (N, C_i, h_i, w_i).
    """

    @torch.no_grad()
    def of(rgba: Tensor) -> Blocks:
        rgba = rgba.to(device)
        side = -(-max(rgba.shape[2:]) // COARSEST) * COARSEST
        maps = encode(resize(over_grey(rgba), (side, side)))
        alpha = F.adaptive_avg_pool2d(rgba[:, 3:], THUMBNAIL).flatten(1)
        return [*(level.mean((2, 3)).cpu() for level in maps), alpha.cpu()]

    return Features(name, of, scaled=True)


def inception(weights: Path, device: torch.device | str = "cpu") -> Features:
    """One block (N, 2048): the features that published FIDs are of, of cut-outs on mid-grey, from the user's file.

    By torch-fidelity, which is not installed with us: raises ImportError without it.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise ImportError("Inception features need torch-fidelity: pip install torch-fidelity") from None
    network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(weights))
    network = network.eval().to(device)

    @torch.no_grad()
    def of(rgba: Tensor) -> Blocks:
        return [network((over_grey(rgba) * 255).round().to(device, torch.uint8))[0].cpu()]

    return Features(f"inception {weights}", of, is_inception=True)


def over_grey(rgba: Tensor) -> Tensor:
    """Straight RGBA (N, 4, H, W) -> RGB (N, 3, H, W) over mid-grey."""
    colour, alpha = split_rgba(rgba)
    return composite(colour, alpha, torch.full_like(colour, 0.5))


def collect(features: Features, batches: Iterable[Tensor]) -> Blocks:
    """Blocks in float64 of all batches of straight RGBA together."""
    rows = [features.of(batch) for batch in batches]
    return [torch.cat(block).double() for block in zip(*rows, strict=True)]


def units(blocks: Blocks) -> list[float]:
    """The root of each block's total variance; 1 for a block that never varies."""
    return [math.sqrt(block.var(0, correction=0).sum()) or 1.0 for block in blocks]


def joined(blocks: Blocks, units: Sequence[float] = ()) -> Tensor:
    """(N, sum d_i): the blocks side by side, each divided by its unit, if there are units."""
    return torch.cat([block / unit for block, unit in zip(blocks, units or [1.0] * len(blocks), strict=True)], 1)
