"""The messages of `run` while it works: a line a step, progress bars, the end of a failed step's log."""

from __future__ import annotations

import sys
import textwrap
import threading
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from loop.cli.console import wrapped
from loop.engine.execute import Event
from loop.engine.heartbeat import Progress as Done
from loop.engine.speed import Speed
from loop.report.formats import clock

LINE_EVERY = 30.0  # seconds between lines of progress when the output is no terminal


class Bars:
    """How far the steps under way are: bars on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskID] = {}
        self.printed: dict[str, float] = {}
        self.speeds: dict[str, Speed] = {}
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress: Progress | None = None
        if sys.stderr.isatty():
            self.progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)

    def show(self, event: Event) -> None:
        """event: of kind progress."""
        assert event.progress is not None, "an event of kind progress has one"
        now = time.monotonic()
        speed = self.speeds.setdefault(event.step.id, Speed()).seen(event.progress, now)
        if self.progress is not None:
            if not self.tasks:
                self.progress.start()
            done, total, _ = event.progress
            if event.step.id not in self.tasks:
                self.tasks[event.step.id] = self.progress.add_task(event.step.id, total=total)
            self.progress.update(self.tasks[event.step.id], total=total, completed=done)
        elif now - self.printed.setdefault(event.step.id, now) > LINE_EVERY:
            self.printed[event.step.id] = now
            print(f"  {event.line()}{_pace(event.progress, speed)}", file=sys.stderr, flush=True)

    def end(self, step_id: str) -> None:
        """The step is over; with the last bar the display goes."""
        if self.progress is not None and step_id in self.tasks:
            self.progress.remove_task(self.tasks.pop(step_id))
            if not self.tasks:
                self.progress.stop()

    def close(self) -> None:
        for step_id in list(self.tasks):
            self.end(step_id)


def _pace(progress: Done, speed: float | None) -> str:
    """For example ", 2.1/s, 3 min 10 s left"; nothing before a second look."""
    return f", {speed:.2g}/s, {clock((progress.total - progress.done) / speed)} left" if speed else ""


class Announcer:
    """The listener of `run`. Use it in a `with`: the terminal is left as it was.

    Events of steps that run side by side come from their own threads.
    """

    def __init__(self) -> None:
        self.bars, self.turn = Bars(), threading.Lock()

    def __enter__(self) -> Announcer:
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.close()

    def __call__(self, event: Event) -> None:
        with self.turn:
            if event.kind == "progress":
                self.bars.show(event)
                return
            if event.kind in {"done", "failed", "stopped"}:
                self.bars.end(event.step.id)
            if event.kind != "fresh":
                text = event.line()
                print(text if event.kind == "failed" else wrapped(text), file=sys.stderr, flush=True)
            if event.kind == "failed" and event.text:
                print(textwrap.indent(event.text, "    "), file=sys.stderr, flush=True)
