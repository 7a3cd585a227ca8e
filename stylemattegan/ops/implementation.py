"""Which implementation an op uses.

    reference  plain torch, slow and obvious
    torch      plain torch, faster: any device, any number type
    cpu        C++ (csrc/), float32 and float64 on the CPU; elsewhere the torch path
    auto       cpu where it can be had, else torch

All are equal, tested against the reference. The default is $STYLEMATTE_OPS, else auto. C++ is compiled at its first
use, never at import; where that fails one line says why and the torch path is taken.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

IMPLEMENTATIONS = ("auto", "reference", "torch", "cpu")
VARIABLE = "STYLEMATTE_OPS"
_default: str | None = None


def set_default(impl: str) -> None:
    """Choose the implementation of every op that is called without `impl`. For benchmarks and for doubts."""
    global _default
    _default = _known(impl, "set_default")


def wanted(impl: str | None = None) -> str:
    """`impl`, or the default if None, as asked for: perhaps auto. Raises ValueError for an unknown name."""
    if impl is not None:
        return _known(impl, "impl")
    return _default if _default is not None else _known(os.environ.get(VARIABLE) or "auto", f"${VARIABLE}")


def _known(impl: str, where: str) -> str:
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"unknown implementation {impl!r} ({where}): expected one of {', '.join(IMPLEMENTATIONS)}")
    return impl


def chosen(impl: str | None, x: Tensor) -> str:
    """What really runs for x: reference, torch or cpu."""
    impl = wanted(impl)
    if impl in ("reference", "torch"):
        return impl
    plain = type(x) in (Tensor, nn.Parameter) and x.device.type == "cpu" and x.layout == torch.strided
    if not plain or x.dtype not in (torch.float32, torch.float64) or torch.compiler.is_compiling():
        return "torch"
    from stylemattegan.ops import cpu

    return "cpu" if cpu.available() else "torch"
