"""The distance of a generator's pictures to its training set: nothing else than the pictures may rule it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from loop.engine.stage import Context
from loop.pools import write_index
from loop.stages import select_generator
from loop.stages.select_generator import distances
from stylematte.imagefile import write_rgba
from stylemattegan.networks.weights import load_all, load_generator, save_generator
from stylemattegan.sample import sample

SIZES = (32, 64, 16)


def drawn(seed: int, n: int = 400, mean: float = 0.0) -> list[np.ndarray]:
    dice = np.random.default_rng(seed)
    return [dice.normal(mean, 1.0, (n, size)) for size in SIZES]


def test_a_set_is_at_no_distance_from_itself():
    real = drawn(0)
    frechet, kid = distances(real, real, real)
    assert frechet == pytest.approx(0, abs=1e-6)
    assert abs(kid) < 0.1  # unbiased, so a little below 0 for one set twice


def test_two_samples_of_one_law_are_near_and_a_shift_is_told_in_units_of_the_spread():
    """A shift by one deviation in all of the 112 features is 32 directions' share of it: about 32 on average.

    E |P s|^2 over random bases is 32 / 112 |s|^2, and |s|^2 = sum over blocks of size / size = 3, scaled by 112 / 3.
    """
    real, same, moved = drawn(0), drawn(1), drawn(2, mean=1.0)
    near, _ = distances(same, real, real)
    far, _ = distances(moved, real, real)
    assert near < 5
    assert far == pytest.approx(32, rel=0.5)


def test_units_of_a_block_do_not_matter():
    real, other = drawn(0), drawn(1, mean=0.3)
    grown = [[block * by for block, by in zip(blocks, (1.0, 50.0, 0.01), strict=True)] for blocks in (real, other)]
    assert distances(grown[1], grown[0], grown[0]) == pytest.approx(distances(other, real, real))


def test_a_stray_pixel_in_an_empty_corner_counts_for_what_it_is():
    """The last block is an alpha whose first cell is empty in all training pictures, and full in two generated ones."""
    real, same = drawn(0), drawn(1)
    for blocks in (real, same):
        blocks[-1][:, 0] = 0
    before = distances(same, real, real)
    same[-1][:2, 0] = 1.0
    assert distances(same, real, real) == pytest.approx(before, rel=0.05, abs=0.02)


def test_a_block_that_never_varies_says_nothing():
    real, same = drawn(0), drawn(1)
    real[1][:], same[1][:] = 2.0, 2.0
    frechet, _ = distances(same, real, real)
    assert np.isfinite(frechet)
    assert frechet < 5


def stood(labels: Path, generator: Path, former: Path | None, matter: Path, out: Path) -> dict:
    out.mkdir()
    inputs = {"labels": labels, "scale": labels, "features": matter, "generator": generator}
    inputs |= {"previous": former} if former else {}
    return select_generator.run(
        Context(inputs=inputs, out=out, scratch=out, config={"images": 64}, seed=0, step_id="j")
    )


def own_pictures(generator: Path, labels: Path) -> Path:
    """A training set of a generator's own pictures."""
    (labels / "rgba").mkdir(parents=True)
    rows = []
    for number, picture in enumerate(sample(load_generator(generator), list(range(100, 170)), [1.0] * 70)):
        rows.append({"id": str(number), "rgba": f"rgba/{number}.png", "kept": True})
        write_rgba(labels / rows[-1]["rgba"], picture)
    write_index(labels, rows)
    return labels


def test_the_nearer_generator_stands(tiny_run: Path, tmp_path: Path) -> None:
    """A training set of one generator's own pictures: that generator is nearer to it than one with other weights."""
    at_home = tiny_run / "rounds/01/portraits/fit_generator"
    G, D, G_ema, meta = load_all(at_home)
    with torch.no_grad():
        for weight in G_ema.synthesis.parameters():
            weight.mul_(1.5)
    abroad, labels, matter = tmp_path / "abroad", tmp_path / "labels", tiny_run / "rounds/00/accept"
    save_generator(abroad, G, D, G_ema, meta)
    own_pictures(at_home, labels)
    alone = stood(labels, abroad, None, matter, tmp_path / "first")
    assert alone["stands"] == "this round's"
    assert alone["frechet"] == alone["fitted_frechet"]
    worse = stood(labels, abroad, at_home, matter, tmp_path / "worse")
    assert worse["stands"] == "the former"
    assert worse["frechet"] < worse["fitted_frechet"] == alone["frechet"]
    better = stood(labels, at_home, abroad, matter, tmp_path / "better")
    assert better["stands"] == "this round's"
    assert better["frechet"] == better["fitted_frechet"] == worse["frechet"]
    for out, source in (("first", abroad), ("worse", at_home), ("better", at_home)):
        for name in ("G.safetensors", "D.safetensors", "G_ema.safetensors", "generator.json"):
            assert (tmp_path / out / name).read_bytes() == (source / name).read_bytes()


def test_the_nearest_snapshot_stands_and_equals_are_the_end(tiny_run: Path, tmp_path: Path) -> None:
    """Beside a spoilt end lies a whole snapshot; beside a whole end, its copy."""
    matter = tiny_run / "rounds/00/accept"
    whole = tiny_run / "rounds/01/portraits/fit_generator"
    G, D, G_ema, meta = load_all(whole)
    fit = tmp_path / "fit"
    save_generator(fit / "snapshots/00001", G, D, G_ema, meta | {"kimg": 0.5})
    save_generator(fit, G, D, G_ema, meta | {"kimg": 1.0})
    labels = own_pictures(whole, tmp_path / "labels")
    assert stood(labels, fit, None, matter, tmp_path / "one")["stands_at_kimg"] == 1.0
    with torch.no_grad():
        for weight in G_ema.synthesis.parameters():
            weight.mul_(1.5)
    save_generator(fit, G, D, G_ema, meta | {"kimg": 1.0})
    told = stood(labels, fit, None, matter, tmp_path / "two")
    assert told["stands_at_kimg"] == 0.5
    assert told["frechet"] < told["fitted_frechet"]


def test_the_tiny_run_has_its_snapshots(tiny_run: Path) -> None:
    fit = tiny_run / "rounds/01/animals/fit_generator"  # 2 ticks of 2 steps at batch 4, of 4 snapshots asked for
    (snapshot,) = fit.glob("snapshots/*/generator.json")
    assert snapshot.parent.name == "00001"
    assert [json.loads(file.read_text())["meta"]["kimg"] for file in (snapshot, fit / "generator.json")] == [
        0.008,
        0.016,
    ]


def test_without_a_new_generator_the_former_stands(tiny_run: Path, tmp_path: Path) -> None:
    here = tiny_run / "rounds/01/portraits"
    (tmp_path / "empty").mkdir()
    told = stood(
        here / "label", tmp_path / "empty", here / "select_generator", tiny_run / "rounds/00/accept", tmp_path / "out"
    )
    assert told["stands"] == "the former"
    assert told["fitted_frechet"] is None
    nothing = stood(here / "label", tmp_path / "empty", None, tiny_run / "rounds/00/accept", tmp_path / "none")
    assert (nothing["stands"], nothing["frechet"]) == ("none", None)
    assert not list((tmp_path / "none").iterdir())
