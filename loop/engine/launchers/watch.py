"""Watches a launcher until its stage is over: attempts with pauses between them, a watchdog, a grace after a stop.

It knows no kind of launcher.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Literal, Protocol

from loop.engine import signals
from loop.engine.config import LaunchConfig
from loop.engine.heartbeat import Listener, Progress, listening, read_warnings
from loop.engine.launchers.launcher import Job, Launcher
from loop.engine.lock import this_command
from loop.engine.memory import Memory
from loop.engine.outcome import Outcome, Problem
from loop.engine.stage import Metrics, StageFailed, Stopped

POLL = 0.05  # seconds
HANG_GRACE = 10.0  # seconds a silent stage has between being asked to end and being killed
BACKOFF = 2.0  # seconds before the second attempt; doubles each time
BACKOFF_MAX = 60.0


class Report(Protocol):
    """Called with what happens while a stage is under way."""

    def __call__(
        self,
        kind: Literal["stopping", "retry", "warning", "progress"],
        text: str = "",
        *,
        progress: Progress | None = None,
        memory: Memory | None = None,
    ) -> None: ...


def run_watched(launcher: Launcher, job: Job, settings: LaunchConfig, report: Report) -> Metrics:
    """The metrics of the first attempt that ends well. Raises Stopped, or StageFailed when no attempt is left."""
    for attempt in range(1, settings.retries + 2):
        outcome = _attempt(launcher, job, attempt, settings, report)
        if outcome.metrics is not None:
            return outcome.metrics
        if outcome.stopped is not None or signals.stop_requested():
            raise Stopped(outcome.stopped or f"{job.step.id} stopped") from outcome.cause
        assert outcome.problem is not None, "an outcome without metrics and reason"
        if not outcome.problem.retry or attempt > settings.retries:
            raise _failed(job, outcome.problem) from outcome.cause
        _pause(job, attempt, settings.retries, outcome.problem, report)
    raise AssertionError("unreachable")


def _attempt(launcher: Launcher, job: Job, attempt: int, settings: LaunchConfig, report: Report) -> Outcome:
    def hear(progress: Progress | None = None, warning: str = "", memory: Memory | None = None) -> None:
        if warning:
            report("warning", warning)
        if progress is not None:
            report("progress", progress=progress, memory=memory)

    try:
        with listening(job.ctx.scratch, hear):
            launcher.start(job, attempt)
        return _until_over(launcher, job, settings, report, hear)
    except BaseException:
        launcher.kill()
        raise


def _until_over(launcher: Launcher, job: Job, settings: LaunchConfig, report: Report, hear: Listener) -> Outcome:
    last, moved = None, time.monotonic()
    kill_at: float | None = None
    hung = False
    while (outcome := launcher.poll()) is None:
        now = time.monotonic()
        if kill_at is None and signals.stop_requested():
            kill_at = now + settings.stop_grace
            report("stopping", f"{job.step.id}: waiting for its next checkpoint")
            launcher.ask_to_stop()
        beat = launcher.heartbeat()
        if beat is not None and beat.at != last:
            last, moved = beat.at, now
            hear(beat.progress, memory=beat.memory)
            _warnings(job, hear)
        watched = job.step.fit or last is not None
        if kill_at is not None and now >= kill_at:
            launcher.kill()
        elif watched and now - moved > settings.heartbeat_timeout:
            hung = True
            launcher.kill(grace=min(HANG_GRACE, settings.stop_grace))
        time.sleep(POLL)
    _warnings(job, hear)
    silent = f"no heartbeat for {settings.heartbeat_timeout:g} s"
    if hung and outcome.stopped is not None and not signals.stop_requested():
        return Outcome(problem=Problem(silent))  # it woke up, and took its end for a wish to stop: nobody had one
    if hung and outcome.problem is not None and not outcome.problem.type:
        return replace(outcome, problem=replace(outcome.problem, message=silent))
    return outcome


def _warnings(job: Job, hear: Listener) -> None:
    for line in read_warnings(job.ctx.scratch):
        hear(warning=line)


def _pause(job: Job, attempt: int, retries: int, problem: Problem, report: Report) -> None:
    pause = min(BACKOFF * 2 ** (attempt - 1), BACKOFF_MAX)
    following = f"attempt {attempt + 1} of {retries + 1}"
    report("retry", f"{job.step.id}: {problem.message}; {following} in {pause:g} s; log: {job.log}")
    until = time.monotonic() + pause
    while time.monotonic() < until:
        signals.stop_point(f"{job.step.id} stopped")
        time.sleep(POLL)


def _failed(job: Job, problem: Problem) -> StageFailed:
    what = f"{problem.type}: {problem.message}" if problem.type else problem.message
    text = f"{job.step.id} failed ({what}); log: {job.log}; to go on: {this_command()}"
    return StageFailed(text, problem.kinds, problem.hopeless)
