"""What a compiled implementation offers to autograd (functions.py), and the filters as it wants them.

Two engines exist: the C++ ops of csrc/ (cpu.py) and the CUDA kernels of csrc/kernels/ (cuda.py).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from stylemattegan.ops.upfirdn2d_torch import factors


class AxisPlan(NamedTuple):
    """taps correlate: out[o] = sum_k taps[k] z[o down + k - before], z[up i] = in[i], else 0.

    size, out: samples that go in and come out.
    """

    up: int
    down: int
    before: int
    size: int
    out: int

    def adjoint(self, taps: int) -> AxisPlan:
        """Of A[o, i] = taps[up i + before - o down] the transpose: the same with k' = T - 1 - k, taps flipped.

        up i + before - o down = k  <=>  o down = i up + k' - (T - 1 - before).
        """
        return AxisPlan(self.down, self.up, taps - 1 - self.before, self.out, self.size)


class Side:
    """A filter with zero insertion, padding and decimation, from one picture size to another; and its adjoint.

    pairs: (taps along y, taps along x) in float64, correlating; their outer products add up. native: what the engine
    made of it. taps: all of them in a row.
    """

    def __init__(
        self,
        engine: Engine,
        pairs: list[tuple[Tensor, Tensor]],
        y: AxisPlan,
        x: AxisPlan,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.engine, self.pairs, self.y, self.x, self.dtype, self.device = engine, pairs, y, x, dtype, device
        self.taps = torch.cat([taps for pair in pairs for taps in pair]).contiguous()
        self._adjoint: Side | None = None
        self.native: Any = engine.native(self)

    def integers(self) -> list[int]:
        """How many pairs, then for y and for x: taps, up, down, before, in, out."""
        found = [len(self.pairs)]
        for axis, taps in zip((self.y, self.x), self.pairs[0], strict=True):
            found += [len(taps), *axis]
        return found

    def adjoint(self) -> Side:
        if self._adjoint is None:
            pairs = [(y.flip(0), x.flip(0)) for y, x in self.pairs]
            y, x = self.pairs[0]
            plans = self.y.adjoint(len(y)), self.x.adjoint(len(x))
            self._adjoint = Side(self.engine, pairs, *plans, self.dtype, self.device)
        return self._adjoint


class Chain(NamedTuple):
    """The filtered leaky ReLU without its values: up side, slope and clamp (infinity: none), down side."""

    up: Side
    down: Side
    slope: float
    clamp: float


class Masks(NamedTuple):
    """Where upsampled samples were positive and where they were clipped, packed as the engine likes."""

    positive: Tensor | None
    clipped: Tensor | None


class Engine(ABC):
    """Pictures are (N, C, H, W) in any memory order; results have the engine's own."""

    @abstractmethod
    def serves(self, x: Tensor) -> bool:
        """Whether there are kernels for x's numbers."""

    @abstractmethod
    def native(self, side: Side) -> Any:
        """What the kernels want to know of a side."""

    @abstractmethod
    def resample(self, side: Side, x: Tensor) -> Tensor:
        """One side alone."""

    @abstractmethod
    def filtered(
        self, chain: Chain, x: Tensor, scale: Tensor | None, b: Tensor | None, wanted: bool
    ) -> tuple[Tensor, Masks]:
        """down(clip(leaky(up(x scale + b)))), scale (N, C), b (C,); wanted: make masks."""

    @abstractmethod
    def masked(self, up: Side, down: Side, slope: float, masks: Masks, g: Tensor) -> Tensor:
        """down(mask up(g)): linear in g."""

    @abstractmethod
    def act(self, x: Tensor, slope: float, gain: float, clamp: float) -> Tensor:
        """clip(gain leaky(x)) for x without gaps in memory."""

    @abstractmethod
    def act_masked(self, g: Tensor, y: Tensor, slope: float, gain: float, clamp: float) -> Tensor:
        """g times the derivative of `act` at output y; g and y lie alike in memory."""

    def gradients(
        self, chain: Chain, masks: Masks, gy: Tensor, x: Tensor | None, scale: Tensor | None, biased: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """First derivatives of `filtered` by x, scale and b; x is there if scale is."""
        gz = self.masked(chain.down.adjoint(), chain.up.adjoint(), chain.slope, masks, gy)
        g_b = gz.sum([0, 2, 3]) if biased else None
        if x is None or scale is None:
            return gz, None, g_b
        return gz * scale[:, :, None, None], (gz * x).sum([2, 3]), g_b


_kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
_identities: dict[tuple[torch.dtype, torch.device], Tensor] = {}


def side(
    engine: Engine, f: Tensor | None, y: AxisPlan, x: AxisPlan, flip_filter: bool, gain: float, of: Tensor
) -> Side:
    """The side for filter f (None: one tap of 1), kept as long as the filter lives unchanged, for pictures like `of`.

    gain: of the product of both axes.
    """
    dtype, device = of.dtype, of.device
    if f is None:
        with torch.inference_mode(False):
            f = _identities.setdefault((dtype, device), torch.ones(1))
    version = None if f.is_inference() else f._version
    kept = {} if version is None else _kept.setdefault(f, {})
    key = (engine, y, x, flip_filter, gain, dtype, device)
    if key not in kept or kept[key][0] != version:
        with torch.inference_mode(False), torch.no_grad():
            kept[key] = (version, Side(engine, _pairs(f, flip_filter, gain, dtype), y, x, dtype, device))
    found: Side = kept[key][1]
    return found


def _pairs(f: Tensor, flip_filter: bool, gain: float, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    pairs = factors(f, dtype, highest=None)
    assert pairs is not None
    root = math.sqrt(abs(gain))
    pairs = [(y * math.copysign(root, gain), x * root) for y, x in pairs]
    return pairs if flip_filter else [(y.flip(0), x.flip(0)) for y, x in pairs]
