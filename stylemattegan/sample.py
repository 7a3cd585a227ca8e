"""Sampling a generator: pictures from seeds. Each depends on its seed and psi alone, not on its batch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylematte.rgba import unpremultiply_about_grey
from stylematte.sampling import generator_at
from stylemattegan.networks.generator import Generator

Latents = Callable[[Sequence[int], int], Tensor]


def latents(seeds: Sequence[int], z_dim: int) -> Tensor:
    """(N, z_dim) standard normal latents, each a function of its seed."""
    return torch.stack([torch.randn(z_dim, generator=generator_at("z", seed)) for seed in seeds])


def official_latents(seeds: Sequence[int], z_dim: int) -> Tensor:
    """The same as the official tools draw them: their seeds give their pictures. Seeds below 2^32."""
    drawn = [np.random.RandomState(seed).randn(z_dim) for seed in seeds]
    return torch.from_numpy(np.stack(drawn)).float()


def psi_for_seed(seed: int, interval: tuple[float, float]) -> float:
    """Truncation of this seed, uniform in the interval. Raises ValueError if the interval reaches 0."""
    low, high = interval
    if not 0 < low <= high:
        raise ValueError(f"psi is drawn from [{low}, {high}]: give 0 < low <= high, at 0 all pictures are the same")
    return low + (high - low) * torch.rand((), generator=generator_at("psi", seed), dtype=torch.float64).item()


def transform_matrix(translate: tuple[float, float] = (0.0, 0.0), degrees: float = 0.0) -> np.ndarray:
    """(3, 3) float64: turned counter-clockwise about the middle, then moved by (x, y) in picture widths; y is down."""
    angle = math.radians(degrees)
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s, translate[0]], [-s, c, translate[1]], [0, 0, 1]])


@contextmanager
def transformed(generator: Generator, matrix: np.ndarray) -> Iterator[None]:
    """Within, the generator's pictures are under the transform `matrix` (3, 3): its input takes the inverse."""
    transform = generator.synthesis.input.transform
    before = transform.clone()
    transform.copy_(torch.from_numpy(np.linalg.inv(matrix)))
    try:
        yield
    finally:
        transform.copy_(before)


@torch.no_grad()
def sample(
    generator: Generator,
    seeds: Sequence[int],
    psi: Sequence[float],
    batch: int = 16,
    *,
    cutoff: int | None = None,
    label: Sequence[float] | None = None,
    draw: Latents = latents,
    straight: bool = False,
) -> Tensor:
    """Straight RGBA (N, 4, H, W) in [0, 1] on the CPU, one picture per (seed, psi).

    generator: in eval mode, on any device. cutoff: truncate the first so many layers only. label: (c_dim,) of a
    conditional generator. straight: see `shown`. Raises ValueError for a repeated seed or psi not above 0.
    """
    twice = [seed for seed, count in Counter(seeds).items() if count > 1]
    if twice:
        raise ValueError(
            f"seed {twice[0]} is given more than once: each seed makes one picture, a repeat is the same one"
        )
    if len(seeds) != len(psi):
        raise ValueError(f"{len(seeds)} seeds but {len(psi)} psi: give one psi for each seed")
    if any(not value > 0 for value in psi):
        raise ValueError(f"psi must be above 0, got {min(psi)}: at 0 every seed makes the same average picture")
    if not seeds:
        raise ValueError("no seeds were given")
    device = next(generator.parameters()).device
    z = draw(seeds, generator.z_dim)
    cut = torch.tensor(list(psi), dtype=torch.float32)
    more: dict[str, Any] = {} if cutoff is None else {"truncation_cutoff": cutoff}
    pictures = []
    for start in range(0, len(seeds), batch):
        rows = slice(start, start + batch)
        if label is not None:
            more["c"] = torch.tensor([list(label)], dtype=torch.float32, device=device).expand(len(z[rows]), -1)
        encoded = generator(z[rows].to(device), psi=cut[rows].to(device), **more)
        pictures.append(shown(encoded.float().cpu(), straight))
    return torch.cat(pictures)


def shown(encoded: Tensor, straight: bool = False) -> Tensor:
    """What a generator makes, (N, 1, 3 or 4, H, W) in [-1, 1] -> straight RGBA in [0, 1]; alpha is 1 if it has none.

    Four channels are colour times alpha about grey (`premultiply_about_grey`), or, if `straight`, colour and alpha
    each by itself, as in the published StyleMatteGAN.
    """
    if encoded.shape[1] == 4 and not straight:
        return unpremultiply_about_grey(encoded)
    picture = ((encoded + 1) / 2).clamp(0, 1)
    if encoded.shape[1] == 4:
        return picture
    return torch.cat([picture.expand(-1, 3, -1, -1), torch.ones_like(picture[:, :1])], 1)
