"""Matrix products over the last axis, on the fastest path that gives the same numbers.

PyTorch sends `F.linear` in float32 to MKL and convolutions to oneDNN. Where MKL does not use the widest vectors of the
processor (AMD), oneDNN is 2 to 2.5 times faster. One thread and a 1x1 kernel count as MKL's case; a dilation, which
means nothing to a 1x1 kernel, makes it oneDNN's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

CHUNK = 4096
"""Rows of a feed-forward pass done at once: its wide middle then stays in the cache, and its memory is used again."""


def plain_inference(x: Tensor) -> bool:
    """True in float32 on a CPU without gradients, autocast, compilation or export: where hand-made paths pay."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
    )


def linear(
    x: Float[Tensor, "... c"], weight: Float[Tensor, "d c"], bias: Float[Tensor, " d"] | None = None
) -> Float[Tensor, "... d"]:
    """x W^T + b over the last axis: `F.linear`, in the weight's precision or autocast's."""
    if not plain_inference(x) or x.numel() == 0:
        return F.linear(x if torch.is_autocast_enabled(x.device.type) else x.to(weight.dtype), weight, bias)
    rows = x.reshape(1, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)  # (1, C, rows, 1), channels last: no copy
    y = F.conv2d(rows, weight[:, :, None, None], bias, dilation=2)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], weight.shape[0])


def project(layer: nn.Linear | nn.Conv2d, x: Float[Tensor, "... c"]) -> Float[Tensor, "... _"]:
    """Apply a linear layer or a 1x1 convolution to the last axis of x."""
    return linear(x, layer.weight.flatten(1), layer.bias)


def feedforward(
    x: Float[Tensor, "... c"], first: nn.Linear, activation: Callable[[Tensor], Tensor], second: nn.Linear
) -> Float[Tensor, "... _"]:
    """second(activation(first(x))) over the last axis of x, in chunks of rows where no gradient is wanted."""
    if not plain_inference(x):
        return project(second, activation(project(first, x)))
    rows = x.reshape(-1, x.shape[-1])
    out = x.new_empty(rows.shape[0], second.out_features)
    for start in range(0, rows.shape[0], CHUNK):
        part = slice(start, start + CHUNK)
        out[part] = project(second, activation(project(first, rows[part])))
    return out.view(*x.shape[:-1], -1)
