"""The augmentation pipe of ADA for RGBA: what both real and generated pictures go through before D (Karras et al. 2020,
"Training Generative Adversarial Networks with Limited Data", appendix B).

Pixel blitting, geometry, colour,
octave filter, noise and cutout, each transform with probability p per picture. Pictures are in the generator's encoding
([-1, 1], colour premultiplied about grey), so geometry (`warp`) moves all four channels and brings in transparency from
outside, and everything else (`recolour`) leaves alpha, and the grey of transparent pixels, exactly as they were.

All numbers are drawn on the CPU from a given generator, for the global batch: no device waits, and every rank takes
its rows of the same draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stylemattegan.augment.color import apply_bands, apply_colour, apply_cutout, apply_noise
from stylemattegan.augment.geometry import warp

GROUPS = ("blit", "geom", "color", "filter", "noise", "cutout")
SETS = {name: (name,) for name in GROUPS}
SETS |= {"bg": GROUPS[:2], "bgc": GROUPS[:3], "bgcf": GROUPS[:4], "bgcfn": GROUPS[:5], "bgcfnc": GROUPS}
"""The published names of sets of transforms."""
OCTAVE_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""Share of a natural picture's power in each octave, the coarsest first (a spectrum that falls as 1 / f)."""


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
    bands: Tensor
    """(N, 4) amplification of the octaves, the coarsest first, before `band_gains`."""
    noise: Tensor
    """Standard deviation on the colour in [-1, 1]."""
    noise_seed: Tensor
    cutout: Tensor
    """Side of the grey square as a fraction of the size."""
    cutout_centre: Tensor
    """(N, 2) as (x, y), fractions of the size."""


def draw_parameters(count: int, p: float, generator: torch.Generator, transforms: str = "bgc") -> Parameters:
    """Parameters of `count` pictures, each transform with probability p (distributions: Karras et al. 2020, app. B).

    transforms: a name in SETS. The draws are the same for every set; what is not in it stays neutral.
    """
    groups = SETS[transforms]

    def normal(std: float, *shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator) * std

    def uniform(limit: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, generator=generator) * 2 - 1) * limit

    def whole(options: int) -> Tensor:
        return torch.randint(options, (count,), generator=generator).float()

    def maybe(group: str, values: Tensor, neutral: float, chance: float = p) -> Tensor:
        chosen = torch.rand(count, generator=generator) < (chance if group in groups else 0)
        return torch.where(chosen.view(-1, *[1] * (values.ndim - 1)), values, neutral)

    # Two rotations, so that at least one of them happens with probability p.
    p_turn = 1 - math.sqrt(max(1 - p, 0.0))
    return Parameters(
        flip=maybe("blit", whole(2), 0),
        quarter=maybe("blit", whole(4), 0),
        shift=maybe("blit", uniform(0.125, 2), 0),
        scale=maybe("geom", normal(0.2).exp2(), 1),
        turn_before=maybe("geom", uniform(math.pi), 0, p_turn),
        stretch=maybe("geom", normal(0.2).exp2(), 1),
        turn_after=maybe("geom", uniform(math.pi), 0, p_turn),
        offset=maybe("geom", normal(0.125, 2), 0),
        brightness=maybe("color", normal(0.2), 0),
        contrast=maybe("color", normal(0.5).exp2(), 1),
        luma_flip=maybe("color", whole(2), 0),
        hue=maybe("color", uniform(math.pi), 0),
        saturation=maybe("color", normal(1.0).exp2(), 1),
        bands=torch.stack([maybe("filter", normal(1.0).exp2(), 1) for _ in OCTAVE_POWER], dim=1),
        noise=maybe("noise", normal(0.1).abs(), 0),
        noise_seed=torch.randint(2**31, (count,), generator=generator),
        cutout=maybe("cutout", torch.full((count,), 0.5), 0),
        cutout_centre=torch.rand(count, 2, generator=generator),
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


def band_gains(parameters: Parameters) -> Tensor:
    """(N, 4): each octave amplified in turn, and all four scaled back to the power of a natural picture."""
    power = torch.tensor(OCTAVE_POWER)
    gains = torch.ones_like(parameters.bands)
    for octave in range(len(OCTAVE_POWER)):
        one = torch.ones_like(gains)
        one[:, octave] = parameters.bands[:, octave]
        gains = gains * one / (power * one.square()).sum(1, keepdim=True).sqrt()
    return gains


def _where(chosen: Tensor, encoded: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`change`(pictures, their rows) for the pictures chosen (N,), the others as they are, bit for bit."""
    rows = chosen.nonzero()[:, 0]
    if not len(rows):
        return encoded
    index = rows.to(encoded.device)
    changed = change(encoded[index], rows)
    return changed if len(rows) == len(encoded) else encoded.index_copy(0, index, changed)


def apply(encoded: Tensor, parameters: Parameters) -> Tensor:
    """Augment encoded RGBA (N, 4, H, W); pictures with neutral parameters come back unchanged, bit for bit."""
    inverse = inverse_geometry(parameters, *encoded.shape[2:])
    # Alpha counted from 0 (transparent), so that the zeros from outside mean transparency.
    base = encoded.new_tensor([0, 0, 0, 1]).view(4, 1, 1)
    moved = (inverse != torch.eye(3)).flatten(1).any(1)
    encoded = _where(moved, encoded, lambda x, rows: warp(x + base, inverse[rows]) - base)
    transform = colour_transform(parameters)
    if (transform != torch.eye(3, 4)).any():
        encoded = apply_colour(encoded, transform)
    gains, (sigma, seed) = band_gains(parameters), (parameters.noise, parameters.noise_seed)
    centre, side = parameters.cutout_centre, parameters.cutout
    encoded = _where((parameters.bands != 1).any(1), encoded, lambda x, rows: apply_bands(x, gains[rows]))
    encoded = _where(sigma > 0, encoded, lambda x, rows: apply_noise(x, sigma[rows], seed[rows]))
    return _where(side > 0, encoded, lambda x, rows: apply_cutout(x, centre[rows], side[rows]))
