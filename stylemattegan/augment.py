"""Adaptive discriminator augmentation for RGBA: what both real and generated pictures go through before D.

Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020), the set "bgc": geometry and colour,
each transform with probability p per picture. Pictures are in the generator's encoding ([-1, 1], colour premultiplied
about grey), so geometry moves all four channels and brings in transparency from outside, and colour leaves alpha, and
the grey of transparent pixels, exactly as they were.

All numbers are drawn on the CPU from a given generator, for the global batch: no device waits, and every rank takes
its rows of the same draw.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

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


class Parameters(NamedTuple):
    """One row per picture. Neutral values leave a picture as it is."""

    flip: Tensor
    """1.0 mirrors left and right, 0.0 does not."""
    quarter: Tensor
    """Quarter turns, 0 to 3."""
    shift: Tensor
    """(N, 2) whole-pixel shift (x, y) as a fraction of the size."""
    scale: Tensor
    turn_before: Tensor
    """Radians, before the stretch."""
    stretch: Tensor
    """Width factor s; the height gets 1/s."""
    turn_after: Tensor
    offset: Tensor
    """(N, 2) fractional shift (x, y) as a fraction of the size."""
    brightness: Tensor
    """Added to the colour in [-1, 1]."""
    contrast: Tensor
    luma_flip: Tensor
    """1.0 mirrors the luma axis."""
    hue: Tensor
    """Radians about the luma axis."""
    saturation: Tensor


def draw_parameters(count: int, p: float, generator: torch.Generator) -> Parameters:
    """Parameters of `count` pictures, each transform with probability p (distributions: Karras et al. 2020, app. B)."""

    def normal(std: float, *shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator) * std

    def uniform(limit: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, generator=generator) * 2 - 1) * limit

    def whole(options: int) -> Tensor:
        return torch.randint(options, (count,), generator=generator).float()

    def maybe(values: Tensor, neutral: float, chance: float = p) -> Tensor:
        chosen = torch.rand(count, generator=generator) < chance
        return torch.where(chosen.view(-1, *[1] * (values.ndim - 1)), values, neutral)

    # Two rotations, so that at least one of them happens with probability p.
    p_turn = 1 - math.sqrt(max(1 - p, 0.0))
    return Parameters(
        flip=maybe(whole(2), 0),
        quarter=maybe(whole(4), 0),
        shift=maybe(uniform(0.125, 2), 0),
        scale=maybe(normal(0.2).exp2(), 1),
        turn_before=maybe(uniform(math.pi), 0, p_turn),
        stretch=maybe(normal(0.2).exp2(), 1),
        turn_after=maybe(uniform(math.pi), 0, p_turn),
        offset=maybe(normal(0.125, 2), 0),
        brightness=maybe(normal(0.2), 0),
        contrast=maybe(normal(0.5).exp2(), 1),
        luma_flip=maybe(whole(2), 0),
        hue=maybe(uniform(math.pi), 0),
        saturation=maybe(normal(1.0).exp2(), 1),
    )


def _plane(rows: list[list[Any]], count: int) -> Tensor:
    """(N, len, len) matrices from numbers and (N,) tensors."""
    cells = [torch.as_tensor(cell, dtype=torch.float32).expand(count) for row in rows for cell in row]
    return torch.stack(cells, dim=1).view(count, len(rows), len(rows[0]))


def inverse_geometry(parameters: Parameters, height: int, width: int) -> Tensor:
    """(N, 3, 3): homogeneous pixel position in the result -> in the source, both from the picture's centre."""
    n = len(parameters.flip)

    def turn(angle: Tensor) -> Tensor:
        cos, sin = angle.cos(), angle.sin()
        return _plane([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], n)

    def move(fraction: Tensor, whole: bool) -> Tensor:
        pixels = fraction * torch.tensor([width, height])
        pixels = pixels.round() if whole else pixels
        return _plane([[1, 0, -pixels[:, 0]], [0, 1, -pixels[:, 1]], [0, 0, 1]], n)

    def size(x: Tensor, y: Tensor) -> Tensor:
        return _plane([[1 / x, 0, 0], [0, 1 / y, 0], [0, 0, 1]], n)

    mirror = 1 - 2 * parameters.flip
    steps = [
        size(mirror, torch.ones(n)),
        turn(parameters.quarter * -(math.pi / 2)),
        move(parameters.shift, whole=True),
        size(parameters.scale, parameters.scale),
        turn(-parameters.turn_before),
        size(parameters.stretch, 1 / parameters.stretch),
        turn(-parameters.turn_after),
        move(parameters.offset, whole=False),
    ]
    inverse = steps[0]
    for step in steps[1:]:
        inverse = inverse @ step
    return inverse


def colour_transform(parameters: Parameters) -> Tensor:
    """(N, 3, 4): linear part and shift of the colour in [-1, 1], brightness first, saturation last."""
    n = len(parameters.flip)
    eye = torch.eye(3)
    luma = torch.full((3, 3), 1 / 3)  # projection on the grey axis v v', v = (1, 1, 1) / sqrt 3
    v = 1 / math.sqrt(3)
    cross = torch.tensor([[0, -v, v], [v, 0, -v], [-v, v, 0]])

    def each(values: Tensor) -> Tensor:
        return values.view(n, 1, 1)

    scale = each(parameters.contrast) * eye
    flip = eye - 2 * each(parameters.luma_flip) * luma
    cos, sin = each(parameters.hue.cos()), each(parameters.hue.sin())
    hue = cos * eye + (1 - cos) * luma + sin * cross  # Rodrigues' rotation formula
    saturate = luma + each(parameters.saturation) * (eye - luma)
    linear = saturate @ hue @ flip @ scale
    shift = linear @ each(parameters.brightness).expand(n, 3, 1)
    return torch.cat([linear, shift], dim=2)


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
    to_fine = torch.tensor([[1.0, 0, -0.25], [0, 1, -0.25], [0, 0, 1]])
    half = torch.tensor([fine.shape[3] / 4, fine.shape[2] / 4, 1.0])  # half the fine picture, in source pixels
    inverse = to_fine @ inverse @ to_fine.inverse()
    theta = (inverse * half / half[:, None])[:, :2].to(pictures.device, pictures.dtype)
    grid = F.affine_grid(theta, [n, channels, fine.shape[2], fine.shape[3]], align_corners=False)
    return rows_down @ _Gather.apply(fine, grid) @ cols_down.t()


def apply_colour(encoded: Tensor, transform: Tensor) -> Tensor:
    """Colour change of encoded RGBA by `transform` (N, 3, 4, see `colour_transform`); alpha stays as it is.

    The encoded colour is alpha (2F - 1), so a shift of 2F - 1 is a shift of the encoded colour by alpha times as much.
    """
    transform = transform.to(encoded.device, encoded.dtype)
    rgb, alpha = encoded[:, :3], encoded[:, 3:]
    seen = torch.cat([rgb, (alpha + 1) / 2], dim=1).flatten(2)
    return torch.cat([(transform @ seen).view_as(rgb), alpha], dim=1)


def apply(encoded: Tensor, parameters: Parameters) -> Tensor:
    """Augment encoded RGBA (N, 4, H, W); pictures with neutral parameters come back unchanged, bit for bit."""
    n, _, height, width = encoded.shape
    inverse = inverse_geometry(parameters, height, width)
    moved = (inverse != torch.eye(3)).flatten(1).any(1).nonzero()[:, 0]
    if len(moved):
        # Alpha counted from 0 (transparent), so that the zeros from outside mean transparency.
        base = encoded.new_tensor([0, 0, 0, 1]).view(4, 1, 1)
        rows = moved.to(encoded.device)
        warped = warp(encoded[rows] + base, inverse[moved]) - base
        encoded = warped if len(moved) == n else encoded.index_copy(0, rows, warped)
    transform = colour_transform(parameters)
    return apply_colour(encoded, transform) if (transform != torch.eye(3, 4)).any() else encoded
