"""Pools refined before a generator or `select` reads them: what is mended, what is refused, what goes on as it is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from loop.config.steps import RefineStep
from loop.engine.stage import Context
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
