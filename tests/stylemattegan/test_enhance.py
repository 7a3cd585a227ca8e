"""Enhancement: surer mattes within the trust region and under the bound, as guarantees; wrong mattes are refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import stylemattegan
from stylemattegan.enhance import (
    PRESETS,
    EnhanceConfig,
    GateConfig,
    LossWeights,
    Matte,
    composite_critic,
    enhance,
    pair_critic,
    scene_of,
    trimap_based,
    trimap_free,
    verdicts,
)
from stylemattegan.enhance.losses import entropy_map, outside_band
from stylemattegan.enhance.move import _Mover
from stylemattegan.enhance.trust import distance, into_ball
from stylemattegan.inversion import code_of, random_pyramid
from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.weights import load_all
from stylemattegan.sample import latents, sample

ROOT = Path(__file__).parents[2]
EXACT = EnhanceConfig(steps=16, lr=0.02, trust=0.1, max_rmse=0.05, weights=LossWeights(0, 1, 1, 0.01))


def keep(alpha: torch.Tensor) -> tuple[torch.Tensor, dict[str, float], None]:
    return alpha, {}, None


@pytest.fixture(scope="module")
def trained():
    """The start weights' generator, a small matter fitted on its cut-outs over grey ramps, three scenes."""
    torch.manual_seed(0)
    G = stylemattegan.load(ROOT / "configs/start/portraits").network
    own = sample(G, list(range(16)), [0.9] * 16)
    ramp = torch.linspace(0, 1, 64).expand(16, 3, 64, 64) * torch.rand(16, 3, 1, 1)
    pictures = own[:, 3:] * own[:, :3] + (1 - own[:, 3:]) * ramp
    network = nn.Sequential(
        nn.Conv2d(3, 12, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(4),
        nn.Conv2d(12, 24, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(24, 24, 5, padding=4, dilation=2),
        nn.ReLU(),
        nn.Conv2d(24, 1, 3, padding=1),
        nn.Upsample(scale_factor=4, mode="bilinear"),
        nn.Sigmoid(),
    )
    optimizer = torch.optim.Adam(network.parameters(), 4e-3)
    for step in range(100):  # at two sizes: the view that a move is stopped by is a smaller one
        optimizer.zero_grad()
        shown = pictures if step % 2 else nn.functional.interpolate(pictures, (48, 48), mode="bilinear", antialias=True)
        wanted = nn.functional.interpolate(own[:, 3:], shown.shape[-2:], mode="bilinear", antialias=True)
        (network(shown) - wanted).abs().mean().backward()
        optimizer.step()
    network.requires_grad_(False)
    code = code_of(G.mapping(latents([20, 21], 64), psi=0.9))
    return G, trimap_free(network), code, scene_of(G, code, ramp[:2])


def test_the_defaults_lower_entropy_by_a_fifth_exactly_within_their_bounds(trained) -> None:
    """With the discriminator, as the loop has it; a third of the default steps."""
    G, matter, code, scene = trained
    critic = pair_critic(load_all(ROOT / "configs/start/portraits")[1])
    config = EnhanceConfig(steps=20)
    found = enhance(G, code, scene, matter, random_pyramid(), config, critic=critic)
    assert found.after.entropy.sum() <= 0.8 * found.before.entropy.sum()
    assert (distance(found.code.w, code.w) <= config.trust * code.w.double().norm(dim=-1)).all()
    gap = (found.picture.double() - scene.picture.double()).square().mean((1, 2, 3)).sqrt()
    assert 0.2 * config.max_rmse < gap.max() <= config.max_rmse
    assert config.weights == PRESETS["entropy-led"]
    assert PRESETS["paper"] == LossWeights(adversarial=1, entropy=1, pixel=10, perceptual=1)


def test_without_weights_pictures_stay_bit_for_bit(trained) -> None:
    G, matter, code, scene = trained
    found = enhance(G, code, scene, matter, random_pyramid(), EnhanceConfig(weights=LossWeights(0, 0, 0, 0)))
    assert torch.equal(found.picture, scene.picture)
    assert torch.equal(found.code.w, code.w)
    assert found.rmse.tolist() == [0, 0]


def test_a_confidently_wrong_matter_is_refused(trained) -> None:
    G, _, code, scene = trained
    wrong = trimap_free(lambda picture: torch.sigmoid(30 * (picture.mean(1, keepdim=True) - 0.3)))
    found = enhance(G, code, scene, wrong, random_pyramid(), replace(EXACT, steps=5))
    assert found.after.entropy.sum() < found.before.entropy.sum()
    reasons = [verdict.reason for verdict in verdicts(found, EXACT, GateConfig(), keep)]
    assert all(reason is not None and reason.startswith("agreement: IoU") for reason in reasons)
    agreeing = found._replace(matte=found.alpha)
    assert [v.reason for v in verdicts(agreeing, EXACT, GateConfig(), keep)].count(None) >= 1
    refused = verdicts(agreeing, EXACT, GateConfig(), lambda alpha: (alpha, {"bodies": 2}, "2 bodies"))
    assert {verdict.reason for verdict in refused} <= {"refinement: 2 bodies", "entropy: it did not fall"}


def half_right(alpha: torch.Tensor) -> torch.Tensor:
    return (alpha + alpha.roll(1, -1)) / 2


def beheaded(alpha: torch.Tensor) -> torch.Tensor:
    rows = (alpha[0] > 0.5).any(1).nonzero()
    top, bottom = int(rows[0]), int(rows[-1])
    return torch.where(torch.arange(alpha.shape[1])[:, None] < top + (bottom - top) // 4, 0.0, alpha)


def with_a_stranger(alpha: torch.Tensor) -> torch.Tensor:
    alpha = alpha.clone()
    alpha[:, :8, :8] = 1
    return alpha


WRONG = {
    "inverted": lambda alpha: 1 - alpha,
    "beheaded": beheaded,
    "with a stranger": with_a_stranger,
    "wider by 2 pixels": lambda alpha: nn.functional.max_pool2d(alpha, 5, 1, 2),
    "2 pixels to the right": lambda alpha: alpha.roll(2, -1),
}
RIGHT = {"the same": lambda alpha: alpha, "half a pixel to the right": half_right}


@pytest.mark.parametrize(("planted", "accepted"), [*((n, False) for n in WRONG), *((n, True) for n in RIGHT)])
def test_the_gate_refuses_what_is_wrong_and_accepts_what_is_right_to_a_pixel(trained, planted, accepted) -> None:
    G, matter, code, scene = trained
    found = enhance(G, code, scene, matter, random_pyramid(), EnhanceConfig(weights=LossWeights(0, 0, 0, 0)))
    surer = found.before._replace(entropy=found.before.entropy / 2)  # a confident matter
    matte = torch.stack([{**WRONG, **RIGHT}[planted](alpha) for alpha in found.alpha])
    given = verdicts(found._replace(matte=matte, after=surer), EnhanceConfig(), GateConfig(), keep)
    assert [verdict.reason is None for verdict in given] == [accepted, accepted]
    assert all(accepted or verdict.reason.startswith("agreement") for verdict in given)


def test_a_matter_without_gradients_is_asked_by_moves(trained) -> None:
    """What the random moves find goes the way of the gradient, and by about its length along each of them."""
    G, matter, code, scene = trained
    config = EnhanceConfig(steps=1, weights=LossWeights(0, 1, 0, 0))
    found = {}
    for differentiable in (True, False):

        def asked(picture: torch.Tensor) -> Matte:
            return matter(picture if asked.differentiable else picture.detach())

        asked.differentiable = differentiable
        mover = _Mover(G, code, scene, asked, random_pyramid(), config, None, False, 5)
        mover._objective(mover.picture(mover.code())).sum().backward()
        if not differentiable:
            mover._probe(1)
        found[differentiable] = mover.move.grad.sum(1)
    assert ((found[True] * found[False]).sum(1) > 0).all()
    cosine = torch.cosine_similarity(found[True], found[False])
    assert (cosine > 0.08).all()  # 6 of 128 dimensions: 0.22 is to be expected, 0 of noise


def test_entropy_is_finite_for_any_logits() -> None:
    logits = torch.tensor([[200.0, -200.0, 0.0]]).view(1, 3, 1, 1).requires_grad_()
    value = entropy_map(Matte(logits[:, :1], logits))
    value.sum().backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(logits.grad).all()
    sure = torch.tensor([-200.0, 200.0, 0.0]).view(1, 1, 1, 3).requires_grad_()
    value = entropy_map(Matte(sure.sigmoid()))
    value.sum().backward()
    assert value.flatten().tolist() == pytest.approx([0, 0, 1], abs=1e-4)
    assert torch.isfinite(sure.grad).all()


def test_the_ball_holds_after_rounding() -> None:
    drawn = torch.Generator().manual_seed(0)
    centre = torch.randn(500, 16, generator=drawn) * 1000
    radius = 1e-3 * centre.double().norm(dim=-1)
    inside = into_ball(centre + torch.randn(500, 16, generator=drawn) * 10, centre, radius)
    assert (distance(inside, centre) <= radius).all()
    assert (distance(inside, centre) > 0.98 * radius).all()


def test_the_band_is_left_alone() -> None:
    alpha = torch.zeros(1, 1, 50, 50)
    alpha[..., 25:] = 1
    alpha[..., 25] = 0.5
    kept = outside_band(alpha)
    assert kept[0, 0, 10].tolist() == [1.0] * 24 + [0.0] * 3 + [1.0] * 23


def test_critics_judge_the_pair_or_a_composite() -> None:
    torch.manual_seed(0)
    D = Discriminator(32, channel_base=64, channel_max=4)
    picture, alpha = torch.rand(3, 3, 64, 64), torch.rand(3, 1, 64, 64)
    critic = pair_critic(D)
    assert torch.allclose(critic(picture, alpha)[:1], critic(picture[:1], alpha[:1]), atol=1e-5)
    seen = composite_critic(lambda x: x.flatten(1), torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 64, 64))
    assert torch.allclose(seen(picture, alpha), 2 * alpha.mean((1, 2, 3)) - 1, atol=1e-5)


def test_a_trimap_is_set_where_it_is_known() -> None:
    logits = torch.tensor([[9.0, 0, 0], [0, 9, 0], [0, 0, 9]]).T.reshape(1, 3, 1, 3)
    matte = trimap_based(lambda x: logits, lambda x, trimap: torch.full_like(trimap, 0.3))(torch.rand(1, 3, 1, 3))
    assert matte.alpha.flatten().tolist() == pytest.approx([0, 0.3, 1])
