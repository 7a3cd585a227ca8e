"""Which enhanced picture becomes pseudo ground truth: only where matter, generator and refinement agree.

The label is the refined consensus, the mean of the matter's alpha and the generator's. A matter that became confident
of something wrong disagrees with the generator, whose alpha nobody optimised, and is refused. How the subject's shape
agrees is asked away from its outline: where that runs, to a fraction of a pixel, is asked in the band.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylemattegan.enhance.losses import outside_band
from stylemattegan.enhance.move import Enhanced
from stylemattegan.latent_config import EnhanceConfig, GateConfig

Refine = Callable[[Tensor], tuple[Tensor, Mapping[str, Any], str | None]]
"""alpha (1, H, W) -> refined alpha, its figures, and why it is refused (None: it is accepted)."""


class Verdict(NamedTuple):
    """label (1, H, W) where the pair is accepted; reason: the first rule it breaks, or None."""

    label: Tensor
    reason: str | None
    figures: dict[str, float]


def verdicts(found: Enhanced, limits: EnhanceConfig, gate: GateConfig, refine: Refine) -> list[Verdict]:
    """One for each picture."""
    return [_verdict(found, index, limits, gate, refine) for index in range(len(found.picture))]


def _verdict(found: Enhanced, index: int, limits: EnhanceConfig, gate: GateConfig, refine: Refine) -> Verdict:
    seen, drawn = found.matte[index].clamp(0, 1), found.alpha[index]
    iou = _iou(seen, drawn, gate.tolerance)
    band = 1 - outside_band(drawn[None])[0]
    gap = float(((seen - drawn).abs() * band).sum() / band.sum().clamp_min(1))
    fell = float(found.before.entropy[index] - found.after.entropy[index])
    label, refined, refusal = refine((seen + drawn) / 2)
    rules = [
        (iou < gate.min_iou, f"agreement: IoU {iou:.3f} of matter and generator below {gate.min_iou}"),
        (gap > gate.max_band, f"agreement: they differ by {gap:.3f} in the band, above {gate.max_band}"),
        (fell <= 0, "entropy: it did not fall"),
        (not float(found.rmse[index]) <= limits.max_rmse, "distance: the picture is beyond max_rmse"),
        (not float(found.move[index]) <= limits.trust * (1 + 1e-12), "distance: the move is beyond trust"),
        (refusal is not None, f"refinement: {refusal}"),
        (not bool(torch.isfinite(label).all()), "the label is not finite"),
    ]
    numbers = {name: float(value) for name, value in refined.items() if isinstance(value, (int, float))}
    figures = {"iou": iou, "band": gap, **{f"refine_{name}": value for name, value in numbers.items()}}
    return Verdict(label, next((reason for broken, reason in rules if broken), None), figures)


def _iou(seen: Tensor, drawn: Tensor, tolerance: int) -> float:
    """Of the two (1, H, W) above 1/2, but for pixels nearer than `tolerance` to the outline of `drawn`."""
    one, other = seen > 0.5, drawn > 0.5
    shape, window = other.float(), 2 * tolerance + 1
    grown, shrunk = (sign * F.max_pool2d(sign * shape, window, 1, tolerance) for sign in (1, -1))
    counted = grown == shrunk
    return float((one & other & counted).sum() / ((one | other) & counted).sum().clamp_min(1))
