"""The trust region of a move in latent space, and a bound on how far the picture may go: both by projection.

What comes out is measured as the caller would measure it, in float64 on the values that are kept, and drawn back until
it is at or under the bound: a guarantee, rounding included.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TRIES, NEARER = 6, 0.98


def distance(here: Tensor, centre: Tensor) -> Tensor:
    """Euclidean over the last dimension, in float64."""
    return (here.double() - centre.double()).norm(dim=-1)


def into_ball(here: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """`here` (..., D), drawn back to the ball about `centre` (..., D) whose radius is (...), where it is outside."""
    far = distance(here, centre)
    scale = torch.where(far > radius, radius / far.clamp_min(1e-30), 1.0)
    shrunk = here
    while bool((far > radius).any()):
        moved = (centre.double() + scale[..., None] * (here.double() - centre.double())).to(here.dtype)
        shrunk = torch.where((far > radius)[..., None], moved, shrunk)
        far = distance(shrunk, centre)
        scale = torch.where(far > radius, scale * (1 - 2**-20) - 2**-40, scale).clamp_min(0)
    return shrunk


def within(distance_of: Callable[[Tensor], Tensor], bound: float, rows: int, device: torch.device) -> Tensor:
    """(rows,) shares of a move, 1 where it is allowed, else smaller until the distance is at most `bound`; 0 if it
    never is. distance_of: shares (rows,) -> distances (rows,), 0 for share 0. Two calls where it is nearly linear."""
    share = torch.ones(rows, device=device)
    for _ in range(TRIES):
        far = distance_of(share)
        outside = far > bound
        if not bool(outside.any()):
            return share
        nearer = share * torch.clamp(NEARER * bound / far, max=NEARER).to(share.dtype)
        share = torch.where(outside, nearer, share)
    return torch.where(distance_of(share) > bound, 0.0, share)
