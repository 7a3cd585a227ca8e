"""Interpretable directions of a generator: the principal components of W (GANSpace, arXiv 2004.02546), and strips."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from stylematte.errors import ConfigError
from stylemattegan.networks.generator import Generator
from stylemattegan.sample import latents, shown


class Directions(NamedTuple):
    """mean (w_dim,); vectors (K, w_dim) of length 1, the widest first; spread (K,): standard deviations along them;
    share (K,): of the variance of W."""

    mean: Tensor
    vectors: Tensor
    spread: Tensor
    share: Tensor


@torch.no_grad()
def edit_directions(generator: Generator, count: int = 6, samples: int = 2000, seed: int = 0) -> Directions:
    """The `count` widest principal components of the styles of `samples` latents. Raises ConfigError.

    The sign is such that the largest entry is positive, so that equal weights give equal strips.
    """
    if not 1 <= count <= min(generator.w_dim, samples):
        raise ConfigError(f"--count {count}: expected 1 to {min(generator.w_dim, samples)} directions")
    if generator.c_dim:
        raise ConfigError(f"a conditional generator ({generator.c_dim} classes) has no directions in common")
    z = latents(range(seed, seed + samples), generator.z_dim).to(generator.mapping.w_avg.device)
    w = generator.mapping(z)[:, 0].double()
    mean = w.mean(0)
    _, sizes, vectors = torch.linalg.svd(w - mean, full_matrices=False)
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    vectors = vectors * largest.sign()
    variance = sizes.square() / (samples - 1)
    found = (mean, vectors[:count], variance.sqrt()[:count], (variance / variance.sum())[:count])
    return Directions(*(each.float() for each in found))


@torch.no_grad()
def strip(
    generator: Generator,
    w: Tensor,
    directions: Directions,
    index: int,
    reach: float = 2.0,
    columns: int = 7,
    straight: bool = False,
) -> Tensor:
    """Styles w (N, w_dim) moved from -reach to +reach standard deviations: straight RGBA (N, columns, 4, R, R)."""
    shares = torch.linspace(-reach, reach, columns, device=w.device)
    moves = shares[:, None] * directions.spread[index] * directions.vectors[index]
    rows = [
        shown(generator.synthesis((each + moves)[:, None].expand(-1, generator.num_ws, -1)).float().cpu(), straight)
        for each in w
    ]
    return torch.stack(rows)
