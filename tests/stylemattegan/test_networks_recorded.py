"""Whole generators and discriminators against recorded pictures, logits and gradients, by every implementation."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from stylemattegan.importing.arguments import discriminator_arguments, generator_arguments
from stylemattegan.networks import Discriminator, Generator
from tests.fixture_files import as_recorded
from tests.stylemattegan.recorded import HERE, IMPLS, about, implementation, relative, state_of

GENERATORS = about("generators")["generators"]
DISCRIMINATORS = about("discriminators")["discriminators"]
NUDGES = 8
"""Where an upsampled sample is within rounding of 0, the leaky ReLU's slope there is a matter of rounding: one such
sample of 2e5 moves a gradient by 2e-3 of its norm. So a recorded gradient must be met at one of so many inputs within
1e-7 of the recorded one. (Moved by as little, the reference misses its own values.)"""


def named(rows):
    return pytest.mark.parametrize("row", [pytest.param(row, id=row["name"]) for row in rows])


def build(row: dict, network: nn.Module) -> tuple[nn.Module, dict[str, Tensor]]:
    tensors = load_file(HERE / row["file"])
    network.load_state_dict(state_of(tensors, "sd."))
    assert sum(p.numel() for p in network.parameters()) == row["params"]
    return network, tensors


def generator(row):
    return build(row, Generator(**generator_arguments(row["init_kwargs"])))


def assert_picture(actual: Tensor, expected: Tensor) -> None:
    assert float((as_recorded(actual, expected) - expected).detach().abs().max()) <= 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize("impl", IMPLS)
@named(GENERATORS)
def test_generator_recorded(row, impl):
    G, t = generator(row)
    z, c = t["z"], t["c"]
    assert G.synthesis.layer_names == row["layer_names"]
    assert G.num_ws == row["num_ws"]
    with implementation(impl), torch.no_grad():
        assert_picture(G.mapping(z, c), t["ws"])
        assert_picture(G.mapping(z, c, psi=0.7), t["ws_psi0.7"])
        assert_picture(G.mapping(z, c, psi=0.5, truncation_cutoff=4), t["ws_psi0.5_cutoff4"])
        assert_picture(G(z, c), t["img"])
        assert_picture(G(z, c, psi=0.7), t["img_psi0.7"])
        assert_picture(G(z, c, psi=torch.full((len(z),), 0.7)), t["img_psi0.7"])
        G.synthesis.input.transform.copy_(t["transform"])
        assert_picture(G.synthesis(t["ws"]), t["img_transform"])
        G.synthesis.input.transform.copy_(torch.eye(3))
        assert_picture(G(z, c, update_emas=True), t["img_with_update_emas"])
    after = state_of(t, "sd_after.")
    assert {k for k in G.state_dict() if k.endswith(("w_avg", "magnitude_ema"))} == set(after)
    for key, value in after.items():
        torch.testing.assert_close(G.state_dict()[key], value)


@named(GENERATORS)
def test_activations_recorded(row):
    G, t = generator(row)
    seen: dict[str, Tensor] = {}
    for name in row["activation_stats"]:
        getattr(G.synthesis, name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    with torch.no_grad():
        G.synthesis(t["ws_in"])
    for name, stats in row["activation_stats"].items():
        found = {"mean": seen[name].mean(), "std": seen[name].std(), "absmax": seen[name].abs().max()}
        assert list(seen[name].shape) == stats["shape"]
        for key, value in found.items():
            assert float(value) == pytest.approx(stats[key], abs=1e-4 * stats["absmax"]), (name, key)
    activations = state_of(t, "act.")
    assert activations
    for name, value in activations.items():
        assert_picture(seen[name], value)


def gradient_errors(row, nudge: int) -> dict[str, float]:
    """Relative error of every recorded gradient, at an input moved by 1e-7 unless nudge is 0."""
    G, t = generator(row)
    ws = t["ws_in"].clone()
    if nudge:
        ws *= 1 + 1e-7 * torch.randn(ws.shape, generator=torch.Generator().manual_seed(nudge))
    ws.requires_grad_()
    picture = G.synthesis(ws)
    assert_picture(picture, t["img_from_ws_in"])
    (picture * t["gimg"]).sum().backward()
    gradients = {name: p.grad for name, p in G.named_parameters()}
    assert {k for k, v in gradients.items() if v is None} == {k for k, v in row["grad_norms"].items() if v is None}
    errors = {name: relative(gradients[name], value) for name, value in state_of(t, "grad.").items()}
    assert len(errors) == len(row["full_grads"])
    norms = {name: norm for name, norm in row["grad_norms"].items() if norm is not None}
    errors |= {f"|{name}|": abs(float(gradients[name].norm()) / norm - 1) for name, norm in norms.items()}
    return errors | {"ws": relative(ws.grad, t["grad_ws_in"])}


@pytest.mark.parametrize("impl", IMPLS)
@named(GENERATORS)
def test_generator_gradients_recorded(row, impl):
    worst: list[tuple[float, str]] = []
    with implementation(impl):
        for nudge in range(NUDGES):
            worst.append(max((error, key) for key, error in gradient_errors(row, nudge).items()))
            if worst[-1][0] < 1e-3:
                return
    raise AssertionError(f"recorded gradients not met within 1e-3: {worst}")


def penalty_errors(row, nudge: int) -> dict[str, float]:
    """Relative error of R1 (gamma = 10) and of every gradient through it (second order), at an input moved by 1e-7."""
    D, t = build(row, Discriminator(**discriminator_arguments(row["init_kwargs"])))
    assert [name for name, _ in D.named_parameters()] == row["trainable"]
    assert {name for name, _ in D.named_buffers()} == set(row["buffers"])
    images = t["img"].clone()
    if nudge:
        images += 1e-7 * torch.randn(images.shape, generator=torch.Generator().manual_seed(nudge))
    images.requires_grad_()
    logits = D(images, t["c"])
    torch.testing.assert_close(logits, t["logits"], rtol=0, atol=1e-4 * float(t["logits"].abs().max()))
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    penalty = gradient.square().sum([1, 2, 3])
    (torch.nn.functional.softplus(-logits[:, 0]) + 5 * penalty).mean().backward()
    parameters, full = dict(D.named_parameters()), state_of(t, "grad.")
    assert sorted(full) == sorted(row["full_grads"])
    errors = {"R1's gradient": relative(gradient, t["r1_grad"]), "R1": relative(penalty, t["r1_penalty"])}
    errors |= {key: relative(parameters[key].grad, value) for key, value in full.items()}
    norms = row["grad_norms"].items()
    return errors | {f"|{key}|": abs(float(parameters[key].grad.norm()) / norm - 1) for key, norm in norms}


@pytest.mark.parametrize("impl", IMPLS)
@named(DISCRIMINATORS)
def test_discriminator_recorded(row, impl):
    worst: list[tuple[float, str]] = []
    with implementation(impl):
        for nudge in range(NUDGES):
            worst.append(max((error, key) for key, error in penalty_errors(row, nudge).items()))
            if worst[-1][0] < 2e-3:
                return
    raise AssertionError(f"recorded gradients not met within 2e-3: {worst}")


@named(DISCRIMINATORS)
def test_frozen_layers_are_buffers_of_the_same_names_and_change_nothing(row):
    """4 convolutions: in a resnet the first block's fromrgb, conv0, conv1 and skip."""
    D, t = build(row, Discriminator(**discriminator_arguments(row["init_kwargs"])))
    frozen = Discriminator(**discriminator_arguments(row["init_kwargs"] | {"block_kwargs": {"freeze_layers": 4}}))
    frozen.load_state_dict(D.state_dict())
    fourth = "b16.fromrgb" if row["init_kwargs"].get("architecture") == "skip" else "b32.skip"
    four = ("b32.fromrgb", "b32.conv0", "b32.conv1", fourth)
    expected = [name for name in row["trainable"] if name.rpartition(".")[0] not in four]
    assert [name for name, _ in frozen.named_parameters()] == expected
    frozen(t["img"], t["c"]).sum().backward()
    assert torch.equal(frozen(t["img"], t["c"]), D(t["img"], t["c"]))
