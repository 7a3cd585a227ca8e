"""The record of a finished step, stage.json: from what it was made, what came out, and how long it took."""

from __future__ import annotations

import hashlib
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
        """Its fields, and a digest of them."""
        return {**asdict(self), "digest": _digest(asdict(self))}

    @classmethod
    def load(cls, folder: Path) -> StageRecord | None:
        """The record in `folder`; None when there is none. Raises StageError when it cannot be read or was changed."""
        try:
            read = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            record = cls(**{item.name: read[item.name] for item in fields(cls)})
            _check(record, read.get("digest"))
            return record
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise StageError(
                f"{folder / RECORD} is damaged ({error}): `stylematte run` moves {folder} aside and makes it again"
            ) from error


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _check(record: StageRecord, digest: str | None) -> None:
    """Raises ValueError. digest: None of a record that was written before records had one."""
    for item in fields(record):
        kind, value = str(item.type).partition("[")[0], getattr(record, item.name)
        kinds: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
        wanted = kinds.get(kind, (dict,))
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ValueError(f"{item.name} is {value!r:.40}")
    if digest is not None and digest != _digest(asdict(record)):
        raise ValueError("its text is not what was written")
