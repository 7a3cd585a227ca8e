"""What watches a launcher needs nothing but its interface: here one whose stage lives nowhere and ends when told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.engine import signals
from loop.engine.config import LaunchConfig
from loop.engine.heartbeat import Beat, Progress
from loop.engine.launchers import watch
from loop.engine.launchers.launcher import Job, Launcher
from loop.engine.launchers.watch import run_watched
from loop.engine.memory import Memory
from loop.engine.outcome import Outcome, Problem
from loop.engine.stage import Context, StageFailed, Stopped
from tests.loop.toy_run import toy

DONE = Outcome(metrics={"loss": 0.5})
LOST = Outcome(problem=Problem("node 7 went away"))


class Queue:
    """As a cluster's scheduler would be used: attempt n ends as `ends[n - 1]` after `looks` looks at it.

    A kill takes two looks to come true. None in `ends`: that attempt never ends by itself.
    """

    def __init__(
        self, *ends: Outcome | None, looks: int = 3, beats: bool = True, killed: Outcome | None = None
    ) -> None:
        self.ends, self.looks, self.beats = ends, looks, beats
        self.killed = killed or Outcome(problem=Problem("was cancelled"))
        self.calls: list[str] = []

    def start(self, job: Job, attempt: int) -> None:
        self.calls.append(f"start {attempt}")
        self.end, self.left, self.beat = self.ends[attempt - 1], self.looks, 0

    def poll(self) -> Outcome | None:
        if self.end is None:
            return None
        self.left -= 1
        return self.end if self.left < 0 else None

    def ask_to_stop(self) -> None:
        self.calls.append("ask_to_stop")

    def kill(self, grace: float = 0.0) -> None:
        self.calls.append(f"kill {grace:g}")
        if self.end is None:
            self.end, self.left = self.killed, 2

    def heartbeat(self) -> Beat | None:
        self.beat += self.beats
        return Beat(self.beat, Progress(self.beat, 9)) if self.beat or not self.beats else None


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(watch, "BACKOFF", 0.01)
    monkeypatch.setattr(watch, "POLL", 0.01)
    with signals.handled():
        yield


class Heard:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.progress: list[Progress] = []

    def __call__(
        self, kind: str, text: str = "", *, progress: Progress | None = None, memory: Memory | None = None
    ) -> None:
        if progress is not None:
            self.progress.append(progress)
        else:
            self.lines.append(f"{kind}: {text}")


def watched(launcher: Launcher, folder: Path, heard: Heard, **settings: float) -> dict:
    ctx = Context({}, folder / "out", folder / "scratch", {}, 0, "00/x")
    launch = LaunchConfig(**{"retries": 2, "stop_grace": 0.1, "heartbeat_timeout": 60.0, **settings})
    job = Job(toy("00/x", fit=True), ctx, folder / "x.log", {}, launch.stop_grace)
    return run_watched(launcher, job, launch, heard)


def test_progress_comes_as_numbers(tmp_path: Path) -> None:
    queue, heard = Queue(DONE), Heard()
    assert watched(queue, tmp_path, heard) == {"loss": 0.5}
    assert heard.progress == [Progress(done, 9) for done in (1, 2, 3)]
    assert queue.calls == ["start 1"]


def test_attempts_until_one_ends_well(tmp_path: Path) -> None:
    queue, heard = Queue(LOST, LOST, DONE), Heard()
    assert watched(queue, tmp_path, heard) == {"loss": 0.5}
    assert queue.calls == ["start 1", "start 2", "start 3"]
    assert heard.lines[1] == f"retry: 00/x: node 7 went away; attempt 3 of 3 in 0.02 s; log: {tmp_path / 'x.log'}"


def test_no_more_attempts_than_asked_for(tmp_path: Path) -> None:
    queue = Queue(LOST, LOST)
    with pytest.raises(StageFailed, match=r"00/x failed \(node 7 went away\)"):
        watched(queue, tmp_path, Heard(), retries=1)
    assert queue.calls == ["start 1", "start 2"]


def test_a_silent_one_is_killed_with_a_grace_and_the_kill_may_take_its_time(tmp_path: Path) -> None:
    queue, heard = Queue(None, DONE, beats=False), Heard()
    assert watched(queue, tmp_path, heard, heartbeat_timeout=0.05) == {"loss": 0.5}
    assert queue.calls[:2] == ["start 1", "kill 0.1"]
    assert [call for call in queue.calls if call.startswith("start")] == ["start 1", "start 2"]
    assert "no heartbeat for 0.05 s; attempt 2 of 3" in heard.lines[0]


def test_a_silent_one_that_stops_when_it_is_killed_is_tried_again(tmp_path: Path) -> None:
    """A slow start: its SIGTERM comes when it is up, and it ends as a fit ends that somebody wanted to stop."""
    queue, heard = Queue(None, DONE, beats=False, killed=Outcome(stopped="00/x stopped at step 1")), Heard()
    assert watched(queue, tmp_path, heard, heartbeat_timeout=0.05) == {"loss": 0.5}
    assert "no heartbeat for 0.05 s; attempt 2 of 3" in heard.lines[0]


def test_a_deaf_one_is_asked_then_killed_and_no_attempt_follows(tmp_path: Path) -> None:
    queue, heard = Queue(None), Heard()
    os.kill(os.getpid(), signal.SIGTERM)
    began = time.monotonic()
    with pytest.raises(Stopped, match="00/x stopped"):
        watched(queue, tmp_path, heard)
    assert time.monotonic() - began >= 0.1
    assert queue.calls[:3] == ["start 1", "ask_to_stop", "kill 0"]
    assert heard.lines == ["stopping: 00/x: waiting for its next checkpoint"]


def test_whatever_a_listener_raises_nothing_is_left_running(tmp_path: Path) -> None:
    def refuses(kind: str, text: str = "", *, progress: Progress | None = None, memory: Memory | None = None) -> None:
        raise RuntimeError("enough")

    queue = Queue(None)
    with pytest.raises(RuntimeError, match="enough"):
        watched(queue, tmp_path, refuses)  # type: ignore[arg-type]
    assert queue.calls == ["start 1", "kill 0"]
