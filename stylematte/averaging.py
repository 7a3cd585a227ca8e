"""Averages of networks: the exponential moving average of weights, and BatchNorm statistics shared between ranks."""

from __future__ import annotations

import torch
from torch import nn

from stylematte import distributed


@torch.no_grad()
def update_ema(average: nn.Module, current: nn.Module, decay: float) -> None:
    """average <- decay average + (1 - decay) current for the parameters; buffers are copied. In place."""
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1 - decay)
    buffers = list(current.buffers())
    if buffers:
        torch._foreach_copy_(list(average.buffers()), buffers)


@torch.no_grad()
def average_batch_norm(network: nn.Module) -> None:
    """Give all ranks the mean of their running statistics, so that the checkpoint of one rank speaks for all."""
    if distributed.world() == 1:
        return
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    tensors = [t for m in layers for t in (m.running_mean, m.running_var) if t is not None]
    if tensors:
        flat = distributed.mean_over_ranks(torch.cat(tensors))
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part)
