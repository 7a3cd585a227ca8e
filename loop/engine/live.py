"""What a run does now, as one typed record in its folder, live.json: every door that shows a run under way reads it.

The running loop rewrites it, atomically, when a step begins or ends and at most once a second on progress. It is a
view: delete it and nothing is lost. A loop that was killed leaves its last record; whether someone still writes the run
is known by its lock (`read_live` looks).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from loop.engine.files import write_json
from loop.engine.lock import holder
from loop.engine.memory import Memory, memory_used
from loop.engine.speed import Speed
from loop.engine.step import Step
from loop.engine.time_left import TimeLeft

if TYPE_CHECKING:
    from loop.engine.execute import Event

FILE, FORMAT = "live.json", 1
EVERY = 1.0  # seconds between two records of mere progress
LAST_MESSAGES = 5
State = Literal["running", "stopping", "stopped", "paused", "failed", "finished", "interrupted"]


@dataclass
class LiveStep:
    """A step under way."""

    step: str
    stage: str
    number: int
    """From 1, in the plan."""
    started: str
    """UTC, ISO 8601."""
    seconds: float = 0.0
    """Since it began."""
    done: int | None = None
    """Of `total`, in the stage's own unit: steps, pictures, batches. None before its first word."""
    total: int | None = None
    phase: str = ""
    speed: float | None = None
    """Of that unit a second, over about the last minute."""
    left: float | None = None
    """Seconds until its end: of its progress, or of what earlier rounds took. None: not known."""
    memory: int = 0
    """Bytes resident in the (first) process of the stage."""
    gpu_memory: int = 0
    """Bytes that it has reserved on its GPU."""


@dataclass
class Live:
    """state: interrupted is of a loop that was killed, paused of one that a door asked to end after a stage. verdicts:
    of the last rounds, newest last."""

    state: State
    run: str
    pid: int
    host: str
    command: str
    started: str
    updated: str
    seconds: float
    """That the loop has been at work, this time."""
    finished: int
    total: int
    """Steps of the plan."""
    steps: list[LiveStep] = field(default_factory=list)
    left: float | None = None
    """Seconds until the end of the run; None before anything is measured."""
    unmeasured: list[str] = field(default_factory=list)
    """Stages of which nothing is known yet: `left` is without them."""
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    """{round, accepted, reason}."""
    messages: list[str] = field(default_factory=list)
    """The last warnings, retries and failures."""
    memory: int = 0
    """Bytes resident in the orchestrator."""

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> Live:
        """Raises TypeError or KeyError for a record of another form."""
        values = {name: value for name, value in read.items() if name != "format"}
        return cls(**{**values, "steps": [LiveStep(**step) for step in read["steps"]]})


class LiveRecord:
    """Keeps RUN/live.json; `execute` hands every event to it. Safe to call from several threads; never raises for the
    disk: the record is a courtesy.

    amount: how much a step has to do, in a unit that its stage shares over rounds. apart: whether it may run beside
    others.
    """

    def __init__(
        self,
        run_dir: Path,
        steps: Sequence[Step],
        amount: Callable[[Step], float],
        at_once: int,
        apart: Callable[[Step], bool],
    ) -> None:
        who = holder(run_dir) or {}
        self.path = run_dir / FILE
        self.time_left = TimeLeft(steps, amount, at_once, apart)
        self.begun, self.written, self.turn = time.monotonic(), 0.0, Lock()
        self.clocks: dict[str, tuple[float, Speed]] = {}
        self.live = Live(
            state="running",
            run=run_dir.name,
            pid=int(who.get("pid") or 0),
            host=str(who.get("host", "")),
            command=str(who.get("command", "")),
            started=_now(),
            updated=_now(),
            seconds=0.0,
            finished=0,
            total=len(steps),
        )
        self._write()

    def __call__(self, event: Event) -> None:
        with self.turn:
            hear = getattr(self, f"_{event.kind}", None)
            if hear is not None:
                hear(event)
            if event.kind != "progress" or time.monotonic() - self.written >= EVERY:
                self._write()

    def end(self, state: State, why: str = "") -> None:
        """The last record, once nothing runs any more."""
        with self.turn:
            self.live.state, self.live.steps = state, []
            if why:
                self.live.messages = [*self.live.messages, why][-LAST_MESSAGES:]
            self._write()

    def _start(self, event: Event) -> None:
        step = event.step
        self.clocks[step.id] = time.monotonic(), Speed()
        self.live.steps.append(LiveStep(step.id, _stage_name(step), event.number, _now()))

    def _progress(self, event: Event) -> None:
        found = self._of(event.step)
        if found is None or event.progress is None:
            return
        found.done, found.total, found.phase = event.progress
        found.speed = self.clocks[event.step.id][1].seen(event.progress, time.monotonic())
        found.memory, found.gpu_memory = event.memory or Memory(0)

    def _finished(self, event: Event) -> None:
        found = self._of(event.step)
        if found is not None:
            self.live.steps.remove(found)
        self.live.finished += 1
        if event.record is not None:
            self.time_left.took(event.step, event.record.seconds)
            if "accepted" in event.record.metrics:
                metrics = event.record.metrics
                verdict = {"accepted": bool(metrics["accepted"]), "reason": str(metrics.get("reason", ""))}
                self.live.verdicts = [*self.live.verdicts, {"round": event.step.round, **verdict}][-3:]

    _done = _fresh = _restored = _shared = _finished

    def _stopping(self, event: Event) -> None:
        self.live.state = "stopping"

    def _retry(self, event: Event) -> None:
        self.live.messages = [*self.live.messages, event.line()][-LAST_MESSAGES:]

    _warning = _retry

    def _of(self, step: Step) -> LiveStep | None:
        return next((found for found in self.live.steps if found.step == step.id), None)

    def _write(self) -> None:
        live, now = self.live, time.monotonic()
        live.updated, live.seconds, live.memory = _now(), round(now - self.begun, 1), memory_used().resident
        for step in live.steps:
            step.seconds = round(now - self.clocks[step.step][0], 1)
            step.left = _rounded(self.time_left.of_step(step.step, step.seconds, step.done, step.total, step.speed))
        running = {step.step: (step.seconds, step.left) for step in live.steps}
        live.left, live.unmeasured = self.time_left.of_run(running)
        live.left = _rounded(live.left)
        self.written = now
        with suppress(OSError):
            write_json(self.path, {"format": FORMAT, **asdict(live)}, sort_keys=False, durable=False)


def read_live(run_dir: Path) -> Live | None:
    """The record of the loop that writes `run_dir`, or wrote it last; None where there is none of this form."""
    try:
        live = Live.from_json(json.loads((Path(run_dir) / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if live.state in ("running", "stopping") and holder(Path(run_dir)) is None:
        live.state, live.steps = "interrupted", []
    return live


def _stage_name(step: Step) -> str:
    return step.stage.rpartition(".")[2]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
