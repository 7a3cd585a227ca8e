"""A matter that learned from whole pictures at one size shows them small, and brings its alpha back to their size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from stylematte.inference.matter import native_side, trained_at
from stylematte.inference.options import InferenceOptions, brought_back, predict_in
from stylematte.sheets import to_longest_side


class WholeViews(nn.Module):
    """image (N, 3, H, W) in [0, 1] -> alpha (N, 1, H, W) of what `network` sees at the longest side `size`."""

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, image: Tensor) -> Tensor:
        return torch.stack(predict_in(self.network, list(image), InferenceOptions(self.size, enlarge=True)))

    def small(self, image: Tensor) -> Tensor:
        """What the network sees of image (N, 3, H, W)."""
        return torch.stack([to_longest_side(each, self.size) for each in image])

    def brought_back(self, small: Tensor, seen: Tensor, image: Tensor) -> Tensor:
        """An alpha (N, 1, h, w) of `seen`, which is `image` made small, at image's size."""
        return torch.stack([brought_back(*each) for each in zip(small, seen, image, strict=True)])


def as_trained(network: nn.Module, folder: Path, pictures: Sequence[str]) -> nn.Module:
    """The network of a matter folder as pictures of a run are shown to it: as they are, or by WholeViews where they
    kept their own resolution (files .ppm) and the matter has not learned from crops of them."""
    native = any(name.endswith(".ppm") for name in pictures)
    return WholeViews(network, trained_at(folder)) if native and not native_side(folder) else network
