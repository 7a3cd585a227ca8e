"""Times of the ops in every implementation, and their differences from the reference: `stylematte doctor --ops`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from stylemattegan.ops.bias_act import bias_act
from stylemattegan.ops.filtered_lrelu import filtered_lrelu
from stylemattegan.ops.filters import lowpass_filter, setup_filter
from stylemattegan.ops.selftest import TOLERANCE, in_full_float32
from stylemattegan.ops.upfirdn2d import upfirdn2d


class Compared(NamedTuple):
    """One op: `differs` from the reference, the larger of value and gradients, and seconds by name."""

    op: str
    difference: float
    seconds: dict[str, float]

    @property
    def fast(self) -> str:
        """The implementation that the others are compared with: the last."""
        return list(self.seconds)[-1]

    @property
    def agrees(self) -> bool:
        return self.difference <= TOLERANCE

    def ratio(self, slow: str) -> float:
        return self.seconds[slow] / self.seconds[self.fast]


def interleaved(
    works: dict[str, Callable[[], object]], rounds: int = 5, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each, taken in turns so that whatever else the machine does falls on all; one to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for i in range(rounds + 1):
        for name, work in works.items():
            start = clock()
            work()
            if i:
                taken[name].append(clock() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def cases(device: str) -> dict[str, Callable[[Tensor, str], Tensor]]:
    """The ops as the quickstart's largest layers use them."""
    designed = lowpass_filter(24, 8, 16, 128), lowpass_filter(12, 16, 32, 128), setup_filter([1, 3, 3, 1])
    up, down, fir = (None if f is None else f.to(device) for f in designed)
    filtered = dict(up=4, down=2, padding=[6, 3, 6, 3], clamp=256.0)
    return {
        "filtered_lrelu": lambda x, impl: filtered_lrelu(x, up, down, impl=impl, **filtered),  # type: ignore[arg-type]
        "upfirdn2d": lambda x, impl: upfirdn2d(x, fir, down=2, padding=1, impl=impl),
        "bias_act": lambda x, impl: bias_act(x, act="lrelu", clamp=256.0, impl=impl),
    }


def differs(actual: Tensor, expected: Tensor) -> float:
    """The difference that 999 of 1000 values keep below, as a part of the largest value.

    Not the largest: of 10^8 samples some lie within rounding of 0, where another order of summing bends them the other
    way, and the gradients around them with them.
    """
    gaps = (actual - expected).abs().flatten()
    return float(gaps.kthvalue(max(1, round(0.999 * len(gaps)))).values / expected.abs().max())


SIZES = {"cpu": (8, 16, 42, 42), "cuda": (16, 128, 84, 84)}


def compare(
    impls: tuple[str, ...] = ("reference", "torch", "cpu"), rounds: int = 5, device: str = "cpu"
) -> list[Compared]:
    """Every op forward and backward in every implementation, on pictures of `SIZES[device]`."""
    x = torch.randn(SIZES[device], generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()

    def both(op: Callable[[Tensor, str], Tensor], impl: str) -> tuple[Tensor, Tensor]:
        y = op(x, impl)
        (gradient,) = torch.autograd.grad(y.square().sum(), x)
        if device == "cuda":
            torch.cuda.synchronize()
        return y.detach(), gradient

    found = []
    for name, op in cases(device).items():
        difference = 0.0
        with in_full_float32(device):
            for impl in impls[1:]:
                for expected, actual in zip(both(op, impls[0]), both(op, impl), strict=True):
                    difference = max(difference, differs(actual, expected))
        seconds = interleaved({impl: lambda impl=impl, op=op: both(op, impl) for impl in impls}, rounds)  # type: ignore[misc]
        found.append(Compared(name, difference, seconds))
    return found
