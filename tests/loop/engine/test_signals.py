"""SIGTERM and Ctrl-C: a clean stop at the next safe place, exit code 75, and the same command goes on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from loop.engine import signals
from loop.engine.config import Launch, LaunchConfig
from loop.engine.execute import execute
from loop.engine.orphans import is_alive
from loop.engine.stage import Stopped
from tests.loop.toy_run import toy, twelve
from tests.loop.toy_start import toy_runs


@pytest.fixture
def start(tmp_path):
    with toy_runs(tmp_path / "calls") as start:
        yield start


def wait_for(calls: Path, text: str) -> None:
    until = time.monotonic() + 20
    while not (calls.exists() and text in calls.read_text()):
        assert time.monotonic() < until, f"never saw {text}"
        time.sleep(0.01)


def wait_for_file(folder: Path, pattern: str) -> list[Path]:
    until = time.monotonic() + 20
    while not (found := list(folder.glob(pattern))):
        assert time.monotonic() < until, f"never saw {pattern}"
        time.sleep(0.01)
    return found


def ends_soon(pid: int) -> bool:
    until = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(pid)


@pytest.mark.parametrize("kind", ["inline", "torchrun"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_cleanly_and_the_same_command_goes_on(tmp_path, start, kind, signum):
    run, calls = tmp_path / "run", tmp_path / "calls"
    process = start(run, kind, 0.4)
    wait_for(calls, "01/d/fit 2")
    process.send_signal(signum)
    text = process.communicate(timeout=20)[0]
    assert process.returncode == 75
    assert "01/d/fit stopped at step" in text.splitlines()[-1]
    assert "to go on: python -m tests.loop.toy_run" in text.splitlines()[-1]
    steps = [line for line in calls.read_text().splitlines() if line.startswith("01/d/fit ")]
    execute(run, twelve(calls, 0.4)[:3], LaunchConfig())
    resumed = [line for line in calls.read_text().splitlines() if line.startswith("01/d/fit ")]
    assert resumed == [f"01/d/fit {n}" for n in range(1, 9)]
    assert len(steps) < 8


def test_a_second_interrupt_stops_at_once_and_takes_the_children_along(tmp_path, start):
    process = start(tmp_path / "run", "torchrun", how="hang")
    (pid_file,) = wait_for_file(tmp_path, "run/rounds/00/.x.*/launch/heartbeat")
    worker = int((pid_file.parent / "pid.0").read_text())
    process.send_signal(signal.SIGINT)
    while "Ctrl-C again stops at once" not in (line := process.stdout.readline()):
        assert line, "ended without a word"
    time.sleep(0.2)
    assert process.poll() is None  # the stage is deaf, its grace is 5 s
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=4)
    assert process.returncode == 75
    assert ends_soon(worker)


def test_a_deaf_stage_is_killed_after_the_grace(tmp_path):
    launch = LaunchConfig(kind=Launch.torchrun, stop_grace=0.3)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    began = time.monotonic()
    with pytest.raises(Stopped, match="to go on: "):
        execute(tmp_path, [toy("00/x", stage="trouble", how="hang", times=9)], launch)
    assert time.monotonic() - began < 5
    assert not signals.stop_requested()


def test_the_stop_of_one_process_of_a_stage_is_a_stop_and_no_crash(tmp_path):
    """SIGTERM to the worker alone, not to the loop: its stopped.json says so to the orchestrator."""
    calls = tmp_path / "calls"
    step = toy("00/fit", stage="ticks", steps=200, sleep=0.02, calls=str(calls))

    def interfere(*_) -> None:
        if not calls.exists():  # not at work yet
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            return
        for file in tmp_path.glob("rounds/00/.fit.*/launch/pid.0"):
            os.kill(int(file.read_text()), signal.SIGTERM)

    signal.signal(signal.SIGALRM, interfere)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    events: list[str] = []
    with pytest.raises(Stopped, match="00/fit stopped at step"):
        execute(tmp_path, [step], LaunchConfig(kind=Launch.torchrun), lambda event: events.append(event.kind))
    assert [kind for kind in events if kind != "progress"] == ["start", "stopped"]


def test_handlers_are_put_back_and_can_be_installed_again():
    before = signal.getsignal(signal.SIGTERM)
    with signals.handled():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as a library might
        signals.install()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.stop_requested()
        with pytest.raises(Stopped):
            signals.stop_point("x")
    assert signal.getsignal(signal.SIGTERM) == before
    assert not signals.stop_requested()


@pytest.mark.slow
def test_two_ranks_are_killed_stopped_and_resumed(tmp_path, start):
    """kill -9 of the loop ends torchrun's agent and both ranks; SIGTERM stops both; the third run finishes."""
    run, calls = tmp_path / "run", tmp_path / "calls"
    first = start(run, "torchrun", how="fit")
    wait_for(calls, "00/fit 3\n")
    ranks = [int(file.read_text()) for file in run.glob("rounds/00/.fit.*/launch/pid.*")]
    assert len(ranks) == 2
    first.kill()
    first.wait()
    assert all(ends_soon(pid) for pid in ranks)
    reached = len(calls.read_text().splitlines())
    second = start(run, "torchrun", how="fit")
    wait_for(calls, f"00/fit {reached + 3}\n")
    second.send_signal(signal.SIGTERM)
    text = second.communicate(timeout=20)[0]
    assert second.returncode == 75, text
    assert len(list(run.glob("rounds/00/.fit.*/launch/stopped.*.json"))) == 2
    third = start(run, "torchrun", how="fit")
    assert third.communicate(timeout=60)[0].count("done in") == 1
    steps = [int(line.split()[1]) for line in calls.read_text().splitlines()]
    assert steps == sorted(steps)
    assert len(steps) - 100 in {-1, 0}  # the kill may come between a step's checkpoint and its line
    assert not list(run.glob("rounds/00/.*"))
