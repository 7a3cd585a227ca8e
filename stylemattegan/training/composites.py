"""Compositing of encoded cut-outs over other backgrounds, for the composite discriminator: C = a F + (1 - a) B.

Cut-outs come in the generator's encoding (`stylematte.rgba.premultiply_about_grey`): colour a (2F - 1) with F the
*estimated* foreground, alpha 2a - 1. The compositing equation C = a F + (1 - a) B is then one product and one sum in
[-1, 1], with no division:   2C - 1 = a (2F - 1) + (1 - a)(2B - 1).   Where a is 0 nothing of the cut-out is left.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylematte import distributed
from stylematte.imagefile import read_rgb, resize
from stylematte.picturecache import PictureCache
from stylematte.rgba import split_rgba
from stylematte.sampling import generator_at


class _Bounded(torch.autograd.Function):
    """clamp(x, low, high), whose gradient at x outside passes if a step against it leads back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        ctx.save_for_backward(x < low, x > high)
        return torch.minimum(torch.maximum(x, low), high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        below, above = ctx.saved_tensors
        leads_away = (below & (gradient > 0)) | (above & (gradient < 0))
        return gradient.masked_fill(leads_away, 0), gradient * below, gradient * above


def bounded_alpha(encoded: Tensor) -> Tensor:
    """(N, 4, H, W) encoded, as unclipped as a generator gives it -> alpha (N, 1, H, W) in [0, 1].

    The gradient reaches alphas outside [0, 1], too, where it draws them back: a generator that is above 1 everywhere
    would otherwise get no gradient from it.
    """
    alpha = (split_rgba(encoded)[1] + 1) / 2
    return _Bounded.apply(alpha, torch.zeros_like(alpha), torch.ones_like(alpha))


def _visible(encoded: Tensor) -> tuple[Tensor, Tensor]:
    """Premultiplied colour (N, 3, H, W), held to what an alpha can carry, |colour| <= a; and that alpha."""
    alpha = bounded_alpha(encoded)
    limit = alpha.expand(-1, 3, -1, -1)
    return _Bounded.apply(split_rgba(encoded)[0], -limit, limit), alpha


def composite_encoded(encoded: Tensor, background: Tensor) -> Tensor:
    """Encoded cut-outs (N, 4, H, W) over backgrounds (N, 3, H, W) in [-1, 1] -> pictures (N, 3, H, W) in [-1, 1].

    Values out of range count as what they become when the cut-out is written to disk. Differentiable in colour and
    alpha.
    """
    colour, alpha = _visible(encoded)
    return colour + (1 - alpha) * background


@torch.no_grad()
def mean_colour(encoded: Tensor) -> Tensor:
    """The mean foreground colour of each cut-out, weighted by alpha, (N, 3, 1, 1) in [-1, 1]; 0 if nothing is there."""
    colour, alpha = _visible(encoded)
    return colour.sum((2, 3), keepdim=True) / alpha.sum((2, 3), keepdim=True).clamp_min(1e-3)


class Backgrounds:
    """Background pictures by position: which one a cut-out meets depends on (seed, phase, step) and its index alone.

    files: RGB pictures, the middle square of which is read when first drawn and kept as 8-bit while they fit into
    `cache_bytes`. plain: share of cut-outs over one plain colour instead. foreground: share over the mean colour of the
    cut-out itself, where its outline hardly shows: the foreground is what is scored.
    """

    def __init__(
        self,
        files: Sequence[Path],
        resolution: int,
        plain: float = 0.0,
        foreground: float = 0.0,
        cache_bytes: int = 2**30,
    ) -> None:
        if not files:
            raise ValueError("no background for the composite discriminator: the data need rows of kind background")
        self.files, self.plain, self.foreground = list(files), plain, foreground
        self.cache = PictureCache(resolution, cache_bytes)

    def _read(self, path: str | os.PathLike[str]) -> Tensor:
        """The middle square of a picture, brought to the resolution."""
        picture, size = read_rgb(path), self.cache.size
        side = min(picture.shape[-2:])
        top, left = ((length - side) // 2 for length in picture.shape[-2:])
        return resize(picture[:, top : top + side, left : left + side], (size, size))

    def behind(self, encoded: Tensor, batch: int, *position: int | str) -> Tensor:
        """This rank's rows (n, 3, R, R) in [-1, 1], for its cut-outs (n, 4, R, R) of a global batch of `batch`."""
        generator = generator_at(*position)
        picks = distributed.rank_slice(torch.randint(len(self.files), (batch,), generator=generator)).tolist()
        mirrored = distributed.rank_slice(torch.rand(batch, generator=generator) < 0.5)
        kind = distributed.rank_slice(torch.rand(batch, generator=generator)).to(encoded.device)[:, None, None, None]
        colours = distributed.rank_slice(torch.rand(batch, 3, 1, 1, generator=generator) * 2 - 1).to(encoded)
        photos = torch.stack([self.cache.tensor(self.files[pick], self._read) for pick in picks])
        photos = torch.where(mirrored[:, None, None, None], photos.flip(3), photos).to(encoded) / 127.5 - 1
        drawn = torch.where(kind < self.foreground + self.plain, colours, photos)
        return torch.where(kind < self.foreground, mean_colour(encoded), drawn) if self.foreground else drawn
