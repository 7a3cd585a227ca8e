"""Which implementation an op uses.

    reference  plain torch, slow and obvious
    torch      plain torch, faster: any device, any number type
    cpu        C++ (csrc/), float32 and float64 on the CPU; elsewhere the torch path
    cuda       CUDA kernels (csrc/kernels/), also float16 and bfloat16, on a GPU; elsewhere the torch path
    emulated   the same kernels on the CPU: slow, to test them where there is no GPU
    auto       cpu or cuda where it can be had, else torch

All are equal, tested against the reference. The default is $STYLEMATTE_OPS, else auto. C++ and CUDA are compiled at
their first use, never at import; where that fails one line says why and the torch path is taken.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from stylemattegan.ops.engine import Engine

IMPLEMENTATIONS = ("auto", "reference", "torch", "cpu", "cuda", "emulated")
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
    """What really runs for x: reference, torch, cpu, cuda or emulated."""
    impl = wanted(impl)
    if impl in ("reference", "torch"):
        return impl
    if type(x) not in (Tensor, nn.Parameter) or x.layout != torch.strided or torch.compiler.is_compiling():
        return "torch"
    if impl == "auto":
        impl = x.device.type
    found = engine(impl) if impl in ENGINES and x.device.type == ENGINES[impl] else None
    return impl if found is not None and found.serves(x) else "torch"


def widened(how: str, x: Tensor) -> bool:
    """Whether an op computes in float32 and rounds at its end: 16 bits on the CPU, where no kernel takes them."""
    return how == "torch" and x.device.type == "cpu" and x.dtype in (torch.float16, torch.bfloat16)


ENGINES = {"cpu": "cpu", "cuda": "cuda", "emulated": "cpu"}
"""Compiled implementations and the devices they serve."""


def engine(how: str) -> Engine | None:
    """The compiled implementation of that name, built now if need be; None where it cannot be had."""
    from stylemattegan.ops import cpu, cuda

    if how == "cpu":
        return cpu.ENGINE if cpu.available() else None
    found = cuda.engine(how == "emulated")
    return None if isinstance(found, str) else found


def running(how: str) -> Engine:
    """As `engine`, for what `chosen` named."""
    found = engine(how)
    assert found is not None
    return found
