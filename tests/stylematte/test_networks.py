"""Backbone, decoder and the whole network: any size, any of timm's pyramids, clear refusals, exact files."""

import json

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from stylematte.config import BackboneConfig, FpnConfig
from stylematte.errors import ConfigError, WeightsError
from stylematte.networks.backbone import Backbone
from stylematte.networks.fpn import FPN, group_count
from stylematte.networks.stylematte import StyleMatte, pad_to_multiple
from stylematte.networks.weights import load_matter, save_matter
from stylematte.untrusted.files import read_checkpoint

SWIN = "swin_tiny_patch4_window7_224"
SMALL_SWIN = {"embed_dim": 24, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8], "window_size": 4}
CONV = "mobilenetv3_small_050"


@pytest.fixture(scope="module")
def swin():
    torch.manual_seed(0)
    return StyleMatte(FpnConfig(backbone=BackboneConfig(SWIN, kwargs=SMALL_SWIN), channels=16)).eval()


@pytest.fixture(scope="module")
def conv():
    torch.manual_seed(0)
    return StyleMatte(FpnConfig(backbone=BackboneConfig(CONV), channels=8)).eval()


@pytest.mark.parametrize("size", [(64, 64), (96, 128), (37, 91), (31, 5), (1, 1)])
def test_any_size_gives_an_alpha_of_that_size(swin, size):
    with torch.no_grad():
        alpha = swin(torch.rand(2, 3, *size))
    assert alpha.shape == (2, 1, *size)
    assert alpha.dtype == torch.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1


@pytest.mark.parametrize(
    ("name", "kwargs"), [(SWIN, SMALL_SWIN), (CONV, {}), ("mambaout_femto", {"depths": [1, 1, 1, 1]})]
)
def test_maps_are_nchw_at_strides_4_to_32(name, kwargs):
    backbone = Backbone(BackboneConfig(name, kwargs=kwargs))
    with torch.no_grad():
        maps = backbone(torch.rand(1, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [
        (1, c, 64 // s, 96 // s) for c, s in zip(backbone.channels, (4, 8, 16, 32), strict=False)
    ]


def test_normalises_inside():
    """A picture of ImageNet's mean colour is zero to the model."""
    backbone, seen = Backbone(BackboneConfig(CONV)), []
    backbone.extractor.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    backbone(backbone.mean.expand(2, 3, 32, 32))
    assert seen[0].abs().max() == 0


def test_every_smoothing_convolution_is_its_own():
    fpn = FPN([8, 8, 8, 8], 8)
    assert len({p.data_ptr() for p in fpn.smooth.parameters()}) == len(list(fpn.smooth.parameters())) == 12
    assert [group_count(c) for c in (128, 96, 24, 8, 5)] == [32, 24, 6, 2, 1]


def test_padding_reflects_or_repeats_and_is_undone():
    image = torch.rand(1, 3, 5, 40)
    padded, (rows, columns) = pad_to_multiple(image, 32)
    assert padded.shape == (1, 3, 32, 64)
    assert padded[..., rows, columns].equal(image)
    assert padded[..., 13, 12 - 3].equal(image[..., 0, 3])  # columns reflect: 3 left of the border is 3 right of it
    assert padded[..., 0, 12:52].equal(image[..., 0, :])  # 5 rows cannot be reflected 13 times: the first repeats
    same, (rows, columns) = pad_to_multiple(torch.rand(1, 3, 32, 64), 32)
    assert same.shape == (1, 3, 32, 64)
    assert (rows, columns) == (slice(0, 32), slice(0, 64))


def test_every_parameter_learns(conv):
    network = StyleMatte(FpnConfig(backbone=BackboneConfig(SWIN, kwargs=SMALL_SWIN), channels=8))
    network(torch.rand(1, 3, 64, 64)).mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("swin_tny_patch4_window7_224", {}, "did you mean swin_tiny_patch4_window7_224"),
        ("hf-hub:someone/model", {}, "no such model"),
        ("vit_tiny_patch16_224", {"depth": 4, "img_size": 64}, "strides"),
        ("resnet18", {"embed_dmi": 3}, "embed_dmi"),
        ("resnet18", {"pretrained": True}, "kwargs may not hold pretrained"),
        ("hiera_tiny_224", {"stages": [1, 1, 1, 1]}, "one size only"),
    ],
)
def test_unusable_backbones_are_refused_in_one_line(name, kwargs, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Backbone(BackboneConfig(name, kwargs=kwargs))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    ("name", "kwargs"), [(SWIN, SMALL_SWIN), ("convnext_atto", {"depths": [1] * 4, "dims": [8] * 4})]
)
def test_local_weights_of_a_timm_classifier(tmp_path, name, kwargs, suffix):
    """The classifier's own intermediate features and ours are equal once its file is loaded."""
    any_size = {"strict_img_size": False} if name == SWIN else {}
    classifier = timm.create_model(name, pretrained=False, **kwargs, **any_size).eval()
    path = tmp_path / f"weights{suffix}"
    save_file(classifier.state_dict(), path) if suffix == ".safetensors" else torch.save(classifier.state_dict(), path)
    backbone, image = Backbone(BackboneConfig(name, str(path), kwargs)).eval(), torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        normalised = (image - backbone.mean) / backbone.std
        theirs = classifier.forward_intermediates(normalised, indices=4, intermediates_only=True)
        for ours, expected in zip(backbone(image), theirs, strict=True):
            torch.testing.assert_close(ours, expected)


def test_weights_that_do_not_fit(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        Backbone(BackboneConfig(CONV, str(tmp_path / "none.pth")))
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match="tensors missing"):
        Backbone(BackboneConfig(CONV, str(tmp_path / "other.safetensors")))
    (tmp_path / "text.pth").write_text("not a checkpoint")
    with pytest.raises(ConfigError, match="neither a zip archive nor a pickle"):
        Backbone(BackboneConfig(CONV, str(tmp_path / "text.pth")))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(("value", "says"), [(float("nan"), "no numbers"), (torch.int64, "numbers of type int64")])
def test_weights_that_are_no_numbers(tmp_path, suffix, value, says):
    state = timm.create_model(CONV, pretrained=False).state_dict()
    key = next(key for key, tensor in state.items() if tensor.ndim == 4)
    state[key] = torch.full_like(state[key], value) if isinstance(value, float) else state[key].to(value)
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    with pytest.raises(ConfigError, match=says):
        Backbone(BackboneConfig(CONV, str(path)))


@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_of_either_format_come_back(tmp_path, zipped):
    """Also within a trainer's wrapper, with types and layouts that weights have, and shared bytes."""
    row = torch.arange(12.0)
    state = {
        "half": torch.randn(3, 2).half(),
        "bfloat16": torch.randn(5).bfloat16(),
        "transposed": torch.randn(3, 4).t(),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "parameter": nn.Parameter(torch.randn(2)),
        "counter": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "first": row[:4],
        "rest": row[4:].view(2, 4),
        "none": torch.zeros(0, 3),
    }
    file = tmp_path / "a.pth"
    torch.save({"epoch": 3, "model": {**state, "lr": 0.1}}, file, _use_new_zipfile_serialization=zipped)
    found, others = read_checkpoint(file, ("state_dict", "model"))
    assert others == {"lr": "a float"}
    assert found.keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(found[key], value.float() if key == "bfloat16" else value)


def test_saved_and_loaded_is_the_same_network(tmp_path, swin):
    save_matter(tmp_path, swin, {"round": 3})
    loaded = load_matter(tmp_path)
    image = torch.rand(1, 3, 40, 50)
    with torch.no_grad():
        assert loaded(image).equal(swin(image))
    assert not loaded.training
    assert loaded.config == swin.config
    assert json.loads((tmp_path / "matter.json").read_text())["meta"] == {"round": 3}
    first = (tmp_path / "matter.safetensors").read_bytes()
    save_matter(tmp_path, loaded, {"round": 3})
    assert (tmp_path / "matter.safetensors").read_bytes() == first


def test_wrong_matter_files_say_what_is_missing(tmp_path, conv):
    with pytest.raises(WeightsError, match=r"matter.json: no such file"):
        load_matter(tmp_path)
    save_matter(tmp_path, conv, {})
    tensors = conv.state_dict()
    tensors.pop("fpn.head.bias")
    save_file(tensors, tmp_path / "matter.safetensors")
    with pytest.raises(WeightsError, match=r"1 missing \(fpn.head.bias\)"):
        load_matter(tmp_path)
    (tmp_path / "matter.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_matter(tmp_path)
    (tmp_path / "matter.json").write_text('{"format": 1, "network": {"depth": 3}}')
    with pytest.raises(WeightsError, match="does not describe a StyleMatte"):
        load_matter(tmp_path)


@pytest.mark.usefixtures("unchecked")
def test_a_picture_that_is_not_rgb_is_refused(conv):
    with pytest.raises(ValueError, match="convert it to RGB"):
        conv(torch.rand(1, 4, 32, 32))
