"""The messages of `run` while it works: a line a step and a round, progress bars, the end of a failed step's log."""

from __future__ import annotations

import json
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

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

from loop.config.schema import Config
from loop.engine.execute import Event
from loop.engine.stage import StageRecord
from loop.engine.step import step_folder
from loop.tracking.rounds import log_round

LINE_EVERY = 30.0  # seconds between lines of progress when the output is no terminal


class GateStop(ValueError):
    """The gate refused several rounds in a row; nothing is broken, but going on would waste time."""

    exit_code = 4


class Bars:
    """How far the steps under way are: bars on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskID] = {}
        self.printed: dict[str, float] = {}
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress: Progress | None = None
        if sys.stderr.isatty():
            self.progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)

    def show(self, event: Event) -> None:
        """event: of kind progress."""
        assert event.progress is not None, "an event of kind progress has one"
        now = time.monotonic()
        if self.progress is not None:
            if not self.tasks:
                self.progress.start()
            done, total = event.progress
            if event.step.id not in self.tasks:
                self.tasks[event.step.id] = self.progress.add_task(event.step.id, total=total)
            self.progress.update(self.tasks[event.step.id], total=total, completed=done)
        elif now - self.printed.setdefault(event.step.id, now) > LINE_EVERY:
            self.printed[event.step.id] = now
            print(f"  {event.line()}", file=sys.stderr, flush=True)

    def end(self, step_id: str) -> None:
        """The step is over; with the last bar the display goes."""
        if self.progress is not None and step_id in self.tasks:
            self.progress.remove_task(self.tasks.pop(step_id))
            if not self.tasks:
                self.progress.stop()

    def close(self) -> None:
        for step_id in list(self.tasks):
            self.end(step_id)


class Announcer:
    """The listener that `run` gives to `execute`. Use it in a `with`: the terminal is left as it was.

    Events of steps that run side by side come from their own threads. Raises GateStop after accept.stop_after refused
    rounds in a row.
    """

    def __init__(self, config: Config, run_dir: Path) -> None:
        self.config, self.run_dir = config, run_dir
        self.refused = 0
        self.finished: list[StageRecord] = []
        """Of the round under way."""
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
                print(event.line(), file=sys.stderr, flush=True)
            if event.kind == "failed" and event.text:
                print(textwrap.indent(event.text, "    "), file=sys.stderr, flush=True)
        if event.record is not None:
            self.finished.append(event.record)
            if event.step.stage == "accept":
                self._round_over(event, event.record.metrics)

    def _round_over(self, event: Event, metrics: dict[str, Any]) -> None:
        if event.kind == "done":
            announce_round(self.config, self.run_dir, event.step.round, metrics, self.finished)
        self.finished.clear()
        self.refused = 0 if metrics["accepted"] else self.refused + 1
        if self.config.accept.stop_after and self.refused >= self.config.accept.stop_after:
            raise GateStop(
                f"round {event.step.round}: {self.refused} rounds in a row were refused ({metrics['reason']}); "
                f"the accepted matter is that of round {metrics['accepted_round']}; raise accept.stop_after to go on"
            )


def announce_round(
    config: Config, run_dir: Path, round_: int, metrics: dict[str, Any], stages: list[StageRecord]
) -> None:
    """One line on a finished round, and its mirror. metrics: of accept. stages: the round's records."""
    evaluated = json.loads((step_folder(run_dir, f"{round_:02d}/evaluate") / "stage.json").read_text())["metrics"]
    flat = {f"{domain}/{key}": v for domain, scores in evaluated.items() for key, v in scores.items() if key != "kind"}
    sad = ", ".join(f"{domain} SAD {scores['SAD']:.4f}" for domain, scores in evaluated.items())
    verdict = "accepted" if metrics["accepted"] else "refused"
    print(f"round {round_} {verdict}: {sad}. {metrics.get('reason', '')}".rstrip(), file=sys.stderr, flush=True)
    images = {"probes": step_folder(run_dir, f"{round_:02d}/evaluate") / "probes.png"}
    for domain in config.data.domains:
        selected = step_folder(run_dir, f"{round_:02d}/{domain}/select_generator")
        images[f"{domain}/generated"] = selected / "sheet.png"
        if (selected / "stage.json").is_file():
            measured = json.loads((selected / "stage.json").read_text())["metrics"]
            flat |= {f"{domain}/{key}": measured[key] for key in ("frechet", "kid") if measured.get(key) is not None}
    log_round(config, run_dir, round_, flat, metrics, images, stages)
