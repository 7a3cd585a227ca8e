"""Runs a stage in this very process: `start` returns when it is over. For tests, and for machines with one device."""

from __future__ import annotations

import traceback
from dataclasses import replace

from loop.engine import signals
from loop.engine.heartbeat import Beat
from loop.engine.launchers.launcher import Job
from loop.engine.log import headline
from loop.engine.outcome import Outcome, describe
from loop.engine.signals import Stopped
from loop.engine.worker import stage_function


class InlineLauncher:
    """Nothing to poll, to ask or to kill: a signal reaches the stage by the flag of this process."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None

    def start(self, job: Job, attempt: int) -> None:
        try:
            self.outcome = Outcome(metrics=stage_function(job.step.stage)(job.ctx) or {})
        except Stopped as stop:
            self.outcome = Outcome(stopped=str(stop), cause=stop)
        except KeyboardInterrupt as error:
            self.outcome = Outcome(stopped=f"{job.step.id} interrupted", cause=error)
        except (Exception, SystemExit) as error:
            self.outcome = _failed(job, error)

    def poll(self) -> Outcome | None:
        return self.outcome

    def ask_to_stop(self) -> None:
        pass

    def kill(self, grace: float = 0.0) -> None:
        pass

    def heartbeat(self) -> Beat | None:
        return None


def _failed(job: Job, error: Exception | SystemExit) -> Outcome:
    with open(job.log, "a", encoding="utf-8") as file:
        file.write(f"{headline('failed')}{traceback.format_exc()}")
    if isinstance(error, SystemExit) and signals.stop_requested():
        return Outcome(stopped=f"{job.step.id} stopped", cause=error)
    # What broke in this process may have broken it, so there is no second attempt.
    return Outcome(problem=replace(describe(error), retry=False), cause=error)
