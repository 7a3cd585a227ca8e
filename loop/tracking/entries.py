"""A finished round as W&B shows it, and `tracking/rounds.jsonl` of the run folder, which keeps one a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loop.engine.files import write_atomically
from loop.engine.record import StageRecord
from loop.engine.step import step_folder
from stylematte.jsonl import read_jsonl

FOLDER = "tracking"
ROUNDS, ALERTS, SETTINGS = "rounds.jsonl", "alerts.jsonl", "loop.json"
SHOWN_AS_THE_ROUND = ("evaluate/", "accept/")
"""Stages whose numbers are the round's own: DOMAIN/SAD, accepted, verdict."""


@dataclass(frozen=True)
class StageEntry:
    """One finished stage: its numbers and its pictures by name. id: such as "01/portraits/label"."""

    id: str
    metrics: dict[str, float | str]
    images: dict[str, str]
    key: str = ""
    """The beginning of its result's, which names it."""

    @classmethod
    def of(cls, run_dir: Path, record: StageRecord) -> StageEntry:
        """From a record and the PNGs in its folder."""
        images = {path.stem: str(path) for path in sorted(step_folder(run_dir, record.step).glob("*.png"))}
        return cls(record.step, {"seconds": record.seconds, **flat(record.metrics)}, images, record.key[:8])

    @property
    def prefix(self) -> str:
        """Of its names in the loop run: "portraits/label/"."""
        return self.id.partition("/")[2] + "/"


@dataclass(frozen=True)
class Table:
    """A table of a round: cells are texts, numbers, or pictures by their files (`loop.tracking.pictures.of_cell`)."""

    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class RoundEntry:
    """One finished round with its stages: a row of the loop run."""

    round: int
    metrics: dict[str, float | None]
    accepted: bool
    reason: str
    images: dict[str, str]
    stages: list[StageEntry]
    tables: dict[str, Table] = field(default_factory=dict)
    """By name in the loop run."""

    def row(self) -> dict[str, Any]:
        """Every number and text by its name in the loop run."""
        of_stages = {
            stage.prefix + name: value
            for stage in self.stages
            for name, value in stage.metrics.items()
            if name == "seconds" or stage.prefix not in SHOWN_AS_THE_ROUND
        }
        return {
            "round": self.round,
            **of_stages,
            **self.metrics,
            "accepted": int(self.accepted),
            "verdict": self.reason,
        }

    def pictures(self) -> dict[str, Path]:
        """Every picture that still lies where it was, by its name in the loop run."""
        of_stages = {stage.prefix + name: path for stage in self.stages for name, path in stage.images.items()}
        return {name: Path(path) for name, path in (of_stages | self.images).items() if Path(path).is_file()}

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)


@dataclass(frozen=True)
class Alert:
    """What someone who is not looking should hear of."""

    title: str
    text: str
    level: str
    """INFO, WARN or ERROR."""


def keep_entry(run_dir: Path, entry: RoundEntry) -> None:
    """Put it into the run's rounds.jsonl, in place of what was there of that round."""
    path = run_dir / FOLDER / ROUNDS
    path.parent.mkdir(parents=True, exist_ok=True)
    others = [json.dumps(row) for row in read_jsonl(path, growing=True) if row["round"] != entry.round]
    write_atomically(path, "".join(line + "\n" for line in (*others, entry.to_json())))


def read_entries(run_dir: Path) -> list[RoundEntry]:
    """The rounds of a run so far, in their order."""
    rows = sorted(read_jsonl(run_dir / FOLDER / ROUNDS), key=lambda row: row["round"])
    return [_entry(row) for row in rows]


def _entry(row: dict[str, Any]) -> RoundEntry:
    stages = [StageEntry(**stage) for stage in row["stages"]]
    tables = {name: Table(**table) for name, table in row["tables"].items()}
    return RoundEntry(**row | {"stages": stages, "tables": tables})


def keep_alert(run_dir: Path, alert: Alert) -> None:
    path = run_dir / FOLDER / ALERTS
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(alert)) + "\n")


def read_alerts(run_dir: Path) -> list[Alert]:
    """The oldest first."""
    return [Alert(**row) for row in read_jsonl(run_dir / FOLDER / ALERTS, growing=True)]


def keep_settings(run_dir: Path, settings: dict[str, Any]) -> None:
    """How the loop is mirrored, and its configuration."""
    path = run_dir / FOLDER / SETTINGS
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(settings, default=str))


def read_settings(run_dir: Path) -> dict[str, Any]:
    return dict(json.loads((run_dir / FOLDER / SETTINGS).read_text(encoding="utf-8")))


def flat(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float | str]:
    """Nested metrics as "a/b/c": numbers and one-line texts; what is missing (None) or a list has no curve."""
    found: dict[str, float | str] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}/")
        elif isinstance(value, bool):
            found[prefix + name] = int(value)
        elif isinstance(value, (int, float, str)):
            found[prefix + name] = value
    return found
