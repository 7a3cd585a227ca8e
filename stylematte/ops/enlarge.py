"""Bilinear enlargement of float pictures on the CPU by OpenCV, several times as fast as torch's on one thread.

Pixel centres lie as in torch's `interpolate` with align_corners=False; results agree to 2e-5 for values in [0, 1].
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def enlarged(small: Float[Tensor, "c _ _"], height: int, width: int) -> Float[Tensor, "c {height} {width}"]:
    """small, of any device, at (height, width)."""
    if small.device.type != "cpu":
        return F.interpolate(small[None], size=(height, width), mode="bilinear", align_corners=False)[0]
    return _planes(small.detach().float().numpy(), height, width)


def enlarged_rows(
    small: Float[Tensor, "c _ _"], rows: slice, height: int, width: int
) -> Float[Tensor, "c {rows.stop-rows.start} {width}"]:
    """These rows of small enlarged to (height, width); on the CPU.

    The few rows that they lie between are made wide first; what is between two of them is a product with their shares.
    """
    last = small.shape[1] - 1
    place = ((np.arange(rows.start, rows.stop) + 0.5) * small.shape[1] / height - 0.5).clip(0, last)
    first = int(place[0])
    above = np.arange(first, min(int(place[-1]) + 1, last) + 1)
    wide = _planes(small[:, first : above[-1] + 1].numpy(), len(above), width)
    shares = (1 - np.abs(place[:, None] - above)).clip(0)
    return torch.matmul(torch.from_numpy(shares.astype(np.float32)), wide)


def _planes(planes: np.ndarray, height: int, width: int) -> Tensor:
    found = np.empty((len(planes), height, width), np.float32)
    for plane, own in zip(planes, found, strict=True):
        cv2.resize(np.ascontiguousarray(plane), (width, height), dst=own, interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(found)
