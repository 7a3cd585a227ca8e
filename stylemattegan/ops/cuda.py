"""The CUDA kernels of csrc/kernels/, called through their C interface; and the same source emulated on the CPU.

Pictures are contiguous (N, C, H, W) of float32, float64, float16 or bfloat16; filters and sums are float32 (float64 for
float64). The sign mask takes two bits per upsampled sample.
"""

from __future__ import annotations

import ctypes
import logging
import math
import threading
from collections.abc import Callable
from ctypes import c_double, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylemattegan.ops.build import CannotBuild, Made, cuda_ops, emulated_ops, library_file
from stylemattegan.ops.engine import Chain, Engine, Masks, Side

log = logging.getLogger("stylemattegan.ops")
SUFFIX = {torch.float32: "f32", torch.float64: "f64", torch.float16: "f16", torch.bfloat16: "bf16"}
PACKED = 16
"""Samples per word of the mask."""
_P, _L, _I, _D = c_void_p, c_int64, c_int32, c_double
_WHERE = [_I, _P]  # device, stream
SIGNATURES: dict[str, list[Any]] = {
    "filtered_lrelu": [*[_P] * 9, _D, _D, _L, _I, *_WHERE],
    "masked": [*[_P] * 7, _D, _L, *_WHERE],
    "resample": [*[_P] * 4, _L, *_WHERE],
    "act": [_P, _P, _L, _D, _D, _D, *_WHERE],
    "act_masked": [_P, _P, _P, _L, _D, _D, _D, *_WHERE],
}
TOO_LARGE = -1


class CudaEngine(Engine):
    """Kernels from one library, on the current stream of the tensors' device."""

    def __init__(self, file: Path) -> None:
        self.file, self.loaded = file, ctypes.CDLL(str(file))
        self.functions: dict[tuple[str, torch.dtype], Any] = {}
        for dtype, suffix in SUFFIX.items():
            for name, arguments in SIGNATURES.items():
                function = getattr(self.loaded, f"sm_{name}_{suffix}", None)
                if function is not None:  # an old compiler has no 16-bit floats to emulate with
                    function.restype, function.argtypes = _I, arguments
                    self.functions[name, dtype] = function

    def serves(self, x: Tensor) -> bool:
        """Whether there are kernels for x's numbers."""
        return ("act", x.dtype) in self.functions

    def call(self, name: str, like: Tensor, *arguments: Any) -> None:
        """Run one kernel; tensors go in as their addresses. Raises ValueError or RuntimeError in one line."""
        given = [a.data_ptr() if isinstance(a, Tensor) else a for a in arguments]
        device, stream = 0, 0
        if like.device.type == "cuda":
            device = torch.cuda.current_device() if like.device.index is None else like.device.index
            stream = torch.cuda.current_stream(like.device).cuda_stream
        code = self.functions[name, like.dtype](*given, device, stream)
        if code == TOO_LARGE:
            raise ValueError(f"{name}: a filter too large for the CUDA kernels; STYLEMATTE_OPS=torch takes any")
        if code:
            raise RuntimeError(f"{name}: CUDA error {code}")

    def native(self, side: Side) -> tuple[Any, Tensor]:
        """The geometry and, per pair, the coefficients of each phase along y and along x (as csrc/axis.h has them)."""
        ints = side.integers()
        table = [
            _polyphase(taps, axis.up, axis.down, axis.before)
            for pair in side.pairs
            for taps, axis in zip(pair, (side.y, side.x), strict=True)
        ]
        sums = torch.float64 if side.dtype == torch.float64 else torch.float32
        return (c_int32 * len(ints))(*ints), torch.cat(table).to(side.device, sums)

    def resample(self, side: Side, x: Tensor) -> Tensor:
        x = x.contiguous()
        n, c = x.shape[:2]
        y = x.new_empty((n, c, side.y.out, side.x.out))
        self.call("resample", x, *side.native, x, y, n * c)
        return y

    def filtered(
        self, chain: Chain, x: Tensor, scale: Tensor | None, b: Tensor | None, wanted: bool
    ) -> tuple[Tensor, Masks]:
        x, (up, down) = x.contiguous(), chain[:2]
        n, c = x.shape[:2]
        y = x.new_empty((n, c, down.y.out, down.x.out))
        mask = None
        if wanted:
            mask = torch.empty((n * c, up.y.out, -(-up.x.out // PACKED)), dtype=torch.int32, device=x.device)
        numbers = (chain.slope, chain.clamp, n * c, c)
        self.call("filtered_lrelu", x, *up.native, *down.native, x, scale, b, y, mask, *numbers)
        return y, Masks(mask, None)

    def masked(self, up: Side, down: Side, slope: float, masks: Masks, g: Tensor) -> Tensor:
        g = g.contiguous()
        n, c = g.shape[:2]
        z = g.new_empty((n, c, down.y.out, down.x.out))
        self.call("masked", g, *up.native, *down.native, g, z, masks.positive, slope, n * c)
        return z

    def act(self, x: Tensor, slope: float, gain: float, clamp: float) -> Tensor:
        y = torch.empty_like(x)
        self.call("act", x, x, y, x.numel(), slope, gain, clamp)
        return y

    def act_masked(self, g: Tensor, y: Tensor, slope: float, gain: float, clamp: float) -> Tensor:
        z = torch.empty_like(y)
        self.call("act_masked", g, g, y, z, g.numel(), slope, gain, clamp)
        return z


def _polyphase(taps: Tensor, up: int, down: int, before: int) -> Tensor:
    """coef[q, k]: out[q + phases j] = sum_k coef[q, k] in[start(q) + step j + k]; flat, float64."""
    phases = torch.zeros(up // math.gcd(up, down), -(-len(taps) // up), dtype=torch.float64)
    for q, row in enumerate(phases):
        first = -((before - q * down) // up)  # ceil((q down - before) / up)
        own = taps[first * up + before - q * down :: up]
        row[: len(own)] = own
    return phases.flatten()


_lock = threading.Lock()
_state: dict[str, CudaEngine | str] = {}


def engine(emulated: bool = False) -> CudaEngine | str:
    """The kernels, built and loaded at the first call, or one line that says why there are none (logged once)."""
    name = "emulated" if emulated else "cuda"
    if name not in _state:
        with _lock:
            if name not in _state:
                _state[name] = _load(emulated_ops if emulated else for_these_gpus)
    return _state[name]


def for_these_gpus() -> Made:
    """The kernels for every GPU of this machine. Raises CannotBuild."""
    if not torch.cuda.is_available() or torch.version.cuda is None:
        raise CannotBuild("no CUDA GPU is visible")
    found = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
    return cuda_ops(tuple(f"{major}{minor}" for major, minor in sorted(found)))


def _load(wanted: Callable[[], Made]) -> CudaEngine | str:
    try:
        file = library_file(wanted)
        loaded = CudaEngine(file)
    except (CannotBuild, OSError) as error:
        why = " ".join(str(error).split())
        log.warning("generator ops on the GPU: plain torch, slower, because %s", why)
        return why
    if wanted is for_these_gpus and (why := _disagreement(loaded, "cuda")):
        log.warning("generator ops on the GPU: plain torch, slower, because %s", why)
        return why
    log.info("generator ops: %s (%s)", "emulated CUDA" if wanted is emulated_ops else "CUDA", file)
    return loaded


def _disagreement(loaded: CudaEngine, device: str) -> str | None:
    """A look at this GPU's results before anything rests on them; None if all is well."""
    from stylemattegan.ops.selftest import TOLERANCE, error_of

    try:
        error = error_of(loaded, device)
    except RuntimeError as failed:
        return " ".join(str(failed).split())
    return None if error <= TOLERANCE else f"{loaded.file} differs from the reference by {error:.0e} on this GPU"
