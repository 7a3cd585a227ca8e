"""Carries out a plan: skips what is fresh, brings back what is kept, runs the rest in order, one commit per step.

With launch.at_once above 1, steps that do not need each other run side by side in processes of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from loop.engine import requests, signals
from loop.engine.commit import StepFolders
from loop.engine.config import LaunchConfig
from loop.engine.freshness import Freshness, freshness
from loop.engine.heartbeat import Progress
from loop.engine.launchers.choice import runs_apart, stage_runner
from loop.engine.launchers.forked import fork_servers
from loop.engine.live import LiveRecord, State
from loop.engine.lock import one_writer, this_command
from loop.engine.log import log_tail
from loop.engine.manifest import write_manifest
from loop.engine.memory import Memory
from loop.engine.schedule import walk
from loop.engine.stage import Context, Metrics, StageError, StageFailed, StageRecord, StageResult, Stopped, run_stage
from loop.engine.step import Step, log_file, step_folder

__all__ = ["Event", "Freshness", "execute", "freshness"]

Kind = Literal[
    "fresh", "restored", "shared", "start", "progress", "done", "retry", "stopping", "stopped", "failed", "warning"
]


@dataclass(frozen=True)
class Event:
    """What happened to a step; for progress lines."""

    kind: Kind
    step: Step
    number: int
    """From 1, of `total`."""
    total: int
    text: str = ""
    """retry, stopping, stopped, warning: one line; failed: the end of the log, unless one line says it all."""
    record: StageRecord | None = None
    """With fresh, restored, shared and done."""
    progress: Progress | None = None
    """With progress."""
    memory: Memory | None = None
    """With progress: of the stage's (first) process."""

    def line(self) -> str:
        """For example "[3/14] 01/portraits/label: done in 12.3 s"."""
        message = {
            "fresh": "nothing to do",
            "restored": f"its earlier result is back (finished {self.record.finished})" if self.record else "restored",
            "shared": f"taken over from another run ({self.record.seconds:.1f} s)" if self.record else "shared",
            "start": "...",
            "done": f"done in {self.record.seconds:.1f} s" if self.record else "done",
            "progress": _shown(self.progress),
            "failed": "failed",
        }.get(self.kind, self.text)
        return f"[{self.number}/{self.total}] {self.step.id}: {message.removeprefix(f'{self.step.id}: ')}"


def _shown(progress: Progress | None) -> str:
    if progress is None:
        return "at work"
    return f"{progress.phase} {progress.done} of {progress.total}".lstrip()


def execute(
    run_dir: Path,
    steps: Sequence[Step],
    launch_config: LaunchConfig,
    on_event: Callable[[Event], None] = lambda event: None,
    runtime: Mapping[str, Any] | None = None,
    shared: Path | None = None,
    amount: Callable[[Step], float] = lambda step: 1.0,
    planned: Sequence[Step] = (),
    refreshed: Callable[[Step], Step] = lambda step: step,
) -> list[StageRecord]:
    """Bring every step up to date; the records in the order of the steps.

    `runtime` (plain types) reaches each stage as ctx.runtime, with kind, devices, accelerator, precision and run_dir
    added; it is not part of any key. shared: a folder in which runs leave their results for each other
    (`loop.engine.shared`). amount: how much a step has to do, in a unit that its stage shares over rounds; for the
    time left (`loop.engine.live`). planned: the whole plan where `steps` are a part of it; manifest.json lists it, and
    then what it has not. refreshed: a step as it is once its turn has come: what a user may change while the run goes
    on, such as reviews of pairs, is read then. Events of steps that run side by side come from threads of their own,
    except fresh, restored, shared and done. Raises RunLocked, Stopped (the same command goes on) or StageFailed.
    """
    run_dir = run_dir.resolve()
    settings = {name: getattr(launch_config, name) for name in ("devices", "accelerator", "precision")}
    settings |= {"kind": str(launch_config.kind.value), "run_dir": str(run_dir), **(runtime or {})}
    records: dict[str, StageRecord] = {}
    known = {step.id for step in planned}
    listed = [*planned, *(step for step in steps if step.id not in known)]
    numbers = {step.id: number for number, step in enumerate(steps, start=1)}
    place = {step.id: index for index, step in enumerate(listed)}

    def report(
        step: Step,
        kind: Kind,
        text: str = "",
        record: StageRecord | None = None,
        progress: Progress | None = None,
        memory: Memory | None = None,
    ) -> None:
        event = Event(kind, step, numbers[step.id], len(steps), text, record, progress, memory)
        live(event)
        on_event(event)

    def apart(step: Step) -> bool:
        return runs_apart(step, launch_config)

    def work(step: Step, slot: int | None) -> StageResult:
        step = refreshed(step)
        listed[place[step.id]] = step
        return _one(run_dir, step, launch_config, settings, partial(report, step), slot, shared)

    def finished(step: Step, result: StageResult) -> None:
        records[step.id] = result.record
        if result.how != "fresh":
            write_manifest(run_dir, listed)
        report(step, result.how, record=result.record)  # may raise; all is on disk by now

    with signals.handled(), one_writer(run_dir), requests.heard(run_dir), fork_servers():
        for step in steps:
            StepFolders(run_dir, step.id).recover()
        write_manifest(run_dir, listed)
        live = LiveRecord(run_dir, steps, amount, launch_config.at_once, apart)
        try:
            walk(steps, launch_config.at_once, apart, work, finished)
        except BaseException as error:
            live.end(_end_of(error), str(error))
            raise
        live.end("finished")
    return [records[step.id] for step in steps]


def _end_of(error: BaseException) -> State:
    if isinstance(error, StageError):
        return "failed"
    return "paused" if isinstance(error, requests.Paused) else "stopped"


def _one(
    run_dir: Path,
    step: Step,
    launch_config: LaunchConfig,
    settings: Mapping[str, Any],
    report: Callable[..., None],
    slot: int | None,
    shared: Path | None,
) -> StageResult:
    """slot: its share of the machine when it runs beside others."""
    runner = stage_runner(step, run_dir, launch_config, report, slot)

    def run(ctx: Context) -> Metrics:
        report("start")
        return runner(ctx)

    inputs = {name: step_folder(run_dir, producer) for name, producer in step.inputs.items()}
    try:
        requests.pause_point(run_dir, step.id)
        signals.stop_point(f"stopped before {step.id}")
        return run_stage(step, inputs, run_dir, run, settings, partial(report, "warning"), shared)
    except Stopped as stop:
        report("stopped", str(stop))
        raise type(stop)(f"{stop}; to go on: {this_command()}") from stop
    except StageFailed as failure:
        report("failed", "" if failure.hopeless else log_tail(log_file(run_dir, step.id)))
        raise
