"""The record of a finished step, stage.json: from what it was made, what came out, and how long it took."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from loop.engine.digest import RECORD

Metrics = dict[str, Any]


class StageError(ValueError):
    """A stage or its record is not as it must be; one line with the cure."""


@dataclass(frozen=True)
class StageRecord:
    """What stage.json holds."""

    key: str
    stage: str
    step: str
    version: int
    config: dict[str, Any]
    seed: int
    inputs: dict[str, str]
    """Name -> digest of that input's outputs."""
    outputs: str
    """Digest of this folder."""
    metrics: Metrics
    seconds: float
    """Of the attempt that finished; an interrupted part before it is not counted."""
    finished: str
    """UTC, ISO 8601."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, folder: Path) -> StageRecord | None:
        """The record in `folder`; None when there is none. Raises StageError when it cannot be read."""
        try:
            read = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            return cls(**{item.name: read[item.name] for item in fields(cls)})
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise StageError(
                f"{folder / RECORD} cannot be read ({error}): remove the folder {folder} to have it made again"
            ) from error
