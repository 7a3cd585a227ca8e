"""The losses by closed form and against the recorded gradients of one accumulation of each phase."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stylemattegan.losses import logistic_d_fake, logistic_d_real, logistic_g, r1_penalty
from stylemattegan.networks import Discriminator, Generator

FIXTURES = Path(__file__).parents[2].parent / "shared" / "fixtures" / "stylegan3"
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no recorded values at {FIXTURES}")


def kwargs_of(recorded):
    kwargs = {k: v for k, v in recorded.items() if k != "mapping_kwargs"}
    return kwargs | (
        {"mapping_layers": recorded["mapping_kwargs"]["num_layers"]} if "mapping_kwargs" in recorded else {}
    )


def state_of(tensors, prefix):
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def relative(a, b):
    return float((a - b).detach().norm() / b.norm().clamp_min(1e-20))


def test_logistic_by_hand():
    zero, logits = torch.zeros(3, 1), torch.tensor([[2.0]])
    for loss in (logistic_g, logistic_d_fake, logistic_d_real):
        assert loss(zero).tolist() == pytest.approx([math.log(2)] * 3)
    assert float(logistic_g(logits)) == pytest.approx(math.log(1 + math.exp(-2)))
    assert float(logistic_d_fake(logits)) == pytest.approx(math.log(1 + math.exp(2)))


def test_r1_of_a_quadratic():
    """D(x) = |x|^2 has gradient 2x, so the penalty is 4 |x|^2 and its gradient 8x."""
    x = torch.tensor([[1.0, 2.0], [3.0, 0.0]], requires_grad=True)
    penalty = r1_penalty(x, x.square().sum(1))
    assert penalty.tolist() == [20.0, 36.0]
    (gradient,) = torch.autograd.grad(penalty.sum(), x)
    assert torch.equal(gradient, 8 * x.detach())


def test_r1_needs_images_that_require_grad():
    with pytest.raises(ValueError, match="requires_grad"):
        r1_penalty(torch.ones(1), torch.ones(1))


@needs_fixtures
@pytest.mark.parametrize("name", ["t_r1", "t_nogamma"])
def test_phases_recorded(name):
    about = next(c for c in json.loads((FIXTURES / "loss.json").read_text())["cases"] if c["name"] == name)
    t = load_file(FIXTURES / about["file"])
    G, D = Generator(**kwargs_of(about["G_kwargs"])), Discriminator(**kwargs_of(about["D_kwargs"]))
    G.load_state_dict(state_of(t, "G."))
    D.load_state_dict(state_of(t, "D."))
    gamma = about["loss_kwargs"]["r1_gamma"]
    logistic_g(D(G(t["gen_z"]))).mean().backward()
    check(G, "Gmain", about, t, tolerance=5e-3)  # wider than 2e-3: see test_networks on kinks
    D.zero_grad()
    G.load_state_dict(state_of(t, "G."))
    with torch.no_grad():
        fake = G(t["gen_z"], update_emas=True)
    images = t["real_img"].clone().requires_grad_()
    real = D(images)
    (logistic_d_fake(D(fake)).mean() + logistic_d_real(real).mean()).backward(retain_graph=True)
    check(D, "Dmain", about, t)
    for key, value in about["phases"]["Dmain"]["magnitude_ema_after"].items():
        assert float(G.state_dict()[key]) == pytest.approx(value, rel=1e-5)
    if gamma:
        D.zero_grad()
        (gamma / 2 * r1_penalty(images, real).mean() * about["phases"]["Dreg"]["gain"]).backward()
        check(D, "Dreg", about, t)


def check(network, phase, about, t, tolerance=2e-3):
    parameters = dict(network.named_parameters())
    for key, norm in about["phases"][phase]["grad_norms"].items():
        gradient = parameters[key].grad
        size = 0.0 if gradient is None else float(gradient.norm())
        assert size == pytest.approx(norm or 0.0, rel=tolerance, abs=1e-7), key
        if f"{phase}.grad.{key}" in t:
            assert relative(gradient, t[f"{phase}.grad.{key}"]) < tolerance
