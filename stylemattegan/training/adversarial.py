"""The adversarial losses of G and of D as objects: non-saturating logistic (Goodfellow et al. 2014) and relativistic
(RpGAN, Jolicoeur-Martineau 2019, as in R3GAN, Huang et al. 2024).

Each knows which pictures it compares, which gradient penalties belong to it, and which sign steers the augmentation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from stylemattegan.config import GeneratorLoss
from stylemattegan.training import losses

Score = Callable[[Tensor, str], Tensor]
"""(encoded pictures (n, 4, R, R), name of the pass) -> D's logits (n, 1); augmentation is drawn by the name."""


class LossOfG(Protocol):
    def __call__(self, score: Score, fake: Tensor, real: Tensor) -> Tensor:
        """Mean loss of generated pictures."""


class LossOfD(Protocol):
    penalties: tuple[str, ...]
    """Which of r1 (on real pictures) and r2 (on generated ones) belong to this loss."""

    def __call__(self, fake_logits: Tensor, real_logits: Tensor) -> Tensor:
        """Mean loss of (n, 1) logits of generated and of real pictures."""

    def steering(self, fake_logits: Tensor, real_logits: Tensor) -> Tensor:
        """(n, 1): what is above 0 where D is right; ADA holds the mean of its sign at a target."""


class LogisticG:
    """E[-log sigmoid D(G(z))]."""

    def __call__(self, score: Score, fake: Tensor, real: Tensor) -> Tensor:
        return losses.logistic_g(score(fake, "G")).mean()


class RelativisticG:
    """E[-log sigmoid(D(G(z)) - D(x))]."""

    def __call__(self, score: Score, fake: Tensor, real: Tensor) -> Tensor:
        fake_logits = score(fake, "G")
        return losses.relativistic_g(fake_logits, score(real, "G real")).mean()


class LogisticD:
    """E[-log(1 - sigmoid D(G(z)))] + E[-log sigmoid D(x)], with R1."""

    penalties = ("r1",)

    def __call__(self, fake_logits: Tensor, real_logits: Tensor) -> Tensor:
        return losses.logistic_d_fake(fake_logits).mean() + losses.logistic_d_real(real_logits).mean()

    def steering(self, fake_logits: Tensor, real_logits: Tensor) -> Tensor:
        """D(x), as published (Karras et al. 2020, "Limited data", eq. 1)."""
        return real_logits


class RelativisticD:
    """E[-log sigmoid(D(x) - D(G(z)))], with R1 and R2."""

    penalties = ("r1", "r2")

    def __call__(self, fake_logits: Tensor, real_logits: Tensor) -> Tensor:
        return losses.relativistic_d(fake_logits, real_logits).mean()

    def steering(self, fake_logits: Tensor, real_logits: Tensor) -> Tensor:
        """D(x) - D(G(z)): these logits have no level of their own, so the share of pairs ranked rightly serves."""
        return real_logits - fake_logits


LOSSES: dict[GeneratorLoss, tuple[type[LossOfG], type[LossOfD]]] = {
    GeneratorLoss.logistic: (LogisticG, LogisticD),
    GeneratorLoss.relativistic: (RelativisticG, RelativisticD),
}
