"""The generator's run on a folder: what it says of alpha, and that a cut run goes on as if it had not been cut."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.generator_run import Looks, alpha_statistics, train
from loop.config.load import load_config, to_dict
from stylematte.imagefile import read_rgba, write_rgba
from stylematte.networks.stylematte import StyleMatte
from stylematte.networks.weights import save_matter
from stylematte.sampling import generator_at


@pytest.mark.parametrize("width", [2.0, 6.0])
def test_alpha_of_a_disc_with_a_straight_ramp(width):
    """Radius 40 in 128 x 128: its area, and a transition as wide as the ramp (of which .02 at either end is not)."""
    y, x = torch.meshgrid(torch.arange(128) - 63.5, torch.arange(128) - 63.5, indexing="ij")
    alpha = ((40 - torch.hypot(x, y)) / width + 0.5).clamp(0, 1)
    told = alpha_statistics(torch.stack([alpha] * 4)[None])
    area = torch.pi * 40**2 / 128**2
    assert told["alpha"] == pytest.approx(area, rel=0.01)
    assert told["width"] == pytest.approx(0.96 * width, rel=0.1)
    assert told["zero"] + told["one"] + told["between"] == pytest.approx(1)
    assert told["zero"] == pytest.approx(1 - torch.pi * (40 + width / 2) ** 2 / 128**2, abs=0.01)


def test_alpha_of_nothing_has_no_transition():
    told = alpha_statistics(torch.zeros(2, 4, 8, 8))
    assert (told["zero"], told["width"], told["alpha_sd"]) == (1.0, 0.0, 0.0)


def test_a_cut_run_goes_on_where_it_was(tmp_path, monkeypatch):
    pool = tmp_path / "pool"
    pool.mkdir()
    for i in range(6):
        write_rgba(pool / f"{i}.png", torch.rand(4, 32, 32, generator=generator_at("run", i)))
    config = to_dict(load_config(Path("configs/tiny.yaml"), ["generator.fit.steps=6"]))
    network = StyleMatte(load_config(Path("configs/tiny.yaml")).matter.network)
    save_matter(tmp_path / "matter", network, {})
    whole = train(pool, tmp_path / "whole", tmp_path / "matter", config, looks=3, seed=1)
    assert [row["kimg"] for row in whole] == [0.008, 0.016, 0.024, "real"]
    assert all(row["finite"] for row in whole[:-1])

    class Cut(Exception):
        pass

    def cut(self):
        if len(self.told) == 2:
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(Looks, "strip", cut)
        with pytest.raises(Cut):
            train(pool, tmp_path / "cut", tmp_path / "matter", config, looks=3, seed=1)
    train(pool, tmp_path / "cut", tmp_path / "matter", config, looks=3, seed=1)
    one, other = (
        [json.loads(line) for line in (tmp_path / name / "told.jsonl").read_text().splitlines()]
        for name in ("whole", "cut")
    )
    for left, right in zip(one, other, strict=True):
        for name in set(left) - {"minutes", "cpu"}:
            assert left[name] == pytest.approx(right[name], rel=1e-5), name
    last = "0000.02/0001.png"
    assert torch.equal(read_rgba(tmp_path / "whole" / last), read_rgba(tmp_path / "cut" / last))
    assert read_rgba(tmp_path / "cut" / "strip.png").shape[1] > 4 * 32
