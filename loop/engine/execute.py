"""Walk the plan: skip what is fresh, run the rest in order, one writer, one commit per step.

With launch.at_once above 1, steps that do not need each other run side by side in processes of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from loop.engine import signals
from loop.engine.commit import Places
from loop.engine.config import LaunchConfig
from loop.engine.freshness import Freshness, freshness
from loop.engine.launchers.process import log_tail, runs_apart, stage_runner
from loop.engine.lock import one_writer, this_command
from loop.engine.manifest import write_manifest
from loop.engine.schedule import walk
from loop.engine.stage import Context, Metrics, StageFailed, StageRecord, Stopped, run_stage
from loop.engine.step import Step, log_file, step_folder

__all__ = ["Event", "Freshness", "execute", "freshness"]

Kind = Literal["fresh", "start", "progress", "done", "retry", "stopping", "stopped", "failed"]


@dataclass(frozen=True)
class Event:
    """What happened to a step; for progress lines."""

    kind: Kind
    step: Step
    number: int
    """From 1, of `total`."""
    total: int
    text: str = ""
    """retry, stopping, stopped: one line; progress: such as "120 of 480"; failed: the end of the log."""
    record: StageRecord | None = None
    """With fresh and done."""

    def line(self) -> str:
        """For example "[3/14] 01/portraits/label: done in 12.3 s"."""
        told = {
            "fresh": "nothing to do",
            "start": "...",
            "done": f"done in {self.record.seconds:.1f} s" if self.record else "done",
            "progress": f"step {self.text}",
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
    added; it is not part of any key. Events of steps that run side by side come from threads of their own, except fresh
    and done. Raises RunLocked, Stopped (the same command goes on) or StageFailed.
    """
    run_dir = run_dir.resolve()
    settings = {name: getattr(launch_config, name) for name in ("devices", "accelerator", "precision")}
    settings |= {"kind": str(launch_config.kind.value), "run_dir": str(run_dir), **(runtime or {})}
    records: dict[str, StageRecord] = {}
    numbers = {step.id: number for number, step in enumerate(steps, start=1)}

    def tell(step: Step, kind: Kind, text: str = "", record: StageRecord | None = None) -> None:
        on_event(Event(kind, step, numbers[step.id], len(steps), text, record))

    def work(step: Step, slot: int | None) -> tuple[bool, StageRecord]:
        return _one(run_dir, step, launch_config, settings, partial(tell, step), slot)

    def finished(step: Step, result: tuple[bool, StageRecord]) -> None:
        worked, records[step.id] = result
        if worked:
            write_manifest(run_dir, steps)
        tell(step, "done" if worked else "fresh", "", records[step.id])  # may raise; all is on disk by now

    with signals.handled(), one_writer(run_dir):
        for step in steps:
            Places(step.folder(run_dir), key="").recover()
        write_manifest(run_dir, steps)
        walk(steps, launch_config.at_once, lambda step: runs_apart(step, launch_config), work, finished)
    return [records[step.id] for step in steps]


def _one(
    run_dir: Path,
    step: Step,
    launch_config: LaunchConfig,
    settings: Mapping[str, Any],
    tell: Callable[..., None],
    slot: int | None,
) -> tuple[bool, StageRecord]:
    """(whether it had to be run, its record). slot: its share of the machine when it runs beside others."""
    worked = False
    runner = stage_runner(step, run_dir, launch_config, tell, slot)

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
