"""Generative latent optimisation (Bojanowski et al. 2018, arXiv 1707.05776): every cut-out x_i has a latent z_i of its
own, and G and the latents together learn  min over G and z of  mean over i of Lap1(G(z_i), x_i),  without any D.

It draws eyes and mouths long before an adversarial loss does, and hardly any mode is left out. It blurs, and says
nothing of latents between the z_i: so the adversarial fit goes on from it, with a share of each batch still at the z_i.

The latents begin as the cut-outs' whitened principal components, as the paper suggests: their mean is 0 and their
covariance is 1, like that of the latents that a generator is sampled with. The mapping network normalises latents, so
they are points of the sphere and nothing else holds them there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylematte import distributed
from stylematte.sampling import Draw, MixtureSampler, generator_at, position_seed
from stylemattegan.config import ReconstructionConfig
from stylemattegan.training.cutouts import Cutouts
from stylemattegan.training.terms import Term

SIDE = 16
"""Cut-outs are brought to this size for their principal components."""
COARSEST = 4
"""The side of the pyramid's last level."""


class Known(NamedTuple):
    """Rows of a batch that are reconstructed: latents (k, z_dim), with a graph, and the encoded pictures they mean."""

    latents: Tensor
    pictures: Tensor


class Reconstruction(nn.Module):
    """The latents of the cut-outs `files` (straight RGBA), one more of each mirrored one if `mirror`, and their term.

    batch: the global one. Which cut-outs a step sees is a function of (seed, step).
    """

    def __init__(
        self,
        files: Sequence[Path],
        config: ReconstructionConfig,
        *,
        resolution: int,
        z_dim: int,
        batch: int,
        seed: int,
        mirror: bool = True,
        cache_bytes: int = 2**30,
    ) -> None:
        super().__init__()
        self.config, self.batch, self.seed = config, batch, seed
        self.cutouts = Cutouts([files], resolution, mirror, cache_bytes)
        self.views = 2 if mirror else 1
        small = [F.adaptive_avg_pool2d(self._pictures([index]), SIDE) for index in range(self.views * len(files))]
        self.latents = nn.Parameter(principal_latents(torch.cat(small).flatten(1), z_dim, seed))

    def g_learns(self, step: int) -> bool:
        """Not while D alone learns, between reconstruction and the adversarial fit."""
        return not 0 <= step - self.config.steps < self.config.d_steps

    def d_learns(self, step: int) -> bool:
        """Not while there is reconstruction alone."""
        return step >= self.config.steps

    def rate_factor(self, step: int) -> float:
        """On G's learning rate, beside the fit's own schedule: from config.speed to 1 on half a cosine."""
        part = min(1.0, step / self.config.steps)
        return 1 + (self.config.speed - 1) * 0.5 * (1 + math.cos(math.pi * part))

    def known(self, step: int) -> Known | None:
        """This rank's share of what the batch of `step` reconstructs: all of it at first, later config.share of it."""
        world, share = distributed.world(), self.config.share if self.d_learns(step) else 1.0
        count = round(share * self.batch / world) * world
        if not count:
            return None
        order = MixtureSampler(
            [len(self.latents)], [count], 1, position_seed(self.seed, "known"), distributed.rank(), world
        )
        order.set_epoch(step)
        draws = next(iter(order))
        indices = [draw.index for draw in draws]
        return Known(self._around(draws), self._pictures(indices).to(self.latents.device))

    def term(self, fake: Tensor, known: Known, step: int) -> Term:
        """Of generated pictures (n, 4, R, R), the first k of which are the known ones."""
        value = laplacian_l1(fake[: len(known.pictures)].float(), known.pictures)
        return Term(value, self.config.weight if self.d_learns(step) else 1.0, "G/reconstruction")

    def _around(self, draws: Sequence[Draw]) -> Tensor:
        """(k, z_dim): the latents, or points around them on the sphere that the mapping network puts all latents on."""
        latents = self.latents[[draw.index for draw in draws]]
        if not self.config.jitter:
            return latents
        size = latents.shape[1]
        noise = torch.stack([torch.randn(size, generator=generator_at(draw.seed, "jitter")) for draw in draws])
        level = latents.square().mean(1, keepdim=True).add(1e-8).rsqrt()
        return latents * level + self.config.jitter * noise.to(latents)

    def _pictures(self, indices: Sequence[int]) -> Tensor:
        """Encoded (k, 4, R, R): cut-out index // views, mirrored where the rest is 1."""
        return self.cutouts[[Draw(0, index // self.views, index % self.views) for index in indices]]


def laplacian_l1(made: Tensor, wanted: Tensor) -> Tensor:
    """Lap1: sum over levels j of 2^2j |Lap_j(made) - Lap_j(wanted)|_1 / (pixels of the picture), a scalar.

    Bojanowski et al., section 3.2; of pyramids that halve by averaging, with the coarse rest as their last level. A
    level has 2^-2j of the pixels, so each counts with its mean.
    """
    rest, levels = made - wanted, []
    while min(rest.shape[-2:]) > COARSEST:
        coarse = F.avg_pool2d(rest, 2)
        levels.append((rest - F.interpolate(coarse, scale_factor=2.0)).abs().mean())
        rest = coarse
    return torch.stack([*levels, rest.abs().mean()]).sum()


def principal_latents(rows: Tensor, z_dim: int, seed: int) -> Tensor:
    """(n, z_dim) of rows (n, values): whitened principal components, the greatest first; normal numbers where z_dim
    is more than there are."""
    centred = rows.double() - rows.double().mean(0)
    powers, axes = torch.linalg.eigh(centred.T @ centred / len(rows))
    there = min(int((powers > 1e-9 * powers.max().clamp_min(1e-12)).sum()), len(rows) - 1, z_dim)
    order = powers.argsort(descending=True)[:there]
    found = centred @ (axes[:, order] / powers[order].sqrt())
    rest = torch.randn(len(rows), z_dim - there, generator=generator_at(seed, "latents"))
    return torch.cat([found.float(), rest], 1)
