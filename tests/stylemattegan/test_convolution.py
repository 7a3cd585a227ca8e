"""Convolution on the CPU: Winograd's algorithm and the choice of layouts against torch's, to the second derivative."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from stylemattegan.ops import convolution_algorithms
from stylemattegan.ops.convolution import conv2d
from stylemattegan.ops.convolution_algorithms import Form, by_winograd
from tests.stylemattegan.implementations import demand_equal_bits, need


@pytest.fixture(autouse=True)
def compiled() -> Iterator[None]:
    need("cpu")
    yield
    convolution_algorithms.set_winograd(True)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def given(n: int, inputs: int, outputs: int, height: int, width: int, padding: int) -> tuple[Tensor, ...]:
    x, w, b = noise(n, inputs, height, width), noise(outputs, inputs, 3, 3, seed=1), noise(outputs, seed=2)
    assert by_winograd(n, inputs, outputs, Form(height, width, 3, 3, 1, padding))
    return x.requires_grad_(), w.requires_grad_(), b.requires_grad_()


SHAPES = [
    (2, 8, 16, 12, 12, 1),  # half a register
    (3, 13, 20, 11, 9, 2),  # unfinished registers and tiles
    (2, 37, 70, 15, 18, 0),
    (2, 100, 130, 23, 21, 1),  # weights beyond 1 MiB: the work is shared in another way
]


def results(x: Tensor, w: Tensor, b: Tensor, padding: int, impl: str) -> list[Tensor]:
    """Value, gradients, and the gradients of these gradients' squares, as R1 and the path length take them."""
    y = conv2d(x, w, b, padding=padding, impl=impl)
    first = torch.autograd.grad(y.pow(3).sum(), [x, w, b], create_graph=True)
    second = torch.autograd.grad(sum((g / g.detach().abs().max()).square().sum() for g in first), [x, w, b])
    return [y, *first, *second]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_winograd_equals_the_direct_sum_to_the_second_derivative(shape, dtype, tolerance):
    exact = given(*shape)
    expected = results(*exact, shape[-1], "torch")
    found = results(*(t.detach().to(dtype).requires_grad_() for t in exact), shape[-1], "cpu")
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        assert (one - other).abs().max() <= tolerance * other.abs().max()


def test_a_float32_value_is_within_5e_6_of_the_largest():
    x, w = noise(4, 64, 32, 32), noise(64, 64, 3, 3, seed=1)
    expected = F.conv2d(x, w, padding=1)
    found = conv2d(x.float(), w.float(), padding=1, impl="cpu")
    assert (found - expected).abs().max() <= 5e-6 * expected.abs().max()


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_numerical_derivatives(padding):
    inputs = given(4, 9, 16, 9, 10, padding)
    assert gradcheck(lambda *t: conv2d(*t, padding=padding, impl="cpu"), inputs, fast_mode=True)
    assert gradgradcheck(lambda *t: conv2d(*t, padding=padding, impl="cpu"), inputs, fast_mode=True)


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "stride", "padding"),
    [((5, 7), 9, 3, 1, 2), ((6, 4), 8, 1, 1, 0), ((6, 9), 11, 3, 2, 0), ((128, 256), 7, 3, 2, 0), ((9, 8), 9, 5, 1, 3)],
)
def test_what_winograd_does_not_serve_equals_torch(channels, size, kernel, stride, padding):
    inputs, outputs = channels
    assert not by_winograd(2, inputs, outputs, Form(size, size, kernel, kernel, stride, padding))
    x = noise(2, inputs, size, size).requires_grad_()
    w = noise(outputs, inputs, kernel, kernel, seed=1).requires_grad_()
    found, expected = [], []
    for into, impl in ((found, "cpu"), (expected, "torch")):
        y = conv2d(x, w, None, stride, padding, impl)
        into += [y, *(first := torch.autograd.grad(y.pow(3).sum(), [x, w], create_graph=True))]
        into += torch.autograd.grad(sum(g.square().sum() for g in first), [x, w])
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-12 * other.abs().max()


def test_where_winograd_is_used():
    def used(n: int, inputs: int, outputs: int, size: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> bool:
        return by_winograd(n, inputs, outputs, Form(size, size, kernel, kernel, stride, padding))

    assert used(16, 32, 32, 24, padding=2)  # the quickstart's generator
    assert used(16, 13, 8, 72, padding=2)  # its finest layer
    assert used(16, 65, 64, 4)  # the last block of its discriminator: 16 tiles
    assert used(1, 512, 512, 36, padding=2)  # the published generator
    assert not used(1, 512, 512, 16)  # 16 tiles for 36 MB of transformed weights
    assert not used(16, 7, 32, 24)
    assert not used(16, 8, 8, 64)
    assert not used(16, 32, 32, 24, kernel=1, padding=0)
    assert not used(16, 32, 32, 24, stride=2)
    assert not used(16, 32, 32, 24, padding=3)
    assert not used(0, 32, 32, 24)
    convolution_algorithms.set_winograd(False)
    assert not used(16, 32, 32, 24, padding=2)


def test_without_winograd_the_bits_are_those_of_torch():
    x, w, b = (t.detach().float() for t in given(2, 16, 16, 20, 20, 1))
    x = x.contiguous(memory_format=torch.channels_last)
    expected = F.conv2d(x, w, b, padding=1)
    assert not torch.equal(conv2d(x, w, b, padding=1, impl="cpu"), expected)
    convolution_algorithms.set_winograd(False)
    assert torch.equal(conv2d(x, w, b, padding=1, impl="cpu"), expected)


@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[3]])
def test_equal_bits_from_any_number_of_threads(shape, monkeypatch):
    x, w, b = (t.detach().float().requires_grad_() for t in given(*shape))

    def everything(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        y = conv2d(x, w, b, padding=shape[-1], impl="cpu")
        torch.set_num_threads(1)  # torch's own sums, of the bias, are not looked at here
        loss = y.pow(3).sum()
        torch.set_num_threads(threads)
        return [y, *torch.autograd.grad(loss, [x, w])]

    demand_equal_bits(everything, (2, 3, 5), monkeypatch)


def test_memory_order_and_empty_batches_do_not_matter():
    x, w, b = (t.detach() for t in given(2, 16, 16, 20, 20, 1))
    expected = conv2d(x, w, b, padding=1, impl="cpu")
    last = torch.channels_last
    for pictures in (x.contiguous(memory_format=last), x.transpose(2, 3).contiguous().transpose(2, 3)):
        for weight in (w, w.contiguous(memory_format=last)):
            assert torch.equal(conv2d(pictures, weight, b, padding=1, impl="cpu"), expected)
    assert conv2d(x[:0], w, b, padding=1, impl="cpu").shape == (0, 16, 20, 20)
