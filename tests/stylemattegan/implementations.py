"""Every implementation of the ops, for the tests that hold for all; those that cannot run here are skipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from stylemattegan.ops import cpu, cuda

OPS_IMPLS = ["reference", "torch", "cpu", "emulated", "cuda"]


def need(name: str) -> str:
    """`name`, or the test is skipped with the reason why it cannot run here."""
    if name == "cpu" and not cpu.available():
        pytest.skip(f"no C++ ops: {cpu.library()}")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    if name in ("cuda", "emulated") and isinstance(why := cuda.engine(name == "emulated"), str):
        if name == "cuda":
            pytest.fail(f"a GPU, but no kernels: {why}")
        pytest.skip(f"no emulation: {why}")
    if name == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return name


def run(op: Callable[..., Tensor], impl: str, *args: Any, **kwargs: Any) -> Tensor:
    """The op where `impl` runs; the result here. Tensors elsewhere are moved, differentiably."""
    device = "cuda" if impl == "cuda" else "cpu"
    given = [a.to(device) if isinstance(a, Tensor) else a for a in args]
    named = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in kwargs.items()}
    return op(*given, **named, impl=impl).cpu()


def demand_equal_bits(everything: Callable[[int], list[Tensor]], threads: Sequence[int], monkeypatch: Any) -> None:
    """`everything(n)`, which computes with n threads, gives equal bits at 1, at each of `threads`, and with no pool."""
    before = torch.get_num_threads()
    try:
        one = everything(1)
        for count in threads:
            assert all(torch.equal(a, b) for a, b in zip(one, everything(count), strict=True))
        monkeypatch.setattr(cpu.library(), "pool", None)
        assert all(torch.equal(a, b) for a, b in zip(one, everything(3), strict=True))
    finally:
        torch.set_num_threads(before)
