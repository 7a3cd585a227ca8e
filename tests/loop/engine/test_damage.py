"""A flipped bit, noise, a file where a folder belongs: found before use, said in one line, made again, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from loop.engine.damage import damage, problem
from loop.engine.digest_cache import CACHE
from loop.engine.execute import Event, execute
from loop.engine.files import bytes_below
from loop.engine.freshness import freshness
from loop.engine.kept import kept
from loop.engine.record import StageError, StageRecord
from loop.engine.stage import Context, Damaged, run_stage
from loop.engine.step import Step
from tests.loop.toy_run import INLINE, toy

STEP = Step("01/d/label", "toy", 1, "d", {}, {"word": "a"}, seed=3, fit=False, version=1)


def flip(path: Path, at: float = 0.5, keep_time: bool = False) -> None:
    """One bit, at a share of the file, a second after it was written: some clocks of files tick every 4 ms."""
    data, info = bytearray(path.read_bytes()), path.stat()
    data[int(at * (len(data) - 1))] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + (0 if keep_time else 10**9)))


def writes(ctx: Context) -> dict:
    (ctx.out / "text").write_text("some text")
    (ctx.out / "inner").mkdir()
    (ctx.out / "inner/more").write_text("and more")
    return {"n": 1, "SAD": {"a": 0.25}}


def plan(calls: Path) -> list[Step]:
    return [
        toy("00/prepare", word="w", calls=str(calls)),
        toy("00/fit", {"data": "00/prepare"}, calls=str(calls)),
        toy("00/accept", {"fit": "00/fit", "data": "00/prepare"}, calls=str(calls)),
    ]


def at_work(run: Path, steps: list[Step]) -> list[str]:
    lines: list[str] = []

    def hear(event: Event) -> None:
        if event.kind in {"warning", "done", "restored"}:
            lines.append(f"{event.step.id} {event.kind}")

    execute(run, steps, INLINE, hear)
    return lines


def test_what_a_record_says_cannot_change_by_a_bit(tmp_path: Path) -> None:
    """Wherever the bit is, the record is refused, or the same (a changed blank, or the name of the digest itself)."""
    run_stage(STEP, {}, tmp_path, writes)
    folder = tmp_path / "rounds/01/d/label"
    whole, good = (folder / "stage.json").read_bytes(), StageRecord.load(folder)
    refused = 0
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << (place % 7)
        (folder / "stage.json").write_bytes(data)
        said = problem(tmp_path, folder)
        refused += said.startswith("damaged: stage.json, ") and "\n" not in said
        assert said or StageRecord.load(folder) == good
    assert refused > 0.8 * len(whole)


@pytest.mark.parametrize("text", ["[]", "null", "3", "", '{"key": 1}', '{"key": "a", "metrics": []}', "\x00\x01"])
def test_a_record_of_another_shape_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "stage.json").write_text(text)
    with pytest.raises(StageError, match=r"stage.json is damaged"):
        StageRecord.load(tmp_path)


def test_a_record_without_a_digest_is_of_an_earlier_version(tmp_path: Path) -> None:
    record = run_stage(STEP, {}, tmp_path, writes).record
    path = tmp_path / "rounds/01/d/label/stage.json"
    read = json.loads(path.read_text())
    del read["digest"]
    path.write_text(json.dumps(read))
    assert StageRecord.load(path.parent) == record


def test_a_result_that_was_read_in_full_is_looked_at_by_size_and_time(tmp_path: Path) -> None:
    record = run_stage(STEP, {}, tmp_path, writes).record
    folder = tmp_path / "rounds/01/d/label"
    flip(folder / "inner/more", keep_time=True)
    assert damage(tmp_path, folder, record) == ""
    wrong = "damaged: its files are not those that were made"
    assert damage(tmp_path, folder, record, full=True) == wrong
    assert damage(tmp_path, folder, record) == wrong  # it is known now
    flip(folder / "inner/more")
    assert damage(tmp_path, folder, record) == ""
    (tmp_path / CACHE).write_text("noise")
    assert damage(tmp_path, folder, record) == ""
    (folder / "text").unlink()
    assert damage(tmp_path, folder, record) == wrong


def test_a_kept_result_that_is_taken_while_it_is_read_is_no_longer_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step beside this one brings it back; what is in its place is found at the next look."""
    run, steps = tmp_path / "run", plan(tmp_path / "calls")
    at_work(run, steps)
    monkeypatch.setattr("loop.engine.freshness.damage", lambda run, folder, record: str(os.stat(run / "none")))
    assert freshness(run, steps)[0].state == "missing"


def test_bytes_below_are_those_of_files_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/text").write_text("four")
    (tmp_path / "more").write_text("seven77")
    (tmp_path / "link").symlink_to(tmp_path / "more")
    assert bytes_below(tmp_path) == 4 + 7
    monkeypatch.setattr(os, "walk", lambda folder: [(folder, ["gone"], ["more", "gone too"])])
    assert bytes_below(tmp_path) == 7


@pytest.mark.parametrize("file", ["text", "stage.json"])
@pytest.mark.parametrize("step", ["00/prepare", "00/fit", "00/accept"])
def test_a_damaged_result_is_said_kept_and_made_again(tmp_path: Path, step: str, file: str) -> None:
    run, steps = tmp_path / "run", plan(tmp_path / "calls")
    at_work(run, steps)
    whole = (run / "rounds" / step / "text").read_bytes()
    flip(run / "rounds" / step / file)
    assert {found.step.id: found.state for found in freshness(run, steps)}[step] == "damaged"
    assert at_work(run, steps) == [f"{step} warning", f"{step} done"]
    assert (run / "rounds" / step / "text").read_bytes() == whole
    (aside,) = kept(run, steps)
    assert (aside.step, aside.key, aside.path) == (step, "damaged-1", run / "kept" / step / "damaged-1")
    assert all(found.state == "fresh" for found in freshness(run, steps))


def test_an_input_is_read_in_full_before_a_stage_uses_it(tmp_path: Path) -> None:
    run, steps = tmp_path / "run", plan(tmp_path / "calls")
    at_work(run, steps)
    flip(run / "rounds/00/fit/text", keep_time=True)
    assert at_work(run, steps) == []  # nothing reads it
    changed = [*steps[:2], replace(steps[2], seed=99)]
    with pytest.raises(Damaged, match=r"^input fit: .*rounds/00/fit is damaged: .* the same command .* makes it again"):
        at_work(run, changed)
    assert at_work(run, changed) == ["00/fit warning", "00/fit done", "00/accept done"]


def test_a_damaged_kept_result_does_not_come_back(tmp_path: Path) -> None:
    run, steps = tmp_path / "run", plan(tmp_path / "calls")
    at_work(run, steps)
    changed = [*steps[:2], replace(steps[2], seed=99)]
    at_work(run, changed)
    (before,) = kept(run, changed)
    flip(before.path / "text", keep_time=True)
    assert at_work(run, steps) == ["00/accept warning", "00/accept done"]
    assert "damaged-1" in {one.key for one in kept(run, steps)}
    assert at_work(run, changed) == ["00/accept restored"]


def test_a_good_result_is_not_dropped_for_a_damaged_one_with_its_key(tmp_path: Path) -> None:
    run_stage(STEP, {}, tmp_path, writes)
    final = tmp_path / "rounds/01/d/label"
    key = StageRecord.load(final).key[:8]
    shutil.copytree(final, tmp_path / "kept/01/d/label" / key)
    (tmp_path / "kept/01/d/label" / key / "text").write_text("noise")
    run_stage(replace(STEP, seed=4), {}, tmp_path, writes)
    assert (tmp_path / "kept/01/d/label" / key / "text").read_text() == "some text"
    assert (tmp_path / "kept/01/d/label/damaged-1/text").read_text() == "noise"


@pytest.mark.parametrize("name", ["label", ".label.KEY", ".label.KEY/launch", ".label.KEY.out", ".label.discarded"])
def test_a_file_where_a_folder_belongs_is_moved(tmp_path: Path, name: str) -> None:
    key = run_stage(STEP, {}, tmp_path / "other", writes).record.key[:8]
    path = tmp_path / "rounds/01/d" / name.replace("KEY", key)
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    lines: list[str] = []
    assert run_stage(STEP, {}, tmp_path, writes, tell=lines.append).how == "done"
    aside = tmp_path / "kept/01/d/label/damaged-1" / path.name
    assert lines == [f"{path} was a file where a folder belongs: moved to {aside.parent}"]
    assert aside.read_text() == "mine"
    assert run_stage(STEP, {}, tmp_path, writes, tell=lines.append).how == "fresh"


@pytest.mark.parametrize("name", ["rounds", "rounds/01", "rounds/01/d", "kept/01"])
def test_a_file_above_the_results_is_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    with pytest.raises(StageError, match=r"a file where the run has a folder; move it away"):
        run_stage(STEP, {}, tmp_path, writes)
    assert path.read_text() == "mine"
