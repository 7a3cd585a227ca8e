"""Lazy regularisation: terms that cost a second derivative are taken every few steps only, in a step of their own
(Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", appendix B)."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from stylemattegan.training.terms import Term


class Players(Protocol):
    """What a regulariser uses of the training module."""

    G: Any
    batch: int
    seed: int
    step: int

    @property
    def device(self) -> torch.device: ...

    def styles(self, phase: str, count: int, update_emas: bool = False) -> Tensor:
        """ws (n, num_ws, w_dim): this rank's share of `count` pictures."""

    def generate(self, phase: str, update_emas: bool = False) -> Tensor:
        """This rank's share of a batch of encoded pictures (n, 4, R, R)."""

    def score(self, pictures: Tensor, phase: str) -> Tensor:
        """D's logits (n, 1) of encoded pictures."""


class LazyRegularizer:
    """Terms for one network every `every` steps, each as much heavier."""

    network: Literal["G", "D"]
    """Whose parameters and optimizer take the step."""
    every: int

    def due(self, step: int) -> bool:
        return step % self.every == 0

    def terms(self, players: Players, real: Tensor) -> list[Term]:
        """real: this rank's encoded pictures (n, 4, R, R)."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def lazy_adam(parameters: Iterable[nn.Parameter], lr: float, extra: Iterable[int] = ()) -> torch.optim.Adam:
    """Adam without momentum for parameters that take extra steps: one every `every` steps for each of `extra`.

    With c = 1 / (1 + sum 1 / every), the rate becomes c lr and beta2 becomes 0.99^c, so that rate and half-life are
    what they would be without them (appendix B: c = every / (every + 1)).
    """
    ratio = float(1 / (1 + sum(Fraction(1, every) for every in extra)))
    return torch.optim.Adam(parameters, lr=lr * ratio, betas=(0.0, 0.99**ratio), fused=True)
