"""What a fit starts from: timm's published weights out of a cache, their normalisation, slower and frozen backbones."""

import stat
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from stylematte.config import BackboneConfig, DetailConfig, FpnConfig, MatterFitConfig, MatterLossConfig
from stylematte.errors import ConfigError
from stylematte.module import MatterModule
from stylematte.networks.normalisation import IMAGENET_MEAN
from stylematte.networks.pretrained import obtain
from stylematte.networks.start import build_network
from stylematte.networks.weights import load_matter, read_description, save_matter
from stylematte.parameter_groups import parameter_groups
from tests.stylematte.test_semantic import a_batch

NAME = "resnet10t"
FIT = MatterFitConfig(steps=4, warmup=0, lr=1e-2, ema=0.5, losses=MatterLossConfig.only(l1=1.0))
INCEPTION = (0.5, 0.5, 0.5)


def publish(cache: Path, name: str, state: dict[str, torch.Tensor]) -> None:
    """The file as the hub's client would have left it."""
    repository = cache / f"models--{timm.get_pretrained_cfg(name).hf_hub_id.replace('/', '--')}"
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    save_file(state, repository / "snapshots" / "abc" / "model.safetensors")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_timms_weights_come_from_the_cache_or_not_at_all(cache: Path) -> None:
    torch.manual_seed(1)
    classifier = timm.create_model(NAME, pretrained=False).eval()
    network = FpnConfig(backbone=BackboneConfig(NAME, weights="timm"), channels=8)
    with pytest.raises(ConfigError, match=r"timm/resnet10t\.c3_in1k is not in the hub's cache; or give a local"):
        build_network(network, seed=0)
    with pytest.raises(ConfigError, match=r"cannot be downloaded \(offline\)"):
        obtain(NAME)
    publish(cache, NAME, classifier.state_dict())
    assert obtain(NAME).name == "model.safetensors"
    built = build_network(network, seed=0).eval()
    image = torch.rand(1, 3, 64, 64)
    normalised = (image - built.backbone.mean) / built.backbone.std
    with torch.no_grad():
        torch.testing.assert_close(built.backbone(image)[-1], classifier.forward_features(normalised))
    assert not any("state_dict" in getattr(module, "pretrained_cfg", {}) for module in built.modules())


def test_a_file_that_lacks_a_tensor_is_refused(cache: Path) -> None:
    state = timm.create_model(NAME, pretrained=False).state_dict()
    state.pop("layer2.0.conv1.weight")
    publish(cache, NAME, state)
    with pytest.raises(ConfigError, match=r"1 tensors missing \(first: layer2.0.conv1.weight\)"):
        build_network(FpnConfig(backbone=BackboneConfig(NAME, weights="timm"), channels=8), seed=0)


def test_pictures_are_normalised_as_timm_says_wherever_the_matter_goes(cache: Path, tmp_path: Path) -> None:
    name = "mobilenetv3_small_050"
    about = timm.get_pretrained_cfg("tf_mobilenetv3_small_minimal_100")
    assert about.mean == INCEPTION
    torch.manual_seed(1)
    wants_others, wants_imagenets = BackboneConfig("tf_mobilenetv3_small_minimal_100"), BackboneConfig(name)
    for config in (wants_others, wants_imagenets):
        assert build_network(FpnConfig(backbone=config, channels=8), 0).backbone.mean.flatten().tolist() == (
            pytest.approx(IMAGENET_MEAN)
        ), "random weights want none in particular: existing matters keep their meaning"
    publish(cache, wants_others.name, timm.create_model(wants_others.name, pretrained=False).state_dict())
    asked = FpnConfig(backbone=replace(wants_others, weights="timm"), channels=8)
    network = build_network(asked, seed=0).eval()
    save_matter(tmp_path / "matter", network, {})
    saved = read_description(tmp_path / "matter")["network"]["backbone"]
    assert (saved["mean"], saved["weights"]) == ([0.5, 0.5, 0.5], None)
    loaded = load_matter(tmp_path / "matter")
    assert loaded.backbone.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    gone_on = build_network(asked, seed=1, init_from=str(tmp_path / "matter")).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert network(image).equal(loaded(image))
        assert network(image).equal(gone_on(image))
    save_matter(tmp_path / "usual", build_network(FpnConfig(backbone=wants_imagenets, channels=8), 0), {})
    assert "mean" not in read_description(tmp_path / "usual")["network"]["backbone"]


def test_tensors_are_as_readable_as_what_lies_beside_them(tmp_path: Path) -> None:
    save_matter(tmp_path, build_network(FpnConfig(backbone=BackboneConfig(NAME), channels=8), 0), {})
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    (tmp_path / "other").touch()
    assert modes == {stat.S_IMODE((tmp_path / "other").stat().st_mode)}


def test_layers_learn_more_slowly_the_farther_they_are_from_the_end() -> None:
    fit = replace(FIT, backbone_lr=0.5, layer_decay=0.5)
    vit = BackboneConfig("vit_tiny_patch16_224", kwargs={"embed_dim": 8, "depth": 4, "num_heads": 2})
    for backbone, first, last in (
        (vit, "extractor.patch_embed.proj.weight", "extractor.blocks.3.attn.qkv.weight"),
        (BackboneConfig(NAME), "extractor.conv1.0.weight", "extractor.layer4.0.conv2.weight"),
    ):
        network = build_network(DetailConfig(backbone=backbone, channels=8, detail_channels=4), 0)
        names = {id(parameter): name for name, parameter in network.named_parameters()}
        groups = parameter_groups(network, fit)
        rates = {names[id(p)]: group.get("lr", fit.lr) for group in groups for p in group["params"]}
        assert rates.keys() == set(names.values())
        assert rates["head.weight"] == fit.lr
        assert rates[f"backbone.{first}"] < rates[f"backbone.{last}"] <= 0.5 * fit.lr
        ratio = rates[f"backbone.{last}"] / rates[f"backbone.{first}"]
        assert ratio == 2 ** round(torch.tensor(ratio).log2().item())
    assert rates["backbone.extractor.layer3.0.conv1.weight"] * 2 == rates["backbone.extractor.layer4.0.conv1.weight"]
    assert len(parameter_groups(network, FIT)) == 2


def test_a_frozen_backbone_stays_until_its_step() -> None:
    module = MatterModule(FpnConfig(backbone=BackboneConfig(NAME), channels=8), replace(FIT, freeze_backbone=2), 0)
    optimizer = module.configure_optimizers()["optimizer"]
    before = {name: value.clone() for name, value in module.network.state_dict().items()}

    def step(number: int) -> set[str]:
        with patch.object(MatterModule, "global_step", number):
            module.on_train_batch_start()
        optimizer.zero_grad()
        module.weighted_loss(a_batch())[0].backward()
        optimizer.step()
        after = module.network.state_dict()
        return {name.split(".")[0] for name, value in after.items() if not value.equal(before[name])}

    assert step(1) == {"fpn"}
    assert step(2) == {"fpn", "backbone"}
