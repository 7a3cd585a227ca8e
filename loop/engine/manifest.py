"""manifest.json: the plan and every record on one page. A view: delete it and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loop.engine.commit import write_json
from loop.engine.digest import plain
from loop.engine.freshness import freshness
from loop.engine.stage import StageError, StageRecord
from loop.engine.step import Step

FORMAT = 1


def write_manifest(run_dir: Path, steps: Sequence[Step]) -> None:
    """Rewrite it from the plan and the stage.json files. The same files give the same text."""
    rows = []
    for step, state, reason in freshness(run_dir, steps):
        rows.append({**plain(asdict(step)), "state": state, "reason": reason, "record": _record(run_dir, step.id)})
    write_json(run_dir / "manifest.json", {"format": FORMAT, "steps": rows})


def status_rows(run_dir: Path) -> list[dict[str, Any]]:
    """One row per step: {id, stage, round, domain, state, reason, seconds, finished, metrics}.

    From the plan in the manifest and the records as they are now; without a manifest, the finished steps alone.
    """
    steps = _planned(run_dir)
    if steps is None:
        found = sorted((run_dir / "rounds").glob("[0-9][0-9]/**/stage.json"))
        ids = [file.parent.relative_to(run_dir / "rounds").as_posix() for file in found]
        return [_row(run_dir, id_, "done", "") for id_ in ids if not any(p.startswith(".") for p in id_.split("/"))]
    rows = []
    for step, state, reason in freshness(run_dir, steps):
        row = _row(run_dir, step.id, state, reason)
        rows.append({**row, "stage": step.stage, "round": step.round, "domain": step.domain})
    return rows


def _planned(run_dir: Path) -> list[Step] | None:
    try:
        rows = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))["steps"]
        return [Step(**{name: row[name] for name in Step.__dataclass_fields__}) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _record(run_dir: Path, step_id: str) -> dict[str, Any] | None:
    try:
        record = StageRecord.load(run_dir / "rounds" / step_id)
    except StageError:
        return None
    if record is None:
        return None
    kept = ("key", "inputs", "outputs", "metrics", "seconds", "finished")
    return {name: value for name, value in record.to_json().items() if name in kept}


def _row(run_dir: Path, step_id: str, state: str, reason: str) -> dict[str, Any]:
    record = _record(run_dir, step_id) or {}
    parts = step_id.split("/")
    return {
        "id": step_id,
        "stage": parts[-1],
        "round": int(parts[0]) if parts[0].isdigit() else None,
        "domain": parts[1] if len(parts) == 3 else None,
        "state": state,
        "reason": reason,
        **{name: record.get(name) for name in ("seconds", "finished", "metrics")},
    }
