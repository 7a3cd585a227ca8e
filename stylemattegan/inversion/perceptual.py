"""Perceptual distance of two pictures: by the maps of any backbone, or of a pyramid of random features.

LPIPS without its learned weights (Zhang et al. 2018, arXiv 1801.03924, eq. 1): at every position of every map the
features are brought to unit length; the distance is the mean square of their difference, summed over the maps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylematte.imagefile import resize
from stylematte.sampling import generator_at

Maps = Callable[[Tensor], Sequence[Tensor]]
"""RGB (N, 3, H, W) in [0, 1] -> maps (N, C_i, h_i, w_i)."""
COARSEST, SMALLEST = 32, 0.1
"""Backbones take sides that are multiples of COARSEST. SMALLEST: of a feature's length, so that flat areas say
nothing."""
WIDTH, LEVELS = 16, 3


class Perceptual(NamedTuple):
    """How alike two pictures look. name: which features, for whoever reads a distance."""

    name: str
    maps: Maps

    def of(self, rgb: Tensor) -> list[Tensor]:
        """Unit features of pictures (N, 3, H, W), to be compared by `distance`."""
        return [found * (found.square().sum(1, keepdim=True) + SMALLEST**2).rsqrt() for found in self.maps(rgb)]

    def distance(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
        """(N,), 0 for equal pictures."""
        gaps = [(a - b).square().sum(1).mean((1, 2)) for a, b in zip(one, other, strict=True)]
        return torch.stack(gaps).sum(0)


def of_backbone(name: str, encode: Maps) -> Perceptual:
    """The maps of a backbone whose input has sides that are multiples of 32."""

    def maps(rgb: Tensor) -> Sequence[Tensor]:
        height, width = (-(-side // COARSEST) * COARSEST for side in rgb.shape[-2:])
        return encode(resize(rgb, (height, width)))

    return Perceptual(name, maps)


def random_pyramid(device: torch.device | str = "cpu") -> Perceptual:
    """Two random convolutions at three scales, the same on every machine: what there is where no weights are given."""
    drawn = generator_at("random pyramid")
    kernels = [(_kernel(3, WIDTH, drawn).to(device), _kernel(WIDTH, WIDTH, drawn).to(device)) for _ in range(LEVELS)]

    def maps(rgb: Tensor) -> list[Tensor]:
        found, x = [], rgb - 0.5
        for index, (first, second) in enumerate(kernels):
            x = x if index == 0 or min(x.shape[-2:]) < 4 else F.avg_pool2d(x, 2)
            y = F.leaky_relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), first), 0.2)
            found.append(F.leaky_relu(F.conv2d(F.pad(y, (1, 1, 1, 1), mode="replicate"), second), 0.2))
        return found

    return Perceptual("random pyramid (no weights were given)", maps)


def _kernel(inside: int, outside: int, drawn: torch.Generator) -> Tensor:
    return torch.randn(outside, inside, 3, 3, generator=drawn) / math.sqrt(9 * inside)
