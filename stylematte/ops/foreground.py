"""The colour of the foreground alone, by the multi-level method (Germer et al. 2020, "Fast Multi-Level Foreground
Estimation"), as implemented in pymatting.

pymatting is imported on first use: numba compiles it once per machine (tens of seconds) and caches the result; later
processes load it in about two seconds. After that 64 x 64 costs 1.5 ms, 512 x 512 about 50 ms. Without a place to
write the cache every process compiles anew: set NUMBA_CACHE_DIR.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor


def estimate_foreground(image: Tensor, alpha: Tensor) -> Tensor:
    """Smooth F with I ~ alpha F + (1 - alpha) B.

    image (3, H, W) and alpha (1, H, W) in [0, 1] -> (3, H, W) in [0, 1]. Where alpha is 1 the result is the image up
    to the method's small regularisation; where alpha is 0 it is a smooth continuation. Raises ValueError on shapes.
    """
    if image.ndim != 3 or image.shape[0] != 3 or alpha.shape != (1, *image.shape[1:]):
        raise ValueError(
            f"expected image (3, H, W) and alpha (1, H, W), got {tuple(image.shape)} and {tuple(alpha.shape)}"
        )
    numba, estimate_foreground_ml = _pymatting()
    rows = np.ascontiguousarray(image.detach().cpu().permute(1, 2, 0).double().numpy())
    matte = np.ascontiguousarray(alpha.detach().cpu()[0].double().numpy())
    threads = numba.get_num_threads()
    numba.set_num_threads(1)  # more are no faster at these sizes, and wait for each other on a busy machine
    try:
        foreground = np.asarray(estimate_foreground_ml(rows, matte))
    finally:
        numba.set_num_threads(threads)
    return torch.from_numpy(foreground).permute(2, 0, 1).float().clamp(0, 1).contiguous().to(image.device)


@cache
def _pymatting() -> tuple[Any, Any]:
    """numba and the method. Loading them sets the number of threads of the whole process; torch's must stay, because
    sums over another number of threads differ in their last bits, and a resumed run would no longer equal itself."""
    threads = torch.get_num_threads()
    import numba
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    numba.set_num_threads(numba.get_num_threads())  # starts its thread pool now
    torch.set_num_threads(threads)
    return numba, estimate_foreground_ml
