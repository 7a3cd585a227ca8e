"""What a generator's fit minimises, by its configuration: G's loss, D's loss, and the lazy regularisers of both."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from stylemattegan.config import GeneratorFitConfig
from stylemattegan.training.adversarial import LOSSES, LossOfD, LossOfG, Score
from stylemattegan.training.gradient_penalty import GradientPenalty
from stylemattegan.training.path_length import PathLength
from stylemattegan.training.regularizers import LazyRegularizer
from stylemattegan.training.terms import Term


class Verdict(NamedTuple):
    """What D's pass found: the terms of its loss, and what steers the augmentation (n, 1), above 0 where D is right."""

    terms: list[Term]
    steering: Tensor


class DiscriminatorObjective:
    """D's loss, and a gradient penalty that is a term of it at every step, if there is one."""

    def __init__(self, loss: LossOfD, penalty: GradientPenalty | None) -> None:
        self.loss, self.penalty = loss, penalty

    def __call__(self, score: Score, real: Tensor, fake: Tensor) -> Verdict:
        """real, fake: this rank's encoded pictures (n, 4, R, R)."""
        pictures = {"real": real, "fake": fake}
        if self.penalty:
            pictures |= self.penalty.tracked(pictures)
        logits = {name: score(each, name) for name, each in pictures.items()}
        terms = [Term(self.loss(logits["fake"], logits["real"]), name="D/loss")]
        if self.penalty:
            terms += self.penalty.at(pictures, logits)
        return Verdict(terms, self.loss.steering(logits["fake"], logits["real"]))


class Objectives(NamedTuple):
    g: LossOfG
    d: DiscriminatorObjective
    lazy: list[LazyRegularizer]
    """In the order of their steps."""


def objectives(fit: GeneratorFitConfig) -> Objectives:
    """A penalty of every step (r1_every=1) joins D's loss; a rarer one takes steps of its own."""
    loss_of_g, loss_of_d = LOSSES[fit.loss]
    loss, joined = loss_of_d(), None
    lazy: list[LazyRegularizer] = []
    if fit.path_weight > 0:
        lazy.append(PathLength(fit.path_weight, fit.path_every, fit.path_shrink, fit.path_decay))
    if fit.r1_gamma > 0:
        penalty = GradientPenalty(fit.r1_gamma, fit.r1_every, loss.penalties)
        if fit.r1_every == 1:
            joined = penalty
        else:
            lazy.append(penalty)
    return Objectives(loss_of_g(), DiscriminatorObjective(loss, joined), lazy)
