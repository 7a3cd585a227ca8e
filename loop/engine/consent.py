"""Which finished results a changed plan would make again, at what cost, and whether the user has agreed to that.

Nothing here asks anybody. A door does, before it changes anything on disk, and then calls `give`: while the plan stays
the same, a stopped run goes on without being asked again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from loop.engine.digest import plain
from loop.engine.files import write_json
from loop.engine.freshness import freshness, own_change
from loop.engine.record import StageError, StageRecord
from loop.engine.step import Step

FILE = ".consent.json"


class AtStake(NamedTuple):
    step: Step
    seconds: float
    """That the present result took."""
    reason: str
    """Why it would be made again."""


def at_stake(run_dir: Path, steps: Sequence[Step]) -> list[AtStake]:
    """The results that would be made again: stale ones and those behind them, without what a kept result satisfies.

    An upper bound: a step behind a stale one may find that its input has the same bytes as before.
    """
    found: list[AtStake] = []
    again: set[str] = set()  # stale steps, and all that follow them
    for step, state, reason in freshness(run_dir, steps):
        if state in {"fresh", "kept", "missing"}:
            continue
        record = _record(run_dir, step)
        if state == "waits" and again.isdisjoint(step.inputs.values()):
            reason = own_change(step, record) if record is not None else ""
            if not reason:
                continue  # what it follows was never made, or was taken away: it will be what it was
        if state != "damaged":  # made again, it has the same bytes
            again.add(step.id)
        if record is not None:
            found.append(AtStake(step, record.seconds, reason))
    return found


def _record(run_dir: Path, step: Step) -> StageRecord | None:
    try:
        return StageRecord.load(step.folder(run_dir))
    except StageError:
        return None


def is_given(run_dir: Path, steps: Sequence[Step]) -> bool:
    """Whether the user has agreed that this very plan replaces what is there."""
    try:
        return bool(json.loads((run_dir / FILE).read_text(encoding="utf-8"))["plan"] == _digest(steps))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def give(run_dir: Path, steps: Sequence[Step]) -> None:
    write_json(run_dir / FILE, {"plan": _digest(steps)})


def withdraw(run_dir: Path) -> None:
    """When the plan is carried out, or another one begins."""
    (run_dir / FILE).unlink(missing_ok=True)


def _digest(steps: Sequence[Step]) -> str:
    return hashlib.sha256(json.dumps([plain(asdict(step)) for step in steps], sort_keys=True).encode()).hexdigest()
