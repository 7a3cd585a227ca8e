"""Walks through latent space: a closed spline through the w of some seeds, as frames of an animation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from stylemattegan.networks.generator import Generator
from stylemattegan.sample import Latents, latents, shown


@torch.no_grad()
def walk(
    generator: Generator,
    seeds: Sequence[int],
    psi: float,
    frames: int,
    *,
    columns: int = 1,
    rows: int = 1,
    cutoff: int | None = None,
    label: Sequence[float] | None = None,
    draw: Latents = latents,
    straight: bool = False,
    batch: int = 8,
) -> Iterator[Tensor]:
    """Straight RGBA frames (4, rows H, columns W) in [0, 1], `frames` from each seed to the next and back to the first.

    A periodic cubic spline through the seeds' w. Each cell of the grid walks through seeds of its own, which are dealt
    out in turn. Raises ValueError unless every cell gets the same number of seeds, at least two.
    """
    cells = columns * rows
    if len(seeds) % cells or len(seeds) < 2 * cells:
        raise ValueError(
            f"{len(seeds)} seeds for a walk of {cells} cells: give at least 2 for each, and as many to all"
        )
    device = next(generator.parameters()).device
    z = draw(seeds, generator.z_dim).to(device)
    c = None if label is None else torch.tensor([list(label)], device=device).float().expand(len(z), -1)
    keys = generator.mapping(z, c, psi=psi, truncation_cutoff=cutoff).cpu().double()
    keys = keys.view(len(seeds) // cells, cells, *keys.shape[1:])
    closed = torch.cat([keys, keys[:1]])
    path = CubicSpline(range(len(closed)), closed.numpy(), bc_type="periodic")
    for number in range(len(keys) * frames):
        w = torch.from_numpy(path(number / frames)).float()
        pictures = [shown(generator.synthesis(part.to(device)).float().cpu(), straight) for part in w.split(batch)]
        yield _tiled(torch.cat(pictures), columns)


def _tiled(pictures: Tensor, columns: int) -> Tensor:
    """(columns rows, C, H, W) -> (C, rows H, columns W), row by row."""
    lines = [torch.cat(list(line), 2) for line in pictures.split(columns)]
    return torch.cat(lines, 1)
