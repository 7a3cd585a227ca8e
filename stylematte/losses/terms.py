"""The named loss terms of a batch in which some samples have an alpha and others a trimap alone.

A sample with an alpha is judged by the terms on alpha, and by nothing else; a sample with a trimap by its known
region, by `ddc` in the unknown one and, where a teacher solved it, by the teacher's alpha there. A term is computed on
the samples it applies to and is 0 on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stylematte.losses import alpha as on_alpha
from stylematte.losses.ddc import ddc_and_floor, known_region
from stylematte.rgba import MattingBatch

ON_ALPHA = ("l1", "laplacian", "gradient", "composition", "semantic")
ON_TRIMAP = ("known", "ddc", "closed_form")
NAMES = (*ON_ALPHA, *ON_TRIMAP)
EXCESS = "ddc_excess"
"""ddc minus what a constant matte reaches: raw values of ddc cannot be compared between pictures."""
DDC_OPTIONS = ("variant", "window", "neighbours", "border", "region", "include_self")
ALWAYS = {"stable_ties": True}
"""Of 8-bit colours a quarter or more tie at the last neighbour: which is taken must not depend on the machine."""

Compute = Callable[[Tensor, MattingBatch], Tensor]


class Term(NamedTuple):
    """value: (N,), 0 where the term does not apply. applies: (N,), 1.0 where it does."""

    value: Tensor
    applies: Tensor


def named_terms(
    prediction: Tensor,
    batch: MattingBatch,
    names: Iterable[str],
    options: Mapping[str, Any],
    semantic: Tensor | None = None,
) -> dict[str, Term]:
    """The terms `names` of a prediction (N, 1, H, W) in float32, and `ddc_excess` where ddc is one of them.

    options: of ddc (variant, window, neighbours, border, region, include_self). semantic: (N, 1, H, W), what the
    network's semantic head says, for the term of that name; None: the prediction itself is judged.
    """
    kept = {key: options[key] for key in DDC_OPTIONS if key in options} | ALWAYS
    by_trimap = 1 - batch.known_alpha
    applies = {name: batch.known_alpha for name in ON_ALPHA} | {"known": by_trimap, "ddc": by_trimap}
    applies["closed_form"] = by_trimap * batch.taught
    functions: dict[str, Compute] = {
        "l1": lambda p, b: on_alpha.l1(p, b.alpha),
        "laplacian": lambda p, b: on_alpha.laplacian(p, b.alpha),
        "gradient": lambda p, b: on_alpha.gradient(p, b.alpha),
        "composition": lambda p, b: on_alpha.composition(p, b.foreground, b.background, b.image),
        "semantic": lambda p, b: on_alpha.semantic(p, b.alpha),
        "known": lambda p, b: known_region(p, b.trimap),
        "ddc": lambda p, b: torch.stack(ddc_and_floor(b.image, p, b.trimap, **kept), dim=1),
        "closed_form": lambda p, b: unknown_l1(p, b.alpha, b.trimap),
    }
    said = {"semantic": semantic} if semantic is not None else {}
    values = {
        name: _where(applies[name], functions[name], said.get(name, prediction), batch, (2,) if name == "ddc" else ())
        for name in names
    }
    terms = {name: Term(value, applies[name]) for name, value in values.items()}
    if "ddc" in terms:
        value, lowest = values["ddc"].unbind(1)
        terms |= {"ddc": Term(value, by_trimap), EXCESS: Term((value - lowest).detach(), by_trimap)}
    return terms


def unknown_l1(prediction: Tensor, truth: Tensor, trimap: Tensor) -> Tensor:
    """(N,): mean absolute difference over the unknown pixels of each sample; 0 where nothing is unknown."""
    unknown = (trimap == 0.5).float()
    return ((prediction - truth).abs() * unknown).flatten(1).sum(1) / unknown.flatten(1).sum(1).clamp_min(1)


def _where(
    applies: Tensor, function: Compute, prediction: Tensor, batch: MattingBatch, shape: tuple[int, ...]
) -> Tensor:
    """(N, *shape): `function` of the samples with applies = 1, 0 for the others."""
    rows = applies.nonzero()[:, 0]
    if len(rows) == len(applies):
        return function(prediction, batch)
    values = prediction.new_zeros(len(applies), *shape)
    if len(rows):
        chosen = MattingBatch(*(part[rows] for part in batch))
        values = values.index_copy(0, rows, function(prediction[rows], chosen))
    return values
