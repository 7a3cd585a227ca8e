"""The semantic term and the head it trains: a closed form, gross failures only, and a head that may come and go."""

from dataclasses import replace

import pytest
import torch

from stylematte.config import BackboneConfig, DetailConfig, FpnConfig, MatterFitConfig, MatterLossConfig
from stylematte.losses.alpha import semantic
from stylematte.module import MatterModule
from stylematte.networks.detail import DetailStyleMatte
from stylematte.networks.start import build_network
from stylematte.networks.weights import save_matter
from stylematte.rgba import MattingBatch

NETWORK = DetailConfig(backbone=BackboneConfig("mobilenetv3_small_050"), channels=16, detail_channels=4)
FIT = MatterFitConfig(steps=4, warmup=1, ema=0.9, losses=MatterLossConfig.only(l1=1.0, semantic=2.0))


def a_batch(size: int = 64) -> MattingBatch:
    g = torch.Generator().manual_seed(0)
    image, alpha = torch.rand(2, 3, size, size, generator=g), torch.zeros(2, 1, size, size)
    alpha[..., : size // 2] = 1
    one, none = torch.ones(2), torch.zeros(2)
    nothing, all_of_it = torch.full_like(alpha, 0.5), torch.ones(2, 1, 1, 1)
    return MattingBatch(image, alpha, image, image, alpha, one, one, none, nothing, all_of_it)


def test_half_the_mean_square_of_what_cells_are_off() -> None:
    truth, wrong = torch.zeros(3, 1, 32, 48), torch.zeros(3, 1, 32, 48)
    wrong[0, :, :16, :16] = 1  # one of 6 cells is all wrong: 1/2 * 1/6
    wrong[1, :, :8, :16] = 1  # half of one cell: 1/2 * 1/6 * (1/2)^2
    assert semantic(wrong, truth).tolist() == pytest.approx([1 / 12, 1 / 48, 0])
    assert semantic(truth, wrong).tolist() == pytest.approx([1 / 12, 1 / 48, 0])


def test_it_is_blind_to_edges_and_takes_any_size() -> None:
    stripes = torch.arange(64).remainder(2).float().expand(1, 1, 64, 64)
    assert semantic(stripes, torch.full_like(stripes, 0.5)).item() == pytest.approx(0, abs=1e-12)
    for height, width in ((1, 1), (15, 40), (33, 17)):
        everywhere = torch.ones(2, 1, height, width)
        assert semantic(everywhere * 0.75, everywhere * 0.25).tolist() == pytest.approx([0.125, 0.125])


@pytest.mark.usefixtures("unchecked")
def test_mattes_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="resize one"):
        semantic(torch.rand(1, 1, 64, 64), torch.rand(1, 1, 64, 63))


@pytest.mark.parametrize("size", [(64, 64), (40, 52)])
def test_the_head_says_one_value_a_place_at_the_pictures_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = DetailStyleMatte(replace(NETWORK, semantic_head=True)).eval()
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        alpha, whole = network(image, semantic=True)
        assert network(image).equal(alpha)
    assert alpha.shape == whole.shape == (2, 1, *size)
    assert 0 <= whole.min() <= whole.max() <= 1
    slope = whole.diff(dim=-1).diff(dim=-1).abs()  # enlarged by 16: straight between the centres of its cells
    assert (slope < 1e-3).float().mean() > 0.8


def test_the_head_learns_and_is_not_the_alpha() -> None:
    module, batch = MatterModule(NETWORK, FIT, seed=0), a_batch()
    loss, named = module.weighted_loss(batch)
    loss.backward()
    assert set(named) == {"l1", "semantic", "total"}
    torch.testing.assert_close(loss, named["l1"] + 2.0 * named["semantic"])
    assert module.network.semantic_head.weight.grad.abs().sum() > 0
    _, whole = module.predict(batch)
    torch.testing.assert_close(named["semantic"], semantic(whole, batch.alpha).mean())
    for name, parameter in module.network.named_parameters():
        assert parameter.grad is not None, name


def test_a_head_may_come_and_go_between_fits(tmp_path) -> None:
    without = build_network(NETWORK, seed=3)
    assert without.semantic_head is None
    save_matter(tmp_path / "without", without, {})
    came = MatterModule(NETWORK, FIT, seed=4, init_from=str(tmp_path / "without")).network
    again = MatterModule(NETWORK, FIT, seed=4, init_from=str(tmp_path / "without")).network
    assert came.head.weight.equal(without.head.weight)
    assert came.semantic_head.weight.equal(again.semantic_head.weight)
    save_matter(tmp_path / "with", came, {})
    alone = replace(FIT, losses=MatterLossConfig.only(l1=1.0))
    went = MatterModule(NETWORK, alone, seed=4, init_from=str(tmp_path / "with")).network
    assert went.semantic_head is None
    assert went.state_dict().keys() == without.state_dict().keys()
    stayed = MatterModule(NETWORK, FIT, seed=9, init_from=str(tmp_path / "with")).network
    assert stayed.semantic_head.weight.equal(came.semantic_head.weight)


def test_networks_without_the_head_say_so() -> None:
    with pytest.raises(ValueError, match=r"losses.semantic above 0: expected a network that takes a trimap .* got fpn"):
        MatterModule(FpnConfig(backbone=NETWORK.backbone), FIT, seed=0)
    with pytest.raises(ValueError, match="semantic_head true"):
        build_network(NETWORK, seed=0).eval()(torch.rand(1, 3, 32, 32), semantic=True)
