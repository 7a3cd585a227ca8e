"""Weighted terms of a loss, and the interface of what takes part in a generator's fit beside G and D."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Update = Callable[[Any, Iterable[nn.Parameter], Tensor], None]
"""(optimizer, parameters, loss): one optimizer step, the gradients averaged over ranks."""


class Position(NamedTuple):
    """Where a fit is. Random numbers depend on it alone."""

    step: int
    """Steps made."""
    shown: int
    """Real pictures shown, over all ranks."""


class Term(NamedTuple):
    """One term of a loss: weight * value."""

    value: Tensor
    """A scalar with a graph; averaged over ranks it is the term of the global batch."""
    weight: float = 1.0
    """0: it is only logged."""
    name: str = ""
    """Under which the unweighted value is logged; empty: it is not."""


def weighted_sum(terms: Iterable[Term]) -> Tensor:
    """sum of weight * value, of at least one term with a weight."""
    first, *others = (term.value if term.weight == 1 else term.value * term.weight for term in terms if term.weight)
    return sum(others, first)


def logged(terms: Iterable[Term]) -> dict[str, Tensor]:
    """The unweighted values by name, without graph."""
    return {term.name: term.value.detach() for term in terms if term.name}


class Auxiliary(nn.Module):
    """Something beside G and D that takes part in a fit: terms of G's loss, and steps of its own if it learns.

    A new one overrides what it needs and is given to `GeneratorModule`; the training step stays as it is.
    """

    learns = False
    """Whether it has an optimizer, and `learn` is called once a step."""

    def generator_terms(self, fake: Tensor, real: Tensor, at: Position) -> list[Term]:
        """To be added to the generator's loss. fake (with a graph), real: this rank's encoded (n, 4, R, R)."""
        return []

    def optimizer(self, lr: float) -> torch.optim.Optimizer:
        """Of its parameters, if it learns. lr: that of D."""
        raise NotImplementedError

    def learn(self, update: Update, optimizer: Any, real: Tensor, fake: Tensor, at: Position) -> dict[str, Tensor]:
        """Its own step or steps on encoded cut-outs (n, 4, R, R); its loss terms by their logged names."""
        return {}

    def save(self, folder: Path) -> None:
        """Write beside G and D what the next fit goes on from."""
