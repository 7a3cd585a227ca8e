"""Which steps have a result that is still theirs, judged by keys alone. Reads files, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from loop.engine.digest import stage_key
from loop.engine.stage import StageError, StageRecord
from loop.engine.step import Step

State = Literal["fresh", "stale", "missing", "waits"]


class Freshness(NamedTuple):
    step: Step
    state: State
    """fresh: nothing to do; stale: made from something else; missing: not made yet; waits: follows one of these."""
    reason: str


def freshness(run_dir: Path, steps: Iterable[Step]) -> list[Freshness]:
    """The state of every step, in the plan's order. A step that waits may turn out fresh: equal bytes wake nobody."""
    outputs: dict[str, str] = {}  # of the fresh steps
    found = []
    for step in steps:
        state, reason = _state(run_dir, step, outputs)
        found.append(Freshness(step, state, reason))
    return found


def _state(run_dir: Path, step: Step, outputs: dict[str, str]) -> tuple[State, str]:
    waits = [producer for producer in step.inputs.values() if producer not in outputs]
    if waits:
        return "waits", f"after {waits[0]}"
    try:
        record = StageRecord.load(step.folder(run_dir))
    except StageError as error:
        return "stale", str(error)
    if record is None:
        return "missing", "not made yet"
    inputs = {name: outputs[producer] for name, producer in step.inputs.items()}
    if record.key != stage_key(step.stage, step.version, step.config, inputs, step.seed):
        return "stale", why_stale(step, record, inputs)
    outputs[step.id] = record.outputs
    return "fresh", ""


def why_stale(step: Step, record: StageRecord, inputs: Mapping[str, str]) -> str:
    """What differs between the record and what the step would read now, the most telling first."""
    config = _changes(record.config, step.config, "")
    if config:
        return ", ".join(config[:3]) + (f" and {len(config) - 3} more" if len(config) > 3 else "")
    changed = sorted(name for name in {*inputs, *record.inputs} if inputs.get(name) != record.inputs.get(name))
    if changed:
        return f"input changed: {', '.join(changed)}"
    if step.version != record.version:
        return f"stage version {record.version} -> {step.version}"
    return f"seed {record.seed} -> {step.seed}"


def _changes(old: Any, new: Any, name: str) -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        inner = [_changes(old.get(k), new.get(k), f"{name}.{k}" if name else str(k)) for k in sorted({*old, *new})]
        return [change for changes in inner for change in changes]
    if isinstance(new, tuple):
        new = list(new)
    return [] if old == new else [f"{name}: {old} -> {new}"]
