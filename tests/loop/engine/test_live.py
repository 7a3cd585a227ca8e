"""live.json says what a run does while it does it, in every kind of launch; and the time left is simple arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from loop.engine.config import Launch, LaunchConfig
from loop.engine.execute import Event, execute
from loop.engine.heartbeat import Progress
from loop.engine.live import FILE, Live, read_live
from loop.engine.speed import Speed
from loop.engine.stage import StageFailed
from loop.engine.time_left import TimeLeft
from tests.loop.toy_run import toy


@pytest.mark.parametrize("kind", list(Launch))
def test_the_record_follows_the_run(tmp_path: Path, kind: Launch) -> None:
    run, seen = tmp_path / "run", list[Live]()

    def look(event: Event) -> None:
        found = read_live(run)
        assert found is not None
        seen.append(found)

    calls = str(tmp_path / "calls")
    steps = [toy("00/a", word="w", calls=calls, sleep=0), toy("00/x", stage="ticks", steps=8, sleep=0.3, calls=calls)]
    execute(run, steps, LaunchConfig(kind=kind), look)
    running = [live.steps[0] for live in seen if live.steps and live.steps[0].step == "00/x"]
    assert {(step.stage, step.number, step.total) for step in running if step.total} == {("ticks", 2, 8)}
    assert max(step.memory for step in running) > 1e6
    last = read_live(run)
    assert last is not None
    assert (last.state, last.finished, last.total, last.left, last.steps) == ("finished", 2, 2, 0.0, [])


def test_a_failure_and_a_killed_loop_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StageFailed):
        execute(tmp_path, [toy("00/x", stage="trouble", how="wrong", times=9)], LaunchConfig(retries=0))
    found = read_live(tmp_path)
    assert found is not None
    assert (found.state, len(found.messages)) == ("failed", 1)
    record = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**record, "state": "running"}))
    found = read_live(tmp_path)  # nobody holds the lock
    assert found is not None
    assert found.state == "interrupted"
    (tmp_path / FILE).write_text("{")
    assert read_live(tmp_path) is None


def test_the_time_left_is_what_earlier_rounds_took() -> None:
    steps = [toy(f"{round_:02d}/{stage}", stage=stage) for round_ in range(4) for stage in ("fit", "evaluate")]
    steps[1:] = [replace(step, inputs={"before": before.id}) for before, step in pairwise(steps)]
    left = TimeLeft(steps, lambda step: 10.0 if step.stage.endswith("fit") else 1.0, 1, lambda step: False)
    assert left.of_run({}) == (None, ["fit", "evaluate"])
    left.took(steps[0], 10.0)  # 00/fit
    left.took(steps[1], 4.0)  # 00/evaluate
    left.took(steps[2], 20.0)  # 01/fit: the newest round counts
    left.took(steps[3], 5.0)  # 01/evaluate
    assert left.of_run({}) == (2 * (20.0 + 5.0), [])
    assert left.of_step("02/fit", 8.0, None, None, None) == 20.0 - 8.0
    assert left.of_run({"02/fit": (8.0, 12.0)}) == (12.0 + 5.0 + 25.0, [])


def test_a_first_step_is_known_by_its_progress() -> None:
    left = TimeLeft([toy("00/fit"), toy("01/fit")], lambda step: 1.0, 1, lambda step: False)
    assert left.of_step("00/fit", 30.0, 25, 100, 0.5) == 150.0
    assert left.of_run({"00/fit": (50.0, 150.0)}) == (150.0 + 200.0, [])


def test_the_speed_is_of_one_phase() -> None:
    speed = Speed()
    assert speed.seen(Progress(0, 100), 10.0) is None
    assert speed.seen(Progress(30, 100), 20.0) == 3.0
    assert speed.seen(Progress(5, 50, "second"), 21.0) is None
    assert speed.seen(Progress(9, 50, "second"), 23.0) == 2.0
