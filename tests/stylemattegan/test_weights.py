"""A saved generator comes back; a damaged folder says what is wrong in one line."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stylematte.errors import WeightsError
from stylemattegan.networks import Discriminator, Generator
from stylemattegan.networks.weights import (
    build_networks,
    load_all,
    load_generator,
    read_description,
    save_generator,
    save_start_weights,
)
from stylemattegan.sample import sample

START = Path(__file__).parents[2] / "configs" / "start"


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


def test_start_weights_are_small_and_g_begins_as_its_average(folder, tmp_path):
    path, _, D, G_ema = folder
    save_start_weights(path, tmp_path / "start")
    assert sorted(f.name for f in (tmp_path / "start").iterdir()) == [
        "D.safetensors",
        "G_ema.safetensors",
        "generator.json",
    ]
    G2, D2, G_ema2, meta = load_all(tmp_path / "start")
    assert meta == {"kimg": 1.5}
    assert all(torch.equal(v, G_ema2.state_dict()[k]) for k, v in G2.state_dict().items())
    for before, after in ((G_ema, G_ema2), (D, D2)):
        parameters = dict(before.named_parameters())
        for key, value in after.state_dict().items():
            old = before.state_dict()[key]
            assert value.dtype == old.dtype
            assert torch.equal(value, old.half().to(old.dtype) if key in parameters else old)


@pytest.mark.parametrize("domain", ["portraits", "animals"])
def test_the_shipped_start_weights_draw_cut_outs(domain):
    """Small enough for a repository; a subject in the middle of each, nothing in a corner, one picture aside."""
    sizes = [file.stat().st_size for file in (START / domain).glob("*.safetensors")]
    assert len(sizes) == 2
    assert max(sizes) < 2e6
    rgba = sample(load_generator(START / domain), range(1, 9), [1.0] * 8, 8)
    assert rgba.shape == (8, 4, 64, 64)
    assert (rgba[:, 3, 24:40, 24:40].mean((1, 2)) > 0.8).sum() >= 7
    assert (rgba[:, 3, :4, :4].mean((1, 2)) < 0.1).sum() >= 7


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


def rewritten(**changes):
    def change(path):
        about = json.loads((path / "generator.json").read_text())
        about["generator"].update(changes)
        (path / "generator.json").write_text(json.dumps(about))

    return change


def valued(key, value):
    def change(path):
        state = load_file(path / "G_ema.safetensors")
        state[key] = torch.full_like(state[key], value) if isinstance(value, float) else state[key].to(value)
        save_file(state, path / "G_ema.safetensors")

    return change


def headed(header):
    return lambda path: (path / "G_ema.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


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
        (rewritten(num_layers=10**9), "num_layers=1000000000: expected 1 to 256"),
        (rewritten(num_layers=200), "many more than the .* tensors that its file holds"),
        (rewritten(channel_base=2**24, channel_max=2**16), "has an unknown synthesis.L0_24_4"),
        (rewritten(filter_size=10**9), "filter_size=1000000000: expected 1 to 64"),
        (rewritten(filter_size=64, lrelu_upsampling=16), "filters of .* taps"),
        (rewritten(img_resolution="32"), "img_resolution='32': expected a number"),
        (rewritten(z_dim=["\n"]), "z_dim=a list: expected a number"),
        (lambda p: (p / "generator.json").write_text("[" * 100_000), "cannot be read as JSON"),
        (lambda p: (p / "generator.json").write_text("9" * 10_000), "cannot be read as JSON: a number of 10000 digits"),
        (valued("mapping.w_avg", float("nan")), "mapping.w_avg holds values that are no numbers"),
        (valued("mapping.fc0.weight", torch.complex64), "numbers of type complex64, expected float32"),
        (valued("mapping.fc0.weight", torch.int32), "numbers of type int32, expected float32"),
        (valued("synthesis.L0_24_4.magnitude_ema", 0.0), "magnitude_ema, a mean of squares, is not above 0"),
        (headed(b" " * 2**22), "a header of 4,194,304 bytes"),
        (headed(b"{" * 1000), "not a safetensors file or truncated"),
    ],
)
def test_damage_is_one_clear_line(folder, damage, message):
    path = folder[0]
    damage(path)
    with pytest.raises(WeightsError, match=message) as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)


def test_networks_of_another_size_than_the_files_are_not_built(folder):
    about = read_description(folder[0])
    with pytest.raises(WeightsError, match=r"G.safetensors does not fit generator.json: .*, expected \(60000,\)"):
        build_networks(folder[0], about.generator | {"w_dim": 60_000, "z_dim": 60_000}, about.discriminator)
