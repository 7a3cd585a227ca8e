"""Reads the offline files of Weights & Biases back: rows, names, configurations of each run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class OfflineRun:
    """One folder below RUN/wandb: what `wandb sync` would send of it."""

    name: str = ""
    group: str = ""
    job_type: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    git: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def curve(self, name: str) -> list[tuple[int, Any]]:
        return [(row["_step"], row[name]) for row in self.rows if name in row]


def offline_runs(run_dir: Path) -> dict[str, list[OfflineRun]]:
    """The folders of a run by W&B's id; more than one of an id where a run was begun twice."""
    found: dict[str, list[OfflineRun]] = {}
    for file in sorted((run_dir / "wandb").glob("offline-run-*/run-*.wandb")):
        found.setdefault(file.stem.removeprefix("run-"), []).append(_read(file))
    return found


def _read(file: Path) -> OfflineRun:
    from wandb.proto.wandb_internal_pb2 import Record

    run = OfflineRun()
    for payload in _payloads(file):
        record = Record.FromString(payload)
        if record.HasField("run"):
            run.name, run.group, run.job_type = record.run.display_name, record.run.run_group, record.run.job_type
            run.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            run.git = record.run.git.commit or run.git
        if record.HasField("history"):
            run.rows.append(_row([(item.key, list(item.nested_key), item.value_json) for item in record.history.item]))
    return run


def _row(items: list[tuple[str, list[str], str]]) -> dict[str, Any]:
    """(key, nested key, value as JSON): a picture's parts come under the key of the picture."""
    row: dict[str, Any] = {}
    for key, nested, value in items:
        *outer, last = nested or [key]
        place = row
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = json.loads(value)
    return row


def _payloads(file: Path) -> Iterator[bytes]:
    """Of a .wandb file: LevelDB's log format, chunks in blocks of 32 KiB after a header of 7 bytes."""
    data, at, parts = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""
