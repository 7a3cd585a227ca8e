"""The decay of G_ema, the moving average of G, by a half-life counted in pictures (Karras et al. 2018, appendix A)."""

from __future__ import annotations


def ema_beta(batch: int, shown: int, ema_kimg: float, rampup: float | None = 0.05) -> float:
    """Decay of one step: half-life `ema_kimg` thousand pictures, at most `rampup` of those `shown` so far.

    beta = 0.5 ** (batch / half-life). `rampup` None: the full half-life from the start (a continued generator).
    """
    half_life = ema_kimg * 1000
    if rampup is not None:
        half_life = min(half_life, shown * rampup)
    return 0.5 ** (batch / max(half_life, 1e-8))
