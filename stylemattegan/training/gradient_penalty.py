"""R1 and R2: the gradient penalties of D on real and on generated pictures (Mescheder et al. 2018, eq. 9 and 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stylemattegan.training import losses
from stylemattegan.training.regularizers import LazyRegularizer, Players
from stylemattegan.training.terms import Term

TAKEN_AT = {"r1": "real", "r2": "fake"}


class GradientPenalty(LazyRegularizer):
    """gamma / 2 E|grad D|^2. kinds: r1 (at real pictures), r2 (at generated ones), both of one weight.

    Lazily it sees pictures of a pass of its own; with every=1 it is a term of D's own loss (`at`), as R3GAN has it.
    """

    network = "D"

    def __init__(self, gamma: float, every: int, kinds: Sequence[str]) -> None:
        self.gamma, self.every, self.kinds = gamma, every, tuple(kinds)

    def tracked(self, pictures: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of the pictures ("real", "fake") that a penalty is taken at, as leaves that require grad."""
        return {TAKEN_AT[kind]: pictures[TAKEN_AT[kind]].detach().requires_grad_() for kind in self.kinds}

    def at(self, pictures: Mapping[str, Tensor], logits: Mapping[str, Tensor]) -> list[Term]:
        """The terms, `every` times as heavy as they are rare. pictures: `tracked` ones, of which the logits are."""
        weight, found = self.gamma / 2 * self.every, []
        for kind in self.kinds:
            name = TAKEN_AT[kind]
            found.append(Term(losses.r1_penalty(pictures[name], logits[name]).mean(), weight, f"D/{kind}"))
        return found

    def terms(self, players: Players, real: Tensor) -> list[Term]:
        pictures = {"real": real}
        if "r2" in self.kinds:
            with torch.no_grad():
                pictures["fake"] = players.generate("r2")
        pictures = self.tracked(pictures)
        with torch.autocast(players.device.type, enabled=False):
            logits = {TAKEN_AT[kind]: players.score(pictures[TAKEN_AT[kind]], kind) for kind in self.kinds}
            return self.at(pictures, logits)
