"""Loss terms as they come in, looked at together: a fit with a number that is not finite ends with its name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from stylematte import distributed

LARGEST_GRADIENT = 1e5


class Diverged(RuntimeError):
    """A loss term or a weight is no longer a finite number; the message names it and the step."""


class LossTerms:
    """Collects scalars without waiting for the device; `check` reads them all in one go."""

    def __init__(self) -> None:
        self._unchecked: list[tuple[str, int, Tensor]] = []

    def add(self, step: int, terms: Mapping[str, Tensor]) -> None:
        self._unchecked += [(name, step, value) for name, value in terms.items()]

    def check(self) -> dict[str, float]:
        """The newest value of every term since the last look, of the global batch.

        Raises Diverged on every rank if one since then is not finite on any rank.
        """
        if not self._unchecked:
            return {}
        values = distributed.mean_over_ranks(torch.stack([value.float() for *_, value in self._unchecked])).tolist()
        newest: dict[str, float] = {}
        for (name, step, _), value in zip(self._unchecked, values, strict=True):
            if not math.isfinite(value):
                raise Diverged(f"loss term '{name}' became {value} at step {step}")
            newest[name] = value
        self._unchecked.clear()
        return newest


class Gradients:
    """Makes finite numbers of gradients that 16-bit layers could not hold: such a step is lost, and the fit goes on."""

    def __init__(self) -> None:
        self._sound: list[Tensor] = []

    def clean(self, parameters: Iterable[nn.Parameter]) -> None:
        """In place, as the official code does: not a number becomes 0, infinity 1e5."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        self._sound.append(torch.stack(torch._foreach_norm(gradients)).sum().isfinite())
        for gradient in gradients:
            torch.nan_to_num_(gradient, 0.0, LARGEST_GRADIENT, -LARGEST_GRADIENT)

    def check(self, step: int) -> None:
        """Raises Diverged if there was something to mend in every update since the last look. step: the one about to
        be made."""
        if self._sound and not torch.stack(self._sound).any():
            raise Diverged(f"no finite gradient in the last {len(self._sound)} updates before step {step}")
        self._sound.clear()


def demand_finite_weights(name: str, network: nn.Module, step: int) -> None:
    """Raises Diverged if a parameter of `network` is not finite. step: the one about to be made."""
    parameters = [parameter.detach() for parameter in network.parameters()]
    size = torch.stack(torch._foreach_norm(parameters)).sum().item() if parameters else 0.0
    if not math.isfinite(size):
        raise Diverged(f"a weight of {name} became {size} before step {step}")
