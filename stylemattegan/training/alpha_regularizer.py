"""Terms that keep a generator's alpha honest. Each is a named weight; 0 leaves it out.

mean: a picture's mean alpha belongs between the least and the greatest of the real batch, so that alpha cannot collapse
to nothing or to everything (the original has no such term: its alpha is tied by its discriminator alone).
band: the share of half-transparent alpha belongs where the real one is. 4a(1 - a) counts half-transparent pixels
softly: 0 at 0 and 1, 1 at one half; along an edge of length P with a straight ramp of w pixels it sums to 2/3 w P.

Not here: a pull of alpha to 0 and 1 (binary entropy). It hardens hair as well as haze, whatever the real ones have;
`band` pulls both ways and rests where they are. The foreground's own realism is the first discriminator's: what it sees
is the foreground over mid-grey, and `Backgrounds(foreground=...)` asks the second one, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from stylematte import distributed
from stylemattegan.training.composites import bounded_alpha


def mean_outside(means: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Mean squared distance of `means` (n,) from the interval [low, high]."""
    return ((low - means).clamp_min(0) + (means - high).clamp_min(0)).square().mean()


def band_share(alpha: Tensor) -> Tensor:
    """How much of each picture is half-transparent: the mean of 4a(1 - a). alpha (N, 1, H, W) in [0, 1] -> (N,)."""
    return (4 * alpha * (1 - alpha)).mean((1, 2, 3))


def relative_gap(share: Tensor, wanted: Tensor) -> Tensor:
    """((share - wanted) / (share + wanted))^2: half as much costs what twice as much does, 1/9; at most 1.

    Bounded, because a generator begins as haze, with many times the share of half-transparent alpha.
    """
    return ((share - wanted) / (share + wanted).clamp_min(1e-4)).square()


def alpha_terms(fake: Tensor, real: Tensor, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Each term with a positive weight, unweighted. fake, real: this rank's encoded (n, 4, R, R).

    Averaged over ranks, values and gradients are those of the global batch.
    """
    if not any(weights.values()):
        return {}
    drawn, true = bounded_alpha(fake), bounded_alpha(real.detach())
    terms = {}
    if weights["mean"] > 0:
        means = _of_all_ranks(true.mean((1, 2, 3)))
        terms["mean"] = mean_outside(drawn.mean((1, 2, 3)), means.min(), means.max())
    if weights["band"] > 0:
        terms["band"] = relative_gap(_global_mean(band_share(drawn)), _global_mean(band_share(true)))
    return terms


def _of_all_ranks(values: Tensor) -> Tensor:
    """(n,) of each rank -> (n world,), without gradient."""
    everyone = values.new_zeros(distributed.world(), len(values))
    everyone[distributed.rank()] = values.detach()
    return distributed.mean_over_ranks(everyone).flatten() * distributed.world()


def _global_mean(values: Tensor) -> Tensor:
    """The mean over all ranks in value, over this one's rows in gradient."""
    mine = values.mean()
    return mine + (distributed.mean_over_ranks(mine) - mine.detach())
