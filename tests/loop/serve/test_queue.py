"""The queue carries toy runs out, in order and on its devices; they outlive the service; what died is started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loop.serve.devices import devices
from loop.serve.jobs import Jobs, outcome
from loop.serve.queue import AlreadyQueued, Job, Queue
from stylematte.errors import ConfigError

ROOT = Path(__file__).parents[3]


class ToyJobs(Jobs):
    """Its runs are toy runs; a job's one word says how long a step of it takes."""

    def command(self, job: Job) -> list[str]:
        folder = self.folder(job)
        (folder / "rounds").mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").touch()
        words = [str(folder), str(folder / "calls"), "inline", *job.words, "twelve"]
        return [sys.executable, "-m", "tests.loop.toy_run", *words]


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / ".serve" / "queue.sqlite")


@pytest.fixture
def jobs(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyJobs:
    monkeypatch.chdir(ROOT)  # toy runs are no part of the installed package
    return again(queue, tmp_path)


def again(queue: Queue, runs: Path, names: tuple[str, ...] = ("cpu",)) -> ToyJobs:
    return ToyJobs(queue, runs, runs / ".serve" / "logs", names)


def add(queue: Queue, run: str, sleep: float = 0.0, priority: int = 0, slots: int = 1) -> Job:
    return queue.submit(run, "", [str(sleep)], priority, slots, "Ada")


def wait(jobs: Jobs, is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 100
    while not is_so():
        jobs.look()
        assert time.monotonic() < until, [job.to_json() for job in jobs.queue.jobs()]
        time.sleep(0.02)


def states(queue: Queue) -> dict[str, str]:
    return {job.run: job.state for job in queue.jobs()}


def test_jobs_run_one_after_the_other_the_highest_priority_first(queue: Queue, jobs: ToyJobs) -> None:
    for name, priority in (("a", 0), ("b", 0), ("c", 5)):
        add(queue, name, priority=priority)
    with pytest.raises(AlreadyQueued, match="b: has a job already that waits or runs"):
        add(queue, "b")
    assert [job.run for job in queue.jobs("waiting")] == ["c", "a", "b"]
    jobs.look()
    assert states(queue) == {"c": "running", "a": "waiting", "b": "waiting"}
    assert queue.cancel_waiting(2)
    wait(jobs, lambda: not queue.jobs("waiting", "running"))
    assert states(queue) == {"a": "done", "b": "cancelled", "c": "done"}
    assert [job.devices for job in queue.jobs("done")] == [["cpu"], ["cpu"]]


def test_a_job_gets_the_devices_it_asks_for_and_none_overtakes_it(queue: Queue, tmp_path: Path) -> None:
    started: list[tuple[str, list[str]]] = []

    class Noted(Jobs):
        def _start(self, job: Job, devices: list[str]) -> None:
            started.append((job.run, devices))
            queue.begun(job.id, os.getpid(), None, devices)

    for name, slots in (("one", 1), ("two", 2), ("small", 1)):
        add(queue, name, slots=slots)
    noted = Noted(queue, tmp_path, tmp_path / "logs", ("0", "1"))
    noted.look()
    assert started == [("one", ["0"])]  # "two" waits for both, and "small" behind it
    queue.over(1, "done", "")
    noted.look()
    assert started[1:] == [("two", ["0", "1"])]


def test_a_run_outlives_the_service_and_one_that_was_killed_is_started_again(
    queue: Queue, jobs: ToyJobs, tmp_path: Path
) -> None:
    add(queue, "a", sleep=0.15)
    calls = tmp_path / "a" / "calls"
    wait(jobs, calls.exists)
    child = jobs.children[1]  # the service ends here; its child lives
    second = again(queue, tmp_path)
    second.look()
    assert states(queue) == {"a": "running"}
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    second.look()
    job = queue.job(1)
    assert job is not None
    assert (job.state, job.attempts) == ("running", 2)
    assert job.message == ""
    third = again(queue, tmp_path)
    pid = job.pid
    assert pid is not None
    wait(third, lambda: not _lives(second, 1))
    third.look()
    assert states(queue) == {"a": "done"}


def _lives(jobs: Jobs, id_: int) -> bool:
    """Reaps it, as the kernel's first process would an orphan."""
    return jobs.children[id_].poll() is None


def test_a_running_job_that_is_cancelled_saves_and_ends(queue: Queue, jobs: ToyJobs, tmp_path: Path) -> None:
    add(queue, "a", sleep=0.4)
    wait(jobs, lambda: (tmp_path / "a" / "calls").exists())
    job = queue.job(1)
    assert job is not None
    jobs.cancel(job, "Ada")
    wait(jobs, lambda: states(queue) == {"a": "cancelled"})
    ended = queue.job(1)
    assert ended is not None
    assert ended.message.startswith("cancelled while it ran: ")


def test_a_job_that_is_cancelled_while_its_process_starts_does_not_run(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Late(ToyJobs):
        def command(self, job: Job) -> list[str]:
            assert queue.cancel_waiting(job.id)
            add(queue, "a")
            return super().command(job)

    def popen(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr("loop.serve.jobs.subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": popen}))
    add(queue, "a", sleep=60)
    late = Late(queue, tmp_path, tmp_path / ".serve" / "logs", ("cpu",))
    late._start(queue.jobs("waiting")[0], ["cpu"])
    assert [(job.id, job.state) for job in queue.jobs()] == [(2, "waiting"), (1, "cancelled")]
    assert started[0].returncode == -signal.SIGTERM
    assert late.children == {}


def test_a_job_that_began_since_it_was_looked_at_is_cancelled_too(queue: Queue, jobs: ToyJobs) -> None:
    seen = add(queue, "a", sleep=60)
    jobs.look()
    jobs.cancel(seen, "Ada")
    wait(jobs, lambda: states(queue) == {"a": "cancelled"})


def test_what_became_of_a_job_is_said_in_a_line(queue: Queue) -> None:
    job = add(queue, "a")
    assert outcome(job, 0, None, "") == ("done", "")
    assert outcome(job, 2, None, "stylematte: run.rounds=x: a number") == ("failed", "run.rounds=x: a number")
    assert outcome(job, 75, None, "stopped before 01/fit") == ("stopped", "stopped before 01/fit")
    assert outcome(job, -9, None, "")[0] is None
    assert outcome(job, None, None, "")[0] is None


def test_devices_are_named_or_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert devices("auto") == ("3", "5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices("auto") == ("cpu",)
    assert devices("0,1") == ("0", "1")
    for wrong in ("gpu", "0,0", "0,x"):
        with pytest.raises(ConfigError, match="--devices"):
            devices(wrong)
