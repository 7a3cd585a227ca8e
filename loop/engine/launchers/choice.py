"""Which launcher a step gets: inline, or a process of its own, or torchrun for a fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from loop.engine.config import Launch, LaunchConfig
from loop.engine.launchers.environment import child_environment
from loop.engine.launchers.inline import InlineLauncher
from loop.engine.launchers.launcher import Job, Launcher
from loop.engine.launchers.process import ProcessLauncher
from loop.engine.launchers.torchrun import TorchrunLauncher
from loop.engine.launchers.watch import Report, run_watched
from loop.engine.stage import Context, Metrics
from loop.engine.step import Step, log_file


def runs_apart(step: Step, launch: LaunchConfig) -> bool:
    """Whether `step` may run beside others: it has a process of its own, and siblings in other domains."""
    return launch.at_once > 1 and step.domain is not None and (launch.kind == Launch.torchrun or step.fit)


def launcher_for(step: Step, launch: LaunchConfig, apart: bool) -> Launcher:
    """apart: the step runs beside others, so it cannot run in this process."""
    if launch.kind == Launch.inline:
        return ProcessLauncher(fork=True) if apart else InlineLauncher()
    return TorchrunLauncher(launch.devices) if step.fit else ProcessLauncher()


def stage_runner(
    step: Step, run_dir: Path, launch: LaunchConfig, report: Report, slot: int | None = None
) -> Callable[[Context], Metrics]:
    """The function that `run_stage` calls for `step`. It raises Stopped or StageFailed.

    slot: of launch.at_once, when the step runs beside others; it then has its share of the cores and GPUs.
    """
    log = log_file(run_dir, step.id)
    log.parent.mkdir(parents=True, exist_ok=True)
    launcher = launcher_for(step, launch, apart=slot is not None)
    environment = child_environment(launch, step.fit, slot)
    return lambda ctx: run_watched(launcher, Job(step, ctx, log, environment, launch.stop_grace), launch, report)
