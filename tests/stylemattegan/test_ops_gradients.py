"""First and second derivatives of every op by finite differences, and that the C++ ones stay in C++."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from stylemattegan import ops
from stylemattegan.networks import Discriminator, Generator
from stylemattegan.ops import cpu, filtered_lrelu_torch
from stylemattegan.training.losses import r1_penalty
from tests.stylemattegan.implementations import OPS_IMPLS, need, run


@pytest.fixture(autouse=True)
def _default():
    """The tests below that name no implementation are about auto."""
    ops.set_default("auto")
    yield
    ops.set_default("auto")


@pytest.fixture(params=OPS_IMPLS)
def impl(request):
    """Each implementation that can run here."""
    return need(request.param)


@pytest.fixture
def _compiled():
    if not cpu.available():
        pytest.skip(f"no C++ ops: {cpu.library()}")


def leaf(*shape: int) -> torch.Tensor:
    """Far from 0, where a leaky ReLU bends."""
    x = torch.randn(*shape, dtype=torch.float64)
    return (x + 0.3 * x.sign()).requires_grad_()


def check(function, leaves) -> None:
    assert gradcheck(function, leaves, eps=1e-6, atol=1e-5)
    assert gradgradcheck(function, leaves, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("taps", "kwargs"),
    [
        ((4,), {"down": 2, "padding": 1}),
        ((5,), {"up": 2, "padding": [3, 2, 4, 1], "flip_filter": True}),
        ((3, 4), {"up": [1, 2], "down": [2, 1], "padding": [2, 1, -1, 2], "gain": -1.5}),
    ],
)
def test_upfirdn2d(impl, taps, kwargs):
    torch.manual_seed(0)
    f = torch.randn(taps)
    check(lambda x: run(ops.upfirdn2d, impl, x, f, **kwargs), (leaf(1, 2, 4, 5),))


@pytest.mark.parametrize("act", ["linear", "relu", "lrelu", "swish"])
def test_bias_act(impl, act):
    torch.manual_seed(0)
    function = lambda x, b: run(ops.bias_act, impl, x, b, act=act, gain=1.3, clamp=1.7)  # noqa: E731
    check(function, (leaf(2, 3, 2, 2), leaf(3)))


@pytest.mark.parametrize("full", [False, True])
def test_filtered_lrelu(impl, full):
    torch.manual_seed(0)
    fu, fd = torch.rand(4), torch.rand(4, 4) if full else torch.rand(6)
    kwargs = {"up": 2, "down": 2, "padding": [4, 3, 4, 3], "clamp": 1.2}
    x, b, scale = leaf(2, 2, 3, 3), leaf(2), leaf(2, 2)
    check(lambda x, b, scale: run(ops.filtered_lrelu, impl, x, fu, fd, b, scale=scale, **kwargs), (x, b, scale))
    check(lambda x: run(ops.filtered_lrelu, impl, x, fu, fd, **kwargs), (x,))


def test_modulated_conv2d(impl):
    torch.manual_seed(0)
    x, w, s = leaf(2, 2, 3, 3), leaf(2, 2, 3, 3), leaf(2, 2)
    check(lambda x, w, s: run(ops.modulated_conv2d, impl, x, w, s, padding=1), (x, w, s))


@pytest.mark.parametrize("name", ["auto", "emulated"])
def test_second_derivatives_never_leave_the_compiled_ops(name, monkeypatch):
    """R1 through D and a second derivative through all of G, with the torch forms taken away."""
    need({"auto": "cpu"}.get(name, name))
    ops.set_default(name)

    def gone(*args, **kwargs):
        raise AssertionError("fell back to plain torch")

    upfirdn2d = importlib.import_module("stylemattegan.ops.upfirdn2d")  # the package has a function of that name
    for name in ("apply_matrices", "by_convolution", "by_definition"):
        monkeypatch.setattr(upfirdn2d, name, gone)
    monkeypatch.setattr(filtered_lrelu_torch, "composed", gone)
    torch.manual_seed(0)
    D = Discriminator(16, channel_base=128, channel_max=8)
    images = torch.randn(4, 4, 16, 16, requires_grad=True)
    r1_penalty(images, D(images)).mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in D.parameters() if p.grad is not None)
    G = Generator(8, 8, 16, channel_base=128, channel_max=8, num_layers=4, margin_size=4)
    z = torch.randn(2, 8, requires_grad=True)
    (g,) = torch.autograd.grad(G(z).square().sum(), z, create_graph=True)
    g.square().sum().backward()
    for of, parameter in G.synthesis.named_parameters():
        if of.endswith("weight") and "input" not in of:
            assert parameter.grad.abs().sum() > 0, of


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize(("clamp", "kept"), [(256.0, 1), (0.01, 2)])
def test_remembers_two_bits_per_sample(clamp, kept):
    """One word of 16 channels for the sign, a second one only where something was clipped."""
    f = torch.full((4,), 0.25)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        x = torch.randn(2, 16, 8, 8, requires_grad=True)
        y = ops.filtered_lrelu(x, f, f, up=2, down=2, padding=3, clamp=clamp)
    words = 2 * -(-16 // cpu.lanes(torch.float32)) * 19 * 19
    assert y.shape[2:] == (8, 8)
    assert [t.numel() for t in saved] == [words] * kept
    assert {t.dtype for t in saved} == {torch.int16}
