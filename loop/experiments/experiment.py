"""What an experiment is: a question, the arms that differ in their configuration, and what is measured in each run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Measured = dict[str, dict[str, dict[str, float]]]
"""What one finished run shows: group (such as "portraits, round 1") -> picture -> metric -> value, lower is better."""


@dataclass(frozen=True)
class Experiment:
    """arms: name -> the key=value words that make a run of the question's configuration a run of this arm."""

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
    config: str = "configs/quickstart.yaml"
    """Used when the command names no configuration."""
    until: str | None = None
    """The stage after which a run is over; None: the whole plan."""

    def __post_init__(self) -> None:
        assert self.control in self.arms, f"{self.name}: {self.control} is no arm"
