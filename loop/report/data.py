"""A run as the report knows it: typed rounds, scores, verdicts and curves. `loop.report.read` fills them from files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FIGURES = ("SAD", "MSE", "MAD", "Grad", "Conn")
Points = list[tuple[float, float]]
"""(x, y) in x order."""
Curves = dict[str, dict[int, dict[str, Points]]]
"""Fit -> round -> metric -> its points over optimizer steps."""
Counts = dict[str, dict[str, dict[str, int]]]
"""Domain -> kind -> split -> number of pictures."""


@dataclass(frozen=True)
class Sieve:
    """How many cut-outs a stage kept, and how many it refused for which reason."""

    kept: int
    refused: dict[str, int]

    @property
    def total(self) -> int:
        return self.kept + sum(self.refused.values())


@dataclass(frozen=True)
class Score:
    """A domain's means over its held-out pictures."""

    figures: dict[str, float]
    """FIGURES, and the floors zero_SAD (an all-zero matte) and constant_SAD (the best constant one)."""
    pictures: int | None
    kind: str | None
    """Of the truth: alpha or pseudo-alpha."""

    def get(self, name: str) -> float | None:
        return self.figures.get(name)


@dataclass(frozen=True)
class Picture:
    """One held-out picture and how far its matte is off; paths may lead nowhere."""

    id: str
    domain: str
    kind: str
    sad: float
    zero_sad: float | None
    photo: Path | None
    truth: Path | None
    prediction: Path | None


@dataclass(frozen=True)
class Distances:
    """The selected generator's distances to its training set, and that of this round's fit."""

    frechet: float | None = None
    kid: float | None = None
    fitted_frechet: float | None = None
    selected: str | None = None
    """"this round's", "the previous" or "none"."""


@dataclass(frozen=True)
class Change:
    """Relative change of a domain's mean SAD with its bootstrap interval; below 0 is better."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class AgainstControl:
    """A domain's mean SAD on the pictures that decide, the control's on the same ones, and the change to it."""

    sad: float
    control_sad: float
    change: Change
    pictures: int


@dataclass(frozen=True)
class Control:
    """The control of a round, real pairs alone in equal steps, and how the loop compares with it (`stages/compare`)."""

    scores: dict[str, Score]
    """Of the control's matter of this round, by domain."""
    best_round: int | None = None
    """Of the loop, by then."""
    control_round: int | None = None
    """The control's best, by the same rule."""
    gains: dict[str, AgainstControl] = field(default_factory=dict)
    """Domain -> the loop's best round against the control's best."""
    same_round: dict[str, AgainstControl] = field(default_factory=dict)
    """Domain -> this round's matter against the control's of this round."""


@dataclass(frozen=True)
class Verdict:
    """Whether a round's matter was accepted, and why."""

    accepted: bool
    reason: str
    accepted_round: int
    """The round whose matter goes on."""
    best_round: int
    """The round whose matter leaves the run: the best by then, never worse than round 0."""
    changes: dict[str, dict[str, Change]]
    """Domain -> against what (vs_best, vs_first) -> change."""


@dataclass
class Round:
    """One round's results, by domain where a domain has its own; each part is empty until its stage is done."""

    number: int
    folder: Path
    scores: dict[str, Score] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    distances: dict[str, Distances] = field(default_factory=dict)
    labels: dict[str, Sieve] = field(default_factory=dict)
    refined: dict[str, Sieve] = field(default_factory=dict)
    pairs: dict[str, Sieve] = field(default_factory=dict)
    enhanced: dict[str, Sieve] = field(default_factory=dict)
    watch: dict[str, dict[str, float]] = field(default_factory=dict)
    """Domain -> values of its steps `watch` and `label` by name."""
    verdict: Verdict | None = None
    control: Control | None = None
    stopped: dict[str, str] = field(default_factory=dict)
    """Step -> why its fit stopped before its end."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each finished step, in the plan's order where manifest.json has one."""
    ended: dict[str, float] = field(default_factory=dict)
    """When it was finished, in seconds since 1970."""

    @property
    def accepted(self) -> bool:
        return self.verdict is not None and self.verdict.accepted

    @property
    def probes(self) -> Path:
        return self.folder / "evaluate" / "probes.png"

    def generated_sheet(self, domain: str) -> Path:
        return self.folder / domain / "select_generator" / "sheet.png"

    def enhanced_sheet(self, domain: str) -> Path:
        return self.folder / domain / "enhance" / "before_after.png"

    def kept_sheet(self, domain: str) -> Path:
        return self.folder / domain / "select" / "sheet.png"


@dataclass(frozen=True)
class LeftOut:
    """A file that could not be used."""

    file: str
    reason: str


@dataclass
class Run:
    """A run folder as plain data."""

    name: str
    config_text: str
    margin: float | None
    """accept.margin of its configuration."""
    domains: list[str]
    planned: int
    """The last round that the configuration asks for."""
    has_control: bool
    """run.control of its configuration."""
    rounds: list[Round]
    counts: Counts
    left_out: list[LeftOut]
    curves: Curves
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Step -> what it reads by name -> the step that made it, in the plan's order; empty without manifest.json."""
    provenance: list[dict[str, Any]] = field(default_factory=list)
    """What made it, the oldest first (`loop.tracking.provenance`)."""
    augmentation_cap: float | None = None
    """The highest probability that generator.fit allows."""
    free_bytes: int | None = None
    """On the disk of the run folder."""
    used_bytes: int = 0
    """Of the newest round that has a verdict: another one takes about as much."""

    @property
    def decided(self) -> list[Round]:
        """The rounds that have a verdict."""
        return [round_ for round_ in self.rounds if round_.verdict is not None]

    @property
    def accepted(self) -> Round | None:
        """The round whose matter was accepted last: the loop goes on with it."""
        verdict = self.decided[-1].verdict if self.decided else None
        return None if verdict is None else self._numbered(verdict.accepted_round)

    @property
    def best(self) -> Round | None:
        """The round whose matter leaves the run: of the accepted ones the best, never worse than round 0."""
        verdict = self.decided[-1].verdict if self.decided else None
        return None if verdict is None else self._numbered(verdict.best_round)

    @property
    def compared(self) -> Round | None:
        """The newest round that was compared with the control."""
        return next((round_ for round_ in reversed(self.rounds) if round_.control and round_.control.gains), None)

    def _numbered(self, number: int) -> Round | None:
        return next((round_ for round_ in self.rounds if round_.number == number), None)
