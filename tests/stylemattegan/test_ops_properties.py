"""What must hold of the ops whatever the numbers: linearity, adjoints, identities, shifts, and equal bits again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stylemattegan import ops
from stylemattegan.ops import cpu
from tests.stylemattegan.implementations import OPS_IMPLS, need, run


@pytest.fixture(params=OPS_IMPLS)
def impl(request):
    """Each implementation that can run here."""
    return need(request.param)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


RESAMPLINGS = [
    {"padding": [1, 2, 3, 0]},
    {"up": 2, "padding": 5, "gain": 4.0},
    {"down": 2, "padding": [2, 1], "flip_filter": True},
    {"up": 4, "down": 3, "padding": [7, 9, -2, 8]},
    {"up": [3, 1], "down": [2, 2], "padding": 3},
]


@pytest.mark.parametrize("kwargs", RESAMPLINGS, ids=str)
@pytest.mark.parametrize("taps", [(1,), (5,), (24,), (3, 4), (1, 13)], ids=str)
def test_upfirdn2d_is_linear_and_its_gradient_its_adjoint(impl, taps, kwargs):
    # 19 channels: a register of 16 or 8 and a rest; 27 wide: blocks of 8 outputs and a rest
    f, x, other = torch.randn(taps), noise(1, 19, 23, 27), noise(1, 19, 23, 27, seed=1)
    apply = lambda t: run(ops.upfirdn2d, impl, t, f, **kwargs)  # noqa: E731
    torch.testing.assert_close(apply(2 * x - 3 * other), 2 * apply(x) - 3 * apply(other))
    x.requires_grad_()
    y = apply(x)
    g = noise(*y.shape, seed=2)
    (back,) = torch.autograd.grad(y, x, g)
    torch.testing.assert_close((y * g).sum(), (x * back).sum())
    torch.testing.assert_close(y, ops.upfirdn2d(x, f, **kwargs, impl="reference"), rtol=0, atol=1e-5)


def test_identity_filter_and_slope_one_change_nothing(impl):
    x = noise(2, 3, 6, 7)
    assert torch.equal(run(ops.upfirdn2d, impl, x, None), x)
    assert torch.equal(run(ops.upfirdn2d, impl, x, torch.ones(1, 1)), x)
    assert torch.equal(run(ops.filtered_lrelu, impl, x, gain=1.0, slope=1.0), x)
    assert torch.equal(run(ops.bias_act, impl, x), x)


def test_filtered_lrelu_of_one_sign_is_two_filters(impl):
    """Where nothing changes sign the chain is linear: sqrt(2) times the filters, or 0.2 sqrt(2) below zero."""
    x, f = noise(1, 2, 9, 9).abs() + 0.1, torch.rand(4) + 0.1
    up = ops.upfirdn2d(x, f, up=2, padding=3, gain=4.0, impl="reference")
    expected = ops.upfirdn2d(up, f, down=2, impl="reference") * 2**0.5
    kwargs = {"up": 2, "down": 2, "padding": 3}
    torch.testing.assert_close(run(ops.filtered_lrelu, impl, x, f, f, **kwargs), expected)
    torch.testing.assert_close(run(ops.filtered_lrelu, impl, -x, f, f, **kwargs), -0.2 * expected)


def test_a_shift_of_the_picture_shifts_the_result(impl):
    fu, fd = ops.lowpass_filter(12, 4, 4, 32), ops.lowpass_filter(12, 4, 4, 32, radial=True)
    x = torch.zeros(1, 2, 30, 30, dtype=torch.float64)
    x[:, :, 8:20, 8:20] = noise(1, 2, 12, 12)
    kwargs = {"up": 2, "down": 2, "padding": [11, 10, 11, 10]}
    y = run(ops.filtered_lrelu, impl, x, fu, fd, **kwargs)
    moved = run(ops.filtered_lrelu, impl, x.roll((2, -3), (2, 3)), fu, fd, **kwargs)
    assert y.shape == x.shape
    torch.testing.assert_close(moved, y.roll((2, -3), (2, 3)), rtol=0, atol=1e-12)


def everything(threads: int) -> list[Tensor]:
    """Results and gradients of the ops at a size that several threads share."""
    torch.set_num_threads(threads)
    x = noise(3, 37, 21, 18).float().requires_grad_()
    scale, b = noise(3, 37, seed=1).float().requires_grad_(), noise(37, seed=2).float().requires_grad_()
    fu, fd = ops.lowpass_filter(24, 2, 6, 32), ops.lowpass_filter(12, 3, 6, 32)
    y = ops.filtered_lrelu(x, fu, fd, b, up=4, down=2, padding=20, clamp=1.0, scale=scale, impl="cpu")
    z = ops.bias_act(ops.upfirdn2d(y, fd, down=2, impl="cpu"), act="lrelu", clamp=0.4, impl="cpu")
    return [y, z, *torch.autograd.grad(z.square().sum(), [x, scale, b])]


def test_equal_bits_from_any_number_of_threads():
    if not cpu.available():
        pytest.skip(f"no C++ ops: {cpu.library()}")
    before = torch.get_num_threads()
    try:
        one = everything(1)
        for threads in (2, 3, 5):
            assert all(torch.equal(a, b) for a, b in zip(one, everything(threads), strict=True))
    finally:
        torch.set_num_threads(before)


def test_equal_bits_from_threads_of_our_own(monkeypatch):
    """What older versions of torch get, which do not lend their thread pool."""
    if not cpu.available():
        pytest.skip(f"no C++ ops: {cpu.library()}")
    before = torch.get_num_threads()
    try:
        one = everything(1)
        monkeypatch.setattr(cpu.library(), "pool", None)
        assert all(torch.equal(a, b) for a, b in zip(one, everything(3), strict=True))
    finally:
        torch.set_num_threads(before)


def test_memory_order_and_empty_batches_do_not_matter(impl):
    x, f = noise(2, 5, 6, 6), torch.rand(4)
    for t in (x.contiguous(memory_format=torch.channels_last), noise(2, 6, 5, 6).transpose(1, 2)):
        torch.testing.assert_close(
            run(ops.upfirdn2d, impl, t, f, padding=2), run(ops.upfirdn2d, impl, t.contiguous(), f, padding=2)
        )
        strided = run(ops.bias_act, impl, t[:, :, ::2], act="lrelu", clamp=0.5)
        torch.testing.assert_close(strided, ops.bias_act(t, act="lrelu", clamp=0.5, impl="reference")[:, :, ::2])
    assert run(ops.filtered_lrelu, impl, x[:0], f, f, up=2, padding=4).shape[:2] == (0, 5)
