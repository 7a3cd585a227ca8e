"""A new network variant is a dataclass of options, a class and one line of registration; and matter.json, on disk."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stylematte import config
from stylematte.config import (
    BackboneConfig,
    DetailConfig,
    FpnConfig,
    MatterFitConfig,
    MatterLossConfig,
    NetworkConfig,
    ReleasedConfig,
    Variant,
    network_from_plain,
)
from stylematte.errors import WeightsError
from stylematte.fields import ranged, to_plain
from stylematte.module import MatterModule
from stylematte.networks.backbone import Backbone
from stylematte.networks.stylematte import StyleMatte
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import load_matter, read_network_config, save_matter
from stylematte.rgba import MattingBatch, composite

MOBILE = BackboneConfig("mobilenetv3_small_050")


# -- what a new variant is: these two classes, and one line in stylematte.config.VARIANTS ------------------------------


@dataclass
class LineConfig(NetworkConfig):
    variant: str = "line"
    slope: float = ranged(4.0, 0, 100)
    """Of alpha against what the network sees."""


class Line(nn.Module):
    """Alpha from one map of the backbone and the picture's own colours; any size."""

    def __init__(self, config: LineConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone)
        self.coarse, self.colour = nn.Conv2d(self.backbone.channels[1], 1, 1), nn.Conv2d(3, 1, 1)

    def encode(self, image: Tensor) -> list[Tensor]:
        return self.backbone(image)

    def forward(self, image: Tensor) -> Tensor:
        seen = nn.functional.interpolate(image, size=(64, 64), mode="bilinear", align_corners=False)
        coarse = nn.functional.interpolate(self.coarse(self.encode(seen)[1]), size=image.shape[-2:], mode="bilinear")
        return torch.sigmoid(self.config.slope * (coarse + self.colour(image)))


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(config.VARIANTS, "line", Variant(LineConfig, f"{__name__}:Line"))


# ----------------------------------------------------------------------------------------------------------------------


def a_batch() -> MattingBatch:
    alpha = torch.zeros(2, 1, 48, 64)
    alpha[..., :32] = 1
    front, back = torch.full((2, 3, 48, 64), 0.8), torch.full((2, 3, 48, 64), 0.2)
    one, none = torch.ones(2), torch.zeros(2)
    all_of_it = torch.ones(2, 1, 1, 1)
    return MattingBatch(composite(front, alpha, back), alpha, front, back, alpha, one, one, none, alpha, all_of_it)


def test_a_new_variant_is_configured_fitted_saved_and_loaded(registered: None, tmp_path: Path) -> None:
    plain = {"variant": "line", "backbone": {"name": MOBILE.name}, "slope": 8}
    asked = network_from_plain(plain)
    assert asked == LineConfig(backbone=MOBILE, slope=8.0)
    fit = MatterFitConfig(steps=20, lr=3e-2, losses=MatterLossConfig.only(l1=1.0))
    module, batch = MatterModule(asked, fit, seed=1), a_batch()
    optimizer = torch.optim.Adam(module.network.parameters(), lr=fit.lr)
    seen = []
    for _ in range(fit.steps):
        optimizer.zero_grad()
        loss, _ = module.weighted_loss(batch)
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    assert seen[-1] < 0.3 * seen[0]
    save_matter(tmp_path, module.network, {"size": 64})
    loaded = load_matter(tmp_path)
    assert type(loaded) is Line
    assert loaded.config == asked
    with torch.no_grad():
        assert loaded(batch.image).equal(module.network.eval()(batch.image))
    again = build_matter(network_from_plain(json.loads((tmp_path / "matter.json").read_text())["network"]))
    assert again.state_dict().keys() == loaded.state_dict().keys()
    with pytest.raises(ValueError, match="trimap_shown above 0"):
        MatterModule(asked, MatterFitConfig(trimap_shown=0.5), seed=1)


def test_a_name_that_is_not_registered_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="variant 'line': no such network; there are fpn, released, detail"):
        network_from_plain({"variant": "line"})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (FpnConfig(channels=4), "network fpn: channels=4: expected 8 or more"),
        (FpnConfig(filter_radius=0), "network fpn: filter_radius=0: expected 1 or more"),
        (ReleasedConfig(channels=100), "channels=100: the released network needs a multiple of 32 from 64 on"),
        (DetailConfig(detail_channels=0), "network detail: detail_channels=0: expected 1 or more"),
    ],
)
def test_impossible_options_are_refused_by_the_network_too(wrong: NetworkConfig, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        build_matter(wrong)


def test_a_network_keeps_a_copy_of_its_options() -> None:
    asked = FpnConfig(backbone=BackboneConfig("mobilenetv3_small_050"), channels=8)
    network = build_matter(asked)
    asked.backbone.name, asked.channels = "resnet18", 16
    assert network.config == FpnConfig(backbone=MOBILE, channels=8)


# -- matter.json ------------------------------------------------------------------------------------------------------

WRITTEN_BEFORE = """{
 "format": 1,
 "meta": {"round": 3, "size": 64, "steps": 1000},
 "network": {
  "backbone": "mobilenetv3_small_050",
  "backbone_kwargs": {"drop_path_rate": 0.1},
  "backbone_weights": "/somewhere/imagenet.safetensors",
  "channels": 16,
  "channels_last": false,
  "detail_channels": 4,
  "gradient_checkpointing": false,
  "semantic_head": true,
  "variant": "detail"
 }
}
"""


def test_format_1_is_still_read(tmp_path: Path) -> None:
    backbone = BackboneConfig("mobilenetv3_small_050", None, {"drop_path_rate": 0.1})
    expected = DetailConfig(backbone=backbone, channels=16, detail_channels=4, semantic_head=True)
    network = build_matter(expected).eval()
    save_matter(tmp_path, network, {})
    (tmp_path / "matter.json").write_text(WRITTEN_BEFORE)
    assert read_network_config(tmp_path) == expected
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert load_matter(tmp_path)(image).equal(network(image))


def test_format_1_without_a_variant_is_the_first_network(tmp_path: Path) -> None:
    save_matter(tmp_path, build_matter(FpnConfig(backbone=MOBILE, channels=8)), {})
    flat = {"backbone": MOBILE.name, "backbone_kwargs": {}, "backbone_weights": None, "channels": 8}
    (tmp_path / "matter.json").write_text(json.dumps({"format": 1, "network": flat, "meta": {}}))
    assert type(load_matter(tmp_path)) is StyleMatte


def test_what_is_written_is_the_options_without_the_path_of_the_weights_they_began_with(tmp_path: Path) -> None:
    network = build_matter(FpnConfig(backbone=MOBILE, channels=8))
    network.config.backbone.weights = "/somewhere/imagenet.safetensors"
    save_matter(tmp_path, network, {"size": 64})
    assert json.loads((tmp_path / "matter.json").read_text()) == {
        "format": 2,
        "meta": {"size": 64},
        "network": {
            "variant": "fpn",
            "backbone": {"name": "mobilenetv3_small_050", "weights": None, "kwargs": {}},
            "channels": 8,
            "filter_radius": 1,
            "filter_eps": 1e-4,
        },
    }


@pytest.mark.parametrize(
    ("description", "says"),
    [
        ({"format": 3, "network": {}}, "format 3, this version reads 1 and 2"),
        ({"format": 2, "network": {**to_plain(FpnConfig()), "depth": 3}}, "does not describe a StyleMatte.*depth"),
        ({"format": 2, "network": {**to_plain(FpnConfig()), "channels": "8"}}, "channels"),
        ({"format": 2}, "has no 'network'"),
        ({"format": ["\n"], "network": {}}, "format a list, this version reads 1 and 2"),
        (
            {"format": 2, "network": to_plain(FpnConfig(channels=10**9))},
            "the number 1000000000; expected",
        ),
    ],
)
def test_other_descriptions_are_refused(description: dict, says: str, tmp_path: Path) -> None:
    (tmp_path / "matter.json").write_text(json.dumps(description))
    with pytest.raises(WeightsError, match=says):
        load_matter(tmp_path)


def test_a_description_of_more_than_its_file_holds_takes_no_memory(tmp_path: Path) -> None:
    """60,000 channels in each convolution of the decoder would be 130 GB; a thousand blocks are given up early."""
    save_file({f"a{i}": torch.zeros(1) for i in range(300)}, tmp_path / "matter.safetensors")
    backbone = BackboneConfig("convnext_atto", kwargs={"depths": [1000] * 4, "dims": [8] * 4})
    for options, says in (
        (FpnConfig(channels=60_000), "300 unknown .a0, a1, a10, ..."),
        (FpnConfig(backbone=backbone), "many more than the 300 tensors that its file holds"),
    ):
        description = {"format": 2, "network": to_plain(options), "meta": {}}
        (tmp_path / "matter.json").write_text(json.dumps(description))
        with pytest.raises(WeightsError, match=says) as caught:
            load_matter(tmp_path)
        assert "\n" not in str(caught.value)
