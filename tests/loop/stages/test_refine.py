"""Pools refined before a generator or `select` reads them: what is mended, what is refused, what goes on as it is."""

from __future__ import annotations

import json
import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from loop.config.steps import RefineStep
from loop.engine.digest import RECORD
from loop.engine.stage import Context, run_stage
from loop.engine.step import Step
from loop.pools import Row, read_index, write_index
from loop.stages import refine_cutouts, refine_pairs
from stylematte.imagefile import read_rgba, write_rgba
from stylematte.refine.artefacts import glass, specks
from stylematte.refine.rules import RefineRules
from tests.stylematte.test_refine import figure


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A pool of a true cut-out, a spoilt one, one of glass, and one that was refused before."""
    rng, alpha = np.random.default_rng(0), figure()
    pictures = {"true": alpha, "specks": specks(alpha, rng), "glass": glass(alpha, rng), "refused": alpha}
    rows: list[Row] = []
    for name, picture in pictures.items():
        kind, kept = "alpha" if name == "true" else "none", name != "refused"
        rows.append({"id": name, "rgba": f"rgba/{name}.png", "kind": kind, "kept": kept, "reason": None})
        if kept:
            plane = torch.from_numpy(picture)[None].float()
            write_rgba(tmp_path / "pool" / rows[-1]["rgba"], torch.cat([plane.expand(3, -1, -1), plane]))
    write_index(tmp_path / "pool", rows)
    for name in ("out", "scratch"):
        (tmp_path / name).mkdir()
    inputs = {"pool": tmp_path / "pool", "labels": tmp_path / "pool"}
    return Context(inputs, tmp_path / "out", tmp_path / "scratch", asdict(RefineStep(RefineRules())), 0)


def test_what_is_mended_is_kept_and_glass_is_refused(context: Context) -> None:
    metrics = refine_pairs.run(context)
    assert (metrics["candidates"], metrics["kept"], metrics["refused"]) == (3, 2, {"glass": 1})
    rows = {row["id"]: row for row in read_index(context.out)}
    assert [rows[name]["kept"] for name in ("true", "specks", "glass", "refused")] == [True, True, False, False]
    assert rows["glass"]["reason"].endswith("of what is seen is translucent")
    refined = read_rgba(context.out / "rgba/specks.png")[3]
    assert (refined - torch.from_numpy(figure())).abs().max() < 0.05
    assert (context.out / "sheet.png").is_file()
    assert (context.out / "rgba/glass.png").is_file()  # whoever doubts the reason finds the picture


def test_true_alphas_reach_the_generator_as_they_are(context: Context) -> None:
    assert refine_cutouts.run(context)["candidates"] == 2
    before, after = (read_rgba(folder / "rgba/true.png") for folder in (context.inputs["labels"], context.out))
    assert torch.equal(before, after)
    assert "figures" not in read_index(context.out)[0]


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "its first picture": lambda out: (out / "rgba/00.png").exists(),
    "amid its pictures": lambda out: (out / "rgba/07.png").exists(),
    "its index": lambda out: (out / "index.jsonl").exists(),
    "its contact sheet": lambda out: (out / "sheet.png").exists(),
    "its record": lambda out: (out / RECORD).exists() or (out.parent / out.name.split(".")[1]).exists(),
}


def make(run: Path, stage: ModuleType, name: str, pool: Path) -> None:
    room = stage.__name__.rpartition(".")[2]
    config = asdict(RefineStep(RefineRules()))
    step = Step(f"01/cats/{room}", room, 1, "cats", {name: "01/cats/pool"}, config, seed=0, fit=False, version=1)
    run_stage(step, {name: pool}, run, stage.run)


@pytest.mark.parametrize(("stage", "name"), [(refine_pairs, "pool"), (refine_cutouts, "labels")])
def test_killed_at_any_moment_it_ends_with_the_same_files(stage: ModuleType, name: str, tmp_path: Path) -> None:
    pool, rng = tmp_path / "pool", np.random.default_rng(0)
    ids = [f"{number:02d}" for number in range(12)]
    for number, id_ in enumerate(ids):
        plane = torch.from_numpy((glass if number % 5 == 4 else specks)(figure()[::2, ::2], rng))[None].float()
        write_rgba(pool / f"rgba/{id_}.png", torch.cat([plane.expand(3, -1, -1), plane]))
    write_index(pool, [{"id": i, "rgba": f"rgba/{i}.png", "kind": "none", "kept": True, "reason": None} for i in ids])
    make(tmp_path / "unbroken", stage, name, pool)
    kills = 0
    for moment, reached in MOMENTS.items():
        run = tmp_path / moment
        process = multiprocessing.get_context("fork").Process(target=make, args=(run, stage, name, pool))
        process.start()
        while process.is_alive() and not any(reached(out) for out in run.glob("rounds/01/cats/.*.out")):
            time.sleep(0.0001)
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        for result in run.glob("rounds/01/cats/[!.]*"):
            assert (result / RECORD).is_file(), "half a result has a result's name"
        make(run, stage, name, pool)
        assert files(run) == files(tmp_path / "unbroken"), moment
        (result,) = (run / "rounds/01/cats").iterdir()
        assert [row["id"] for row in read_index(result)] == ids
        assert len([row for row in read_index(result) if row["kept"]]) == 10
    assert kills >= 3


def files(run: Path) -> dict[str, bytes | str]:
    """All that is in a run's rounds, hidden names too; of a record the digest of its outputs, which knows no clock."""
    found = {str(file.relative_to(run)): file for file in sorted((run / "rounds").rglob("*")) if file.is_file()}
    return {n: json.loads(f.read_text())["outputs"] if f.name == RECORD else f.read_bytes() for n, f in found.items()}
