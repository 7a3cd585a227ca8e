"""The C++ ops of csrc/, called through their C interface. Tensors are channels last; sides are kept per geometry."""

from __future__ import annotations

import ctypes
import logging
import math
import threading
import weakref
from ctypes import c_double, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from stylemattegan.ops.build import CannotBuild, library_file
from stylemattegan.ops.upfirdn2d_torch import factors

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
    loaded = library()
    assert isinstance(loaded, Library)
    loaded.call(name, dtype, *arguments)


# --- what happens to a picture on one side of the non-linearity


class AxisPlan(NamedTuple):
    """taps correlate: out[o] = sum_k taps[k] z[o down + k - before], z[up i] = in[i], else 0."""

    up: int
    down: int
    before: int
    size: int
    out: int

    def adjoint(self, taps: int) -> AxisPlan:
        return AxisPlan(self.down, self.up, taps - 1 - self.before, self.out, self.size)


class Side:
    """A filter with zero insertion, padding and decimation, from one picture size to another; and its adjoint.

    pairs: (taps along y, taps along x) in float64, correlating; their outer products add up.
    """

    def __init__(self, pairs: list[tuple[Tensor, Tensor]], y: AxisPlan, x: AxisPlan, dtype: torch.dtype) -> None:
        self.pairs, self.y, self.x, self.dtype = pairs, y, x, dtype
        self._adjoint: Side | None = None
        ints, taps = [len(pairs)], torch.cat([t for pair in pairs for t in pair]).contiguous()
        for axis, count in ((y, len(pairs[0][0])), (x, len(pairs[0][1]))):
            ints += [count, axis.up, axis.down, axis.before, axis.size, axis.out]
        loaded = library()
        assert isinstance(loaded, Library)
        self.handle = loaded.functions["side_new", dtype]((c_int32 * len(ints))(*ints), taps.data_ptr())
        if not self.handle:
            raise MemoryError("no memory left for a filter")
        weakref.finalize(self, loaded.functions["side_free", dtype], self.handle)

    def adjoint(self) -> Side:
        if self._adjoint is None:
            pairs = [(y.flip(0), x.flip(0)) for y, x in self.pairs]
            y, x = self.pairs[0]
            self._adjoint = Side(pairs, self.y.adjoint(len(y)), self.x.adjoint(len(x)), self.dtype)
        return self._adjoint


_kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
_identities: dict[torch.dtype, Tensor] = {}


def side(f: Tensor | None, y: AxisPlan, x: AxisPlan, flip_filter: bool, gain: float, dtype: torch.dtype) -> Side:
    """The side for filter f (None: one tap of 1), kept as long as the filter lives unchanged. gain: of the product."""
    if f is None:
        with torch.inference_mode(False):
            f = _identities.setdefault(dtype, torch.ones(1))
    version = None if f.is_inference() else f._version
    kept = {} if version is None else _kept.setdefault(f, {})
    key = (y, x, flip_filter, gain, dtype)
    if key not in kept or kept[key][0] != version:
        with torch.inference_mode(False), torch.no_grad():
            kept[key] = (version, Side(_pairs(f, flip_filter, gain, dtype), y, x, dtype))
    found: Side = kept[key][1]
    return found


def _pairs(f: Tensor, flip_filter: bool, gain: float, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    pairs = factors(f, dtype, highest=None)
    assert pairs is not None
    root = math.sqrt(abs(gain))
    pairs = [(y * math.copysign(root, gain), x * root) for y, x in pairs]
    return pairs if flip_filter else [(y.flip(0), x.flip(0)) for y, x in pairs]


def lanes(dtype: torch.dtype) -> int:
    """Channels that one register holds."""
    loaded = library()
    assert isinstance(loaded, Library)
    return int(loaded.functions["lanes", dtype]())


def channels_last(x: Tensor) -> Tensor:
    """x (N, C, H, W) in memory as N, H, W, C."""
    return x.contiguous(memory_format=torch.channels_last)


def empty(like: Tensor, height: int, width: int) -> Tensor:
    """(N, C, height, width), channels last, nothing in it."""
    n, c = like.shape[:2]
    return torch.empty((n, c, height, width), dtype=like.dtype, memory_format=torch.channels_last)
