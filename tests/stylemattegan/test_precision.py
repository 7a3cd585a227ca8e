"""Fits with 16-bit layers: which layers those are, how near they stay to float32, and gradients that are no numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.generator import Generator
from stylemattegan.networks.precision import HalfLayer, all_in_float32, set_half
from stylemattegan.training.divergence import Diverged
from stylemattegan.training.module import GeneratorModule
from stylemattegan.training.start import Networks
from tests.stylemattegan.test_module import SIZE, Pictures, assert_equal_weights, fit_config, fitted, module, trainer

SIZES: dict[str, Any] = dict(z_dim=8, w_dim=8, channel_base=512, channel_max=16)


def halves(*networks: torch.nn.Module) -> set[torch.dtype | None]:
    return {layer.half for network in networks for layer in network.modules() if isinstance(layer, HalfLayer)}


def relative(actual: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference as a part of the spread."""
    return ((actual - expected).square().mean().sqrt() / expected.std()).item()


def test_bfloat16_layers_are_those_of_the_finest_octaves():
    """At 64: octaves 0, 1 are resolutions 64 and 32."""
    G = Generator(**SIZES, img_resolution=64, num_layers=8, margin_size=4)
    D = Discriminator(64, channel_base=512, channel_max=16)
    for network in (G, D):
        set_half(network, torch.bfloat16, octaves=2)
    layers = [getattr(G.synthesis, name) for name in G.synthesis.layer_names]
    assert [layer.half is not None for layer in layers] == [layer.plan.target.rate >= 32 for layer in layers]
    assert [getattr(D, f"b{r}").half for r in (64, 32, 16, 8)] == [torch.bfloat16, torch.bfloat16, None, None]
    with all_in_float32(G, D):
        assert halves(G, D) == {None}
    assert halves(G, D) == {None, torch.bfloat16}


def test_bfloat16_draws_and_scores_nearly_the_same():
    """bfloat16 has 8 bits: .4 % a rounding, a dozen of them in a row. Weights and pictures stay float32."""
    torch.manual_seed(0)
    G = Generator(**SIZES, img_resolution=64, num_layers=8, margin_size=4)
    D = Discriminator(64, channel_base=512, channel_max=16)
    z = torch.randn(8, 8)
    seen = []
    getattr(G.synthesis, G.synthesis.layer_names[5]).register_forward_hook(
        lambda layer, given, made: seen.append(made.dtype)
    )
    expected = [G(z)]
    expected += [D(expected[0].detach())]
    for network in (G, D):
        set_half(network, torch.bfloat16)
    actual = [G(z), D(expected[0].detach())]
    assert seen == [torch.float32, torch.bfloat16]
    assert {a.dtype for a in actual} == {torch.float32}
    assert 1e-4 < relative(actual[0], expected[0]) < 0.03
    assert 1e-4 < relative(actual[1], expected[1]) < 0.1
    sum(a.square().mean() for a in actual).backward()
    assert {p.grad.dtype for network in (G, D) for p in network.parameters()} == {torch.float32}


def test_penalties_and_path_lengths_see_float32(monkeypatch):
    changes = dict(precision="bf16", path_weight=2.0, path_every=1, r1_every=2)
    fit, seen = module(**changes), {}
    score, styles = fit.score, fit.styles
    monkeypatch.setattr(fit, "score", lambda x, phase: seen.setdefault(phase, halves(fit.D)) and score(x, phase))
    monkeypatch.setattr(fit, "styles", lambda phase, *a: seen.setdefault(phase, halves(fit.G)) and styles(phase, *a))
    trainer(1).fit(fit, datamodule=Pictures(1))
    assert seen == {
        "G": {torch.bfloat16}, "D": {torch.bfloat16}, "fake": {torch.bfloat16}, "real": {torch.bfloat16},
        "path": {None}, "r1": {None},
    }  # fmt: skip
    every, seen_now = module(precision="bf16", r1_every=1), set()
    score_now = every.score
    monkeypatch.setattr(every, "score", lambda x, phase: seen_now.add((phase, *halves(every.D))) or score_now(x, phase))
    trainer(1).fit(every, datamodule=Pictures(1))
    assert {("real", None), ("fake", None)} < seen_now


def test_a_bfloat16_fit_stays_near_the_float32_one():
    """Four steps of Adam at its full rate move weights by .01; the two fits differ, by less than that."""
    exact, _ = fitted(1, augment_p=0.0)
    rough, _ = fitted(1, augment_p=0.0, precision="bf16")
    start = module(augment_p=0.0)
    assert exact.G.config == rough.G.config
    moved, apart = 0.0, 0.0
    for a, b, c in zip(exact.G.parameters(), rough.G.parameters(), start.G.parameters(), strict=True):
        assert b.dtype == torch.float32
        moved += (a - c).square().sum().item()
        apart += (a - b).square().sum().item()
    assert 0 < apart < 0.1 * moved


def test_what_a_fit_computes_in_is_its_own_choice():
    """Also of networks that were imported with float16 layers: their description stays, for those who sample them."""
    G = Generator(**SIZES, num_fp16_res=1, img_resolution=SIZE, num_layers=4, margin_size=4)
    D = Discriminator(SIZE, num_fp16_res=1, channel_base=64, channel_max=4)
    assert halves(G, D) == {None, torch.float16}
    fit = GeneratorModule(Networks(G, D), fit_config(), SIZE, seed=0)
    assert halves(fit.G, fit.D) == {None}
    assert halves(fit.G_ema) == {torch.float16}
    assert fit.G.config["num_fp16_res"] == 1


def spoil(fit, value: float, steps: set[int]) -> None:
    """Gradients of G that are `value` in those steps."""

    def spoiled(gradient: Tensor) -> Tensor:
        return torch.full_like(gradient, value) if fit.step in steps else gradient

    for parameter in fit.G.synthesis.parameters():
        parameter.register_hook(spoiled)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_costs_a_step_of_a_bfloat16_fit_alone(value):
    fit = module(precision="bf16")
    spoil(fit, value, {1})
    trainer(1).fit(fit, datamodule=Pictures(3))
    assert fit.step == 3
    exact = module()
    spoil(exact, value, {1})
    with pytest.raises(Diverged):
        trainer(1).fit(exact, datamodule=Pictures(3))


def test_gradients_that_are_never_numbers_end_a_bfloat16_fit():
    fit = module(precision="bf16")
    for parameter in [*fit.G.parameters(), *fit.D.parameters()]:
        parameter.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(Diverged, match="no finite gradient in the last 7 updates before step 3"):
        trainer(1).fit(fit, datamodule=Pictures(3))


def test_a_loss_that_is_no_number_ends_a_bfloat16_fit():
    with pytest.raises(Diverged, match="loss term 'D/loss' became nan at step 2"):
        fitted(1, data=Pictures(4, bad_step=2), augment_p=0.0, precision="bf16")


def test_float16_without_a_gpu_is_one_line():
    with pytest.raises(ValueError, match=r"fit\.precision=fp16 needs a GPU, and this fit has none: use bf16"):
        fitted(1, precision="fp16")


def test_float32_is_the_default_to_the_bit():
    assert_equal_weights(fitted(1)[0], fitted(1, precision="fp32")[0])
