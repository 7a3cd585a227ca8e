"""The C++ ops of csrc/, called through their C interface. Pictures are channels last."""

from __future__ import annotations

import ctypes
import logging
import math
import threading
import weakref
from ctypes import c_double, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylemattegan.ops.build import CannotBuild, library_file
from stylemattegan.ops.engine import Chain, Engine, Masks, Side

log = logging.getLogger("stylemattegan.ops")
SUFFIX = {torch.float32: "f32", torch.float64: "f64"}
_P, _L, _I, _D = c_void_p, c_int64, c_int32, c_double
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "lanes": (_I, []),
    "side_new": (_P, [_P, _P]),
    "side_free": (None, [_P]),
    "filtered_lrelu": (_I, [*[_P] * 9, _D, _D, _L, _I, _P, _I]),
    "masked": (_I, [*[_P] * 10, _D, _L, _I, _P, _I]),
    "resample": (_I, [_P, _P, _P, _L, _I, _P, _I]),
    "act": (_I, [_P, _P, _L, _D, _D, _D, _P, _I]),
    "act_masked": (_I, [_P, _P, _P, _L, _D, _D, _D, _P, _I]),
    "scale_planes": (_I, [_P, _P, _P, _L, _L, _I, _P, _I]),
    "scale_planes_backward": (_I, [_P, _P, _P, _P, _P, _L, _L, _I, _P, _I]),
    "winograd": (_I, [*[_P] * 4, _D, _D, _L, *[_I] * 6, _P, _I]),
    "winograd_weight": (_I, [*[_P] * 3, _L, *[_I] * 5, _P, _I]),
    "dense": (_I, [*[_P] * 4, _D, _D, _L, *[_I] * 3, _P, _I]),
    "dense_weight": (_I, [*[_P] * 3, _L, *[_I] * 2, _P, _I]),
    "blurred": (_I, [*[_P] * 5, _D, _D, _L, *[_I] * 5, _P, _I]),
    "blurred_input": (_I, [*[_P] * 4, _L, *[_I] * 5, _P, _I]),
    "blurred_weight": (_I, [*[_P] * 4, _L, *[_I] * 5, _P, _I]),
}


class Library:
    """The loaded functions by name and number type, and torch's thread pool (None where torch does not lend it)."""

    def __init__(self, file: Path) -> None:
        loaded = ctypes.CDLL(str(file))
        self.functions: dict[tuple[str, torch.dtype], Any] = {}
        for dtype, suffix in SUFFIX.items():
            for name, (result, arguments) in SIGNATURES.items():
                function = getattr(loaded, f"sm_{name}_{suffix}")
                function.restype, function.argtypes = result, arguments
                self.functions[name, dtype] = function
        self.pool = _thread_pool()

    def call(self, name: str, dtype: torch.dtype, *arguments: Any) -> None:
        """Run one op; tensors go in as their addresses."""
        given = [a.data_ptr() if isinstance(a, Tensor) else a for a in arguments]
        if self.functions[name, dtype](*given, self.pool, torch.get_num_threads()):
            raise MemoryError(f"no memory left for {name}")


def _thread_pool() -> int | None:
    """torch_parallel_for of torch's stable C interface (2.10 and later): no second pool fights for the cores."""
    try:
        folder = Path(torch.__file__).parent / "lib"
        (file,) = [f for f in folder.glob("libtorch_cpu.*") if f.suffix in (".so", ".dylib")]
        return ctypes.cast(ctypes.CDLL(str(file)).torch_parallel_for, c_void_p).value
    except (OSError, AttributeError, ValueError):
        return None


_lock = threading.Lock()
_state: Library | str | None = None


def library() -> Library | str:
    """The library, built and loaded at the first call, or one line that says why there is none (logged once)."""
    global _state
    if _state is None:
        with _lock:
            if _state is None:
                _state = _load()
    return _state


def _load() -> Library | str:
    try:
        file = library_file()
        loaded = Library(file)
    except (CannotBuild, OSError, AttributeError) as error:
        why = " ".join(str(error).split())
        log.warning("generator ops: plain torch, several times slower, because %s", why)
        return why
    log.info("generator ops: C++ (%s)", file)
    return loaded


def available() -> bool:
    """Whether the C++ ops can run here; builds them if needed."""
    return isinstance(_state, Library) or isinstance(library(), Library)


def call(name: str, dtype: torch.dtype, *arguments: Any) -> None:
    """Run one op of the library, which must be `available`."""
    _loaded().call(name, dtype, *arguments)


def _loaded() -> Library:
    loaded = library()
    assert isinstance(loaded, Library)
    return loaded


def lanes(dtype: torch.dtype) -> int:
    """Channels that one register holds."""
    return int(_loaded().functions["lanes", dtype]())


def channels_last(x: Tensor) -> Tensor:
    """x (N, C, H, W) in memory as N, H, W, C."""
    return x.contiguous(memory_format=torch.channels_last)


def empty(like: Tensor, height: int, width: int) -> Tensor:
    """(N, C, height, width), channels last, nothing in it."""
    n, c = like.shape[:2]
    return torch.empty((n, c, height, width), dtype=like.dtype, memory_format=torch.channels_last)


class CppEngine(Engine):
    """Any order of derivatives in C++; the first one in a single pass."""

    def serves(self, x: Tensor) -> bool:
        return x.dtype in SUFFIX

    def native(self, side: Side) -> int:
        ints = side.integers()
        functions = _loaded().functions
        handle = functions["side_new", side.dtype]((c_int32 * len(ints))(*ints), side.taps.data_ptr())
        if not handle:
            raise MemoryError("no memory left for a filter")
        weakref.finalize(side, functions["side_free", side.dtype], handle)
        return int(handle)

    def resample(self, side: Side, x: Tensor) -> Tensor:
        x = channels_last(x)
        y = empty(x, side.y.out, side.x.out)
        call("resample", x.dtype, side.native, x, y, len(x), x.shape[1])
        return y

    def filtered(
        self, chain: Chain, x: Tensor, scale: Tensor | None, b: Tensor | None, wanted: bool
    ) -> tuple[Tensor, Masks]:
        x = channels_last(x)
        n, c = x.shape[:2]
        blocks = n * -(-c // lanes(x.dtype))
        y = empty(x, chain.down.y.out, chain.down.x.out)
        inner = (blocks, chain.up.y.out, chain.up.x.out)
        positive = torch.empty(inner, dtype=torch.int16) if wanted else None
        clipped = torch.empty(inner, dtype=torch.int16) if wanted and math.isfinite(chain.clamp) else None
        any_clipped = torch.zeros(blocks, dtype=torch.uint8)
        sides = (chain.up.native, chain.down.native)
        numbers = (chain.slope, chain.clamp, n, c)
        call("filtered_lrelu", x.dtype, *sides, x, scale, b, y, positive, clipped, any_clipped, *numbers)
        return y, Masks(positive, clipped if any_clipped.any() else None)

    def masked(self, up: Side, down: Side, slope: float, masks: Masks, g: Tensor) -> Tensor:
        g = channels_last(g)
        z = empty(g, down.y.out, down.x.out)
        nothing = (None, None)
        call("masked", g.dtype, up.native, down.native, g, *nothing, z, *nothing, *masks, slope, len(g), g.shape[1])
        return z

    def gradients(
        self, chain: Chain, masks: Masks, gy: Tensor, x: Tensor | None, scale: Tensor | None, biased: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        gy, x = channels_last(gy), None if x is None else channels_last(x)
        scale = None if scale is None else scale.contiguous()
        up, down = chain.down.adjoint(), chain.up.adjoint()
        n, c = gy.shape[:2]
        gx = empty(gy, down.y.out, down.x.out)
        sums = torch.empty((n, c), dtype=gy.dtype) if biased else None
        g_scale = None if scale is None else torch.empty((n, c), dtype=gy.dtype)
        arguments = (up.native, down.native, gy, x, scale, gx, sums, g_scale, *masks, chain.slope, n, c)
        call("masked", gy.dtype, *arguments)
        return gx, g_scale, None if sums is None else sums.sum(0)

    def act(self, x: Tensor, slope: float, gain: float, clamp: float) -> Tensor:
        y = torch.empty_like(x)
        call("act", x.dtype, x, y, x.numel(), slope, gain, clamp)
        return y

    def act_masked(self, g: Tensor, y: Tensor, slope: float, gain: float, clamp: float) -> Tensor:
        z = torch.empty_like(y)
        call("act_masked", g.dtype, g, y, z, g.numel(), slope, gain, clamp)
        return z


ENGINE = CppEngine()
