"""Equivariance of a generator to translation and rotation: EQ-T, EQ-T_frac, EQ-R (Karras et al. 2021, appendix E)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylematte.sampling import generator_at
from stylemattegan.metrics import moves

PEAK = 2.0
"""Pictures are in [-1, 1]."""
MOST_SHIFT = 0.125
"""Translations are uniform in +- this share of the picture's side."""

Render = Callable[[Tensor], Tensor]


@torch.no_grad()
def equivariance(renders: Iterable[Render], *, seed: int = 0) -> dict[str, float]:
    """{"eqt", "eqt_frac", "eqr"} in dB of a generator of [-1, 1] pictures; infinite where nothing differs.

    PSNR about a peak of 2 between the moved picture and the picture of the moved generator, over the pixels that the
    move leaves whole (Karras et al. 2021, appendix E). Translations by whole pixels, by any amount, rotations by any
    angle; one of each per render, a function of (seed, its number).
    renders: each maps the inverse (3, 3) of the transform wanted, in picture widths, to the same pictures
    (N, C, S, S) under it. They should be float32 throughout.
    """
    sums = {kind: [0.0, 0.0] for kind in ("eqt", "eqt_frac", "eqr")}
    for number, render in enumerate(renders):
        x, y, part_x, part_y, turn = torch.rand(5, generator=generator_at(seed, "equivariance", number)).tolist()
        still = render(torch.eye(3))
        side = still.shape[3]
        for kind, shift in (("eqt", (x, y)), ("eqt_frac", (part_x, part_y))):
            across, down = ((2 * share - 1) * MOST_SHIFT for share in shift)
            if kind == "eqt":
                across, down = round(across * side) / side, round(down * side) / side
            moved, mask = (moves.move_by_whole_pixels if kind == "eqt" else moves.move)(still, across, down)
            _add(sums[kind], moved, render(_shift(-across, -down)), mask)
        angle = (2 * turn - 1) * math.pi
        turned, whole = moves.turn(still, angle)
        made = render(torch.from_numpy(moves.rotation_matrix(-angle)).float())
        made, whole_too = moves.band_limit_as_turned(made, angle)
        _add(sums["eqr"], turned, made, whole * whole_too)
    return {kind: _decibels(*pair) for kind, pair in sums.items()}


def generator_equivariance(
    generator: Any, count: int, *, seed: int = 0, batch: int = 4, watch: Callable[[range], Iterable[int]] = iter
) -> dict[str, float]:
    """`equivariance` of an unconditional StyleGAN3 generator, on `count` latents, one transform per `batch` of them.

    watch: hands the batches through, for a progress bar.
    """
    transform = generator.synthesis.input.transform
    before = transform.clone()
    try:
        return equivariance(_renders(generator, count, seed, batch, watch), seed=seed)
    finally:
        transform.copy_(before)


def _renders(
    generator: Any, count: int, seed: int, batch: int, watch: Callable[[range], Iterable[int]]
) -> Iterator[Render]:
    transform = generator.synthesis.input.transform
    for first in watch(range(0, count, batch)):
        numbers = range(first, min(first + batch, count))
        sources = [generator_at(seed, "equivariance z", number) for number in numbers]
        z = torch.stack([torch.randn(generator.z_dim, generator=source) for source in sources])
        w = generator.mapping(z.to(transform.device))

        def render(inverse: Tensor, w: Tensor = w) -> Tensor:
            transform.copy_(inverse)
            return generator.synthesis(w).float()

        yield render


def _shift(x: float, y: float) -> Tensor:
    return torch.tensor([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=torch.float32)


def _add(sums: list[float], wanted: Tensor, made: Tensor, mask: Tensor) -> None:
    sums[0] += float(((wanted - made).double().square() * mask).sum())
    sums[1] += float(mask.double().sum())


def _decibels(squared: float, pixels: float) -> float:
    """10 log10(PEAK^2 / mean squared error)."""
    if not pixels:
        raise ValueError("no pixel is whole after the moves: the pictures are too small for equivariance, take 32 x 32")
    return float(10 * np.log10(PEAK**2 * pixels / squared)) if squared > 0 else math.inf
