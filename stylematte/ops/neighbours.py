"""The nearest colours in a window: for every pixel i the k pixels j around it with the smallest ||I_i - I_j||_2.

Candidates are numbered by their offset in the (window x window) square, in reading order: number 0 is the upper left.
What lies outside the picture is decided by `border`: "zero" (black, alpha 0), "replicate" (the nearest pixel inside),
"exclude" (never a neighbour). All functions take what `pad` returns, so a band of rows is a slice of it.

Reading order matters: where several candidates are equally far (a quarter to nine tenths of the pixels of an 8-bit
picture tie at the k-th neighbour) `torch.topk` keeps some of them, which ones depends on the order it was given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

BORDERS = ("zero", "replicate", "exclude")
LUMA = (0.299, 0.587, 0.114)  # Rec. 601
BAND_BYTES = {"cpu": 4 * 2**20, "cuda": 2**29}
"""What the distances of one band of rows take when nothing is asked for: a processor's cache, a part of a card."""


class Found(NamedTuple):
    """The neighbours of P pixels. Pixels are numbered through the batch, n H W + y W + x; N H W is "outside"."""

    i: Tensor  # (P,) the pixels
    j: Tensor  # (k, P) their neighbours
    distance: Tensor  # (k, P) ||I_i - I_j||_2
    contrast: Tensor | None  # (P,) |F - B| around i


def check_window(size: tuple[int, int], window: int, neighbours: int, border: str, include_self: bool) -> None:
    """ValueError when a pixel of a picture of (height, width) = size could not have that many neighbours."""
    if border not in BORDERS:
        raise ValueError(f"border is {border!r}: expected one of {', '.join(BORDERS)}")
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window is {window}: expected an odd number of pixels, 3 or more")
    radius = window // 2
    inside = min(radius + 1, size[0]) * min(radius + 1, size[1])  # what the window of a corner holds of the picture
    most = (inside if border == "exclude" else window**2) - (not include_self)
    if not 1 <= neighbours <= most:
        where = f" in the corner of a {size[1]} x {size[0]} picture" if border == "exclude" else ""
        raise ValueError(f"neighbours is {neighbours}: a {window} x {window} window offers 1 to {most}{where}")


def pad(
    values: Float[Tensor, "n c h w"], radius: int, border: str, outside: float = 0.0
) -> Float[Tensor, "n c h+2*{radius} w+2*{radius}"]:
    """`outside` fills the frame unless border is "replicate"."""
    frame = (radius,) * 4
    return F.pad(values, frame, mode="replicate") if border == "replicate" else F.pad(values, frame, value=outside)


def pad_colour(
    image: Float[Tensor, "n c h w"], radius: int, border: str
) -> Float[Tensor, "n c h+2*{radius} w+2*{radius}"]:
    """Excluded pixels are infinitely far from every colour."""
    return pad(image, radius, border, float("inf") if border == "exclude" else 0.0)


def colour_distances(
    padded: Float[Tensor, "n c H W"], window: int, include_self: bool
) -> Float[Tensor, "{window**2} n H-2*({window}//2) W-2*({window}//2)"]:
    """||I_i - I_j||_2 for all candidates j of every pixel i."""
    radius = window // 2
    n, _, height, width = padded.shape
    height, width = height - 2 * radius, width - 2 * radius
    centre = padded[..., radius : radius + height, radius : radius + width]
    distances = padded.new_empty(window**2, n, height, width)
    for number in range(window**2):
        y, x = divmod(number, window)
        difference = padded[..., y : y + height, x : x + width] - centre
        torch.sum(difference.square_(), dim=1, out=distances[number])
    distances.sqrt_()
    if not include_self:
        distances[window**2 // 2] = float("inf")
    return distances


def spiral(window: int) -> Int[Tensor, " {window**2}"]:
    """Candidate numbers from the centre outwards, equally far ones in reading order."""
    steps = torch.arange(window) - window // 2
    squared = (steps[:, None].square() + steps.square()).flatten()
    return squared.sort(stable=True).indices


def nearest(
    distances: Float[Tensor, "{window**2} p"], neighbours: int, window: int, stable_ties: bool
) -> tuple[Float[Tensor, "{neighbours} p"], Int[Tensor, "{neighbours} p"]]:
    """The smallest distances and their candidate numbers, in no given order.

    Among equal distances `stable_ties` keeps those whose pixels are closest, then the first in reading order, on
    every machine; without it `torch.topk` decides, as in the reference implementation.
    """
    if not stable_ties:
        return distances.topk(neighbours, 0, largest=False, sorted=False)
    order = spiral(window).to(distances.device)
    ranked = distances[order]
    if ranked.dtype == torch.float32:
        # Bits of non-negative floats sort like the floats: distance above, place in the spiral below, no two alike.
        bits = (window**2).bit_length()
        place = torch.arange(len(order), device=order.device)[:, None]
        key = ranked.view(torch.int32).long().mul_(2**bits).add_(place)
        kept = key.topk(neighbours, 0, largest=False, sorted=False).values.remainder_(2**bits)
    else:
        kept = ranked.sort(dim=0, stable=True).indices[:neighbours]
    return ranked.gather(0, kept), order[kept]


def luma(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """0.299 R + 0.587 G + 0.114 B, Rec. 601."""
    return (image * image.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def padded_lumas(
    image: Float[Tensor, "n 3 h w"], radius: int, border: str
) -> tuple[Float[Tensor, "n H W"], Float[Tensor, "n H W"]]:
    """Luma and negated luma, framed, so that a frame of infinity stays out of either extreme."""
    outside = float("inf") if border == "exclude" else 0.0
    values = luma(image)
    dark, bright = (pad(sign * values, radius, border, outside)[:, 0] for sign in (1, -1))
    return dark, bright


def local_contrast(
    dark: Float[Tensor, "n H W"], bright: Float[Tensor, "n H W"], columns: Int[Tensor, " p"], window: int, extremes: int
) -> Float[Tensor, " p"]:
    """|F - B|, estimated as the mean of the brightest minus the mean of the darkest lumas of the window.

    dark, bright: from `padded_lumas`. F and B from extremes of the luma: Yang et al., "MatAnyone" (CVPR 2025).
    """
    n, height, width = (dark.shape[0], *(side - window + 1 for side in dark.shape[1:]))
    total = 0.0
    for end in (dark, bright):
        windows = end.unfold(1, window, 1).unfold(2, window, 1).reshape(n * height * width, window**2)
        if len(columns) < len(windows):
            windows = windows[columns]
        total = total - _smallest(windows, extremes).mean(1)
    return total


def _smallest(rows: Float[Tensor, "p m"], count: int) -> Float[Tensor, "p {count}"]:
    """The `count` smallest of each row, in no order.

    NumPy's partition is vectorised: six times as fast as topk on a processor.
    """
    if rows.device.type == "cpu":
        return torch.from_numpy(np.partition(rows.numpy(), count - 1, axis=1)[:, :count])
    return rows.topk(count, 1, largest=False, sorted=False).values


def neighbours_by_band(
    image: Float[Tensor, "n 3 h w"],
    wanted: Bool[Tensor, "n h w"],
    *,
    window: int,
    neighbours: int,
    border: str,
    include_self: bool,
    stable_ties: bool,
    with_contrast: bool,
    band_rows: int = 0,
) -> Iterator[Found]:
    """The neighbours of every pixel where wanted (N, H, W) is true, a band of rows of the whole batch at a time.

    Memory grows with window^2 * N * W * band_rows and nothing else; 0 rows means as many as suit the device.
    """
    n, height, width = wanted.shape
    radius = window // 2
    colours = pad_colour(image, radius, border)
    ends = padded_lumas(image, radius, border) if with_contrast else ()
    places = _places(wanted, radius, border)
    corners = torch.arange(places.numel(), device=image.device).view_as(places)[:, :height, :width]
    steps = torch.arange(window, device=image.device)
    offsets = (steps[:, None] * places.shape[2] + steps).flatten()
    rows = band_rows or max(1, BAND_BYTES.get(image.device.type, 2**29) // (window**2 * n * width * 4))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        columns = wanted[:, top:bottom].flatten().nonzero().squeeze(1)
        if not len(columns):
            continue
        frame = slice(top, bottom + 2 * radius)
        distances = colour_distances(colours[:, :, frame], window, include_self).flatten(1)
        if len(columns) < distances.shape[1]:
            distances = distances[:, columns]
        distance, number = nearest(distances, neighbours, window, stable_ties)
        del distances
        corner = corners[:, top:bottom].flatten()[columns]
        contrast = None
        if with_contrast:
            contrast = local_contrast(*(end[:, frame] for end in ends), columns, window, neighbours)
        centre = corner + offsets[window**2 // 2]
        yield Found(places.view(-1)[centre], places.view(-1)[corner + offsets[number]], distance, contrast)


def _places(like: Tensor, radius: int, border: str) -> Tensor:
    """(N, H + 2r, W + 2r): which pixel of the batch stands there; N H W for the frame unless it is replicated."""
    count = like.numel()
    numbers = torch.arange(count, device=like.device, dtype=torch.float64).view_as(like)  # F.pad replicates floats only
    return pad(numbers[:, None], radius, border, float(count))[:, 0].long()
