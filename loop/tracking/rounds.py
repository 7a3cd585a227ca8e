"""Mirrors finished rounds to W&B and TensorBoard beside the loop: a child process at a time, which nobody waits for.

The orchestrator imports neither wandb nor torch. A round is a line in tracking/rounds.jsonl; the child
(`loop.tracking.mirror`) takes all lines, so a round that came while one was at work goes with the next.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from loop.config.schema import Config
from loop.engine.record import StageRecord
from loop.tracking.curves import number
from loop.tracking.entries import FOLDER, Alert, RoundEntry, StageEntry, Table, keep_alert, keep_entry, keep_settings
from loop.tracking.wandb_run import one_line, plain

_log = logging.getLogger(__name__)


class RoundMirror:
    """Of one run. Nothing here raises or waits, but `close`, for a given time.

    limit: a child ends itself after so many seconds.
    """

    def __init__(self, config: Config, run_dir: Path, limit: int = 120) -> None:
        self.config, self.run_dir, self.limit = config, Path(run_dir), limit
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting = False

    def log(
        self,
        round: int,
        metrics: Mapping[str, float],
        verdict: Mapping[str, Any],
        images: Mapping[str, Path] | None = None,
        stages: Sequence[StageRecord] = (),
        tables: Callable[[], Mapping[str, Table]] = dict,
        alert: Alert | None = None,
    ) -> None:
        """Mirror one finished round.

        metrics: flat, such as {"portraits/SAD": 0.4}. verdict: {"accepted": bool, "reason": str, …}. images: name ->
        PNG. stages: the records of the round's stages. tables: gives them by name; called where there is a mirror.
        """

        def keep() -> None:
            keep_entry(self.run_dir, self._entry(round, metrics, verdict, images or {}, stages, tables))
            if alert is not None:
                keep_alert(self.run_dir, alert)

        self._keep(keep, f"round {round}")

    def alert(self, alert: Alert) -> None:
        """What someone who is not looking should hear of, beside a round."""
        self._keep(lambda: keep_alert(self.run_dir, alert), f"the alert {alert.title!r}")

    def _keep(self, keep: Callable[[], None], what: str) -> None:
        """Put something into RUN/tracking and have it mirrored."""
        tracking = self.config.tracking
        if tracking.wandb.value == "disabled" and not tracking.tensorboard:
            return
        try:
            keep_settings(self.run_dir, {"tracking": plain(tracking), "config": plain(self.config)})
            keep()
            self._waiting = True
            self._go_on()
        except Exception as error:
            _log.warning(f"{what} was not mirrored to W&B: {one_line(error)}")

    def close(self, seconds: float = 30.0) -> bool:
        """At the end of a run: wait for what is under way, so long at most. True when every round got there."""
        until = time.monotonic() + seconds
        well = True
        with suppress(OSError, subprocess.TimeoutExpired):
            while self._child is not None:
                self._child.wait(max(0.0, until - time.monotonic()))
                well = self._report()
                self._go_on()
        if self._child is not None:
            _log.warning(f"W&B is still being written (process {self._child.pid}, {self.limit} s at most)")
            return False
        return well

    def _go_on(self) -> None:
        """Start a child for the rounds that wait, unless one is at work."""
        if self._child is not None and self._child.poll() is None:
            return
        self._report()
        if self._waiting:
            self._child, self._waiting = self._start(), False

    def _report(self) -> bool:
        """Forget the child that ended, with a warning where it failed."""
        child, self._child = self._child, None
        if child is None or child.returncode == 0:
            return True
        lines = (self.run_dir / FOLDER / "mirror.log").read_text(errors="replace").strip().splitlines()
        said = lines[-1] if lines else "no reason given"
        overdue = child.returncode == -signal.SIGALRM
        _log.warning(f"the round was not mirrored to W&B: {f'no answer in {self.limit} s' if overdue else said}")
        return False

    def _start(self) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).resolve().parents[2])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
        words = ["-P", "-m", "loop.tracking.mirror", str(self.run_dir), str(self.limit)]
        with (self.run_dir / FOLDER / "mirror.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, *words],  # -P: a loop.py in the working directory is not ours
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def _entry(
        self,
        round: int,
        metrics: Mapping[str, float],
        verdict: Mapping[str, Any],
        images: Mapping[str, Path],
        stages: Sequence[StageRecord],
        tables: Callable[[], Mapping[str, Table]] = dict,
    ) -> RoundEntry:
        return RoundEntry(
            round=round,
            metrics={name: number(value) for name, value in metrics.items()},
            accepted=bool(verdict.get("accepted")),
            reason=str(verdict.get("reason", "")),
            images={name: str(path) for name, path in images.items()},
            stages=[StageEntry.of(self.run_dir, record) for record in stages],
            tables=dict(tables()),
        )
