"""Walk the plan: skip what is fresh, run the rest in order, one writer, one commit per step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from loop import signals
from loop.commit import Places
from loop.config import LaunchConfig
from loop.freshness import Freshness, freshness
from loop.launch import log_tail, stage_runner
from loop.lock import one_writer, this_command
from loop.manifest import write_manifest
from loop.stage import Context, Metrics, StageFailed, StageRecord, Stopped, run_stage
from loop.step import Step, log_file, step_folder

__all__ = ["Event", "Freshness", "execute", "freshness"]

Kind = Literal["fresh", "start", "done", "retry", "stopping", "stopped", "failed"]


@dataclass(frozen=True)
class Event:
    """What happened to a step; for progress lines."""

    kind: Kind
    step: Step
    number: int
    """From 1, of `total`."""
    total: int
    text: str = ""
    """retry, stopping, stopped: one line; failed: the end of the log."""
    record: StageRecord | None = None
    """With fresh and done."""

    def line(self) -> str:
        """For example "[3/14] 01/portraits/label: done in 12.3 s"."""
        told = {
            "fresh": "nothing to do",
            "start": "...",
            "done": f"done in {self.record.seconds:.1f} s" if self.record else "done",
            "failed": "failed",
        }.get(self.kind, self.text)
        return f"[{self.number}/{self.total}] {self.step.id}: {told.removeprefix(f'{self.step.id}: ')}"


def execute(
    run_dir: Path,
    steps: Sequence[Step],
    launch_config: LaunchConfig,
    on_event: Callable[[Event], None] = lambda event: None,
    runtime: Mapping[str, Any] | None = None,
) -> list[StageRecord]:
    """Bring every step of the plan up to date; the records in the plan's order.

    `runtime` (plain types) reaches each stage as ctx.runtime, with kind, devices, accelerator, precision and run_dir
    added; it is not part of any key. Raises RunLocked, Stopped (the same command goes on) or StageFailed.
    """
    run_dir = run_dir.resolve()
    settings = {name: getattr(launch_config, name) for name in ("devices", "accelerator", "precision")}
    settings |= {"kind": str(launch_config.kind.value), "run_dir": str(run_dir), **(runtime or {})}
    records = []
    with signals.handled(), one_writer(run_dir):
        for step in steps:
            Places(step.folder(run_dir), key="").recover()
        write_manifest(run_dir, steps)
        for number, step in enumerate(steps, start=1):

            def tell(kind: Kind, text: str = "", record: StageRecord | None = None, at: int = number) -> None:
                on_event(Event(kind, steps[at - 1], at, len(steps), text, record))

            worked, record = _one(run_dir, step, launch_config, settings, tell)
            records.append(record)
            if worked:
                write_manifest(run_dir, steps)
            tell("done" if worked else "fresh", "", record)  # the listener may raise; all is on disk by now
    return records


def _one(
    run_dir: Path, step: Step, launch_config: LaunchConfig, settings: Mapping[str, Any], tell: Callable[..., None]
) -> tuple[bool, StageRecord]:
    """(whether it had to be run, its record)."""
    worked = False
    runner = stage_runner(step, run_dir, launch_config, tell)

    def run(ctx: Context) -> Metrics:
        nonlocal worked
        worked = True
        tell("start")
        return runner(ctx)

    inputs = {name: step_folder(run_dir, producer) for name, producer in step.inputs.items()}
    try:
        signals.stop_point(f"stopped before {step.id}")
        record = run_stage(step, inputs, run_dir, run, settings)
    except Stopped as stop:
        tell("stopped", str(stop))
        raise Stopped(f"{stop}; to go on: {this_command()}") from stop
    except StageFailed:
        tell("failed", log_tail(log_file(run_dir, step.id)))
        raise
    return worked, record
