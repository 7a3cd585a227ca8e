"""Where the time of one pass of our C++ path goes, and what its convolutions would take as direct sums.

Percents are torch's profiler's own time by operation, in groups. The floor is what direct convolutions cost at least:
multiplications and additions of all convolutions by their shapes, over the rate of a large one by oneDNN in float32.
Winograd's algorithm may go below it (a fourth of the multiplications at best).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from stylemattegan.ops import set_default

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
CHANNELS, SIZE = 256, 64


class Operations(TorchDispatchMode):
    """Adds up the multiplications and additions of torch's convolutions and of their gradients.

    Not those with one channel, which resample planes in our plain path.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            x, w, *_, transposed, _, groups = args
            self._add(x if transposed else result, w, groups, 1)
        elif func is torch.ops.aten.convolution_backward.default:
            g, x, w, *_, transposed, _, groups, mask = args
            self._add(x if transposed else g, w, groups, sum(mask[:2]))
        return result

    def _add(self, plane: Tensor, w: Tensor, groups: int, times: int) -> None:
        if groups == 1 and max(w.shape[:2]) > 1:
            self.total += 2.0 * times * len(plane) * plane.shape[2] * plane.shape[3] * w.numel()


def rate() -> float:
    """Operations per CPU second of oneDNN's convolution of 256 channels, 3 x 3 over 64 x 64, the best of ten."""
    x, w = torch.rand(4, CHANNELS, SIZE, SIZE), torch.rand(CHANNELS, CHANNELS, 3, 3)
    x = x.contiguous(memory_format=torch.channels_last)
    taken = []
    for _ in range(10):
        start = time.process_time()
        F.conv2d(x, w, padding=1)
        taken.append(time.process_time() - start)
    return 2.0 * x.numel() * CHANNELS * 9 / min(taken)


def group_of(name: str) -> str:
    return next((group for group, pattern in GROUPS.items() if re.search(pattern, name)), "other")


def profiled(work: Callable[[], object], impl: str) -> dict[str, Any]:
    """percent by group, TFLOP in convolutions, GFLOP/s of a direct one, floor: CPU seconds. impl: of the ops."""
    set_default("reference")
    with Operations() as counted:
        work()
    set_default(impl)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    own: dict[str, float] = {}
    for entry in found.key_averages():
        own[group_of(entry.key)] = own.get(group_of(entry.key), 0.0) + entry.self_cpu_time_total
    total, speed = sum(own.values()), rate()
    percent = {name: round(100 * taken / total, 1) for name, taken in sorted(own.items(), key=lambda pair: -pair[1])}
    return {"percent": percent, "tflop": counted.total / 1e12, "gflops": speed / 1e9, "floor": counted.total / speed}
