"""Carries the queue out: starts `stylematte run` as processes that outlive the service, and finds them again.

A job's process is a session of its own, so the service may end, crash or be replaced while it works. The next service
knows it by its number and the moment it began. What became of a job is what its loop wrote (`loop.engine.live`): an
exit code is known only to the parent. One whose loop died without a word is started again, and the loop resumes.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from loop.engine import requests
from loop.engine.live import Live, read_live
from loop.engine.log import log_tail
from loop.engine.orphans import is_alive
from loop.engine.signals import EX_TEMPFAIL
from loop.serve.folders import SEPARATOR
from loop.serve.queue import Job, Queue, State
from stylematte.rounds import is_run

log = logging.getLogger("stylematte")

LOOK = 0.5  # seconds between two looks
ATTEMPTS = 3
"""Starts of a job whose loop dies without a word, killed or for want of memory."""


class Jobs(threading.Thread):
    """Make it before the service steps back in priority: children inherit that of the thread that starts them."""

    def __init__(self, queue: Queue, runs_dir: Path, logs: Path, devices: Sequence[str]) -> None:
        super().__init__(name="jobs", daemon=True)
        self.queue, self.runs_dir, self.logs, self.devices = queue, runs_dir, logs, tuple(devices)
        self.children: dict[int, subprocess.Popen[bytes]] = {}
        self.ending = threading.Event()
        self.logs.mkdir(parents=True, exist_ok=True)

    def run(self) -> None:
        while not self.ending.wait(LOOK):
            try:
                self.look()
            except Exception:  # a full disk, a locked file: the queue goes on once it is mended
                log.exception("the queue could not be looked at")

    def end(self) -> None:
        """The thread; the jobs' processes go on."""
        self.ending.set()
        if self.is_alive():
            self.join()

    def look(self) -> None:
        """Settle what is over, then start what waits and has its devices."""
        for job in self.queue.jobs("running", most=10_000):
            if not self._runs(job):
                self._settle(job)
        busy = [name for job in self.queue.jobs("running", most=10_000) for name in job.devices]
        for job in self.queue.jobs("waiting", most=10_000):
            free = [name for name in self.devices if name not in busy]
            if len(free) < job.slots:
                return  # the first in turn keeps its place: smaller ones do not overtake it for ever
            self._start(job, free[: job.slots])
            busy += free[: job.slots]

    def folder(self, job: Job) -> Path:
        return self.runs_dir / job.run.replace(SEPARATOR, "/")

    def log(self, job: Job) -> Path:
        return self.logs / f"{job.id}.log"

    def cancel(self, job: Job, by: str) -> None:
        """A waiting job is over; the loop of a running one saves its checkpoint and ends."""
        if self.queue.cancel_waiting(job.id):
            return
        self.queue.cancel_running(job.id)
        job = self.queue.job(job.id) or job  # its process may be of this moment
        try:
            requests.ask(self.folder(job), "stop", by)
        except requests.NothingRuns:
            if job.pid is not None and self._runs(job):  # it has not come to its run yet
                os.kill(job.pid, 15)

    def command(self, job: Job) -> list[str]:
        """As one would type it."""
        folder = self.folder(job)
        target = [job.source, f"run.dir={folder}"] if job.source else [str(folder)]
        return [sys.executable, "-m", "loop", "run", *target, *job.words, *(["--redo"] if job.redo else [])]

    def _start(self, job: Job, devices: list[str]) -> None:
        numbers = ",".join(name for name in devices if name != "cpu")
        environment = {name: value for name, value in os.environ.items() if name != "STYLEMATTE_TOKEN"}
        with open(self.log(job), "ab") as log:
            process = subprocess.Popen(
                self.command(job),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, "CUDA_VISIBLE_DEVICES": numbers},
                start_new_session=True,
            )
        if self.queue.begun(job.id, process.pid, born(process.pid), devices):
            self.children[job.id] = process
        else:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()

    def _runs(self, job: Job) -> bool:
        child = self.children.get(job.id)
        if child is not None:
            return child.poll() is None
        return job.pid is not None and is_alive(job.pid) and born(job.pid) == job.born

    def _settle(self, job: Job) -> None:
        child = self.children.pop(job.id, None)
        code = None if child is None else child.returncode
        state, message = outcome(job, code, self._live(job), log_tail(self.log(job), 1))
        if state is None and job.attempts < ATTEMPTS:
            self.queue.again(job.id, message)
        else:
            self.queue.over(job.id, state or "failed", message)

    def _live(self, job: Job) -> Live | None:
        """What the loop of this job wrote; nothing if it never came to its run."""
        live = read_live(self.folder(job)) if is_run(self.folder(job)) else None
        return live if live is not None and live.pid == job.pid else None


def outcome(job: Job, code: int | None, live: Live | None, last_line: str) -> tuple[State | None, str]:
    """What became of a job, and why in one line; None: its loop died without a word. code: None of an adopted one."""
    word = live.state if live is not None else ""
    said = live.messages[-1] if live is not None and live.messages else last_line
    if job.cancelled and (code != 0 or word != "finished"):
        return "cancelled", f"cancelled while it ran: {said}".removesuffix(": ")
    if code == 0 or (code is None and word == "finished"):
        return "done", ""
    if code == EX_TEMPFAIL or (code is None and word in ("paused", "stopped")):
        return "stopped", said
    if (code is not None and code > 0) or (code is None and word == "failed"):
        return "failed", last_line.removeprefix("stylematte: ") or said
    return None, "its loop died without a word (killed, or no memory left)"


def born(pid: int) -> int | None:
    """When a process began, in the kernel's ticks since its start; None where that cannot be told."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
