"""Runs that share a folder make each result once; what is taken over is read first, and a killed maker is no loss."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from loop.engine.record import StageRecord
from loop.engine.stage import Context, run_stage
from loop.engine.step import Step

ROOT = Path(__file__).parents[3]
STEP = Step("01/d/label", "toy", 1, "d", {}, {"word": "one"}, seed=3, fit=False, version=1)
IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from loop.engine.execute import execute
from tests.loop.toy_run import INLINE, toy
run, calls, shared = map(Path, sys.argv[1:])
step = toy("00/prepare", word="w", calls=str(calls), sleep=1.0)
execute(run, [step], INLINE, lambda event: print(event.line(), flush=True), shared=shared)
"""


def write_word(ctx: Context) -> dict:
    (ctx.out / "part").mkdir()
    (ctx.out / "part" / "text").write_text(ctx.config["word"])
    return {"letters": len(ctx.config["word"])}


def never(ctx: Context) -> dict:
    raise AssertionError("the stage was run again")


def test_a_second_run_takes_over_what_the_first_has_made(tmp_path: Path) -> None:
    one, two, shared = tmp_path / "one", tmp_path / "two", tmp_path / "shared"
    made = run_stage(STEP, {}, one, write_word, shared=shared)
    taken = run_stage(STEP, {}, two, never, shared=shared)
    assert (made.how, taken.how) == ("done", "shared")
    assert taken.record == made.record == StageRecord.load(two / "rounds/01/d/label")
    files = [run / "rounds/01/d/label/part/text" for run in (one, two)]
    assert os.path.samefile(*files), "copied, not linked"
    assert run_stage(STEP, {}, two, never, shared=shared).how == "fresh"
    assert not [path for path in (two / "rounds/01/d").iterdir() if path.name.startswith(".")]


def test_another_seed_or_configuration_is_another_result(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    run_stage(STEP, {}, tmp_path / "one", write_word, shared=shared)
    assert run_stage(replace(STEP, seed=4), {}, tmp_path / "two", write_word, shared=shared).how == "done"
    other = replace(STEP, config={"word": "other"})
    assert run_stage(other, {}, tmp_path / "three", write_word, shared=shared).how == "done"


def test_what_lay_in_a_run_before_is_shared_too(tmp_path: Path) -> None:
    """As after a kill between the commit and the sharing."""
    shared = tmp_path / "shared"
    run_stage(STEP, {}, tmp_path / "one", write_word)
    assert run_stage(STEP, {}, tmp_path / "one", never, shared=shared).how == "fresh"
    assert run_stage(STEP, {}, tmp_path / "two", never, shared=shared).how == "shared"


def test_a_damaged_shared_result_is_not_taken_over(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    key = run_stage(STEP, {}, tmp_path / "one", write_word, shared=shared).record.key
    text = shared / key / "part" / "text"
    text.unlink()
    text.write_text("two")
    assert run_stage(STEP, {}, tmp_path / "two", write_word, shared=shared).how == "done"
    assert text.read_text() == "one", "the sound one takes the damaged one's place"


def test_a_killed_taker_leaves_the_shared_result_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    run_stage(STEP, {}, tmp_path / "one", write_word, shared=shared)
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_stage(STEP, {}, tmp_path / "two", never, shared=shared)
    assert run_stage(STEP, {}, tmp_path / "two", never, shared=shared).how in {"shared", "restored"}


def start(tmp_path: Path, name: str) -> subprocess.Popen[str]:
    places = [str(tmp_path / each) for each in (name, "calls", "shared")]
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, *places]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for_call(tmp_path: Path) -> None:
    until = time.monotonic() + 60
    while not (tmp_path / "calls").is_file():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_of_two_at_once_one_makes_and_one_waits(tmp_path: Path) -> None:
    first = start(tmp_path, "one")
    wait_for_call(tmp_path)
    second = start(tmp_path, "two")
    printed = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert (tmp_path / "calls").read_text() == "00/prepare\n"
    assert "done in" in printed[0]
    assert "taken over from another run" in printed[1]


def test_who_waits_goes_on_when_the_maker_is_killed(tmp_path: Path) -> None:
    first = start(tmp_path, "one")
    wait_for_call(tmp_path)
    second = start(tmp_path, "two")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    printed = second.communicate(timeout=120)[0]
    assert "done in" in printed
    assert (tmp_path / "two/rounds/00/prepare/stage.json").is_file()
