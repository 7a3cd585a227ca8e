"""Learning rates as functions of the step, and Adam's correction for regularisers that come every few steps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

LR_FLOOR = 0.02


def learning_rate_factor(step: int, steps: int, warmup: int, decay: float) -> float:
    """A function of the step alone: linear from 1/warmup to 1, and at the end of the fit half a cosine down to 1/50.

    warmup: steps. decay: the share of the fit's `steps`, at its end, in which the rate falls; 0 = it never does.
    """
    rising = min(1.0, (step + 1) / max(warmup, 1))
    start = steps * (1 - decay)
    if step <= start or not decay:
        return rising
    falling = 0.5 * (1 + math.cos(math.pi * (step - start) / (steps - start)))
    return rising * (LR_FLOOR + (1 - LR_FLOOR) * falling)


def set_learning_rates(optimizers: Iterable[Any], factor: float) -> None:
    """Each rate at `factor` of what the optimizer was made with."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("full_lr", group["lr"])
            group["lr"] = group["full_lr"] * factor


def lazy_adam(parameters: Iterable[nn.Parameter], lr: float, every: int) -> torch.optim.Adam:
    """Adam without momentum for parameters that take an extra step every `every` steps (0: never).

    That makes every + 1 steps of `every`, so rate and half-life are brought to what they would be without (Karras et
    al. 2020, "Analyzing", app. B).
    """
    ratio = every / (every + 1) if every else 1.0
    return torch.optim.Adam(parameters, lr=lr * ratio, betas=(0.0, 0.99**ratio), fused=True)
