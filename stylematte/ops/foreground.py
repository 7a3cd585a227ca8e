"""Estimates the colour of the foreground from image and alpha by the multi-level method, as implemented in pymatting.

Germer et al. 2020, "Fast Multi-Level Foreground Estimation": F and B minimise, from coarse to fine grids,

    sum_i (alpha_i F_i + (1 - alpha_i) B_i - I_i)^2
  + sum_ij (eps + omega |alpha_i - alpha_j|) ((F_i - F_j)^2 + (B_i - B_j)^2)    over the four neighbours j of i

Once pymatting is loaded (see `pymatting_methods`) 64 x 64 costs 1.5 ms, 512 x 512 about 50 ms. Large photos are solved
at a reduced size, and the last step of Forte, "Approximate Fast Foreground Colour Estimation" (ICIP 2021, equation 7)
brings back their detail:

    F = clip(F' + alpha (I - alpha F' - (1 - alpha) B'))        F', B': the reduced F and B, enlarged
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stylematte.imagefile import resize
from stylematte.ops.enlarge import enlarged_rows, widened
from stylematte.ops.pymatting_methods import method, one_thread, to_rows
from stylematte.pixels import Pixels, resized, rows_of, strips_of, whole

REDUCED = 512
"""Longest side at which `estimate_foreground_reduced` solves."""


def estimate_foreground(image: Float[Tensor, "3 h w"], alpha: Float[Tensor, "1 h w"]) -> Float[Tensor, "3 h w"]:
    """Smooth F with I ~ alpha F + (1 - alpha) B.

    All in [0, 1]. Where alpha is 1 the result is the image up
    to the method's small regularisation; where alpha is 0 it is a smooth continuation. Raises ValueError on shapes.
    """
    if image.ndim != 3 or image.shape[0] != 3 or alpha.shape != (1, *image.shape[1:]):
        raise ValueError(
            f"expected image (3, H, W) and alpha (1, H, W), got {tuple(image.shape)} and {tuple(alpha.shape)}"
        )
    estimate_foreground_ml = method("foreground.estimate_foreground_ml")
    with one_thread():
        foreground = np.asarray(estimate_foreground_ml(to_rows(image), to_rows(alpha)))
    return torch.from_numpy(foreground).permute(2, 0, 1).float().clamp(0, 1).contiguous().to(image.device)


def estimate_foreground_reduced(
    image: Float[Tensor, "3 h w"], alpha: Float[Tensor, "1 h w"], side: int = REDUCED
) -> Float[Tensor, "3 h w"]:
    """`estimate_foreground`, for pictures with a longer side than `side` solved at `side` and restored.

    Time and memory beside the result hardly grow with the picture. Where alpha is 1 the result is the image.
    """
    if max(image.shape[-2:]) <= side:
        return estimate_foreground(image, alpha)
    result = torch.empty_like(image)
    for top, strip in foreground_strips(image, alpha, side):
        result[:, top : top + strip.shape[1]] = strip
    return result


def foreground_strips(
    image: Float[Tensor, "3 h w"] | Pixels, alpha: Float[Tensor, "1 h w"], side: int = REDUCED
) -> Iterator[tuple[int, Tensor]]:
    """The rows of `estimate_foreground_reduced` a few at a time, on the CPU: (first row, strip (3, n, W))."""
    height, width = image.shape[-2:]
    if max(height, width) <= side:
        yield 0, estimate_foreground(whole(image), alpha).cpu()
        return
    both = _layers(image, alpha, side)
    for rows in strips_of(height):
        a, seen = alpha[:, rows].cpu(), rows_of(image, rows).cpu()
        front, back = enlarged_rows(both, rows, height, width).split(3)
        missing = torch.sub(seen, torch.lerp(back, front, a))
        yield rows.start, torch.addcmul(front, missing, a, out=missing).clamp_(0, 1)


def rounded_strips(image: Pixels, alpha: Float[Tensor, "1 h w"], side: int = REDUCED) -> Iterator[np.ndarray]:
    """`foreground_strips` of a larger photo that `Pixels.is_plain`, with its alpha, from the top: (n, W, 4) of uint8.

    Rounded as to the nearest, of values that differ from those of `foreground_strips` by less than 1e-5.
    """
    from stylematte.ops.restored import restore

    height, width = image.shape[-2:]
    both = _layers(image, alpha, side)
    for rows in strips_of(height):
        layers, above, shares = widened(both, rows, height, width)
        a = alpha[0, rows].numpy()
        planes = [np.empty(a.shape, np.uint8) for _ in range(3)]
        for seen, found, front, back in zip(image.planes(rows), planes, layers[:3], layers[3:], strict=True):
            restore(seen, a, front, back, above, shares, found)
        yield cv2.merge([*planes, cv2.convertScaleAbs(a, alpha=255)])


def _layers(image: Tensor | Pixels, alpha: Tensor, side: int) -> Tensor:
    """F and B (6, h, w), solved at `side`, on the CPU."""
    high, wide = (max(2, round(s * side / max(image.shape[-2:]))) for s in image.shape[-2:])
    small, small_alpha = resized(image, (high, wide)).cpu(), resize(alpha, (high, wide)).cpu()
    estimate_foreground_ml = method("foreground.estimate_foreground_ml")
    with one_thread():
        layers = estimate_foreground_ml(to_rows(small), to_rows(small_alpha), return_background=True)
    return torch.cat([torch.from_numpy(np.asarray(layer)).permute(2, 0, 1) for layer in layers]).float().contiguous()
