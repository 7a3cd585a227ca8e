"""The progress bar of a fit: a bar on a terminal, a line now and then elsewhere; rank 0 only."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning.pytorch.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY = 30.0  # seconds between lines when the output is no terminal


class FitProgress(Callback):
    """Counts steps over all ticks, so the remaining time is the whole fit's."""

    def __init__(self, name: str, steps: int) -> None:
        self.name, self.steps = name, steps
        self.done = 0
        self.bar: Progress | None = None
        self.said = time.monotonic()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.done = trainer.current_epoch * int(trainer.limit_train_batches)
        if trainer.is_global_zero and sys.stderr.isatty():
            columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
            self.bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), transient=True)
            self.bar.add_task(self.name, total=self.steps, completed=self.done)
            self.bar.start()

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self.done += 1
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self.done)
        elif trainer.is_global_zero and time.monotonic() - self.said > LINE_EVERY:
            self.said = time.monotonic()
            print(f"  {self.name}: step {self.done} of {self.steps}", file=sys.stderr, flush=True)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
