"""pymatting's methods, loaded and called so that they leave the number of threads of the process alone.

pymatting is imported on first use: numba compiles it once per machine (tens of seconds) and caches the result; later
processes load it in about two seconds. Without a place to write the cache every process compiles anew: set
NUMBA_CACHE_DIR.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


@cache
def method(name: str) -> Callable[..., Any]:
    """The function `name` of pymatting, for example "alpha.estimate_alpha_cf" (module and function of one name).

    Loading numba sets the number of threads of the whole process; torch's must stay, because sums over another number
    of threads differ in their last bits, and a resumed run would no longer equal itself.
    """
    threads = torch.get_num_threads()
    import numba

    found: Callable[..., Any] = getattr(importlib.import_module(f"pymatting.{name}"), name.rpartition(".")[2])
    numba.set_num_threads(numba.get_num_threads())  # starts its thread pool now
    torch.set_num_threads(threads)
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """numba on one thread inside: more are no faster at these sizes, and wait for each other on a busy machine."""
    import numba

    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(threads)


def to_rows(picture: Float[Tensor, "c h w"]) -> Float[np.ndarray, "h w *c"]:
    """float64, or (H, W) if C is 1: how pymatting has its pictures."""
    rows = picture.detach().cpu().permute(1, 2, 0).double().numpy()
    return np.ascontiguousarray(rows[..., 0] if rows.shape[-1] == 1 else rows)
