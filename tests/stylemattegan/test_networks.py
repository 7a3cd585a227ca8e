"""How generator and discriminator behave at small sizes. Recorded values: test_networks_recorded.py."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from stylemattegan.networks import Discriminator, Generator
from stylemattegan.networks.discriminator import minibatch_std
from tests.stylemattegan.recorded import implementation, relative

TINY = dict(z_dim=8, w_dim=8, channel_base=128, channel_max=6)


@pytest.mark.parametrize(("resolution", "num_layers", "margin"), [(32, 8, 4), (64, 10, 6), (64, 6, 2), (128, 8, 4)])
def test_small_generators_train_and_agree_with_reference(resolution, num_layers, margin):
    torch.manual_seed(0)
    G = Generator(**TINY, img_resolution=resolution, num_layers=num_layers, margin_size=margin)
    z = torch.randn(2, 8)
    picture = G(z)
    assert picture.shape == (2, 4, resolution, resolution)
    assert picture.dtype == torch.float32
    picture.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in G.parameters())
    with implementation("reference"), torch.no_grad():
        assert relative(G(z), picture) < 1e-5


def test_config_rebuilds_and_copies_share_nothing():
    G = Generator(**TINY, img_resolution=32, num_layers=8, margin_size=4, c_dim=3)
    other = Generator(**json.loads(json.dumps(G.config)))
    other.load_state_dict(G.state_dict())
    twin = copy.deepcopy(G)
    z, c = torch.randn(2, 8), torch.eye(3)[:2]
    assert torch.equal(other(z, c), G(z, c))
    assert torch.equal(twin(z, c), G(z, c))
    D = Discriminator(32, channel_base=128, channel_max=8, c_dim=3)
    assert Discriminator(**json.loads(json.dumps(D.config)))(G(z, c), c).shape == (2, 1)


def test_psi_zero_is_the_mean_picture_for_every_latent():
    G = Generator(**TINY, img_resolution=32, num_layers=8, margin_size=4).eval()
    G.mapping.w_avg.normal_()
    with torch.no_grad():
        a, b = G(torch.randn(2, 8), psi=0.0)
        mixed = G(torch.randn(2, 8), psi=torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(a, b)
    torch.testing.assert_close(mixed[0], a)
    assert relative(mixed[1], a) > 0.01


def test_a_sample_does_not_depend_on_its_batch():
    G = Generator(**TINY, img_resolution=32, num_layers=8, margin_size=4).eval()
    z = torch.randn(4, 8)
    with torch.no_grad():
        torch.testing.assert_close(G(z)[2:3], G(z[2:3]), rtol=1e-4, atol=1e-5)


def test_emas_move_only_when_asked():
    G = Generator(**TINY, img_resolution=32, num_layers=8, margin_size=4)
    before = copy.deepcopy(G.state_dict())
    G(torch.randn(2, 8))
    assert all(torch.equal(before[k], v) for k, v in G.state_dict().items())
    with torch.autocast("cpu", dtype=torch.bfloat16):  # what is averaged is float32 all the same
        G(torch.randn(2, 8), update_emas=True)
    moved = {k for k, v in G.state_dict().items() if not torch.equal(before[k], v)}
    assert moved == {"mapping.w_avg"} | {k for k in before if k.endswith("magnitude_ema")}


def test_minibatch_std_groups_of_ranks_are_groups_of_the_whole():
    """8 samples in groups of 4: 2 groups, so 2 processes with rows rank::2 see whole groups."""
    x = torch.randn(8, 4, 3, 3)
    whole = minibatch_std(x, 4)
    for rank in range(2):
        torch.testing.assert_close(minibatch_std(x[rank::2], 4), whole[rank::2])
    assert float(minibatch_std(torch.ones(4, 2, 1, 1), 4)[0, 2, 0, 0]) == pytest.approx(1e-4)  # sqrt(1e-8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Generator(img_resolution=48), "img_resolution=48: expected a power of two"),
        (
            lambda: Generator(img_resolution=32, num_layers=2),
            "num_critical=2: expected between 0 and num_layers - 1 = 1",
        ),
        (lambda: Discriminator(33), "img_resolution=33: expected a power of two"),
        (lambda: Discriminator(32, channel_base=16), "channel_base=16"),
        (lambda: Discriminator(32, architecture="unet"), "architecture='unet': expected one of resnet, skip, orig"),
        (lambda: Discriminator(16, channel_base=64, freeze_layers=9), "freeze_layers: 2 more than there are"),
        (lambda: Generator(img_resolution=32, filter_size=0), "filter_size=0: expected a positive number"),
        (lambda: Generator(**TINY, img_resolution=32, num_layers=6)(torch.randn(1, 9)), r"expected \(N, 8\)"),
        (lambda: Discriminator(32, channel_base=64)(torch.ones(1, 3, 32, 32)), r"expected \(N, 4, 32, 32\)"),
        (lambda: minibatch_std(torch.ones(6, 1, 1, 1), 4), "a batch of 6 does not divide"),
    ],
)
def test_errors_are_one_clear_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_float16_layers_are_the_fine_ones_and_only_a_gpu_has_them(monkeypatch):
    """Elsewhere the same bits. Made to run here in float16, they draw and score the same within its precision."""
    torch.manual_seed(0)
    sizes = dict(**TINY, img_resolution=64, num_layers=8, margin_size=4)
    G, D = Generator(**sizes), Discriminator(64, channel_base=512, channel_max=16)
    half_G = Generator(**sizes, num_fp16_res=2)
    half_D = Discriminator(64, channel_base=512, channel_max=16, num_fp16_res=2)
    half_G.load_state_dict(G.state_dict()), half_D.load_state_dict(D.state_dict())
    plans = [getattr(half_G.synthesis, name).plan for name in half_G.synthesis.layer_names]
    assert [p.use_fp16 for p in plans] == [p.target.rate >= 32 for p in plans]
    assert 0 < sum(p.use_fp16 for p in plans) < len(plans)
    assert [getattr(half_D, f"b{r}").half for r in half_D.resolutions] == [torch.float16, torch.float16, None, None]
    z = torch.randn(4, 8)
    with torch.no_grad():
        picture, logits = G(z), D(G(z))
        assert torch.equal(half_G(z), picture)
        assert torch.equal(half_D(picture), logits)
        seen = []
        for module in ("synthesis", "discriminator"):
            name = f"stylemattegan.networks.{module}.working_dtype"
            monkeypatch.setattr(name, lambda use, x: seen.append(use) or (torch.float16 if use else torch.float32))
        half_picture, half_logits = half_G(z), half_D(picture)
    assert any(seen)
    assert half_picture.dtype == half_logits.dtype == torch.float32
    assert 0 < relative(half_picture, picture) < 5e-3
    assert 0 < float((half_logits - logits).abs().max()) < 5e-3 * max(1.0, float(logits.abs().max()))


@pytest.mark.parametrize("architecture", ["skip", "orig"])
def test_other_discriminators_judge_every_size(architecture):
    D = Discriminator(16, channel_base=64, channel_max=4, architecture=architecture, mbstd_num_channels=0)
    pictures = torch.randn(4, 4, 16, 16, requires_grad=True)
    D(pictures).sum().backward()
    assert all(p.grad is not None for p in D.parameters())
    assert (len([n for n, _ in D.named_parameters() if n.endswith("fromrgb.weight")]) > 1) == (architecture == "skip")
