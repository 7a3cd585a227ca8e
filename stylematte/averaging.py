"""Averages of networks: the exponential moving average of weights, and BatchNorm statistics shared between ranks."""

from __future__ import annotations

import torch
from torch import nn

from stylematte import distributed


@torch.no_grad()
def update_ema(average: nn.Module, current: nn.Module, decay: float) -> None:
    """average <- decay average + (1 - decay) current for parameters and BatchNorm statistics. In place.

    Statistics are those of the weights they were gathered with, so both are averaged alike; other buffers, constants
    and counts, are copied.
    """
    means = [*average.parameters(), *_statistics(average)]
    torch._foreach_lerp_(means, [*current.parameters(), *_statistics(current)], 1 - decay)
    averaged = {id(tensor) for tensor in means}
    pairs = zip(average.buffers(), current.buffers(), strict=True)
    others = [(mine, theirs) for mine, theirs in pairs if id(mine) not in averaged]
    if others:
        torch._foreach_copy_([mine for mine, _ in others], [theirs for _, theirs in others])


@torch.no_grad()
def average_batch_norm(network: nn.Module) -> None:
    """Give all ranks the mean of their running statistics, so that the checkpoint of one rank speaks for all."""
    if distributed.world() == 1:
        return
    tensors = _statistics(network)
    if tensors:
        flat = distributed.mean_over_ranks(torch.cat(tensors))
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part)


def _statistics(network: nn.Module) -> list[torch.Tensor]:
    """The running means and variances of its BatchNorm layers."""
    layers = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return [tensor for layer in layers for tensor in (layer.running_mean, layer.running_var) if tensor is not None]
