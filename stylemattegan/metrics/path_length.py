"""Perceptual path length (PPL): how much the picture changes for a small step in latent space (Karras et al. 2019,
section 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from stylematte.sampling import generator_at

Space = Literal["z", "w"]


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The unit vectors at share t (..., 1) of the way along the great circle from a to b (..., d) (Shoemake 1985)."""
    a, b = (x / x.norm(dim=-1, keepdim=True) for x in (a, b))
    cosine = (a * b).sum(-1, keepdim=True)
    angle = t * cosine.clamp(-1, 1).acos()
    away = b - cosine * a
    away = away / away.norm(dim=-1, keepdim=True)
    moved = a * angle.cos() + away * angle.sin()
    return moved / moved.norm(dim=-1, keepdim=True)


@torch.no_grad()
def path_length(
    generator: nn.Module,
    features: Callable[[Tensor], Tensor],
    count: int,
    *,
    seed: int = 0,
    space: Space = "w",
    ends: bool = True,
    epsilon: float = 1e-4,
    batch: int = 8,
    watch: Callable[[range], Iterable[int]] = iter,
) -> float:
    """Mean of |features(G(x)) - features(G(x + epsilon))|^2 / epsilon^2 along paths between random latents.

    generator: `mapping(z)` -> w (N, num_ws, w_dim) and `synthesis(w)` -> pictures, unconditional. features: pictures
    as the generator makes them -> (N, d). ends: at the beginning of the path, else anywhere on it. The lowest and the
    highest percent of `count` paths are left out (Karras et al. 2019; w and ends is what is published as PPL2). watch:
    hands batches through, for a progress bar.
    """
    if count < 1 or not epsilon > 0:
        raise ValueError(f"{count} paths with steps of {epsilon}: give at least 1, and a step above 0")
    device = next(generator.parameters()).device
    steps = []
    for first in watch(range(0, count, batch)):
        z, t = _draw(generator.z_dim, range(first, min(first + batch, count)), seed)
        t = torch.zeros_like(t) if ends else t
        here, there = _moved(generator, z.to(device), t.to(device), epsilon, space)
        seen = features(generator.synthesis(torch.cat([here, there]))).double()
        steps.append((seen[: len(t)] - seen[len(t) :]).square().sum(1) / epsilon**2)
    lengths = torch.cat(steps).cpu().numpy()
    low, high = np.percentile(lengths, 1, method="lower"), np.percentile(lengths, 99, method="higher")
    return float(lengths[(lengths >= low) & (lengths <= high)].mean())


def _draw(z_dim: int, numbers: range, seed: int) -> tuple[Tensor, Tensor]:
    """Two latents (2, n, z_dim) and a share t (n, 1) in [0, 1) for each path, functions of its number."""
    sources = [generator_at(seed, "path", number) for number in numbers]
    drawn = [(torch.randn(2, z_dim, generator=g), torch.rand(1, generator=g)) for g in sources]
    return torch.stack([z for z, _ in drawn], 1), torch.stack([t for _, t in drawn])


def _moved(generator: nn.Module, z: Tensor, t: Tensor, epsilon: float, space: Space) -> tuple[Tensor, Tensor]:
    """w (n, num_ws, w_dim) at t and at t + epsilon of the paths: straight in w, along the sphere in z."""
    if space == "z":
        w = generator.mapping(torch.cat([slerp(z[0], z[1], t), slerp(z[0], z[1], t + epsilon)]))
        here, there = w.chunk(2)
        return here, there
    start, end = generator.mapping(z.flatten(0, 1)).chunk(2)
    t = t[:, :, None].to(start.dtype)
    return start.lerp(end, t), start.lerp(end, t + epsilon)
