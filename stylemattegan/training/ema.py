"""G_ema: the exponential moving average of G, its half-life counted in pictures (Karras et al. 2018, appendix A)."""

from __future__ import annotations

import torch
from torch import nn


def ema_beta(batch: int, shown: int, ema_kimg: float, rampup: float | None = 0.05) -> float:
    """Decay of one step: half-life `ema_kimg` thousand pictures, at most `rampup` of those `shown` so far.

    beta = 0.5 ** (batch / half-life). `rampup` None: the full half-life from the start (a continued generator).
    """
    half_life = ema_kimg * 1000
    if rampup is not None:
        half_life = min(half_life, shown * rampup)
    return 0.5 ** (batch / max(half_life, 1e-8))


@torch.no_grad()
def update_ema(average: nn.Module, source: nn.Module, beta: float) -> None:
    """average <- source + beta (average - source) for the parameters; buffers are copied. In place."""
    torch._foreach_lerp_(list(average.parameters()), list(source.parameters()), 1 - beta)
    buffers = list(source.buffers())
    if buffers:
        torch._foreach_copy_(list(average.buffers()), buffers)
