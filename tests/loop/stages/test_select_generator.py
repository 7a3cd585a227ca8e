"""Which generator is selected, and what is reported of it."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from loop.engine.stage import Context
from loop.pools import write_index
from loop.stages import select_generator
from stylematte.imagefile import write_rgba
from stylemattegan.networks.weights import load_all, load_generator, save_generator
from stylemattegan.sample import sample


def selection(labels: Path, generator: Path, previous: Path | None, matter: Path, out: Path) -> dict:
    out.mkdir()
    inputs = {"labels": labels, "scale": labels, "features": matter, "generator": generator}
    inputs |= {"previous": previous} if previous else {}
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


def test_the_nearer_generator_is_selected(tiny_run: Path, tmp_path: Path) -> None:
    """A training set of one generator's own pictures: that generator is nearer to it than one with other weights."""
    at_home = tiny_run / "rounds/01/portraits/fit_generator"
    G, D, G_ema, meta = load_all(at_home)
    with torch.no_grad():
        for weight in G_ema.synthesis.parameters():
            weight.mul_(1.5)
    abroad, labels, matter = tmp_path / "abroad", tmp_path / "labels", tiny_run / "rounds/00/accept"
    save_generator(abroad, G, D, G_ema, meta)
    own_pictures(at_home, labels)
    alone = selection(labels, abroad, None, matter, tmp_path / "first")
    assert alone["selected"] == "this round's"
    assert alone["frechet"] == alone["fitted_frechet"]
    worse = selection(labels, abroad, at_home, matter, tmp_path / "worse")
    assert worse["selected"] == "the previous"
    assert worse["frechet"] < worse["fitted_frechet"] == alone["frechet"]
    better = selection(labels, at_home, abroad, matter, tmp_path / "better")
    assert better["selected"] == "this round's"
    assert better["frechet"] == better["fitted_frechet"] == worse["frechet"]
    for out, source in (("first", abroad), ("worse", at_home), ("better", at_home)):
        for name in ("G.safetensors", "D.safetensors", "G_ema.safetensors", "generator.json"):
            assert (tmp_path / out / name).read_bytes() == (source / name).read_bytes()


def test_the_nearest_snapshot_is_selected_and_of_equals_the_end(tiny_run: Path, tmp_path: Path) -> None:
    """Beside a spoilt end lies a whole snapshot; beside a whole end, its copy."""
    matter = tiny_run / "rounds/00/accept"
    whole = tiny_run / "rounds/01/portraits/fit_generator"
    G, D, G_ema, meta = load_all(whole)
    fit = tmp_path / "fit"
    save_generator(fit / "snapshots/00001", G, D, G_ema, meta | {"kimg": 0.5})
    save_generator(fit, G, D, G_ema, meta | {"kimg": 1.0})
    labels = own_pictures(whole, tmp_path / "labels")
    assert selection(labels, fit, None, matter, tmp_path / "one")["selected_at_kimg"] == 1.0
    with torch.no_grad():
        for weight in G_ema.synthesis.parameters():
            weight.mul_(1.5)
    save_generator(fit, G, D, G_ema, meta | {"kimg": 1.0})
    chosen = selection(labels, fit, None, matter, tmp_path / "two")
    assert chosen["selected_at_kimg"] == 0.5
    assert chosen["frechet"] < chosen["fitted_frechet"]


def test_the_tiny_run_has_its_snapshots(tiny_run: Path) -> None:
    fit = tiny_run / "rounds/01/animals/fit_generator"  # 2 ticks of 2 steps at batch 4, of 4 snapshots asked for
    (snapshot,) = fit.glob("snapshots/*/generator.json")
    assert snapshot.parent.name == "00001"
    assert [json.loads(file.read_text())["meta"]["kimg"] for file in (snapshot, fit / "generator.json")] == [
        0.008,
        0.016,
    ]


def test_without_a_new_generator_the_previous_is_selected(tiny_run: Path, tmp_path: Path) -> None:
    here = tiny_run / "rounds/01/portraits"
    (tmp_path / "empty").mkdir()
    chosen = selection(
        here / "label", tmp_path / "empty", here / "select_generator", tiny_run / "rounds/00/accept", tmp_path / "out"
    )
    assert chosen["selected"] == "the previous"
    assert chosen["fitted_frechet"] is None
    nothing = selection(here / "label", tmp_path / "empty", None, tiny_run / "rounds/00/accept", tmp_path / "none")
    assert (nothing["selected"], nothing["frechet"]) == ("none", None)
    assert not list((tmp_path / "none").iterdir())
