"""Training on several processes: rank and world size, means over ranks, reduction of gradients.

Gradients are reduced once per optimizer step as one flat tensor, without Lightning's DDP wrapper: two networks, lazy
R1 and its double backward then need nothing special. With one process everything here is the identity.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def rank_slice(values: Tensor) -> Tensor:
    """This rank's slice of a global batch: rows rank, rank + world, … (the order `MixtureSampler` uses)."""
    return values[rank() :: world()]


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of `value` over all processes, detached. Every rank must call it at the same place."""
    value = value.detach()
    if world() > 1:
        value = value.clone()
        dist.all_reduce(value)
        value /= world()
    return value


def any_over_ranks(flag: bool) -> bool:
    """True on every rank if any rank says True."""
    if world() == 1:
        return flag
    value = torch.tensor([float(flag)])
    if dist.get_backend() == "nccl":
        value = value.cuda()
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value.item() > 0)


def reduce_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average the gradients over ranks, in one all-reduce, in place.

    The set of parameters with a gradient must be the same on every rank: key optional terms on the step, never on
    the data.
    """
    if world() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= world()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def broadcast_module(module: nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0."""
    if world() == 1:
        return
    for tensor in [*module.parameters(), *module.buffers()]:
        dist.broadcast(tensor.data, src=0)
