"""ADA's geometric augmentations: affine resampling on a twice finer grid, differentiable any number of times (Karras et
al. 2020, "Training Generative Adversarial Networks with Limited Data", appendix B)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Low-pass filter of the symlet wavelet with 6 vanishing moments (Daubechies 1992); used scaled to sum 1.
SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
APRON = 3  # pixels around the picture that the tail of the filter reaches


class _Gather(torch.autograd.Function):
    """Bilinear grid_sample with zeros outside. It is linear in the picture, so any order of derivative is this or
    its adjoint; written out because R1 needs the second one and not every torch has it."""

    @staticmethod
    def forward(ctx: Any, picture: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.size = picture.shape
        return F.grid_sample(picture, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return _Scatter.apply(grads[0], grid, ctx.size), None


class _Scatter(torch.autograd.Function):
    """Adjoint of `_Gather`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, size: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        # The picture's values do not enter its own gradient: an expanded zero serves for its shape.
        shape_only = values.new_zeros(()).expand(size)
        backward = torch.ops.aten.grid_sampler_2d_backward
        return backward(values, shape_only, grid, 0, 0, False, [True, False])[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return _Gather.apply(grads[0], grid), None, None


@lru_cache(maxsize=16)
def _resamplers(size: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Dense matrices along one axis: up (2 (size + 2 APRON), size), twice as fine with an apron; down its inverse."""
    fine = torch.arange(2 * (size + 2 * APRON))[:, None] - 2 * APRON
    tap = fine - 2 * torch.arange(size)[None, :] + 5
    taps = torch.tensor(SYM6, dtype=torch.float64) / sum(SYM6)
    inside = (tap >= 0) & (tap < 12)
    up = 2 * taps[tap.clamp(0, 11)] * inside
    down = up.t() / 2
    return up.to(device, dtype), down.contiguous().to(device, dtype)


def warp(pictures: Tensor, inverse: Tensor) -> Tensor:
    """Resample (N, C, H, W) by `inverse` (N, 3, 3, see `inverse_geometry`) on a twice finer grid; zero outside.

    Linear in `pictures` and differentiable any number of times. sym6 up, bilinear, sym6 down.
    """
    n, channels, height, width = pictures.shape
    rows_up, rows_down = _resamplers(height, pictures.device, pictures.dtype)
    cols_up, cols_down = _resamplers(width, pictures.device, pictures.dtype)
    fine = rows_up @ pictures @ cols_up.t()
    # sym6 is not symmetric, its weight lies on tap 5: fine pixel 2k sits on pixel k, a quarter pixel off the centre.
    to_fine = torch.tensor([[1.0, 0, -0.25], [0, 1, -0.25], [0, 0, 1]], dtype=torch.float64)
    # Where a pixel looks is found in float64: rounded earlier, it would cost more than all that follows.
    half = torch.tensor([fine.shape[3] / 4, fine.shape[2] / 4, 1.0])  # half the fine picture, in source pixels
    inverse = to_fine @ inverse.double() @ to_fine.inverse()
    theta = (inverse * half / half[:, None])[:, :2].to(pictures.device)
    grid = F.affine_grid(theta, [n, channels, fine.shape[2], fine.shape[3]], align_corners=False).to(pictures.dtype)
    return rows_down @ _Gather.apply(fine, grid) @ cols_down.t()
