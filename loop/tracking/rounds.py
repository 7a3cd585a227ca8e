"""Mirrors a finished round to Weights & Biases in a child process: the orchestrator imports neither wandb nor torch."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loop.config.schema import Config
from loop.engine.record import StageRecord
from loop.tracking.curves import number
from loop.tracking.entries import RoundEntry, StageEntry
from loop.tracking.wandb_run import one_line, plain

_log = logging.getLogger(__name__)


def log_round(
    config: Config,
    run_dir: Path,
    round: int,
    metrics: Mapping[str, float],
    verdict: Mapping[str, Any],
    images: Mapping[str, Path] | None = None,
    stages: Sequence[StageRecord] = (),
    timeout: float = 120.0,
) -> bool:
    """Mirror one finished round to the controller run. True when it got there; never raises.

    metrics: flat, such as {"portraits/SAD": 0.4}. verdict: {"accepted": bool, "reason": str, …}. images: name -> PNG.
    stages: the records of the round's stages; each that is not a fit gets a run of its own. timeout: in seconds.
    """
    if config.tracking.wandb.value == "disabled":
        return False
    try:
        entry = _entry(config, run_dir, round, metrics, verdict, images or {}, stages)
        return _in_child(entry.to_json(), timeout)
    except Exception as error:
        _log.warning(f"round {round} was not mirrored to W&B: {one_line(error)}")
        return False


def _entry(
    config: Config,
    run_dir: Path,
    round: int,
    metrics: Mapping[str, float],
    verdict: Mapping[str, Any],
    images: Mapping[str, Path],
    stages: Sequence[StageRecord],
) -> RoundEntry:
    return RoundEntry(
        mode=config.tracking.wandb.value,
        project=config.tracking.project,
        run_dir=str(run_dir),
        round=round,
        metrics={name: number(value) for name, value in metrics.items()},
        accepted=bool(verdict.get("accepted")),
        reason=str(verdict.get("reason", "")),
        images={name: str(path) for name, path in images.items() if Path(path).is_file()},
        config=plain(config),
        stages=[StageEntry.of(run_dir, record) for record in stages if not record.stage.startswith("fit_")],
    )


def _in_child(entry: str, timeout: float) -> bool:
    """Run `loop.tracking.mirror` on `entry`; a child that outlives `timeout` is ended with all it started."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "loop.tracking.mirror"],  # -P: a loop.py in the working directory is not ours
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        _, printed = child.communicate(entry, timeout=timeout)
    except BaseException as error:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stderr):
            with contextlib.suppress(OSError):  # what was to be written cannot be any more
                pipe.close() if pipe is not None else None
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        printed = f"no answer in {timeout:g} s"
    if child.returncode:
        last = (printed.strip().splitlines() or ["no reason given"])[-1]
        _log.warning(f"the round was not mirrored to W&B: {last}")
    return child.returncode == 0
