"""A finished round and its stages as W&B shows them: what the orchestrator hands to the mirror process, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loop.engine.record import StageRecord
from loop.engine.step import step_folder


@dataclass(frozen=True)
class StageEntry:
    """One finished stage: its configuration, its numbers, its pictures by name."""

    id: str
    stage: str
    config: dict[str, Any]
    metrics: dict[str, float | str]
    images: dict[str, str]

    @classmethod
    def of(cls, run_dir: Path, record: StageRecord) -> StageEntry:
        """From a record and the PNGs in its folder."""
        images = {path.stem: str(path) for path in sorted(step_folder(run_dir, record.step).glob("*.png"))}
        metrics: dict[str, float | str] = {"seconds": record.seconds, **flat(record.metrics)}
        return cls(record.step, record.stage, record.config, metrics, images)


@dataclass(frozen=True)
class RoundEntry:
    """One finished round: a point on every curve of the controller run, and an entry for each of its stages."""

    mode: str
    project: str
    run_dir: str
    round: int
    metrics: dict[str, float | None]
    accepted: bool
    reason: str
    images: dict[str, str]
    config: dict[str, Any]
    stages: list[StageEntry]

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> RoundEntry:
        values = json.loads(text)
        return cls(**values | {"stages": [StageEntry(**stage) for stage in values["stages"]]})


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
