"""The interface of all launchers: start one attempt at a stage, ask how it is, ask it to stop, kill it.

`loop.engine.launchers.watch` uses nothing else, so a launcher for a cluster's scheduler is one more class: nothing
here speaks of process ids or of this machine. All processes of a stage see the run folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loop.engine.heartbeat import Beat
from loop.engine.outcome import Outcome
from loop.engine.stage import Context
from loop.engine.step import Step, launch_folder


@dataclass(frozen=True)
class Job:
    """What is to be run."""

    step: Step
    ctx: Context
    log: Path
    """Where the stage's processes print to; the launcher appends."""
    environment: Mapping[str, str]
    """Set for the stage's processes, on top of ours."""
    stop_grace: float
    """Seconds between being asked to stop and being killed."""

    @property
    def folder(self) -> Path:
        """Where the stage's processes leave their heartbeat and how they ended."""
        return launch_folder(self.ctx.scratch)


class Launcher(Protocol):
    """Runs one attempt at a time."""

    def start(self, job: Job, attempt: int) -> None:
        """Begin; attempt counts from 1. It may return when all is done, or at once."""

    def poll(self) -> Outcome | None:
        """None while it works, then how it ended. Once it gives an outcome, nothing of the attempt is left running."""

    def ask_to_stop(self) -> None:
        """Let it stop at its next safe place."""

    def kill(self, grace: float = 0.0) -> None:
        """End it whatever it takes; may be called again, and after the end.

        With a grace it hangs: it writes to its log where, if it can, and has so many seconds to end by itself.
        """

    def heartbeat(self) -> Beat | None:
        """The last one; None before the first."""
