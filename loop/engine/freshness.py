"""Which steps have a result that is still theirs, by keys alone. Reads files, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from loop.engine.commit import StepFolders
from loop.engine.damage import damage
from loop.engine.digest import stage_key
from loop.engine.record import StageError, StageRecord
from loop.engine.step import Step

State = Literal["fresh", "kept", "stale", "missing", "damaged", "waits"]


class Freshness(NamedTuple):
    step: Step
    state: State
    """fresh: nothing to do; kept: an earlier result comes back without work; stale: made from something else;
    missing: not made yet; damaged: there, but not what was made; waits: follows one of the last three."""
    reason: str


def freshness(run_dir: Path, steps: Iterable[Step]) -> list[Freshness]:
    """The state of every step, in the plan's order. A step that waits may turn out fresh: equal bytes wake nobody."""
    outputs: dict[str, str] = {}
    return [_state(run_dir, step, outputs) for step in steps]


def fresh_inputs(run_dir: Path, steps: Iterable[Step]) -> Iterator[tuple[Step, dict[str, str]]]:
    """The steps whose inputs are all there, and these inputs: name -> digest."""
    outputs: dict[str, str] = {}
    for step in steps:
        if _state(run_dir, step, outputs).state != "waits":
            yield step, _inputs(step, outputs)


def _state(run_dir: Path, step: Step, outputs: dict[str, str]) -> Freshness:
    """outputs: step id -> digest, of the steps before that are fresh or kept; this one joins them if it is, too."""
    waits = [producer for producer in step.inputs.values() if producer not in outputs]
    if waits:
        return Freshness(step, "waits", f"after {waits[0]}")
    inputs = _inputs(step, outputs)
    key = stage_key(step.stage, step.version, step.config, inputs, step.seed)
    record, wrong = _record(run_dir, step.folder(run_dir), key)
    if record is not None and record.key == key and not wrong:
        outputs[step.id] = record.outputs
        return Freshness(step, "fresh", "")
    kept, kept_wrong = _record(run_dir, StepFolders(run_dir, step.id, key).kept, key)
    if kept is not None and kept.key == key and not kept_wrong:
        outputs[step.id] = kept.outputs
        return Freshness(step, "kept", f"made before, {kept.finished}")
    if wrong:
        return Freshness(step, "damaged", wrong)
    if record is None:
        return Freshness(step, "missing", "not made yet")
    return Freshness(step, "stale", why_stale(step, record, inputs))


def _record(run_dir: Path, folder: Path, key: str) -> tuple[StageRecord | None, str]:
    """The record of a result, if it can be read; and what is wrong with the result if it has this key."""
    try:
        record = StageRecord.load(folder)
    except StageError as error:
        return None, str(error)
    try:
        return record, damage(run_dir, folder, record) if record is not None and record.key == key else ""
    except FileNotFoundError:  # a step beside this one has just taken its kept result from there
        return None, ""


def _inputs(step: Step, outputs: Mapping[str, str]) -> dict[str, str]:
    return {name: outputs[producer] for name, producer in step.inputs.items()}


def why_stale(step: Step, record: StageRecord, inputs: Mapping[str, str]) -> str:
    """What differs between the record and what the step would read now, the most telling first."""
    changed = sorted(name for name in {*inputs, *record.inputs} if inputs.get(name) != record.inputs.get(name))
    from_inputs = f"input changed: {', '.join(changed)}" if changed else ""
    options = changes(record.config, step.config)
    return shortened(options) if options else from_inputs or own_change(step, record)


def own_change(step: Step, record: StageRecord) -> str:
    """What of the step itself, apart from its inputs, differs from the record; empty when nothing does."""
    options = changes(record.config, step.config)
    if options:
        return shortened(options)
    if step.version != record.version:
        return f"stage version {record.version} -> {step.version}"
    return f"seed {record.seed} -> {step.seed}" if step.seed != record.seed else ""


def shortened(options: list[str]) -> str:
    return ", ".join(options[:3]) + (f" and {len(options) - 3} more" if len(options) > 3 else "")


def changes(old: Any, new: Any, name: str = "") -> list[str]:
    """Every leaf of two nested mappings that differs, such as "fit.steps: 40 -> 80"."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        inner = [changes(old.get(k), new.get(k), f"{name}.{k}" if name else str(k)) for k in sorted({*old, *new})]
        return [change for some in inner for change in some]
    if isinstance(new, tuple):
        new = list(new)
    return [] if old == new else [f"{name}: {old} -> {new}"]
