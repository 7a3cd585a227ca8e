"""The heartbeat carries progress as numbers, from a stage in this process and from one in a process of its own."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from loop.engine import heartbeat, signals
from loop.engine.config import Launch, LaunchConfig
from loop.engine.execute import Event, execute
from loop.engine.heartbeat import Progress, beat, heartbeat_file, read_beat, tracked
from loop.engine.stage import Context, Stopped
from tests.loop.toy_run import toy


def context(folder: Path) -> Context:
    return Context({}, folder / "out", folder / "scratch", {}, 0, "00/x")


def test_the_file_is_json(tmp_path: Path) -> None:
    assert read_beat(tmp_path) is None
    beat(tmp_path, Progress(120, 480))
    written = json.loads(heartbeat_file(tmp_path).read_text())
    assert written["progress"] == {"done": 120, "total": 480, "phase": ""}
    assert written["memory"]["resident"] > 1e6  # an interpreter takes more
    found = read_beat(tmp_path)
    assert found is not None
    assert found.progress == Progress(120, 480)
    heartbeat_file(tmp_path).write_text('{"done": 1')  # as a reader may catch it
    found = read_beat(tmp_path)
    assert found is not None
    assert found.progress is None


def test_beats_are_no_more_frequent_than_the_interval(tmp_path: Path) -> None:
    beat(tmp_path, Progress(1, 9))
    beat(tmp_path, Progress(2, 9))
    assert json.loads(heartbeat_file(tmp_path).read_text())["progress"]["done"] == 1


def test_tracked_gives_every_item_beats_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.0)
    ctx, seen = context(tmp_path), []
    with heartbeat.listening(ctx.scratch, lambda progress, memory: seen.append(progress)):
        assert list(tracked(ctx, "abc", "letters")) == ["a", "b", "c"]
    assert seen == [(done, 3, "letters") for done in (0, 1, 2, 3)]
    with signals.handled():
        items = tracked(ctx, "abc")
        assert next(items) == "a"
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped, match="00/x stopped"):
            next(items)


@pytest.mark.parametrize("kind", list(Launch))
def test_progress_reaches_the_listener(tmp_path: Path, kind: Launch) -> None:
    events: list[Event] = []
    step = toy("00/x", stage="ticks", steps=6, sleep=0.3, calls=str(tmp_path / "calls"))
    execute(tmp_path / "run", [step], LaunchConfig(kind=kind), events.append)
    seen = [event for event in events if event.kind == "progress"]
    assert all(event.progress is not None and event.progress.total == 6 for event in seen)
    done = [event.progress.done for event in seen]
    assert len(done) >= 2
    assert done == sorted(set(done))
    assert seen[0].line() == f"[1/1] 00/x: {done[0]} of 6"
