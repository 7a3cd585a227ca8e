"""What is at stake when options change: seconds of results that would be made again, and nothing else."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from loop.engine import consent
from loop.engine.execute import execute
from loop.engine.record import StageRecord
from loop.engine.step import Step
from tests.loop.toy_run import INLINE, toy

SECONDS = {"00/a": 10.0, "00/b": 200.0, "00/c": 3000.0, "00/d": 7.0}


@pytest.fixture
def steps(tmp_path: Path) -> list[Step]:
    calls = str(tmp_path / "calls")
    return [
        toy("00/a", calls=calls, word="a"),
        toy("00/b", {"x": "00/a"}, calls=calls, word="b"),
        toy("00/c", {"x": "00/b"}, calls=calls),
        toy("00/d", {"x": "00/a"}, calls=calls),
    ]


@pytest.fixture
def run(tmp_path: Path, steps: list[Step]) -> Path:
    """A finished run whose steps say that they took SECONDS."""
    execute(tmp_path / "run", steps, INLINE)
    for id_, seconds in SECONDS.items():
        file = tmp_path / "run/rounds" / id_ / "stage.json"
        file.write_text(json.dumps(replace(StageRecord.load(file.parent), seconds=seconds).to_json()))
    return tmp_path / "run"


def with_word(steps: list[Step], place: int, word: str) -> list[Step]:
    changed = replace(steps[place], config={**steps[place].config, "word": word})
    return [*steps[:place], changed, *steps[place + 1 :]]


def seconds(run: Path, steps: list[Step]) -> dict[str, float]:
    return {one.step.id: one.seconds for one in consent.at_stake(run, steps)}


def test_a_changed_option_puts_its_step_and_those_behind_at_stake(run: Path, steps: list[Step]) -> None:
    assert seconds(run, steps) == {}
    changed = with_word(steps, 1, "B")
    assert seconds(run, changed) == {"00/b": 200.0, "00/c": 3000.0}
    assert [one.reason for one in consent.at_stake(run, changed)] == ["word: b -> B", "after 00/b"]
    newer = [replace(steps[0], version=2), *steps[1:]]
    assert seconds(run, newer) == SECONDS


def test_a_new_step_costs_nothing(run: Path, steps: list[Step], tmp_path: Path) -> None:
    more = [*steps, toy("01/a", {"x": "00/c"}, calls=str(tmp_path / "calls"))]
    assert seconds(run, more) == {}


def test_what_a_kept_result_satisfies_is_not_at_stake(run: Path, steps: list[Step]) -> None:
    changed = with_word(steps, 1, "B")
    execute(run, changed, INLINE)
    assert seconds(run, steps) == {}
    third = with_word(steps, 1, "3")
    assert seconds(run, third).keys() == {"00/b", "00/c"}


def test_behind_a_missing_step_only_what_has_changed_itself_is_at_stake(run: Path, steps: list[Step]) -> None:
    shutil.rmtree(run / "rounds/00/a")
    assert seconds(run, steps) == {}
    assert seconds(run, with_word(steps, 1, "B")) == {"00/b": 200.0, "00/c": 3000.0}


def test_consent_is_for_one_plan_and_lasts_until_it_is_withdrawn(run: Path, steps: list[Step]) -> None:
    changed = with_word(steps, 1, "B")
    assert not consent.is_given(run, changed)
    consent.give(run, changed)
    assert consent.is_given(run, changed)
    assert not consent.is_given(run, with_word(steps, 1, "C"))
    consent.withdraw(run)
    consent.withdraw(run)
    assert not consent.is_given(run, changed)
