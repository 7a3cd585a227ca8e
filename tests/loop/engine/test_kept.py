"""A replaced result is kept and comes back without work, whatever moment a kill strikes; and gc removes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from loop.engine.commit import StepFolders
from loop.engine.digest import digest_folder
from loop.engine.execute import execute, freshness
from loop.engine.kept import kept, remove
from loop.engine.record import StageRecord
from loop.engine.stage import Context, Stopped, run_stage
from loop.engine.step import Step
from tests.loop.toy_run import INLINE, toy

OLD = Step("01/d/label", "toy", 1, "d", {}, {"word": "old"}, seed=3, fit=False, version=1)
NEW = replace(OLD, config={"word": "new"})


class Died(BaseException):
    pass


def write_word(ctx: Context) -> dict:
    (ctx.scratch / "checkpoint").write_text("at 5")
    (ctx.out / "text").write_text(ctx.config["word"])
    return {}


def never(ctx: Context) -> dict:
    raise AssertionError("the stage was run again")


def finished(run: Path) -> dict[str, str]:
    """The text of every complete result, wherever it lies -> its place; fails if one is there twice or damaged."""
    found: dict[str, str] = {}
    for file in run.rglob("stage.json"):
        record = StageRecord.load(file.parent)
        if record is None or "discarded" in str(file):
            continue
        assert record.outputs == digest_folder(file.parent)
        text = (file.parent / "text").read_text()
        assert text not in found, f"{text} is there twice"
        found[text] = file.parent.relative_to(run).as_posix()
    return found


def hidden(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "rounds/01/d").iterdir() if path.name.startswith("."))


def test_the_replaced_result_is_kept_and_comes_back(tmp_path: Path) -> None:
    old = run_stage(OLD, {}, tmp_path, write_word).record
    new = run_stage(NEW, {}, tmp_path, write_word).record
    assert finished(tmp_path) == {"new": "rounds/01/d/label", "old": f"kept/01/d/label/{old.key[:8]}"}
    assert run_stage(OLD, {}, tmp_path, never) == (old, "restored")
    assert finished(tmp_path) == {"old": "rounds/01/d/label", "new": f"kept/01/d/label/{new.key[:8]}"}
    assert run_stage(OLD, {}, tmp_path, never) == (old, "fresh")
    assert run_stage(NEW, {}, tmp_path, never) == (new, "restored")
    assert hidden(tmp_path) == []


def killed_at(monkeypatch: pytest.MonkeyPatch, call: int, work: Callable[[], object]) -> bool:
    """Do `work`, which dies at its system call number `call` that changes the disk; whether it got so far."""
    made = iter(range(1000))
    died = False

    def deadly(function):
        def instead(*arguments, **keywords):
            nonlocal died
            if next(made) >= call:  # the dead do not tidy up either
                died = True
                raise Died
            return function(*arguments, **keywords)

        return instead

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "fsync", "unlink", "rmdir", "mkdir", "link"):
            patch.setattr(os, name, deadly(getattr(os, name)))
        with suppress(Died):
            work()
    return died


@pytest.mark.parametrize("call", range(32))
@pytest.mark.parametrize("after", [OLD, NEW])
def test_killed_amid_a_commit_no_result_is_lost(tmp_path, monkeypatch, call: int, after: Step) -> None:
    run_stage(OLD, {}, tmp_path, write_word)
    killed_at(monkeypatch, call, lambda: run_stage(NEW, {}, tmp_path, write_word))
    before = finished(tmp_path)
    assert "old" in before
    run_stage(after, {}, tmp_path, write_word)
    now = finished(tmp_path)
    assert now[after.config["word"]] == "rounds/01/d/label"
    assert before.keys() <= now.keys()
    assert run_stage(OLD, {}, tmp_path, never).record.config == {"word": "old"}


@pytest.mark.parametrize("call", range(20))
def test_killed_amid_a_restore_no_result_is_lost(tmp_path, monkeypatch, call: int) -> None:
    run_stage(OLD, {}, tmp_path, write_word)
    run_stage(NEW, {}, tmp_path, write_word)
    killed_at(monkeypatch, call, lambda: run_stage(OLD, {}, tmp_path, never))
    assert finished(tmp_path).keys() == {"old", "new"}
    for step in (NEW, OLD):
        run_stage(step, {}, tmp_path, never)
        assert finished(tmp_path)[step.config["word"]] == "rounds/01/d/label"
    assert hidden(tmp_path) == []


def test_the_last_system_calls_of_these_kills_are_past_the_end(tmp_path, monkeypatch) -> None:
    run_stage(OLD, {}, tmp_path, write_word)
    assert killed_at(monkeypatch, 10, lambda: run_stage(NEW, {}, tmp_path, write_word))
    run_stage(OLD, {}, tmp_path, write_word)
    assert not killed_at(monkeypatch, 31, lambda: run_stage(replace(OLD, seed=9), {}, tmp_path, write_word))
    assert not killed_at(monkeypatch, 19, lambda: run_stage(OLD, {}, tmp_path, never))


def test_a_checkpoint_of_other_options_stays_until_gc(tmp_path: Path) -> None:
    def stops(ctx: Context) -> dict:
        (ctx.scratch / "last.ckpt").write_text("an hour of work")
        raise Stopped("here")

    with pytest.raises(Stopped):
        run_stage(OLD, {}, tmp_path, stops)
    (scratch,) = hidden(tmp_path)
    run_stage(NEW, {}, tmp_path, write_word)
    assert hidden(tmp_path) == [scratch]
    (found,) = kept(tmp_path, [NEW])
    assert (found.step, found.kind, found.bytes) == ("01/d/label", "unfinished", len("an hour of work"))
    assert kept(tmp_path, [OLD]) == [], "what the plan goes on with is not for gc"
    remove(tmp_path, [found])
    assert hidden(tmp_path) == []
    assert finished(tmp_path) == {"new": "rounds/01/d/label"}


def test_scratch_without_anything_of_the_stage_goes(tmp_path: Path) -> None:
    run_stage(OLD, {}, tmp_path, write_word)
    folders = StepFolders(tmp_path, OLD.id, "0" * 64)
    folders.open()
    (folders.scratch / "launch").mkdir()
    (folders.scratch / "launch" / "heartbeat").touch()
    run_stage(NEW, {}, tmp_path, write_word)
    assert hidden(tmp_path) == []


def test_gc_lists_what_it_removes(tmp_path: Path) -> None:
    old = run_stage(OLD, {}, tmp_path, write_word).record
    run_stage(NEW, {}, tmp_path, write_word)
    (found,) = kept(tmp_path, [NEW])
    assert (found.step, found.key, found.kind) == ("01/d/label", old.key[:8], "result")
    assert (found.finished, found.seconds) == (old.finished, old.seconds)
    assert found.bytes == sum(file.stat().st_size for file in found.path.iterdir())
    remove(tmp_path, [found])
    assert not (tmp_path / "kept").exists()
    assert kept(tmp_path, [NEW]) == []


@pytest.mark.parametrize("call", range(8))
def test_a_killed_gc_leaves_no_half_of_a_result(tmp_path, monkeypatch, call: int) -> None:
    run_stage(OLD, {}, tmp_path, write_word)
    run_stage(NEW, {}, tmp_path, write_word)
    killed_at(monkeypatch, call, lambda: remove(tmp_path, kept(tmp_path, [NEW])))
    assert finished(tmp_path).keys() >= {"new"}
    result = run_stage(OLD, {}, tmp_path, write_word)
    assert result.record.outputs == digest_folder(tmp_path / "rounds/01/d/label")
    remove(tmp_path, kept(tmp_path, [OLD]))
    assert not (tmp_path / "kept").exists()


def test_a_kept_result_with_the_bytes_of_the_present_one_takes_no_disk(tmp_path: Path) -> None:
    def same(ctx: Context) -> dict:
        (ctx.out / "inner").mkdir()
        (ctx.out / "inner" / "picture").write_bytes(b"x" * 1000)
        return {}

    run_stage(OLD, {}, tmp_path, same)
    run_stage(NEW, {}, tmp_path, same)
    (found,) = kept(tmp_path, [NEW])
    record = (found.path / "stage.json").stat().st_size
    assert found.bytes == record, "only the record is its own"
    assert os.path.samefile(found.path / "inner/picture", tmp_path / "rounds/01/d/label/inner/picture")
    assert StageRecord.load(found.path).outputs == digest_folder(found.path)
    assert run_stage(OLD, {}, tmp_path, never).how == "restored"
    (other,) = kept(tmp_path, [OLD])
    assert other.bytes == (other.path / "stage.json").stat().st_size
    remove(tmp_path, kept(tmp_path, [OLD]))
    assert (tmp_path / "rounds/01/d/label/inner/picture").read_bytes() == b"x" * 1000
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("call", range(12, 40, 2))
def test_killed_while_files_are_shared_nothing_is_lost(tmp_path, monkeypatch, call: int) -> None:
    def same(ctx: Context) -> dict:
        for name in "abc":
            (ctx.out / name).write_text(name)
        return {}

    run_stage(OLD, {}, tmp_path, same)
    killed_at(monkeypatch, call, lambda: run_stage(NEW, {}, tmp_path, same))
    assert run_stage(OLD, {}, tmp_path, never).record.config == {"word": "old"}
    assert run_stage(NEW, {}, tmp_path, same).record.outputs == digest_folder(tmp_path / "rounds/01/d/label")
    for one in kept(tmp_path, [NEW]):
        assert StageRecord.load(one.path).outputs == digest_folder(one.path)
    assert hidden(tmp_path) == []


def test_back_to_the_old_options_brings_every_step_back(tmp_path: Path) -> None:
    run, note = tmp_path / "run", tmp_path / "calls"

    def steps(word: str) -> list[Step]:
        return [
            toy("00/a", calls=str(note), word=word),
            toy("00/b", {"x": "00/a"}, calls=str(note)),
            toy("00/c", {"x": "00/b"}, calls=str(note)),
        ]

    first = execute(run, steps("one"), INLINE)
    execute(run, steps("two"), INLINE)
    assert [state for _, state, _ in freshness(run, steps("one"))] == ["kept", "kept", "kept"]
    note.unlink()
    events: list[str] = []
    assert execute(run, steps("one"), INLINE, lambda event: events.append(event.line())) == first
    assert not note.exists(), "a stage was run"
    assert events[0] == f"[1/3] 00/a: its earlier result is back (finished {first[0].finished})"
    assert (run / "rounds/00/c/text").read_text().strip() == "one"
    assert len(list(run.glob("kept/00/?/*/stage.json"))) == 3
