"""The random numbers of a training step, as functions of their position (seed, phase, step).

Drawn on the CPU for the global batch, of which a rank takes its rows: a resumed fit equals the unbroken one, and N
processes equal one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stylematte import distributed
from stylematte.sampling import generator_at
from stylemattegan.augment import pipe as augment


def normal(shape: tuple[int, ...], *position: int | str) -> Tensor:
    """Standard normal numbers; shape[0] is the global count."""
    return distributed.rank_slice(torch.randn(shape, generator=generator_at(*position)))


def crossovers(count: int, layers: int, share: float, *position: int | str) -> Tensor:
    """The layer from which each picture takes its other style: a `share` of them 1 to layers - 1, the others never."""
    generator = generator_at(*position)
    first = torch.randint(1, layers, (count,), generator=generator)
    mixed = torch.rand(count, generator=generator) < share
    return distributed.rank_slice(torch.where(mixed, first, layers))


def augmentation(count: int, p: float, transforms: str, *position: int | str) -> augment.Parameters:
    """Each transform of the set (see `augment.SETS`) with probability p, for each of `count` pictures."""
    drawn = augment.draw_parameters(count, p, generator_at(*position), transforms)
    return augment.Parameters(*(distributed.rank_slice(values) for values in drawn))
