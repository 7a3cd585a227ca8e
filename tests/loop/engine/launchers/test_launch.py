"""Stages in processes of their own: results, crashes, hangs, retries, logs; one real torchrun."""

from __future__ import annotations

import json

import pytest

from loop.cli.exit_codes import exit_code
from loop.engine.config import Launch, LaunchConfig
from loop.engine.execute import execute
from loop.engine.launchers import watch
from loop.engine.stage import StageFailed
from tests.loop.toy_run import toy


def settings(**changes) -> LaunchConfig:
    return LaunchConfig(**{"kind": Launch.torchrun, "heartbeat_timeout": 120.0, "stop_grace": 1.0, **changes})


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(watch, "BACKOFF", 0.05)


def trouble(how: str, times: int):
    return [toy("00/x", stage="trouble", how=how, times=times)]


def test_a_child_gives_the_same_result_as_inline(tmp_path):
    steps = [
        toy("00/a", calls=str(tmp_path / "calls"), word="a"),
        toy("00/b", {"x": "00/a"}, calls=str(tmp_path / "calls")),
    ]
    child = execute(tmp_path / "child", steps, settings())
    inline = execute(tmp_path / "inline", steps, LaunchConfig())
    assert [(r.key, r.outputs, r.metrics) for r in child] == [(r.key, r.outputs, r.metrics) for r in inline]


def test_a_crash_is_tried_again_and_a_good_exit_code_is_not_believed(tmp_path):
    events = []
    (record,) = execute(tmp_path, trouble("crash", 2), settings(retries=2), events.append)
    assert record.metrics == {"tries": 3}
    assert [event.kind for event in events] == ["start", "retry", "retry", "done"]
    assert "attempt 2 of 3" in events[1].text
    assert sorted(path.name for path in (tmp_path / "rounds/00/x").iterdir()) == ["stage.json", "text"]


def test_retries_end_with_one_line(tmp_path):
    events = []
    with pytest.raises(StageFailed) as caught:
        execute(tmp_path, trouble("fail", 9), settings(retries=1), events.append)
    text = str(caught.value)
    assert "\n" not in text
    for part in ("00/x failed (RuntimeError: out of luck)", str(tmp_path / "logs" / "00-x.log"), "to go on: "):
        assert part in text
    assert (tmp_path / "logs/00-x.log").read_text().count("about to fail") == 2
    assert "RuntimeError: out of luck" in events[-1].text
    assert events[-1].kind == "failed"


@pytest.mark.parametrize("kind", list(Launch))
def test_a_wrong_input_is_not_tried_again(tmp_path, kind):
    with pytest.raises(StageFailed, match=r"BadData: photo\.png is empty: replace it") as caught:
        execute(tmp_path, trouble("wrong", 9), settings(kind=kind, retries=5))
    assert caught.value.kinds[0].endswith("trouble.BadData")
    assert exit_code(caught.value) == 3
    assert "BadData" in (tmp_path / "logs/00-x.log").read_text()
    (scratch,) = (tmp_path / "rounds/00").glob(".x.????????")
    assert (scratch / "tries").read_text() == "x"


def test_a_silent_stage_is_ended_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "HANG_GRACE", 0.3)
    events = []
    (record,) = execute(tmp_path, trouble("hang", 1), settings(heartbeat_timeout=1.0), events.append)
    assert record.metrics == {"tries": 2}
    assert "no heartbeat for 1 s" in events[1].text
    assert "_go_wrong" in (tmp_path / "logs/00-x.log").read_text()  # where it hung


def test_two_ranks_under_torchrun(tmp_path):
    step = toy("00/fit", stage="ticks", fit=True, steps=3, sleep=0.01, calls=str(tmp_path / "calls"))
    (record,) = execute(tmp_path / "run", [step], settings(devices=2))
    (alone,) = execute(tmp_path / "alone", [step], LaunchConfig())
    assert record.metrics["world"] == 2
    assert (record.key, record.outputs) == (alone.key, alone.outputs)
    assert not list((tmp_path / "run/rounds/00").glob(".*"))
    rows = json.loads((tmp_path / "run/manifest.json").read_text())["steps"]
    assert rows[0]["state"] == "fresh"
