"""Convolutions with a blur before them, a leaky ReLU behind them, or a 1 x 1 kernel: one C++ operation each, against
the separate ones in plain torch, to the second derivative."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from stylemattegan.ops import convolution_algorithms, setup_filter
from stylemattegan.ops.convolution import blurred_conv2d, conv2d
from stylemattegan.ops.convolution_algorithms import Form, LeakyReLU, by_blurred, by_products, by_winograd
from tests.stylemattegan.implementations import demand_equal_bits, need
from tests.stylemattegan.test_convolution import noise

CLIPPED = LeakyReLU(0.2, 4.0)
UNEVEN = torch.outer(torch.tensor([1.0, 4, 2, 1]) / 8, torch.tensor([3.0, 2, 2, 1]) / 8)  # no symmetry to hide in


@pytest.fixture(autouse=True)
def compiled() -> Iterator[None]:
    need("cpu")
    yield
    convolution_algorithms.set_winograd(True)


def given(n: int, inputs: int, outputs: int, height: int, width: int, kernel: int = 3) -> tuple[Tensor, ...]:
    tensors = noise(n, inputs, height, width), noise(outputs, inputs, kernel, kernel, seed=1), noise(outputs, seed=2)
    return tuple(t.requires_grad_() for t in tensors)


def orders(y: Tensor, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Value, gradients, and the gradients of these gradients' squares."""
    first = torch.autograd.grad(y.pow(3).sum(), inputs, create_graph=True)
    squares = sum((g / g.detach().abs().max()).square().sum() for g in first)
    return [y, *first, *torch.autograd.grad(squares, inputs)]


def assert_near(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= tolerance * other.abs().max()


PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 3e-5)])
BLURRED = [  # pictures, channels in and out, height, width, padding
    (3, 5, 9, 16, 16, 2),  # half a register
    (2, 8, 16, 19, 22, 2),  # unfinished tiles
    (2, 37, 70, 18, 15, 1),  # unfinished registers
    (3, 100, 90, 21, 20, 0),  # weights beyond 1 MiB: the work is shared in another way
]


@pytest.mark.parametrize("shape", BLURRED)
@pytest.mark.parametrize("act", [None, CLIPPED], ids=["linear", "leaky"])
@PRECISIONS
def test_blur_and_strided_convolution_are_one_operation(shape, act, dtype, tolerance):
    *sizes, padding = shape
    exact = given(*sizes)
    rounded = tuple(t.detach().to(dtype).requires_grad_() for t in exact)
    convolution = dict(stride=2, padding=[padding] * 4, act=act)
    expected = orders(blurred_conv2d(exact[0], UNEVEN, *exact[1:], impl="torch", **convolution), exact)
    y = blurred_conv2d(rounded[0], UNEVEN, *rounded[1:], impl="cpu", **convolution)
    assert y.grad_fn.next_functions[0][0].name().endswith("AccumulateGrad")  # no blurred picture between x and y
    assert_near(orders(y, rounded), expected, tolerance)


def test_numerical_derivatives_of_the_blurred_convolution():
    inputs = given(8, 3, 4, 7, 8)

    def work(*t: Tensor) -> Tensor:
        return blurred_conv2d(t[0], UNEVEN, *t[1:], stride=2, padding=[2] * 4, impl="cpu", act=LeakyReLU(0.2))

    assert gradcheck(work, inputs, fast_mode=True)
    assert gradgradcheck(work, inputs, fast_mode=True)


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "padding"),
    [((16, 16), 3, 1, 1), ((4, 20), 1, 1, 0), ((9, 33), 1, 1, 0), ((20, 4), 1, 1, 0), ((6, 9), 3, 2, 0)],
    ids=["winograd", "few inputs", "products", "few outputs", "oneDNN"],
)
@pytest.mark.parametrize("act", [None, CLIPPED], ids=["linear", "leaky"])
@PRECISIONS
def test_leaky_relu_within_the_convolution(channels, kernel, stride, padding, act, dtype, tolerance):
    exact = given(3, *channels, 15, 14, kernel)
    rounded = tuple(t.detach().to(dtype).requires_grad_() for t in exact)
    expected = orders(conv2d(*exact, stride, padding, "torch", act), exact)
    assert_near(orders(conv2d(*rounded, stride, padding, "cpu", act), rounded), expected, tolerance)


def test_bits_of_the_leaky_relu_within():
    x, w, b = (t.detach().float() for t in given(3, 16, 16, 15, 14))
    y = conv2d(x, w, b, padding=1, impl="cpu")
    bent = torch.where(y > 0, y, y * 0.2).clamp(-4.0, 4.0)
    assert torch.equal(conv2d(x, w, b, padding=1, impl="cpu", act=CLIPPED), bent)


def test_a_penalty_of_the_gradient_gives_the_bias_zeros_as_plain_torch_does():
    """Not nothing: Adam's moments of a bias decay at every step."""
    x, w, b = given(2, 4, 16, 8, 8, 1)
    for impl in ("cpu", "torch"):
        (g,) = torch.autograd.grad(conv2d(x, w, b, impl=impl, act=CLIPPED).sum(), x, create_graph=True)
        by_x, by_w, by_b = torch.autograd.grad(g.square().sum(), [x, w, b])
        assert by_w.abs().max() > 0
        assert torch.equal(by_b, torch.zeros(16, dtype=torch.float64))
        assert torch.equal(by_x, torch.zeros_like(x))


@pytest.mark.parametrize("work", [(2, 37, 70, 18, 17), (3, 100, 90, 21, 20), (3, 16, 33, 24, 9)])
def test_equal_bits_from_any_number_of_threads(work, monkeypatch):
    f = setup_filter([1, 3, 3, 1])
    x, w, _ = (t.detach().float().requires_grad_() for t in given(*work))
    one_by_one = w.detach()[..., :1, :1].requires_grad_()

    def everything(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        strided = blurred_conv2d(x, f, w, stride=2, padding=[2] * 4, impl="cpu", act=CLIPPED)
        dense = conv2d(x, one_by_one, impl="cpu", act=CLIPPED)
        gradients = torch.autograd.grad([strided, dense], [x, w, one_by_one], [strided.detach(), dense.detach()])
        return [strided, dense, *gradients]

    demand_equal_bits(everything, (2, 5), monkeypatch)


def test_where_the_blur_is_a_part_of_the_convolution():
    assert by_blurred(16, 64, 64, 4, 4)  # the last strided one of the quickstart's discriminator
    assert by_blurred(4, 512, 512, 16, 16)
    assert not by_blurred(4, 512, 512, 8, 8)  # 16 tiles for 38 MB of transformed weights
    assert not by_blurred(1, 64, 64, 4, 4)
    assert not by_blurred(4, 64, 64, 0, 4)
    convolution_algorithms.set_winograd(False)
    assert not by_blurred(16, 64, 64, 4, 4)


def test_where_1_x_1_convolutions_are_products():
    assert by_products(8, Form(4, 4, 1, 1, 1, 0))
    assert not by_products(4, Form(4, 4, 1, 1, 1, 0))
    assert not by_products(8, Form(4, 4, 1, 1, 2, 0))
    assert not by_products(8, Form(4, 4, 1, 1, 1, 1))
    assert not by_winograd(16, 64, 64, Form(4, 4, 1, 1, 1, 0))


@pytest.mark.parametrize("f", [[1, 2, 1], [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]])
def test_other_filters_go_the_separate_way(f):
    x, w, b = (t.detach() for t in given(2, 8, 8, 16, 16))
    f = setup_filter(f)
    found, expected = (blurred_conv2d(x, f, w, b, 2, [2] * 4, impl) for impl in ("cpu", "torch"))
    assert_near([found], [expected], 1e-12)
    assert math.isfinite(float(found.sum()))


def test_an_empty_batch():
    x, w, b = (t.detach() for t in given(2, 8, 9, 16, 16))
    assert blurred_conv2d(x[:0], UNEVEN, w, b, 2, [2] * 4, "cpu", CLIPPED).shape == (0, 9, 8, 8)
    assert conv2d(x[:0], w[..., :1, :1], b, impl="cpu").shape == (0, 9, 16, 16)
