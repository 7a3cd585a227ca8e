"""Regularisers of a generator's alpha: terms on its statistics that hold them where those of real cut-outs are.

mean: a picture's mean alpha belongs between the least and the greatest of the real batch, so that alpha cannot collapse
to nothing or to everything (the original has no such term: its alpha is tied by its discriminator alone).
band: the share of half-transparent alpha belongs where the real one is. 4a(1 - a) counts half-transparent pixels
softly: 0 at 0 and 1, 1 at one half; along an edge of length P with a straight ramp of w pixels it sums to 2/3 w P.

Not here: a pull of alpha to 0 and 1 (binary entropy). It hardens hair as well as haze, whatever the real ones have;
`band` pulls both ways and rests where they are. The foreground's own realism is the first discriminator's: what it sees
is the foreground over mid-grey, and `Backgrounds(foreground=...)` asks the composite discriminator, too.
"""

from __future__ import annotations

from torch import Tensor

from stylematte import distributed
from stylemattegan.config import AlphaRegularizerConfig
from stylemattegan.training.composites import bounded_alpha
from stylemattegan.training.terms import Auxiliary, Position, Term


class AlphaRegularizer(Auxiliary):
    """The terms with a positive weight, logged as alpha/mean and alpha/band."""

    def __init__(self, weights: AlphaRegularizerConfig) -> None:
        super().__init__()
        self.weights = weights

    def generator_terms(self, fake: Tensor, real: Tensor, at: Position) -> list[Term]:
        """Averaged over ranks, values and gradients are those of the global batch."""
        terms: list[Term] = []
        if not self.weights.is_on:
            return terms
        made, true = bounded_alpha(fake), bounded_alpha(real.detach())
        if self.weights.mean > 0:
            means = _of_all_ranks(true.mean((1, 2, 3)))
            outside = mean_outside(made.mean((1, 2, 3)), means.min(), means.max())
            terms.append(Term(outside, self.weights.mean, "alpha/mean"))
        if self.weights.band > 0:
            gap = relative_gap(_global_mean(band_share(made)), _global_mean(band_share(true)))
            terms.append(Term(gap, self.weights.band, "alpha/band"))
        return terms


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


def _of_all_ranks(values: Tensor) -> Tensor:
    """(n,) of each rank -> (n world,), without gradient."""
    everyone = values.new_zeros(distributed.world(), len(values))
    everyone[distributed.rank()] = values.detach()
    return distributed.mean_over_ranks(everyone).flatten() * distributed.world()


def _global_mean(values: Tensor) -> Tensor:
    """The mean over all ranks in value, over this one's rows in gradient."""
    local = values.mean()
    return local + (distributed.mean_over_ranks(local) - local.detach())
