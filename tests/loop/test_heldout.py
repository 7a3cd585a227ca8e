"""Which pictures a run held out: by the roots as `prepare` counts them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loop.config.load import load_config, to_yaml
from loop.runs.heldout import split_of
from stylematte.errors import ConfigError

TINY = Path(__file__).parents[2] / "configs" / "tiny.yaml"


def run_on(folder: Path, words: list[str], rows: list[dict]) -> Path:
    run = folder / "run"
    (run / "rounds/00/prepare").mkdir(parents=True)
    (run / "config.yaml").write_text(to_yaml(load_config(TINY, words, check=False)))
    (run / "rounds/00/prepare/index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def row(split: str, source: str, **root: int) -> dict:
    return {"split": split, "source": source, **root}


def test_backgrounds_are_a_root_of_their_own(tmp_path: Path) -> None:
    words = [f"data.root={tmp_path}/photos", f"data.backgrounds={tmp_path}/walls"]
    rows = [row("heldout", "photos/a.png", root=0), row("train", "photos/b.png", root=0)]
    run = run_on(tmp_path, words, [*rows, row("train", "walls/w.png", root=1)])
    for data in (None, tmp_path / "photos"):
        split = split_of(run, data)
        assert split is not None
        assert split.heldout == {tmp_path / "photos/a.png"}
        assert split.trained == {tmp_path / "photos/b.png"}


def test_one_root_and_none_of_the_run(tmp_path: Path) -> None:
    run = run_on(tmp_path, [f"data.root={tmp_path}/photos"], [row("heldout", "x/a.png")])
    split = split_of(run, None)
    assert split is not None
    assert split.heldout == {tmp_path / "photos/x/a.png"}
    assert split_of(run, tmp_path / "elsewhere") is None


def test_of_several_roots_one_has_to_be_named(tmp_path: Path) -> None:
    run = run_on(tmp_path, [f"data.root=[{tmp_path}/a, {tmp_path}/b]"], [row("heldout", "b/1.png", root=1)])
    with pytest.raises(ConfigError, match="has 2 data roots; give one by --data"):
        split_of(run, None)
    split = split_of(run, tmp_path / "b")
    assert split is not None
    assert split.heldout == {tmp_path / "b/1.png"}
