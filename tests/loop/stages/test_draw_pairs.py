"""The oracle's cut-outs: flawless, framed like labels, others for every seed, none of the data set's own pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from loop.config.steps import DrawPairsStep
from loop.engine.stage import Context
from loop.pools import kept_files, read_index
from loop.stages import draw_pairs
from stylematte.data.drawn.dataset import draw, picture_seed
from stylematte.generators.chroma import Chroma, on_a_screen
from stylematte.imagefile import read_rgba
from stylemattegan.framing import frame_cutout


def made(folder: Path, seed: int, subject: str = "animal") -> list[dict]:
    for name in ("out", "scratch"):
        (folder / name).mkdir(parents=True)
    step = DrawPairsStep(1, "animals", subject, 32, 3)
    assert draw_pairs.run(Context({}, folder / "out", folder / "scratch", asdict(step), seed)) == {"count": 3}
    return read_index(folder / "out")


def test_they_are_drawn_and_framed(tmp_path: Path) -> None:
    rows = made(tmp_path, seed=5)
    assert [row["id"] for row in rows] == [f"01/animals/{n:06d}" for n in range(3)]
    for row, file in zip(rows, kept_files(tmp_path / "out"), strict=True):
        truth = draw("animal", row["seed"], 32)
        framed = frame_cutout(torch.cat([truth.foreground, truth.alpha]), 32)
        assert (read_rgba(file)[3] - framed[3]).abs().max() < 1 / 255


def test_no_seed_is_that_of_another_run_or_of_the_data(tmp_path: Path) -> None:
    seeds = [row["seed"] for run in (1, 2) for row in made(tmp_path / str(run), seed=run)]
    data = {picture_seed(1, "animals", split, n) for split in ("train", "heldout") for n in range(500)}
    assert len({*seeds}) == 6
    assert not data & {*seeds}


def test_keyed_ones_are_near_their_truth_but_not_equal(tmp_path: Path) -> None:
    for name in ("out", "scratch"):
        (tmp_path / name).mkdir()
    step = DrawPairsStep(1, "animals", "animal", 32, 3, keyed=True)
    draw_pairs.run(Context({}, tmp_path / "out", tmp_path / "scratch", asdict(step), 5))
    for row, file in zip(read_index(tmp_path / "out"), kept_files(tmp_path / "out"), strict=True):
        keyed = next(iter(Chroma(drawn="animal", size=32).sample(1, row["seed"]))).rgba
        assert (read_rgba(file)[3] - frame_cutout(keyed, 32)[3]).abs().max() < 1 / 255
        truth = on_a_screen("animal", row["seed"], 32)[1]
        assert 0 < (keyed[3:] - truth).abs().mean() < 0.02


def test_spoilt_ones_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    for name in ("out", "scratch"):
        (tmp_path / name).mkdir()
    step = DrawPairsStep(1, "animals", "animal", 32, 8, spoilt=True)
    draw_pairs.run(Context({}, tmp_path / "out", tmp_path / "scratch", asdict(step), 6))
    rows = read_index(tmp_path / "out")
    for row, file in zip(rows, kept_files(tmp_path / "out"), strict=True):
        truth = draw("animal", row["seed"], 32)
        framed = frame_cutout(torch.cat([truth.foreground, truth.alpha]), 32)[3]
        error = float((read_rgba(file)[3] - framed).abs().sum() / framed.sum())
        assert abs(error - row["error"]) < 0.01
        assert (error < 0.01) >= (not row["artefacts"])
    assert {len(row["artefacts"]) for row in rows} == {0, 1, 2}
