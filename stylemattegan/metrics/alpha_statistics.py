"""Statistics of a set of alphas: how much is empty, full and between, and how wide the transition at the edge is."""

from __future__ import annotations

import math

from torch import Tensor

LOW, HIGH = 0.02, 0.98


def alpha_statistics(pictures: Tensor) -> dict[str, float]:
    """Of straight RGBA (N, 4, H, W): mean alpha; shares of pixels below .02, above .98 and between; and the width of
    the transition in pixels, which is the area between over the length of the line alpha = 1/2.

    That line's length is pi / 4 times the number of neighbours it separates (Crofton's formula for directions evenly
    spread); a straight ramp from 0 to 1 over w pixels has a width of about w.
    """
    alpha = pictures[:, 3]
    low, high = alpha < LOW, alpha > HIGH
    inside = alpha > 0.5
    crossings = (inside[:, 1:] ^ inside[:, :-1]).sum() + (inside[:, :, 1:] ^ inside[:, :, :-1]).sum()
    between = ~(low | high)
    return {
        "alpha": alpha.mean().item(),
        "zero": low.float().mean().item(),
        "one": high.float().mean().item(),
        "between": between.float().mean().item(),
        "width": between.sum().item() / max(math.pi / 4 * crossings.item(), 1.0),
        "alpha_sd": alpha.mean((1, 2)).std(correction=0).item(),  # between pictures
    }
