"""The losses by closed form and against the recorded gradients of one accumulation of each phase."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file

from stylemattegan.config import GeneratorFitConfig, GeneratorNetworkConfig
from stylemattegan.networks import Discriminator, Generator
from stylemattegan.training.losses import (
    logistic_d_fake,
    logistic_d_real,
    logistic_g,
    path_lengths,
    r1_penalty,
    relativistic_d,
    relativistic_g,
)
from stylemattegan.training.module import GeneratorModule
from tests import fixture_files
from tests.fixture_files import FIXTURES


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


def test_relativistic_by_hand():
    """Of equal logits, whatever their level, ln 2; of others the softplus of their difference, in pairs."""
    for level in (-3.0, 0.0, 5.0):
        same = torch.full((3, 1), level)
        for loss in (relativistic_g, relativistic_d):
            assert loss(same, same).tolist() == pytest.approx([math.log(2)] * 3)
    fake, real = torch.tensor([[0.0], [4.0]]), torch.tensor([[2.0], [1.0]])
    assert relativistic_g(fake, real).tolist() == pytest.approx([math.log(1 + math.exp(2)), math.log(1 + math.exp(-3))])
    assert torch.equal(relativistic_d(fake, real), relativistic_g(real, fake))


def test_path_length_of_a_linear_generator():
    """Picture = sum over layers of A_l w_l, so J_l' y = A_l' y; the layers enter by their mean square."""
    draw = torch.Generator().manual_seed(0)
    a = torch.randn(3, 5, 2 * 4 * 4, generator=draw, requires_grad=True)  # layers, w_dim, pixels
    ws = torch.randn(6, 3, 5, generator=draw, requires_grad=True)
    noise = torch.randn(6, 2, 4, 4, generator=draw)
    images = torch.einsum("nlw,lwp->np", ws, a).view(6, 2, 4, 4)
    lengths = path_lengths(images, ws, noise)
    by_hand = [
        math.sqrt(sum(float((a.detach()[i] @ one.flatten()).square().sum()) for i in range(3)) / 3 / 16)
        for one in noise
    ]
    assert lengths.tolist() == pytest.approx(by_hand, rel=1e-5)
    # d |A' y|^2 / dA = 2 y (A' y)'; with one layer's share of 1/3 and 1 / (H W)
    (gradient,) = torch.autograd.grad(lengths.square().sum(), a)
    y = noise.flatten(1)
    torch.testing.assert_close(gradient, 2 / 48 * torch.einsum("lwp,np,nq->lwq", a, y, y))


def recorded_module(about, t, **changes):
    """The training module with the recorded networks and latents; its optimizers do not move."""
    gamma = about["loss_kwargs"]["r1_gamma"]
    fit = GeneratorFitConfig(batch=len(t["gen_z"]), r1_gamma=gamma, **changes)
    network = dict(z_dim=8, w_dim=8, channel_base=64, channel_max=4, num_layers=4, margin_size=4)
    network |= dict(d_channel_base=64, d_channel_max=4)
    module = GeneratorModule(GeneratorNetworkConfig(**network), fit, resolution=16, seed=0)
    module.G, module.D = Generator(**kwargs_of(about["G_kwargs"])), Discriminator(**kwargs_of(about["D_kwargs"]))
    module.G.load_state_dict(state_of(t, "G."))
    module.D.load_state_dict(state_of(t, "D."))
    module.manual_backward = lambda loss: loss.backward()

    def styles(phase, count, update_emas=False, known=None):
        return module.G.mapping(t["gen_z"], update_emas=update_emas)

    module.styles = styles
    return module, torch.optim.SGD([*module.G.parameters(), *module.D.parameters()], lr=0.0)


@pytest.mark.parametrize("phase", ["Gmain", "Gboth", "Dmain", "Dreg", "Dboth"])
@pytest.mark.parametrize("name", ["t_r1", "t_nogamma"])
def test_phases_recorded(name, phase):
    """The training step's own phases; without path length Gboth is Gmain. Dboth is a penalty at every step."""
    about = next(c for c in fixture_files.about("stylegan3/loss")["cases"] if c["name"] == name)
    t = load_file(FIXTURES / "stylegan3" / about["file"])
    assert about["phases"]["Dreg"]["gain"] == 16
    module, still = recorded_module(about, t, r1_every=1 if phase == "Dboth" else 16)
    if phase in ("Gmain", "Gboth"):
        module.generator_step(still, t["real_img"])
        return check(module.G, phase, about, t)
    if phase == "Dreg" and not module.objectives.lazy:
        return check(module.D, phase, about, t)  # nothing to do, no gradient
    if phase == "Dreg":
        module.regularize("D", still, t["real_img"])
    else:
        module.discriminator_step(still, t["real_img"])
        for key, value in about["phases"][phase]["magnitude_ema_after"].items():
            assert float(module.G.state_dict()[key]) == pytest.approx(value, rel=1e-5)
        norm = float(module.G.mapping.w_avg.norm())
        assert norm == pytest.approx(about["phases"][phase]["w_avg_after_norm"], rel=1e-5)
    check(module.D, phase, about, t)


def check(network, phase, about, t, tolerance=2e-3):
    parameters = dict(network.named_parameters())
    for key, norm in about["phases"][phase]["grad_norms"].items():
        gradient = parameters[key].grad
        size = 0.0 if gradient is None else float(gradient.norm())
        assert size == pytest.approx(norm or 0.0, rel=tolerance, abs=1e-7), key
        if f"{phase}.grad.{key}" in t:
            assert relative(gradient, t[f"{phase}.grad.{key}"]) < tolerance
