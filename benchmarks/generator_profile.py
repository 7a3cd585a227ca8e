"""Where the time of one pass of our C++ path goes, and what its convolutions would take as direct sums.

Percents are torch's profiler's own time by operation, in groups. The floor: multiplications and additions of all
convolutions by their shapes, over the rate of a 1024 x 1024 matrix product in float32 on as many threads: what direct
convolutions cost at least. Winograd's algorithm may go below it (a fourth of the multiplications at best).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from stylemattegan.ops import convolution

GROUPS = {
    "convolutions": r"[Cc]onvolution|InputGradient|WeightGradient",
    "filtered leaky ReLU": r"FilteredLeakyReLU|Masked(Backward)?$",
    "resampling": r"Resample",
    "leaky ReLU of D": r"Activate",
    "style scaling": r"ScalePlanes",
    "copies and zeros": r"copy_|zero|fill_|constant_pad|clone|contiguous",
    "matrix products": r"::(mm|addmm|bmm|baddbmm)",
    "Adam": r"adam",
}
SIZE = 1024


@contextmanager
def counted() -> Iterator[list[float]]:
    """Inside, the list gets the operations of every convolution of the C++ path and of its gradients."""
    operations: list[float] = []
    names = ("convolved", "input_gradient", "weight_gradient")
    before = {name: getattr(convolution, name) for name in names}

    def counting(name: str) -> Callable[..., Tensor]:
        def run(*args: Any) -> Tensor:
            form = args[-1]
            first, second = (
                args[0].shape,
                args[1].shape,
            )  # the weight's gradient is of x and g, the others have w second
            inputs, outputs = (first[1], second[1]) if name == "weight_gradient" else (second[1], second[0])
            rows, columns = (
                (size + 2 * form.padding - kernel) // form.stride + 1
                for size, kernel in ((form.height, form.kernel_y), (form.width, form.kernel_x))
            )
            operations.append(2.0 * len(args[0]) * rows * columns * inputs * outputs * form.kernel_y * form.kernel_x)
            return before[name](*args)

        return run

    for name in names:
        setattr(convolution, name, counting(name))
    try:
        yield operations
    finally:
        for name, function in before.items():
            setattr(convolution, name, function)


def rate() -> float:
    """Operations per CPU second of a matrix product in float32, the best of ten."""
    a, b = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE)
    taken = []
    for _ in range(10):
        start = time.process_time()
        a @ b
        taken.append(time.process_time() - start)
    return 2.0 * SIZE**3 / min(taken)


def group_of(name: str) -> str:
    return next((group for group, pattern in GROUPS.items() if re.search(pattern, name)), "other")


def profiled(work: Callable[[], object]) -> dict[str, Any]:
    """percent by group, TFLOP in convolutions, GFLOP/s of a matrix product, floor: CPU seconds."""
    with counted() as operations:
        work()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    own: dict[str, float] = {}
    for entry in found.key_averages():
        own[group_of(entry.key)] = own.get(group_of(entry.key), 0.0) + entry.self_cpu_time_total
    total, speed = sum(own.values()), rate()
    percent = {name: round(100 * taken / total, 1) for name, taken in sorted(own.items(), key=lambda pair: -pair[1])}
    tflop = sum(operations) / 1e12
    return {"percent": percent, "tflop": tflop, "gflops": speed / 1e9, "floor": sum(operations) / speed}
