"""What an inversion is to reach: the square about a picture's subject at the generator's size, and where it lies.

Nothing is squashed: the window is a square, what of it is outside the picture does not count, and the turn and the
shift that are left are the generator's to find (`Code.pose`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylematte.imagefile import resize
from stylemattegan.framing import subject_window
from stylemattegan.inversion.code import from_straight

Window = tuple[int, int, int]
"""(left, top, side) of a square, in pixels; it may leave the picture."""


class Targets(NamedTuple):
    """N cut-outs to be found in a generator."""

    cutout: Tensor
    """(N, 4, R, R): colour times alpha about grey in [-1, 1], alpha in [0, 1]."""
    inside: Tensor
    """(N, 1, R, R) in [0, 1]: how much of a pixel is inside the picture."""

    def rows(self, index: slice) -> Targets:
        return Targets(self.cutout[index], self.inside[index])


def target(rgba: Tensor, size: int) -> tuple[Targets, Window]:
    """Straight RGBA (4, H, W) -> the window about its subject, (1, 4, size, size). ValueError: nothing is visible."""
    left, top, side = window = subject_window(rgba[3:])
    height, width = rgba.shape[1:]
    planes = torch.cat([from_straight(rgba[None]), torch.ones(1, 1, height, width, device=rgba.device)], 1)
    planes = F.pad(planes, (-left, left + side - width, -top, top + side - height))  # negative: crops
    planes = resize(planes, (size, size))
    return Targets(planes[:, :4], planes[:, 4:]), window


def whole(rgba: Tensor) -> Targets:
    """Straight RGBA (N, 4, R, R), a generator's own size, as it is."""
    return Targets(from_straight(rgba), torch.ones_like(rgba[:, 3:]))


def stacked(targets: list[Targets]) -> Targets:
    return Targets(torch.cat([each.cutout for each in targets]), torch.cat([each.inside for each in targets]))
