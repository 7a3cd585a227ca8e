"""manifest.json: the plan and every record on one page. A view: delete it and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loop.engine.digest import plain
from loop.engine.files import write_json
from loop.engine.freshness import freshness
from loop.engine.record import StageError, StageRecord
from loop.engine.step import Step

FILE, FORMAT = "manifest.json", 1


def write_manifest(run_dir: Path, steps: Sequence[Step]) -> None:
    """Rewrite it from the plan and the stage.json files. The same files give the same text."""
    rows = []
    for step, state, reason in freshness(run_dir, steps):
        rows.append({**plain(asdict(step)), "state": state, "reason": reason, "record": _record(run_dir, step.id)})
    write_json(run_dir / FILE, {"format": FORMAT, "steps": rows})


def _record(run_dir: Path, step_id: str) -> dict[str, Any] | None:
    try:
        record = StageRecord.load(run_dir / "rounds" / step_id)
    except StageError:
        return None
    if record is None:
        return None
    kept = ("key", "inputs", "outputs", "metrics", "seconds", "finished")
    return {name: value for name, value in record.to_json().items() if name in kept}
