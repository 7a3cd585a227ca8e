"""When a refined alpha is accepted: thresholds on the figures of `stylematte.refine.figures`. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stylematte.fields import ranged


@dataclass
class RefineRules:
    """Shares and means are in [0, 1]; the defaults were measured (docs/refinement.md)."""

    min_foreground: float = ranged(0.05, 0, 1)
    """Mean of the refined alpha: less is nobody."""
    max_foreground: float = ranged(0.95, 0, 1)
    """Mean of the refined alpha: more is no background."""
    max_bodies: int = ranged(1, 1)
    """Bodies with at least 5 % of the largest one's area."""
    max_core_deficit: float = ranged(0.15, 0, 1)
    """Mean of 1 - alpha deep inside the body, before: more is glass, or a ghost."""
    max_translucent_core: float = ranged(0.4, 0, 1)
    """Share of the deep inside with alpha below 0.98, before."""
    max_background_leak: float = ranged(0.12, 0, 1)
    """Mean alpha far outside, before: more is haze over the whole frame."""
    max_half_seen: float = ranged(0.5, 0, 1)
    """Share of what is to be seen that is translucent: more is glass, smoke, or a young generator's fog."""
    max_band_change: float = ranged(0.05, 0, 1)
    """Mean absolute change in the band: more, and what is trusted is no longer what was given."""
    max_band: float = ranged(0.35, 0, 1)
    """Share of the picture that is band: more is nothing but edge."""

    def problems(self) -> Iterator[str]:
        """What is impossible beyond the fields' ranges: "key=value: expected ..." lines."""
        if self.min_foreground >= self.max_foreground:
            yield f"min_foreground={self.min_foreground}: expected less than max_foreground={self.max_foreground}"
