"""Ingest of one RGBA sample: what can be mended is mended, what cannot is refused, and both are written down.

Mended: premultiplied colour, exchanged red and blue (BGRA), deep files whose numbers use 8, 10 or 12 of their 16 bits,
bands of alpha along the frame, faint haze. Refused: no transparency at all, nothing visible, a burnt-in checkerboard,
haze over the whole frame, glass-like subjects. Thresholds were set on the artefact classes of published layer-diffusion
pictures (docs/pools.md). The alpha's finer faults are the business of the refinement that comes after.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylematte.fields import ranged
from stylematte.generators import defects
from stylematte.rgba_generator import RGBASample

WIDESPREAD = 0.3
"""Share of the far background with some alpha from which it is haze; strands of hair reach less of it."""


@dataclass(frozen=True)
class IngestRules:
    """What is refused. Each figure is in the sample's record, so that other thresholds can be tried on them."""

    max_haze: float = ranged(0.12, 0, 1)
    """Mean alpha far from the subject; published pictures of full-frame haze have 0.16."""
    faint_haze: float = ranged(0.03, 0, 1)
    """Up to this mean, what lies far from the subject is simply set to 0."""
    max_deficit: float = ranged(0.35, 0, 1)
    """Mean of 1 - alpha in the core; a glass bottle has 0.7, a translucent portrait 0.05."""
    max_checkerboard: float = ranged(0.6, 0, 1)
    """Clearness of a checkerboard in the colour, from 0 to 1."""
    min_foreground: float = ranged(0.02, 0, 1)
    """Share of the frame."""
    max_foreground: float = ranged(0.98, 0, 1)
    """Share of the frame."""
    skin: bool = False
    """The subjects have skin: where it shows only with red and blue exchanged, they are."""


class Ingested(NamedTuple):
    """rgba: (4, H, W), mended; mended: what was; refused: the reason, or None; figures: of the picture as given."""

    rgba: Tensor
    mended: list[str]
    refused: str | None
    figures: dict[str, float]


@dataclass
class _Work:
    colour: np.ndarray  # (H, W, 3)
    alpha: np.ndarray  # (H, W)
    mended: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


def ingest(sample: RGBASample, rules: IngestRules = IngestRules()) -> Ingested:
    """Look at one sample. Its hints say what its file's numbers mean, where it is known:

    premultiplied: true or false; channels: "bgra"; top: the largest number (255 in a 16-bit file that uses 8 of them).
    Raises ValueError for a picture of another shape.
    """
    if sample.rgba.ndim != 3 or sample.rgba.shape[0] != 4:
        raise ValueError(f"{sample.name}: expected RGBA of shape (4, H, W), got {tuple(sample.rgba.shape)}")
    picture = sample.rgba.permute(1, 2, 0).numpy().astype(np.float32)
    if not np.isfinite(picture).all():
        return Ingested(sample.rgba, [], "holds NaN or infinity", {})
    work = _Work(picture[..., :3].copy(), picture[..., 3].copy())
    _levels(work, sample.hints)
    refused = _no_cutout(work, rules)
    if refused is None:
        _channels(work, rules, sample.hints)
        _multiplied(work, sample.hints)
        _bands(work)
        refused = _no_subject(work, rules)
    rgba = np.concatenate([work.colour, work.alpha[..., None]], -1).transpose(2, 0, 1)
    figures = {name: round(float(value), 5) for name, value in work.figures.items()}
    return Ingested(torch.from_numpy(np.ascontiguousarray(rgba)), work.mended, refused, figures)


def _levels(work: _Work, hints: Any) -> None:
    """A deep file that uses a part of its range is stretched to it: all numbers are at most 2^8, 2^10 or 2^12 - 1."""
    highest = max(float(work.colour.max()), float(work.alpha.max()))
    top = hints.get("top")
    if top is None and hints.get("bits") == 16:
        top = next((2**bits - 1 for bits in (8, 10, 12) if highest * 65535 <= 2**bits - 1 + 0.5), None)
    if top:
        scale = 65535 / float(top) if hints.get("bits") == 16 else 255 / float(top)
        work.colour, work.alpha = work.colour * scale, work.alpha * scale
        work.mended.append("levels")
    if highest > 1 or work.colour.min() < 0 or work.alpha.min() < 0:
        work.mended.append("clipped")
    work.colour, work.alpha = np.clip(work.colour, 0, 1), np.clip(work.alpha, 0, 1)


def _no_cutout(work: _Work, rules: IngestRules) -> str | None:
    work.figures["checkerboard"] = defects.checkerboard(work.colour, work.alpha)
    if work.figures["checkerboard"] > rules.max_checkerboard:
        return f"a checkerboard is burnt into the colour ({work.figures['checkerboard']:.2f}): export the alpha instead"
    if work.alpha.min() > 0.9:
        return "nothing is transparent: expected an RGBA cut-out"
    if work.alpha.max() < 0.5:
        return "nothing is opaque: no subject"
    return None


def _channels(work: _Work, rules: IngestRules, hints: Any) -> None:
    asis, swapped = defects.swapped_channels(work.colour, work.alpha)
    work.figures["skin"] = asis
    said = str(hints.get("channels", "")).lower()
    if said == "bgra" or (not said and rules.skin and swapped > 0.15 and asis < 0.01):
        work.colour = np.ascontiguousarray(work.colour[..., ::-1])
        work.mended.append("bgra")


def _multiplied(work: _Work, hints: Any) -> None:
    said = hints.get("premultiplied")
    if said if said is not None else defects.premultiplied(work.colour, work.alpha):
        divided = work.colour / np.maximum(work.alpha, 1 / 255)[..., None]
        work.colour = np.where(work.alpha[..., None] > 0, np.clip(divided, 0, 1), work.colour)
        work.mended.append("premultiplied")


def _bands(work: _Work) -> None:
    bands = defects.edge_bands(work.alpha)
    work.figures["bands"] = sum(bands.values())
    if bands:
        work.alpha = defects.without_bands(work.alpha, bands)
        work.mended.append("bands")


def _no_subject(work: _Work, rules: IngestRules) -> str | None:
    work.figures |= defects.far_background(work.alpha) | defects.core_deficit(work.alpha)
    figures = work.figures
    if figures["deficit"] > rules.max_deficit:
        return f"glass-like: alpha lacks {figures['deficit']:.3f} in the core, above {rules.max_deficit}"
    if figures["haze"] > rules.max_haze:
        return f"haze over the frame: alpha {figures['haze']:.3f} far from the subject, above {rules.max_haze}"
    if figures["haze"] <= rules.faint_haze and figures["hazy"] > WIDESPREAD:
        work.alpha = _without_faint_haze(work.alpha)
        work.mended.append("haze")
    figures["foreground"] = float(work.alpha.mean())
    if not rules.min_foreground <= figures["foreground"] <= rules.max_foreground:
        allowed = f"{rules.min_foreground} to {rules.max_foreground}"
        return f"foreground {figures['foreground']:.3f} of the frame, expected {allowed}"
    return None


def _without_faint_haze(alpha: np.ndarray, radius: float = 0.08) -> np.ndarray:
    """0 where no pixel of the body is near; what the body's surroundings are is left to the refinement."""
    import cv2

    body = (alpha >= 0.5).astype(np.uint8)
    far = cv2.distanceTransform(1 - body, cv2.DIST_L2, 3) > radius * min(alpha.shape)
    return np.where(far & (alpha < 0.5), 0, alpha).astype(np.float32)
