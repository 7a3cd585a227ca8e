"""Running one stage: in this process (inline), or in a process group of its own that is watched, stopped and retried.

Both are functions `Context -> Metrics` for `run_stage`, so there is one commit, here in the orchestrator, after every
process of the stage is gone.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from glob import glob
from pathlib import Path
from typing import IO, Any, Literal

from loop.engine import orphans, signals
from loop.engine.config import Launch, LaunchConfig
from loop.engine.heartbeat import heartbeat_file, progress
from loop.engine.lock import this_command
from loop.engine.stage import Context, Metrics, StageFailed, Stopped
from loop.engine.step import Step, launch_folder, log_file
from loop.engine.worker import describe, stage_function, write_spec

POLL = 0.05  # seconds
HANG_GRACE = 10.0  # seconds a silent process group has between SIGTERM and SIGKILL
BACKOFF = 2.0  # seconds before the first retry; doubles each time
BACKOFF_MAX = 60.0
TAIL_LINES = 15

Say = Callable[[Literal["stopping", "retry", "progress"], str], None]
End = Literal["exited", "hung"]


def runs_apart(step: Step, launch: LaunchConfig) -> bool:
    """Whether `step` may run beside others: it has a process of its own, and siblings in other domains."""
    return launch.at_once > 1 and step.domain is not None and (launch.kind == Launch.torchrun or step.fit)


def stage_runner(
    step: Step, run_dir: Path, launch: LaunchConfig, say: Say, slot: int | None = None
) -> Callable[[Context], Metrics]:
    """The function that `run_stage` calls for `step`. It raises Stopped or StageFailed.

    slot: of launch.at_once, when the step runs beside others; it then has its share of the cores and GPUs.
    """
    log = log_file(run_dir, step.id)
    log.parent.mkdir(parents=True, exist_ok=True)
    if launch.kind == Launch.inline and slot is None:
        return lambda ctx: _inline(step, ctx, log)
    share = {} if slot is None else machine_share(launch, slot)
    return lambda ctx: _Child(step, ctx, launch, log, say, share).run()


def machine_share(launch: LaunchConfig, slot: int) -> dict[str, str]:
    """Environment that gives a step in `slot` its part of the cores and GPUs; what the user has set stays.

    The number of threads depends on the configuration and the machine alone: a resumed fit computes the same bits.
    With fewer GPUs than at_once x devices, slots share them.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores // (launch.at_once * launch.devices))
    share = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(threads)}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(n) for n in range(len(glob("/dev/nvidia[0-9]*")))]
    if gpus and visible != "" and launch.accelerator != "cpu":
        first = slot * launch.devices
        mine = dict.fromkeys(gpus[(first + n) % len(gpus)] for n in range(launch.devices))
        share["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
    return share


def log_tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log; empty when there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 20000))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""


def _inline(step: Step, ctx: Context, log: Path) -> Metrics:
    try:
        return stage_function(step.stage)(ctx)
    except (Stopped, StageFailed):
        raise
    except KeyboardInterrupt as error:
        raise Stopped(f"{step.id} interrupted") from error
    except (Exception, SystemExit) as error:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{_headline('failed')}\n{traceback.format_exc()}")
        if isinstance(error, SystemExit) and signals.stop_requested():
            raise Stopped(f"{step.id} stopped") from error
        raise _failed(step, log, describe(error)) from error


def _failed(step: Step, log: Path, error: dict[str, Any]) -> StageFailed:
    what = f"{error['type']}: {error['message']}" if error.get("type") else error["message"]
    text = f"{step.id} failed ({what}); log: {log}; to go on: {this_command()}"
    return StageFailed(text, error.get("exit_code", 1))


def _headline(text: str) -> str:
    return f"== {datetime.now(UTC).isoformat(timespec='seconds')} {text}"


class _Child:
    """One stage in processes of its own: attempts, each watched until it ends."""

    def __init__(
        self, step: Step, ctx: Context, launch: LaunchConfig, log: Path, say: Say, share: dict[str, str]
    ) -> None:
        self.step, self.ctx, self.settings, self.log, self.say, self.share = step, ctx, launch, log, say, share
        self.folder = launch_folder(ctx.scratch)
        self.code = 0

    def run(self) -> Metrics:
        for attempt in range(self.settings.retries + 1):
            end = self._attempt(attempt)
            result = self._read("result")
            if result is not None:
                metrics: Metrics = result["metrics"]
                return metrics
            stopped = self._read("stopped")
            if stopped is not None or signals.stop_requested():
                raise Stopped(stopped["reason"] if stopped else f"{self.step.id} stopped")
            error = self._read("error") or self._silent_end(end)
            if not error["retry"] or attempt == self.settings.retries:
                raise _failed(self.step, self.log, error)
            self._wait_before_retry(attempt, error)
        raise AssertionError("unreachable")

    def _silent_end(self, end: End) -> dict[str, Any]:
        if end == "hung":
            message = f"no sign of life for {self.settings.heartbeat_timeout:g} s"
        else:
            message = f"ended with exit code {self.code} and no result"
        return {"message": message, "retry": True}

    def _wait_before_retry(self, attempt: int, error: dict[str, Any]) -> None:
        pause = min(BACKOFF * 2**attempt, BACKOFF_MAX)
        tried = f"try {attempt + 2} of {self.settings.retries + 1}"
        self.say("retry", f"{self.step.id}: {error['message']}; {tried} in {pause:g} s; log: {self.log}")
        until = time.monotonic() + pause
        while time.monotonic() < until:
            signals.stop_point(f"{self.step.id} stopped")
            time.sleep(POLL)

    def _attempt(self, attempt: int) -> End:
        """Start the process group and wait for its end, whatever it takes. Nothing of it is left afterwards."""
        self._clean()
        write_spec(self.folder / "spec.json", self.ctx, self.step.stage)
        with open(self.log, "ab", buffering=0) as log:
            log.write(f"{_headline(f'{self.step.id} attempt {attempt + 1}')}\n".encode())
            process = self._start(log)
            signals.kill_on_second_interrupt(process.pid)
            try:
                return self._wait(process)
            finally:
                self._kill(process)
                signals.forget_group(process.pid)
                self.code = process.wait()

    def _clean(self) -> None:
        lock = self.folder / "lock"
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != lock:
                path.unlink()
        if any(self.ctx.out.iterdir()):  # what a crashed attempt had written
            shutil.rmtree(self.ctx.out)
            self.ctx.out.mkdir()

    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m"]
        if self.step.fit and self.settings.kind == Launch.torchrun:
            devices = str(self.settings.devices)
            command += ["torch.distributed.run", "--standalone", "--nproc-per-node", devices, "-m"]
        environment = {
            **os.environ,
            **self.share,
            "PYTHONUNBUFFERED": "1",
            # On SIGTERM torchrun's agent gives its ranks 30 s unless told otherwise.
            "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(math.ceil(self.settings.stop_grace)),
        }
        return subprocess.Popen(
            [*command, "loop.engine.worker", str(self.folder / "spec.json")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            preexec_fn=orphans.die_with_parent(os.getpid()),
        )

    def _wait(self, process: subprocess.Popen[bytes]) -> End:
        last, moved = None, time.monotonic()
        kill_at: float | None = None
        while process.poll() is None:
            now = time.monotonic()
            if kill_at is None and signals.stop_requested():
                kill_at = now + self.settings.stop_grace
                self.say("stopping", f"{self.step.id}: waiting for its next checkpoint")
                self._ask_to_stop(process)
            if kill_at is not None and now >= kill_at:
                return "exited"
            beat = self._last_beat()
            if beat != last:
                last, moved = beat, now
                if text := progress(self.ctx.scratch):
                    self.say("progress", text)
            watched = self.step.fit or beat is not None
            if watched and now - moved > self.settings.heartbeat_timeout:
                self._end_hung(process)
                return "hung"
            time.sleep(POLL)
        return "exited"

    def _ask_to_stop(self, process: subprocess.Popen[bytes]) -> None:
        (self.folder / "stop").touch()
        if not self.step.fit:  # every rank of a fit looks at the file; torchrun's agent would only start a countdown
            _signal_group(process.pid, signal.SIGTERM)

    def _end_hung(self, process: subprocess.Popen[bytes]) -> None:
        self._signal_ranks(signal.SIGQUIT)  # each writes where it hangs into the log
        time.sleep(0.2)
        _signal_group(process.pid, signal.SIGTERM)
        until = time.monotonic() + min(HANG_GRACE, self.settings.stop_grace)
        while process.poll() is None and time.monotonic() < until:
            time.sleep(POLL)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        _signal_group(process.pid, signal.SIGKILL)
        self._signal_ranks(signal.SIGKILL)  # torchrun gives each rank a session of its own

    def _signal_ranks(self, signum: signal.Signals) -> None:
        for file in self.folder.glob("pid.*"):
            pid = int(file.read_text() or 0)
            try:
                if pid > 1 and os.getpgid(pid) == pid:
                    os.killpg(pid, signum) if signum == signal.SIGKILL else os.kill(pid, signum)
            except (ProcessLookupError, PermissionError):
                continue

    def _last_beat(self) -> int | None:
        try:
            return heartbeat_file(self.ctx.scratch).stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def _read(self, kind: str) -> dict[str, Any] | None:
        """The first such file of any rank: later ones often tell only that another rank went away."""
        files = sorted(self.folder.glob(f"{kind}.*.json"), key=lambda file: file.stat().st_mtime_ns)
        if not files:
            return None
        read: dict[str, Any] = json.loads(files[0].read_text(encoding="utf-8"))
        return read


def _signal_group(group: int, signum: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it may have ended this very moment
        os.killpg(group, signum)
