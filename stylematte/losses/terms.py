"""The named loss terms of a batch in which some samples have an alpha and others a trimap alone.

The terms on alpha apply to a sample with an alpha, and nothing else does; to a sample with a trimap apply its known
region, `ddc` in the unknown one and, where a teacher solved it, the teacher's alpha there. A term is computed on
the samples it applies to and is 0 on the others. Where an alpha may not be believed (`agreement` below 1), the
difference to it counts for less in every term on alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from stylematte.config import DdcConfig, MatterLossConfig
from stylematte.losses import alpha as on_alpha
from stylematte.losses.ddc import Sweep, ddc_and_floor, known_region
from stylematte.rgba import MattingBatch

ON_ALPHA = ("l1", "laplacian", "gradient", "composition", "semantic")
NAMES = tuple(item.name for item in fields(MatterLossConfig))
EXCESS = "ddc_excess"
"""ddc minus what a constant matte reaches: raw values of ddc cannot be compared between pictures."""
STABLE = Sweep(stable_ties=True)
"""Of 8-bit colours a quarter or more tie at the last neighbour: which is taken must not depend on the machine."""

Compute = Callable[[Tensor, MattingBatch], Tensor]


class Term(NamedTuple):
    """value: (N,), 0 where the term does not apply. applies: (N,), 1.0 where it does."""

    value: Tensor
    applies: Tensor


def named_terms(
    prediction: Float[Tensor, "n 1 h w"],
    batch: MattingBatch,
    names: Iterable[str],
    ddc: DdcConfig,
    semantic: Float[Tensor, "n 1 h w"] | None = None,
) -> dict[str, Term]:
    """The terms `names` (of NAMES) of a prediction in float32, and `ddc_excess` where ddc is one of them.

    ddc: how that term is measured. semantic: what the network's semantic head says, for the term of that name; None:
    it is computed on the prediction itself.
    """
    counted = _counted(prediction, batch)
    functions: dict[str, Compute] = {
        "l1": lambda p, b: on_alpha.l1(p, b.alpha),
        "laplacian": lambda p, b: on_alpha.laplacian(p, b.alpha),
        "gradient": lambda p, b: on_alpha.gradient(p, b.alpha),
        "composition": lambda p, b: on_alpha.composition(p, b.foreground, b.background, b.image),
        "semantic": lambda p, b: on_alpha.semantic(p, b.alpha),
        "known": lambda p, b: known_region(p, b.trimap),
        "ddc": lambda p, b: torch.stack(ddc_and_floor(b.image, p, b.trimap, ddc, STABLE), dim=1),
        "closed_form": lambda p, b: unknown_l1(p, b.alpha, b.trimap),
    }
    terms: dict[str, Term] = {}
    for name in names:
        applies = applies_to(name, batch)
        given = counted if name in ON_ALPHA else prediction
        if name == "semantic" and semantic is not None:
            given = _counted(semantic, batch)
        value = _where(applies, functions[name], given, batch, (2,) if name == "ddc" else ())
        if name == "ddc":
            value, lowest = value.unbind(1)
            terms |= {name: Term(value, applies), EXCESS: Term((value - lowest).detach(), applies)}
        else:
            terms[name] = Term(value, applies)
    return terms


def _counted(prediction: Tensor, batch: MattingBatch) -> Tensor:
    """alpha + agreement (prediction - alpha): terms on alpha are norms of the difference, which this scales."""
    if batch.agreement.shape[-2:] == (1, 1):
        return prediction  # all of alpha may be believed
    return torch.lerp(batch.alpha, prediction, batch.agreement)


def applies_to(name: str, batch: MattingBatch) -> Float[Tensor, " n"]:
    """1.0 for the samples that the term `name` applies to, 0.0 for the others."""
    if name in ON_ALPHA:
        return batch.known_alpha
    by_trimap = 1 - batch.known_alpha
    return by_trimap * batch.taught if name == "closed_form" else by_trimap


def unknown_l1(
    prediction: Float[Tensor, "n 1 h w"], truth: Float[Tensor, "n 1 h w"], trimap: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, " n"]:
    """Mean absolute difference over the unknown pixels of each sample; 0 where nothing is unknown."""
    unknown = (trimap == 0.5).float()
    return ((prediction - truth).abs() * unknown).flatten(1).sum(1) / unknown.flatten(1).sum(1).clamp_min(1)


def _where(
    applies: Tensor, function: Compute, prediction: Tensor, batch: MattingBatch, shape: tuple[int, ...]
) -> Tensor:
    """(N, *shape): `function` of the samples with applies = 1, 0 for the others.

    Where there are none, a zero that hangs on the prediction: which parameters have a gradient must not depend on the
    data, for ranks reduce them together, and a head may have no other term.
    """
    rows = applies.nonzero()[:, 0]
    if not len(rows):
        return (0 * prediction.flatten(1).sum(1)).view(-1, *(1 for _ in shape)).expand(-1, *shape)
    if len(rows) == len(applies):
        return function(prediction, batch)
    chosen = MattingBatch(*(part[rows] for part in batch))
    values = prediction.new_zeros(len(applies), *shape)
    return values.index_copy(0, rows, function(prediction[rows], chosen))
