"""A door asks a running loop to pause or to stop; it does, says so in the audit log, and goes on when run again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loop.engine.audit import read_audit
from loop.engine.files import write_json
from loop.engine.live import read_live
from loop.engine.requests import NothingRuns, ask, pending
from tests.loop.toy_start import toy_runs


@pytest.fixture
def start(tmp_path: Path):
    with toy_runs(tmp_path / "calls") as start:
        yield start


def wait_until(there: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not there():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def calls_of(tmp_path: Path, step: str) -> list[str]:
    calls = tmp_path / "calls"
    return [line for line in calls.read_text().splitlines() if line.startswith(f"{step} ")] if calls.exists() else []


@pytest.mark.parametrize("kind", ["inline", pytest.param("torchrun", marks=pytest.mark.slow)])
def test_a_pause_lets_the_stage_end_and_a_stop_does_not(tmp_path: Path, start, kind: str) -> None:
    run = tmp_path / "run"
    process = start(run, kind, 0.2)
    wait_until(lambda: bool(calls_of(tmp_path, "01/d/fit")))
    ask(run, "pause", "Ada")
    assert pending(run) == "pause"
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 75
    assert "paused before 01/d/sample; to go on: python -m tests.loop.toy_run" in text.splitlines()[-1]
    assert len(calls_of(tmp_path, "01/d/fit")) == 8
    live = read_live(run)
    assert live is not None
    assert (live.state, live.finished, pending(run)) == ("paused", 3, None)

    process = start(run, kind, 0.2)
    wait_until(lambda: bool(calls_of(tmp_path, "02/d/fit")))
    ask(run, "stop", "Ada")
    assert "02/d/fit stopped at step" in process.communicate(timeout=60)[0].splitlines()[-1]
    stopped = read_live(run)
    assert stopped is not None
    assert stopped.state == "stopped"
    said = [(row["by"], row["action"], row.get("outcome", "")) for row in read_audit(run)]
    assert said[:3] == [
        ("Ada", "pause", ""),
        ("loop", "pause", "paused before 01/d/sample"),
        ("Ada", "stop", ""),
    ]
    assert said[3][:2] == ("loop", "stop")
    assert said[3][2].startswith("02/d/fit stopped at step")

    assert start(run, kind, 0.2).communicate(timeout=60)
    assert len(calls_of(tmp_path, "02/d/fit")) == 8  # the same command went on from the checkpoint


def test_a_request_for_a_loop_that_is_gone_stops_nobody(tmp_path: Path, start) -> None:
    run = tmp_path / "run"
    (run / "requests").mkdir(parents=True)
    write_json(run / "requests" / "stop", {"by": "Ada", "pid": 1, "host": "elsewhere"})
    process = start(run, "inline", 0.0)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert pending(run) is None
    with pytest.raises(NothingRuns, match="run: nothing runs there, so there is nothing to pause"):
        ask(run, "pause", "Ada")
