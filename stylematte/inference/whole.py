"""A matter of photos that kept their resolution sees them small, and its alpha is brought back to their size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from stylematte.inference.matter import native_side, trained_at
from stylematte.inference.options import InferenceOptions, brought_back, predict_in, usual, view_of


class WholeViews(nn.Module):
    """image (N, 3, H, W) in [0, 1] -> alpha (N, 1, H, W) of what `network` sees by these options (without tiles)."""

    def __init__(self, network: nn.Module, options: InferenceOptions) -> None:
        super().__init__()
        self.network, self.options = network, options

    def forward(self, image: Tensor) -> Tensor:
        return torch.stack(predict_in(self.network, list(image), self.options))

    def small(self, image: Tensor) -> Tensor:
        """What the network sees of image (N, 3, H, W)."""
        return torch.stack([view_of(each, self.options) for each in image])

    def brought_back(self, small: Tensor, seen: Tensor, image: Tensor) -> Tensor:
        """An alpha (N, 1, h, w) of `seen`, which is `image` made small, at image's size."""
        return torch.stack([brought_back(*each) for each in zip(small, seen, image, strict=True)])


def as_trained(network: nn.Module, folder: Path, pictures: Sequence[str]) -> nn.Module:
    """The network of a matter folder as pictures of a run are shown to it: as they are, or by WholeViews, as usual,
    where they kept their own resolution (files .ppm)."""
    if not any(name.endswith(".ppm") for name in pictures):
        return network
    return WholeViews(network, usual(trained_at(folder), native_side(folder)))
