"""The weighted loss of a global batch that is split over processes: equal to what one process would compute.

    total = sum_i w_i loss_i / sum_j w_j,    loss_i = sum_t weight_t term_t(i)

with i, j over the global batch, w_i the weight of sample i, and a term 0 on samples that it does not apply to.
"""

from __future__ import annotations

from dataclasses import fields

import torch
from jaxtyping import Float
from torch import Tensor

from stylematte import distributed
from stylematte.config import MatterFitConfig
from stylematte.losses.terms import named_terms
from stylematte.rgba import MattingBatch


def ddc_factor(step: int, warmup: int | None, steps: int) -> float:
    """Linear from 1/warmup to 1 in `warmup` steps; None: in half the fit."""
    rise = max(1, steps // 2 if warmup is None else warmup)
    return min(1.0, (step + 1) / rise)


class WeightedLoss:
    """The terms of a matter's fit, weighted by `fit.losses`; a term of weight 0 is not computed.

    Raises ValueError if all weights are 0.
    """

    def __init__(self, fit: MatterFitConfig) -> None:
        given = {item.name: getattr(fit.losses, item.name) for item in fields(fit.losses)}
        self.weights: dict[str, float] = {name: value for name, value in given.items() if value}
        self.ddc, self.steps = fit.ddc, fit.steps
        if not self.weights:
            raise ValueError(f"losses: every weight is 0; expected one of {', '.join(given)} above 0")

    def weights_at(self, step: int) -> dict[str, float]:
        """The weight of each term at an optimizer step: that of ddc rises from 0."""
        factor = ddc_factor(step, self.ddc.warmup, self.steps)
        return {name: value * (factor if name == "ddc" else 1.0) for name, value in self.weights.items()}

    def __call__(
        self,
        prediction: Float[Tensor, "n 1 h w"],
        semantic: Float[Tensor, "n 1 h w"] | None,
        batch: MattingBatch,
        step: int,
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """This rank's loss, and the named terms (and total) of the global batch, detached and equal on all ranks.

        semantic: what the network's semantic head says. As gradients are averaged over ranks, this rank divides by the
        mean of the ranks' weight sums. A term is reported as its mean over the samples it applies to, and not at all if
        there are none. One all-reduce carries everything.
        """
        with torch.autocast(prediction.device.type, enabled=False):
            terms = named_terms(prediction, batch, self.weights, self.ddc, semantic)
        sums = {name: (batch.weight * term.value).sum() for name, term in terms.items()}
        shares = [(batch.weight * term.applies).sum() for term in terms.values()]
        shared = distributed.mean_over_ranks(torch.stack([*sums.values(), *shares, batch.weight.sum()]))
        divisor = shared[-1].clamp_min(1e-8)
        weights = self.weights_at(step)
        loss = sum(weight * sums[name] for name, weight in weights.items()) / divisor
        means, parts = shared[: len(sums)], shared[len(sums) : -1]
        there = (parts != 0).tolist()  # a nan is there
        named = {name: means[i] / parts[i] for i, name in enumerate(sums) if there[i]}
        of_all = dict(zip(sums, means / divisor, strict=True))
        named["total"] = sum(weight * of_all[name] for name, weight in weights.items())
        return loss, named
