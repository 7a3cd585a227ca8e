"""The released network: the authors' numbers, its parts against independent ones, its names, its place among variants.

The fixtures come from the authors' code with weights made by a recipe; released.json there says how.
"""

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F

from stylematte.config import BackboneConfig, FpnConfig, ReleasedConfig
from stylematte.errors import ConfigError, WeightsError
from stylematte.networks.released.checkpoint import AUTHORS, read_released
from stylematte.networks.released.fpn import filter_logits, window_mean
from stylematte.networks.released.keys import released_keys, renamed, to_ours, to_released
from stylematte.networks.released.network import ReleasedStyleMatte, pad_as_released
from stylematte.networks.released.swin import SwinMaps
from stylematte.networks.stylematte import StyleMatte
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import load_matter, save_matter
from stylematte.ops.guided_filter import box_mean
from tests.fixture_files import FIXTURES, about, arrays, as_recorded

NAMES = FIXTURES / "stylematte" / "state_dict_names.tsv"
SIZES = {"96x128": (96, 128, 0), "256x320": (256, 320, 2), "500x512": (500, 512, 3)}
SWIN = "swin_tiny_patch4_window7_224"
SMALL = {"embed_dim": 24, "depths": [1, 2, 1, 2], "num_heads": [1, 2, 4, 8], "window_size": 4}
TINY = ReleasedConfig(backbone=BackboneConfig(SWIN, kwargs=SMALL), channels=64, encoder_layers=1, feedforward=16)


def recipe(key, shape):
    """The fixtures' weights: a function of the key and the shape alone."""
    for twin in ("smooth_conv.1", "smooth_conv.2"):
        key = key.replace(twin, "smooth_conv.0")
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    n = rng.standard_normal(shape)
    factors = {"running_mean": 0.1, "relative_position_bias_table": 0.2, "level_embed": 0.5, "offsets.bias": 2}
    factor = next((f for end, f in (factors | {"bias": 0.05}).items() if key.endswith(end)), None)
    if key.endswith("running_var"):
        n = 0.5 + rng.random(shape)
    elif factor is not None:
        n = factor * n
    else:
        n = 1 + 0.1 * n if len(shape) == 1 else n / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(n.astype(np.float32))


@pytest.fixture(scope="module")
def checkpoint():
    """The state dict of the fixtures, named as the authors' files are."""
    shapes = about("stylematte/released")["keys"]
    state = {key: recipe(key, shape) for key, shape in shapes.items()}
    return state | {"fpn.conv_fusion.1.num_batches_tracked": torch.tensor(0)}


@pytest.fixture(scope="module")
def released(checkpoint):
    network = ReleasedStyleMatte(AUTHORS).eval()
    network.load_state_dict(to_ours(checkpoint, released_keys(network.config)))
    return network


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return ReleasedStyleMatte(replace(TINY, encoder_layers=2, feedforward=48)).eval()


def drawn_input(height, width, index):
    """The input of a recorded case, as released.json describes it."""
    rng = np.random.Generator(np.random.PCG64(index))
    low = torch.from_numpy(rng.standard_normal((1, 3, height // 16 + 2, width // 16 + 2)).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal((1, 3, height, width)).astype(np.float32))
    return F.interpolate(low, (height, width), mode="bicubic", align_corners=False) + 0.1 * noise


def check_fixture(network, name):
    picture, numbers = drawn_input(*SIZES[name]), arrays("stylematte/released")
    with torch.no_grad():
        maps = network.backbone.maps(picture)
        decoded = network.pixel_decoder(maps)
        alpha = network.from_normalised(picture)
    for what, found in (("backbone", maps), ("pixel_decoder", decoded)):
        for i, values in enumerate(found):
            expected = numbers[f"{name}/{what}{i}_every97"]
            torch.testing.assert_close(values.flatten()[::97], expected, rtol=0, atol=2e-5)
    expected = numbers[f"{name}/alpha"]
    torch.testing.assert_close(as_recorded(alpha, expected), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["96x128", "256x320"])
def test_the_authors_numbers(released, name):
    check_fixture(released, name)


@pytest.mark.slow
def test_the_authors_numbers_at_500x512(released):
    """125 x 128 cells: odd at every stage of the backbone."""
    check_fixture(released, "500x512")


def test_gradients_on_and_off_agree(released):
    """Training takes other paths (F.linear, grid_sample) than inference; one step of the guided filter apart."""
    picture = drawn_input(*SIZES["96x128"])
    with torch.no_grad():
        fast = released.from_normalised(picture)
    torch.testing.assert_close(released.from_normalised(picture).detach(), fast, rtol=0, atol=1e-4)


SIDES = range(480, 561)


@pytest.mark.parametrize(
    "sizes",
    [
        [(1000, 750), (12, 8), (6, 3)],
        [(side, 512) for side in SIDES],  # the other side is a multiple of 8
        [(512, side) for side in SIDES],
        [(side, side) for side in SIDES],
        [(side, 1043 - side) for side in SIDES if 1043 - side in SIDES],  # two sides of different rests
    ],
    ids=["others", "rows", "columns", "squares", "both"],
)
def test_sizes_are_mirrored_onto_top_and_left(sizes):
    """numpy's symmetric padding by 8 minus the rest of both sides if a side has a rest, as the authors evaluate."""
    picture = torch.rand(1, 1, *(max(side) for side in zip(*sizes, strict=True)))
    for height, width in sizes:
        image = picture[..., :height, :width]
        before = [8 - side % 8 for side in (height, width)] if height % 8 or width % 8 else [0, 0]
        expected = np.pad(image.numpy(), [(0, 0), (0, 0), (before[0], 0), (before[1], 0)], mode="symmetric")
        assert torch.equal(pad_as_released(image), torch.from_numpy(expected)), (height, width)


def test_1000_x_750_where_the_authors_network_crashes(small):
    with torch.no_grad():
        assert small(torch.rand(1, 3, 1000, 750)).shape == (1, 1, 1000, 750)


@pytest.mark.parametrize("size", [(100, 75), (100, 64), (5, 64), (4, 4), (1, 1), (40, 48)])
def test_any_size(small, size):
    """A picture of 100 x 64 is padded, too, though its sides are multiples of the patch; 40 x 48 is not."""
    image = torch.rand(1, 3, *size)
    with torch.no_grad():
        alpha = small(image)
        seen = pad_as_released(image)
        assert torch.equal(seen, image) == (size == (40, 48))
        padded = small.from_normalised(small.backbone.normalise(seen))
        assert torch.equal(alpha, padded[..., -size[0] :, -size[1] :])
    assert alpha.shape == (1, 1, *size)
    assert 0 <= alpha.min() <= alpha.max() <= 1


def test_encode_gives_four_maps_of_sizes_rounded_up(small):
    with torch.no_grad():
        maps = small.encode(torch.rand(2, 3, 50, 33))
    assert [tuple(m.shape) for m in maps] == [(2, 24, 13, 9), (2, 48, 7, 5), (2, 96, 4, 3), (2, 192, 2, 2)]


def test_a_batch_is_its_pictures(small):
    images = torch.rand(3, 3, 40, 56)
    with torch.no_grad():
        together, apart = small(images), torch.cat([small(image[None]) for image in images])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-5)


def test_swin_is_timms_where_no_padding_is_needed_and_only_there():
    torch.manual_seed(0)
    ours = SwinMaps(TINY.backbone).eval()
    stock = timm.create_model(SWIN, num_classes=0, strict_img_size=False, always_partition=True, **SMALL).eval()
    stock.load_state_dict(ours.swin.state_dict(), strict=False)
    differences = []
    for size in (128, 80):
        picture = torch.randn(1, 3, size, size)
        with torch.no_grad():
            theirs = stock.forward_intermediates(picture, indices=4, intermediates_only=True)
            pairs = [
                (norm(m.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), our)
                for m, norm, our in zip(theirs, ours.norms, ours.maps(picture), strict=True)
            ]
        differences.append(max((a - b).abs().max().item() for a, b in pairs))
    assert differences[0] < 1e-5
    assert differences[1] > 0.01


def test_running_totals_are_means():
    for size in ((9, 14), (2, 5), (1, 1)):
        values = torch.randn(2, 1, *size)
        torch.testing.assert_close(window_mean(values, 1), box_mean(values, 1), rtol=0, atol=1e-5)


def test_the_filter_leaves_a_multiple_of_the_guide_alone():
    """Logits 3 g + 1 of the low guide g come out as 3 G + 1, as far as eps lets them: var / (var + eps) of 3."""
    ramp = torch.linspace(-40, 40, 64).view(1, 1, 1, 64).expand(1, 1, 32, 64).contiguous()
    low = F.interpolate(ramp, size=(8, 16), mode="bicubic", align_corners=True)
    found = filter_logits(ramp, 3 * low + 1, 1, 1e-4)
    torch.testing.assert_close(found, 3 * ramp + 1, rtol=1e-3, atol=1e-2)


def test_every_parameter_learns(small):
    network = ReleasedStyleMatte(TINY)
    network(torch.rand(2, 3, 64, 64)).mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_names_are_those_of_the_released_files():
    """Both layouts, from a list made by instantiating the authors' code under transformers 4 and 5."""
    rows = [line.split("\t") for line in NAMES.read_text().splitlines() if line and not line.startswith("#")]
    listed = dict(rows)
    table = released_keys(AUTHORS)
    twins = {key for key in listed if "smooth_conv.1" in key or "smooth_conv.2" in key}
    assert listed.keys() - twins == table.keys()
    assert {key: renamed(key) for key in listed} == listed


def test_names_there_and_back(small):
    table, state = released_keys(small.config), small.state_dict()
    theirs = to_released(state, table)
    assert theirs["fpn.smooth_conv.2.weight"].equal(state["fpn.smooth.weight"])
    query = theirs["pixel_decoder.encoder.encoder.layers.1.blocks.1.attention.self.key.weight"]
    assert query.equal(state["backbone.swin.layers.1.blocks.1.attn.qkv.weight"][48:96])
    back = to_ours(theirs, table)
    assert back.keys() == state.keys()
    assert all(back[key].equal(state[key]) for key in state)


def test_files_of_both_layouts_are_read(tmp_path, monkeypatch, checkpoint, released):
    """Also with a data-parallel prefix, the constants of 4.x, the unused norm of 5.x, and half precision's limits."""
    read = "stylematte.networks.released.checkpoint.read_tensors"
    index = "pixel_decoder.encoder.encoder.layers.0.blocks.0.attention.self.relative_position_index"
    old = {f"module.{key}": value for key, value in checkpoint.items()} | {f"module.{index}": torch.zeros(49, 49)}
    new = {renamed(key): value for key, value in checkpoint.items()}
    new["pixel_decoder.encoder.swin.layernorm.weight"] = torch.ones(768)
    expected = released.state_dict()
    for state in (old, new):
        monkeypatch.setattr(read, lambda path, state=state: state)
        found = read_released("file.pth").state_dict()
        assert all(found[key].equal(expected[key]) for key in expected)
    for key, value, says in (
        ("conv.weight", checkpoint["conv.weight"] * float("nan"), "conv.weight holds values that are no numbers"),
        ("fpn.smooth_conv.1.bias", torch.zeros(256), "smooth_conv.1.bias differs"),
        ("conv.bias", torch.zeros(2), r"conv.bias has shape \(2,\), expected \(1,\)"),
    ):
        monkeypatch.setattr(read, lambda path, change={key: value}: checkpoint | change)
        with pytest.raises(WeightsError, match=says):
            read_released("file.pth")


def test_variants_are_built_by_name(tmp_path, small):
    mobile = BackboneConfig("mobilenetv3_small_050")
    assert type(build_matter(FpnConfig(backbone=mobile, channels=8))) is StyleMatte
    again = build_matter(replace(small.config, encoder_layers=0))
    assert type(again) is ReleasedStyleMatte
    assert again.config == replace(small.config, encoder_layers=0)
    with pytest.raises(ValueError, match="did you mean released"):
        build_matter(FpnConfig(variant="realeased"))
    with pytest.raises(ValueError, match="variant 'released' with FpnConfig: expected ReleasedConfig"):
        build_matter(FpnConfig(variant="released"))
    with pytest.raises(ValueError, match="multiple of 32"):
        ReleasedStyleMatte(ReleasedConfig(channels=100))
    with pytest.raises(ConfigError, match="choose it, or another variant"):
        ReleasedStyleMatte(ReleasedConfig(backbone=mobile))


def test_saved_and_loaded_is_the_same_network(tmp_path, small):
    save_matter(tmp_path, small, {"size": 64})
    loaded = load_matter(tmp_path)
    image = torch.rand(1, 3, 40, 50)
    with torch.no_grad():
        assert loaded(image).equal(small(image))
    assert loaded.config == small.config
    description = json.loads((tmp_path / "matter.json").read_text())
    description["network"]["variant"] = "best"
    (tmp_path / "matter.json").write_text(json.dumps(description))
    with pytest.raises(WeightsError, match="there are fpn, released"):
        load_matter(tmp_path)
