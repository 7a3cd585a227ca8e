"""Pictures from seeds. Picture k depends on its seed and psi alone, not on the batch it was made in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from stylematte.rgba import unpremultiply_about_grey
from stylematte.sampling import generator_at
from stylemattegan.networks.generator import Generator


def latents(seeds: Sequence[int], z_dim: int) -> Tensor:
    """(N, z_dim) standard normal latents, each a function of its seed."""
    return torch.stack([torch.randn(z_dim, generator=generator_at("z", seed)) for seed in seeds])


def psi_for_seed(seed: int, interval: tuple[float, float]) -> float:
    """Truncation of this seed, uniform in the interval. Raises ValueError if the interval reaches 0."""
    low, high = interval
    if not 0 < low <= high:
        raise ValueError(f"psi is drawn from [{low}, {high}]: give 0 < low <= high, at 0 all pictures are the same")
    return low + (high - low) * torch.rand((), generator=generator_at("psi", seed), dtype=torch.float64).item()


@torch.no_grad()
def sample(generator: Generator, seeds: Sequence[int], psi: Sequence[float], batch: int = 16) -> Tensor:
    """Straight RGBA (N, 4, H, W) in [0, 1] on the CPU, one picture per (seed, psi).

    generator: in eval mode, on any device. Raises ValueError for a repeated seed or psi not above 0.
    """
    twice = [seed for seed, count in Counter(seeds).items() if count > 1]
    if twice:
        raise ValueError(f"seed {twice[0]} is given more than once: each seed makes one picture, so repeats are copies")
    if len(seeds) != len(psi):
        raise ValueError(f"{len(seeds)} seeds but {len(psi)} psi: give one psi for each seed")
    if any(not value > 0 for value in psi):
        raise ValueError(f"psi must be above 0, got {min(psi)}: at 0 every seed makes the same average picture")
    if not seeds:
        raise ValueError("no seeds were given")
    device = next(generator.parameters()).device
    z = latents(seeds, generator.z_dim)
    cut = torch.tensor(list(psi), dtype=torch.float32)
    pictures = []
    for start in range(0, len(seeds), batch):
        rows = slice(start, start + batch)
        encoded = generator(z[rows].to(device), psi=cut[rows].to(device))
        pictures.append(unpremultiply_about_grey(encoded.float().cpu()))
    return torch.cat(pictures)
