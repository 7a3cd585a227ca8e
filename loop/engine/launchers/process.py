"""Runs a stage in one process of its own, in a process group that is killed as a whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from loop.engine import orphans, signals
from loop.engine.heartbeat import Beat, read_beat
from loop.engine.launchers.forked import Forked, forked
from loop.engine.launchers.launcher import Job
from loop.engine.log import headline
from loop.engine.outcome import Outcome, Problem, read_outcome
from loop.engine.worker import write_spec

POLL = 0.05  # seconds


class ProcessLauncher:
    """`python -m loop.engine.worker`, its output in the step's log.

    fork: the first attempt is a fork of a process that has done the imports, where that can be had. A further attempt
    never is, in case that was what went wrong.
    """

    def __init__(self, fork: bool = False) -> None:
        self.fork = fork
        self.job: Job | None = None
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.outcome: Outcome | None = None
        self.at_second_interrupt: Callable[[], None] = lambda: None

    def command(self, spec: Path) -> list[str]:
        return [sys.executable, "-m", "loop.engine.worker", str(spec)]

    def start(self, job: Job, attempt: int) -> None:
        self.job, self.outcome = job, None
        _clear(job)
        spec = job.folder / "spec.json"
        write_spec(spec, job.ctx, job.step.stage)
        with open(job.log, "ab", buffering=0) as log:
            log.write(headline(f"{job.step.id} attempt {attempt}").encode())
        environment = {**os.environ, **job.environment}
        self.process = forked(job.step.stage, spec, job.log, environment) if self.fork and attempt == 1 else None
        if self.process is None:
            self.process = self._started(spec, job.log, environment)
        self.at_second_interrupt = partial(_signal_group, self.process.pid, signal.SIGKILL)
        signals.at_second_interrupt(self.at_second_interrupt)

    def _started(self, spec: Path, log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with open(log, "ab", buffering=0) as output:
            return subprocess.Popen(
                self.command(spec),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
                preexec_fn=orphans.die_with_parent(os.getpid()),
            )

    def poll(self) -> Outcome | None:
        if self.job is None or self.process is None or self.process.poll() is None:
            return None
        if self.outcome is None:
            self.kill()
            silent = f"ended with exit code {self.process.returncode} and no result"
            self.outcome = read_outcome(self.job.folder) or Outcome(problem=Problem(silent))
        return self.outcome

    def ask_to_stop(self) -> None:
        if self.job is None or self.process is None:
            return
        (self.job.folder / "stop").touch()
        if not self.job.step.fit:  # a fit looks at the file at the end of each tick, where it has a checkpoint
            _signal_group(self.process.pid, signal.SIGTERM)

    def kill(self, grace: float = 0.0) -> None:
        if self.process is None:
            return
        if grace > 0:
            self._end_hung(self.process, grace)
        _signal_group(self.process.pid, signal.SIGKILL)
        self._signal_ranks(signal.SIGKILL)  # torchrun gives each rank a session of its own
        self.process.wait()
        signals.forget(self.at_second_interrupt)

    def heartbeat(self) -> Beat | None:
        return None if self.job is None else read_beat(self.job.ctx.scratch)

    def _end_hung(self, process: subprocess.Popen[bytes] | Forked, grace: float) -> None:
        self._signal_ranks(signal.SIGQUIT)  # each writes where it hangs into the log
        time.sleep(0.2)
        _signal_group(process.pid, signal.SIGTERM)
        until = time.monotonic() + grace
        while process.poll() is None and time.monotonic() < until:
            time.sleep(POLL)

    def _signal_ranks(self, signum: signal.Signals) -> None:
        assert self.job is not None
        for file in self.job.folder.glob("pid.*"):
            pid = int(file.read_text() or 0)
            try:
                if pid > 1 and os.getpgid(pid) == pid:
                    os.killpg(pid, signum) if signum == signal.SIGKILL else os.kill(pid, signum)
            except (ProcessLookupError, PermissionError):
                continue


def _clear(job: Job) -> None:
    """What an earlier attempt left, except the lock: its file must stay the same for those who wait for it."""
    lock = job.folder / "lock"
    job.folder.mkdir(exist_ok=True)
    for path in job.folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != lock:
            path.unlink()
    if any(job.ctx.out.iterdir()):  # what a crashed attempt had written
        shutil.rmtree(job.ctx.out)
        job.ctx.out.mkdir()


def _signal_group(group: int, signum: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it may have ended this very moment
        os.killpg(group, signum)
