"""What is measured of a refined alpha, and whether it is accepted: the first broken rule is the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from stylematte.refine.regions import BODY, Body
from stylematte.refine.rules import RefineRules

OPAQUE = 0.98


@dataclass(frozen=True)
class Figures:
    """Shares and means in [0, 1]. Core: deeper inside than the band may reach; background: farther outside."""

    foreground: float
    """Mean of the refined alpha."""
    core_deficit: float
    """Mean of 1 - alpha in the core, before."""
    translucent_core: float
    """Share of the core with alpha below 0.98, before."""
    background_leak: float
    """Mean alpha in the background, before."""
    half_seen: float
    """Share of what is to be seen (alpha above 0.15) that is not opaque either (below 0.85), levelled."""
    band: float
    """Share of the picture that is band."""
    band_change: float
    """Mean absolute change in the band."""
    change: float
    """Mean absolute change in the whole picture."""
    components: int
    """8-connected components of alpha >= 1/2, before."""
    bodies: int
    """Those with at least 5 % of the largest one's area."""
    gaps: int
    """Holes that stayed: between arm and body, between curls."""
    filled: int
    """Holes that were filled."""


class Verdict(NamedTuple):
    """rule: the name of the broken rule; reason: one sentence. Both None if it is accepted."""

    accepted: bool
    rule: str | None = None
    reason: str | None = None


class Stages(NamedTuple):
    """One alpha (H, W) as given, levelled, and refined."""

    given: np.ndarray
    levelled: np.ndarray
    refined: np.ndarray


def figures_of(alphas: Stages, body: Body, band: np.ndarray, background: np.ndarray, core: np.ndarray) -> Figures:
    """band, background, core: (H, W) bool."""
    given, levelled, refined = alphas
    change = np.abs(refined - given)
    count, _ = cv2.connectedComponents((given >= BODY).astype(np.uint8), connectivity=8)
    return Figures(
        foreground=_mean(refined),
        core_deficit=_mean(1 - given[core]),
        translucent_core=_mean(given[core] < OPAQUE),
        background_leak=_mean(given[background]),
        half_seen=_mean(levelled[levelled > 0.15] < 0.85),
        band=_mean(band),
        band_change=_mean(change[band]),
        change=_mean(change),
        components=count - 1,
        bodies=body.bodies,
        gaps=body.gaps,
        filled=body.filled,
    )


def judge(figures: Figures, rules: RefineRules) -> Verdict:
    """The first broken rule, from the plainest to the finest."""
    f, r = figures, rules
    checks = [
        ("glass", f.half_seen > r.max_half_seen, f"{f.half_seen:.0%} of what is seen is translucent"),
        ("foreground", f.foreground < r.min_foreground, f"foreground {f.foreground:.3f} below {r.min_foreground}"),
        ("foreground", f.foreground > r.max_foreground, f"foreground {f.foreground:.3f} above {r.max_foreground}"),
        ("bodies", f.bodies > r.max_bodies, f"{f.bodies} bodies, at most {r.max_bodies} expected"),
        ("glass", f.core_deficit > r.max_core_deficit, f"core misses {f.core_deficit:.3f} of its opacity"),
        ("glass", f.translucent_core > r.max_translucent_core, f"{f.translucent_core:.0%} of the core is translucent"),
        ("haze", f.background_leak > r.max_background_leak, f"background has alpha {f.background_leak:.3f} on average"),
        ("band", f.band > r.max_band, f"{f.band:.0%} of the picture is soft edge"),
        ("band_change", f.band_change > r.max_band_change, f"the edge would change by {f.band_change:.3f}"),
    ]
    return next((Verdict(False, name, why) for name, broken, why in checks if broken), Verdict(True))


def _mean(values: np.ndarray) -> float:
    """0 of nothing."""
    return round(float(values.mean(dtype=np.float64)), 6) if values.size else 0.0
