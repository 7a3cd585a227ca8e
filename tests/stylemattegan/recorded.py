"""Recorded values of the reference implementation, and comparisons with them to the second order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from stylemattegan.ops import set_default
from tests import fixture_files
from tests.fixture_files import FIXTURES, as_recorded
from tests.stylemattegan.implementations import need

HERE = FIXTURES / "stylegan3"
IMPLS = ["reference", "torch", "cpu"]
"""Those that whole networks are tested with: all on the CPU."""


@contextmanager
def implementation(name: str) -> Iterator[None]:
    """All ops by this implementation; skips the test where it cannot run."""
    set_default(need(name))
    try:
        yield
    finally:
        set_default("auto")


def about(name: str) -> dict:
    return fixture_files.about(f"stylegan3/{name}")


def recorded(name: str) -> tuple[dict, dict[str, Tensor]]:
    return about(name), fixture_files.arrays(f"stylegan3/{name}")


def of_case(arrays: dict[str, Tensor], case: str) -> dict[str, Tensor]:
    return {k.split("/", 1)[1]: v for k, v in arrays.items() if k.startswith(case + "/")}


def state_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def relative(a: Tensor, b: Tensor) -> float:
    return float((as_recorded(a, b) - b).detach().norm() / b.norm().clamp_min(1e-20))


def check_orders(function: Callable[..., Tensor], leaves: dict[str, Tensor], a: dict[str, Tensor], close) -> None:
    """y, its gradients g_k for the cotangent gy, and the gradients gg_* of sum_k <g_k, v_k>."""
    leaves = {k: v.clone().requires_grad_() for k, v in leaves.items()}
    y = function(**leaves)
    close(y, a["y"])
    gy = a["gy"].clone().requires_grad_()
    first = torch.autograd.grad(y, list(leaves.values()), gy, create_graph=True)
    for name, gradient in zip(leaves, first, strict=True):
        close(gradient, a[f"g_{name}"])
    s = sum((g * a[f"v_{k}"]).sum() for k, g in zip(leaves, first, strict=True))
    second = torch.autograd.grad(s, [gy, *leaves.values()], allow_unused=True)
    for name, gradient in zip(["gy", *leaves], second, strict=True):
        expected = a[f"gg_{name}"]
        close(torch.zeros_like(expected) if gradient is None else gradient, expected)
    # the first order without a graph may take another path
    y = function(**leaves)
    for name, gradient in zip(leaves, torch.autograd.grad(y, list(leaves.values()), a["gy"]), strict=True):
        close(gradient, a[f"g_{name}"])


def within(atol32: float, atol64: float):
    """A comparison with tolerances relative to the largest expected value."""

    def close(actual: Tensor, expected: Tensor) -> None:
        atol = (atol32 if expected.dtype == torch.float32 else atol64) * max(float(expected.abs().max()), 1e-3)
        torch.testing.assert_close(as_recorded(actual, expected), expected, rtol=0, atol=atol)

    return close
