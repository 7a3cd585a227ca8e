"""What `run` prints of a step that fails: the end of its log, so that nobody has to look for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from loop.cli.announce import Announcer
from loop.engine.config import Launch, LaunchConfig
from loop.engine.execute import execute
from loop.engine.launchers import watch
from loop.engine.stage import StageFailed
from tests.loop.toy_run import toy


def failing(run: Path, how: str, **settings: object) -> None:
    launch = LaunchConfig(kind=Launch.torchrun, retries=0, stop_grace=1.0, **settings)  # type: ignore[arg-type]
    with pytest.raises(StageFailed), Announcer() as announce:
        execute(run, [toy("00/x", stage="trouble", how=how, times=9)], launch, announce)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().err.splitlines()
    start = lines.index("[1/1] 00/x: failed") + 1
    return lines[start:]


def test_the_end_of_the_log_follows_the_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failing(tmp_path, "fail")
    tail = printed(capsys)
    assert tail[-1] == "    RuntimeError: out of luck"
    assert 3 < len(tail) <= 15
    assert all(line.startswith("    ") for line in tail)


def test_a_hung_stage_shows_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "HANG_GRACE", 0.3)
    failing(tmp_path, "hang", heartbeat_timeout=1.0)
    tail = printed(capsys)
    assert len(tail) <= 15
    assert any("_go_wrong" in line for line in tail)


def test_a_wrong_input_is_said_in_one_line_by_the_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failing(tmp_path, "wrong")
    assert printed(capsys) == []
