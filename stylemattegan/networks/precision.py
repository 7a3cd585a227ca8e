"""The number type that a layer computes in: float16 for the finest layers on a GPU, else that of its input."""

from __future__ import annotations

import torch
from torch import Tensor


def working_dtype(use_fp16: bool, x: Tensor) -> torch.dtype:
    """float16 where the layer is one of the fine ones and x lies on a GPU; else float32, or float64 as x is."""
    if use_fp16 and x.device.type == "cuda":
        return torch.float16
    return torch.float32 if x.dtype == torch.float16 else x.dtype
