"""One stage: its key, its digest, its commit, and what a crash between two lines of the commit leaves."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from loop.engine.digest import UnusableFolder, plain
from loop.engine.stage import Context, StageError, StageRecord, Stopped, digest_folder, run_stage, stage_key
from loop.engine.step import Step

STEP = Step("01/d/label", "toy", 1, "d", {}, {"word": "a"}, seed=3, fit=False, version=1)


def writes(text: str, calls: list | None = None):
    def fn(ctx: Context) -> dict:
        if calls is not None:
            calls.append(ctx)
        (ctx.scratch / "checkpoint").write_text("at 5")
        (ctx.out / "text").write_text(text)
        return {"n": 1}

    return fn


def hidden(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "rounds" / "01" / "d").iterdir() if path.name.startswith("."))


def test_digest_is_the_hash_of_names_and_contents(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    one, two = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
    assert digest_folder(tmp_path) == hashlib.sha256(f"a\0{one}\nb/x\0{two}\n".encode()).hexdigest()
    before = digest_folder(tmp_path)
    (tmp_path / "stage.json").write_text("times differ")
    os.utime(tmp_path / "a", (0, 0))
    assert digest_folder(tmp_path) == before
    (tmp_path / "a").rename(tmp_path / "c")
    assert digest_folder(tmp_path) != before


def test_digest_refuses_links(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UnusableFolder, match="link: a result holds plain files only"):
        digest_folder(tmp_path)


def test_key_depends_on_everything_read_and_not_on_order():
    arguments = ("s", 1, {"a": 1, "b": (2, 3)}, {"x": "d1"}, 0)
    key = stage_key(*arguments)
    assert key == stage_key("s", 1, {"b": [2, 3], "a": 1}, {"x": "d1"}, 0)
    others = [("t", 1), ("s", 2)]
    keys = {stage_key(*head, *arguments[2:]) for head in others} | {
        stage_key("s", 1, {"a": 2, "b": (2, 3)}, {"x": "d1"}, 0),
        stage_key("s", 1, {"a": 1, "b": (2, 3)}, {"x": "d2"}, 0),
        stage_key("s", 1, {"a": 1, "b": (2, 3)}, {"y": "d1"}, 0),
        stage_key("s", 1, {"a": 1, "b": (2, 3)}, {"x": "d1"}, 1),
        key,
    }
    assert len(keys) == 7


def test_a_result_has_its_record_and_nothing_beside_it(tmp_path):
    record = run_stage(STEP, {}, tmp_path, writes("hello")).record
    folder = tmp_path / "rounds" / "01" / "d" / "label"
    assert (folder / "text").read_text() == "hello"
    assert StageRecord.load(folder) == record
    assert record.outputs == digest_folder(folder)
    assert (record.step, record.metrics, record.seed) == ("01/d/label", {"n": 1}, 3)
    assert hidden(tmp_path) == []


def test_the_same_key_is_not_done_twice(tmp_path):
    calls: list = []
    first = run_stage(STEP, {}, tmp_path, writes("x", calls)).record
    assert run_stage(STEP, {}, tmp_path, writes("y", calls)) == (first, "fresh")
    assert len(calls) == 1
    assert run_stage(replace(STEP, seed=4), {}, tmp_path, writes("y", calls)).record.key != first.key
    assert len(calls) == 2


def test_an_input_counts_by_its_digest(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "f").write_text("1")
    step = replace(STEP, inputs={"data": "source"})
    calls: list = []
    run_stage(step, {"data": source}, tmp_path, writes("x", calls))
    os.utime(source / "f", (0, 0))
    run_stage(step, {"data": source}, tmp_path, writes("x", calls))
    assert len(calls) == 1
    (source / "f").write_text("2")
    run_stage(step, {"data": source}, tmp_path, writes("x", calls))
    assert len(calls) == 2
    with pytest.raises(StageError, match=r"input data: .* is not there"):
        run_stage(step, {"data": tmp_path / "none"}, tmp_path, writes("x"))


def test_a_failure_keeps_scratch_and_the_previous_result(tmp_path):
    run_stage(STEP, {}, tmp_path, writes("old"))
    changed = replace(STEP, config={"word": "b"})

    def fails(ctx: Context) -> dict:
        writes("half")(ctx)
        raise Stopped("here")

    with pytest.raises(Stopped):
        run_stage(changed, {}, tmp_path, fails)
    assert (tmp_path / "rounds/01/d/label/text").read_text() == "old"
    (scratch,) = hidden(tmp_path)  # no half result
    assert len(scratch) == len(".label.9f3c21ab")

    def resumes(ctx: Context) -> dict:
        assert (ctx.scratch / "checkpoint").read_text() == "at 5"
        assert list(ctx.out.iterdir()) == []
        return writes("new")(ctx)

    run_stage(changed, {}, tmp_path, resumes)
    assert (tmp_path / "rounds/01/d/label/text").read_text() == "new"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("died_at", range(20))
def test_a_commit_that_dies_at_any_system_call_is_mended(tmp_path, monkeypatch, died_at):
    run_stage(STEP, {}, tmp_path, writes("old"))
    changed = replace(STEP, config={"word": "b"})
    folder = tmp_path / "rounds/01/d/label"
    count = iter(range(1000))

    class Died(BaseException):
        pass

    def deadly(function):
        def call(*arguments, **keywords):
            if next(count) >= died_at:  # the dead do not tidy up either
                raise Died
            return function(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "fsync", "unlink", "rmdir"):
            patch.setattr(os, name, deadly(getattr(os, name)))
        with suppress(Died):
            run_stage(changed, {}, tmp_path, writes("new"))
    assert not folder.exists() or StageRecord.load(folder).outputs == digest_folder(folder)
    run_stage(changed, {}, tmp_path, writes("new"))
    assert (folder / "text").read_text() == "new"
    assert hidden(tmp_path) == []


def test_a_stage_must_not_write_stage_json(tmp_path):
    def fn(ctx: Context) -> dict:
        (ctx.out / "stage.json").write_text("{}")
        return {}

    with pytest.raises(StageError, match=r"wrote stage.json itself"):
        run_stage(STEP, {}, tmp_path, fn)


def test_a_broken_record_is_said_and_made_again(tmp_path):
    run_stage(STEP, {}, tmp_path, writes("x"))
    (tmp_path / "rounds/01/d/label/stage.json").write_text("{")
    with pytest.raises(StageError, match=r"damaged .*moves .*label aside and makes it again"):
        StageRecord.load(tmp_path / "rounds/01/d/label")
    lines: list[str] = []
    assert run_stage(STEP, {}, tmp_path, writes("x"), tell=lines.append).how == "done"
    (line,) = lines
    assert line.endswith(f"moved to {tmp_path / 'kept/01/d/label/damaged-1'}")
    assert (tmp_path / "kept/01/d/label/damaged-1/stage.json").read_text() == "{"


def test_metrics_become_plain():
    numpy = pytest.importorskip("numpy")
    given = {"a": float("nan"), "b": numpy.float32(0.5), 3: (1, Path("p")), "t": True}
    assert plain(given) == {"a": None, "b": 0.5, "3": [1, "p"], "t": True}
    json.dumps(plain(given), allow_nan=False)


def test_context_gets_the_config_as_json_would_give_it(tmp_path):
    calls: list = []
    run_stage(replace(STEP, config={"psi": (0.5, 1.0)}), {}, tmp_path, writes("x", calls))
    assert calls[0].config == {"psi": [0.5, 1.0]}
    assert calls[0].is_first_rank
