"""Adaptive discriminator augmentation: how probable the augmentations are (Karras et al. 2020, "Training generative
adversarial networks with limited data", section 3.1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stylematte import distributed


class AdaController:
    """Holds the augmentation probability p so that D is right on real pictures a share of the time.

    Karras et al. 2020, section 3.1: r = E[sign D(real)]; every `interval` steps p moves by batch interval /
    (1000 kimg) towards r = target. p stays in [0, highest]. kimg: thousands of pictures for p to go from 0 to 1.
    """

    def __init__(self, p: float, target: float, kimg: float, highest: float, interval: int = 4) -> None:
        self.p, self.target, self.kimg, self.highest, self.interval = p, target, kimg, highest, interval
        self.sign = 0.0
        """r of the last finished interval."""
        self._sum: Tensor | None = None
        self._count = 0

    @torch.no_grad()
    def observe(self, real_logits: Tensor) -> None:
        """Take in one step's logits of this rank; does not wait for the device."""
        sign = real_logits.detach().float().sign().mean()
        self._sum = sign if self._sum is None else self._sum.to(sign.device) + sign
        self._count += 1

    def update(self, batch: int, step: int, move: bool = True) -> None:
        """Move p at the end of an interval of steps, unless it is to stay; `sign` is kept up to date either way.

        batch: the global one. Every rank calls it at every step.
        """
        if (step + 1) % self.interval or self._sum is None:
            return
        self.sign = float(distributed.mean_over_ranks(self._sum)) / self._count
        direction = ((self.sign > self.target) - (self.sign < self.target)) if move else 0
        self.p += direction * batch * self.interval / (self.kimg * 1000)
        self.p = min(max(self.p, 0.0), self.highest)
        self._sum, self._count = None, 0

    def share(self) -> None:
        """Give every rank the same running sum, so that the state saved by one serves all."""
        if self._sum is not None:
            self._sum = distributed.mean_over_ranks(self._sum)

    def state_dict(self) -> dict[str, Any]:
        return {"p": self.p, "sign": self.sign, "sum": self._sum, "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.p, self.sign, self._sum, self._count = (state[key] for key in ("p", "sign", "sum", "count"))
