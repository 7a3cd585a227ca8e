"""Where trimaps come from: masks, alphas, and the regions a matter is sure of on a photo nobody labelled.

A trimap is float32 with the values {0, 1/2, 1}: surely background, unknown, surely foreground. Every function takes
(N, 1, H, W) or (1, H, W) and returns the same shape. All share one step, Euclidean erosion: a pixel stays known while
everything within a radius of it is surely of its kind. The picture's frame erodes nothing, so a torso that is cut off
by the lower edge stays known there.

Radii are relative to the square root of the subject's area: a subject of 100 x 100 pixels has radius 5 at 0.05,
whether the photo is large or small.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stylematte.inference.predict import predict_views
from stylematte.ops.erosion import MIN_RADIUS, eroded, from_mask

__all__ = ["from_alpha", "from_mask", "from_matter", "from_range", "inverted", "problem", "shares", "usable"]

SURELY_BACK, SURELY_FRONT = 0.05, 0.95
"""A view of the matter counts a pixel as background up to the first, as foreground from the second."""
INVERTED = -0.2
"""Twice this below the frame lies the middle of a trimap whose sides are exchanged. Right ones reached -0.05."""
MIN_KNOWN, MAX_UNKNOWN = 0.002, 0.8
"""Shares of the picture: less known foreground (or background), or more unknown, teaches nothing."""


def from_alpha(
    alpha: Tensor, relative_radius: float = 0.02, radius: float | None = None, low: float = 0.02, high: float = 0.98
) -> Tensor:
    """Trimap of an alpha: known where it stays <= `low` or > `high` within the radius.

    `radius` in pixels if given, else relative_radius * sqrt(sum of alpha), at least one pixel. At radius 1.5 it is
    `rgba.trimap_from_alpha` with its 3 x 3 window; it does not slow down with the radius as a window does.
    """
    if radius is None:
        return eroded(alpha > high, alpha <= low, alpha, (relative_radius, relative_radius), MIN_RADIUS)
    return eroded(alpha > high, alpha <= low, alpha, (0.0, 0.0), radius)


def from_range(lowest: Tensor, highest: Tensor, relative_radius: float = 0.03) -> Tensor:
    """Trimap of what several views agree on: foreground where even the lowest alpha is >= 0.95, background where even
    the highest is <= 0.05, and the same holds within relative_radius * sqrt(area of the middle alpha)."""
    front, back = lowest >= SURELY_FRONT, highest <= SURELY_BACK
    return eroded(front, back, (lowest + highest) / 2, (relative_radius, relative_radius), MIN_RADIUS)


def from_matter(network: nn.Module, image: Tensor, relative_radius: float = 0.03) -> tuple[Tensor, Tensor]:
    """image (N, 3, H, W) in [0, 1] -> trimap (N, 1, H, W) on image's device, and usable (N,) bool.

    Known is what all four views of the matter (plain, mirrored, at 0.75 and at 1.25 of the size) agree on, away from
    any disagreement. Not usable: a picture without known foreground or background, or almost all of it unknown.
    """
    views = predict_views(network, image)
    trimap = from_range(views.amin(0), views.amax(0), relative_radius)
    return trimap, usable(trimap)


def shares(trimap: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, 3): the shares of known background, unknown and known foreground; rows sum to 1."""
    return torch.stack([(trimap == value).flatten(1).float().mean(1) for value in (0.0, 0.5, 1.0)], dim=1)


def usable(trimap: Tensor, min_known: float = MIN_KNOWN, max_unknown: float = MAX_UNKNOWN) -> Tensor:
    """(N, 1, H, W) -> (N,) bool: enough known foreground, enough known background, not almost everything unknown."""
    back, unknown, front = shares(trimap).unbind(1)
    return (back >= min_known) & (front >= min_known) & (unknown <= max_unknown)


def problem(trimap: Tensor) -> str | None:
    """Why one trimap (1, H, W) cannot be learned or solved from, in words that follow a file name; None if it can."""
    back, unknown, front = shares(trimap[None])[0].tolist()
    if unknown == 1:
        return "nothing is known: everything is 128 (unknown)"
    if front < MIN_KNOWN:
        return f"no known foreground (255 on {front:.2%} of the picture, at least {MIN_KNOWN:.1%} needed)"
    if back < MIN_KNOWN:
        return f"no known background (0 on {back:.2%} of the picture, at least {MIN_KNOWN:.1%} needed)"
    if unknown == 0:
        return "nothing is unknown: this is a mask; `stylematte trimap --from mask` makes a trimap of it"
    if unknown > MAX_UNKNOWN:
        return f"{unknown:.0%} of the picture is unknown, at most {MAX_UNKNOWN:.0%} can be filled in"
    if inverted(trimap):
        return "looks inverted: foreground along the frame, background in the middle; 255 means foreground"
    return None


def inverted(trimap: Tensor) -> bool:
    """Whether one trimap (1, H, W) has background in the middle and foreground along the upper half of the frame.

    With b = share of foreground - share of background, true trimaps have b(middle third) > b(frame); a subject may
    fill the lower half of the frame, so only the upper one is asked. Some inverted trimaps of close-ups pass.
    """
    height, width = trimap.shape[-2:]
    plane = trimap[0]
    frame = torch.cat([plane[0], plane[: height // 2, 0], plane[: height // 2, -1]])
    middle = plane[height // 3 : height - height // 3, width // 3 : width - width // 3]
    balance = [(part == 1).float().mean() - (part == 0).float().mean() for part in (middle, frame)]
    return bool(balance[0] - balance[1] < 2 * INVERTED)
