"""A saved generator comes back; a damaged folder says what is wrong in one line."""

from __future__ import annotations

import json

import pytest
import torch

from stylematte.errors import WeightsError
from stylemattegan.networks import Discriminator, Generator
from stylemattegan.networks.weights import load_all, load_generator, save_generator


@pytest.fixture
def folder(tmp_path):
    small = dict(z_dim=8, w_dim=8, img_resolution=32, channel_base=64, channel_max=4, num_layers=6, margin_size=4)
    torch.manual_seed(0)
    G, D, G_ema = Generator(**small), Discriminator(32, channel_base=64, channel_max=4), Generator(**small)
    save_generator(tmp_path / "g", G, D, G_ema, {"kimg": 1.5})
    return tmp_path / "g", G, D, G_ema


def test_round_trip(folder):
    path, G, D, G_ema = folder
    G2, D2, G_ema2, meta = load_all(path)
    assert meta == {"kimg": 1.5}
    assert G2.training
    assert not G_ema2.training
    for a, b in ((G, G2), (D, D2), (G_ema, G_ema2), (G_ema, load_generator(path))):
        assert a.config == b.config
        assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())
    assert not any(p.requires_grad for p in G_ema2.parameters())


def truncate(path):
    (path / "G_ema.safetensors").write_bytes((path / "G_ema.safetensors").read_bytes()[:500])


def shrink(path):
    about = json.loads((path / "generator.json").read_text())
    about["generator"]["w_dim"] = 9
    (path / "generator.json").write_text(json.dumps(about))


def misname(path):
    about = json.loads((path / "generator.json").read_text())
    about["generator"]["width"] = 9
    (path / "generator.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "generator.json").unlink(), "not a generator folder"),
        (lambda p: (p / "generator.json").write_text("{"), "cannot be read as JSON"),
        (lambda p: (p / "generator.json").write_text("{}"), "lacks the entries"),
        (lambda p: (p / "G_ema.safetensors").unlink(), "G_ema.safetensors is missing"),
        (truncate, "truncated"),
        (shrink, "does not fit"),
        (misname, "cannot build Generator"),
    ],
)
def test_damage_is_one_clear_line(folder, damage, message):
    path = folder[0]
    damage(path)
    with pytest.raises(WeightsError, match=message) as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)
