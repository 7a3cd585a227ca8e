"""What an experiment is: a question, the arms that differ in their configuration, and what is measured in each run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from stylematte.errors import ConfigError

Measured = dict[str, dict[str, dict[str, float]]]
"""What one finished run shows: group (such as "portraits, round 1") -> picture -> metric -> value, lower is better."""


@dataclass(frozen=True)
class Row:
    """One arm's errors in one group, over the seeds and pictures that the arm it is compared with has, too."""

    arm: str
    group: str
    """Such as "portraits, round 1"."""
    metric: str
    mean: float
    of_seeds: tuple[float, ...]
    """The mean over pictures for each seed."""
    seeds: tuple[int, ...]
    pictures: int
    change: float | None = None
    """Of the mean, relative to the other arm's on the same seeds and pictures; None for the control, or without it."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the change over seeds and pictures."""
    detectable: float | None = None
    """The smallest change that would have been shown in 4 of 5 such experiments."""
    p: float | None = None
    """Of a paired test of no difference (`loop.experiments.statistics.p_value`)."""
    against: str | None = None
    """The arm it is compared with: the control, or the other one of a pair of `Experiment.also`."""


class Pair(NamedTuple):
    """Two arms that are compared beside the comparisons with the control."""

    arm: str
    against: str


def every_group(group: str) -> bool:
    return True


def no_conclusion(rows: Sequence[Row]) -> list[str]:
    return []


@dataclass(frozen=True)
class Experiment:
    """arms: name -> the key=value words that make a run of the question's configuration a run of this arm.

    Its functions are those of a module (no lambdas), so that runs side by side can find them.
    """

    name: str
    """Small letters, digits and hyphens: it names a folder and is typed."""
    question: str
    """One sentence with a question mark."""
    arms: Mapping[str, Sequence[str]]
    control: str
    """The arm that the others are compared with."""
    measure: Callable[[Path], Measured]
    """Reads a finished run folder."""
    headline: str = "SAD"
    """The metric that is plotted and put into words."""
    settings: Sequence[str] = ()
    """key=value words of all arms; those of the command come after them, an arm's own last."""
    config: str = "configs/small.yaml"
    """Used when the command names no configuration."""
    until: str | None = None
    """The stage after which a run is over; None: the whole plan."""

    also: Sequence[Pair] = ()
    """Comparisons between arms neither of which is the control."""
    shown: Callable[[str], bool] = every_group
    """Of the measured groups, those that the plot and the sentences are about; the tables have all."""
    sized: Callable[[Sequence[int]], Mapping[str, Sequence[str]]] | None = None
    """The arms for other sizes, the smallest first, which is the control: what --sizes asks for."""
    conclude: Callable[[Sequence[Row]], list[str]] = no_conclusion
    """What all rows together say about the question, in sentences that come first."""

    def of_sizes(self, sizes: Sequence[int]) -> Experiment:
        """The same question of these sizes. Raises ConfigError where it has none."""
        if self.sized is None:
            raise ConfigError(f"{self.name} has no sizes: leave --sizes out")
        if len(set(sizes)) < 2 or min(sizes) < 1:
            raise ConfigError(f"sizes {', '.join(map(str, sizes))}: expected two or more, each 1 or more")
        arms = self.sized(sorted(set(sizes)))
        return replace(self, arms=arms, control=next(iter(arms)))

    def __post_init__(self) -> None:
        for arm in (self.control, *(name for pair in self.also for name in pair)):
            assert arm in self.arms, f"{self.name}: {arm} is no arm"
