"""Learning rates of G and D as functions of the step: linear warm-up, constant, half a cosine down to 1/50."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

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
