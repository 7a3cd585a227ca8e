"""Colour changes, blur, noise and JPEG of a batch on the training device, by kornia: what `augment` does on the CPU.

Kinds, ranges and probabilities are `augment`'s own table. Brightness, contrast, hue, saturation and value change F and
B of a sample alike, and its image is composited from the results; blur, noise and JPEG change the image, and the
difference is added to F and to B. So I = alpha F + (1 - alpha) B holds as it does there. A photo with a trimap alone
has F = B = I, and keeps that.

What differs: nothing is rounded to 8 bits on the way. JPEG is kornia's differentiable one, without an encoder (on six
photos at 256 x 256 it changed 88 to 92 % of what OpenCV's changes), of red, green and blue (albumentations gives OpenCV
red for blue). Blur has 5 taps for every sigma.

All numbers are drawn on the CPU from (seed, step) for the whole batch over all processes; the noise itself is drawn on
the device from a seed among them. So a resumed fit equals the unbroken one on the same kind of device, and several
processes equal one to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from kornia.color import hsv_to_rgb, rgb_to_hsv
from kornia.enhance import adjust_brightness, adjust_contrast
from kornia.enhance.jpeg import jpeg_codec_differentiable
from kornia.filters import gaussian_blur2d
from torch import Tensor

from stylematte.data.augment import CAMERA, COLOUR, strengthened
from stylematte.rgba import MattingBatch
from stylematte.sampling import generator_at

TABLE = dict([*COLOUR, *CAMERA])
TAPS = 5
GREY = 0.5 / 255
"""A saturation that 8 bits cannot show: such a pixel has no hue, and its saturation is left alone."""


class Photometry(NamedTuple):
    """What is done to each sample, (N,) on the CPU; the value in brackets leaves it as it is.

    contrast (1) multiplies, brightness (0) is added; hue (0) in radians, saturation (0) and value (0) are added in HSV;
    blur (0) and noise (0) are standard deviations in pixels and of [0, 1]; quality (0) is JPEG's, 1 to 100. seed: of
    the noise, int64.
    """

    contrast: Tensor
    brightness: Tensor
    hue: Tensor
    saturation: Tensor
    value: Tensor
    blur: Tensor
    noise: Tensor
    quality: Tensor
    seed: Tensor


def draw(seed: int, step: int, count: int, strength: Tensor | None = None) -> Photometry:
    """The photometry of the global batch of `count` samples at a step.

    strength: (count,), how many times as strong as usual each sample's is (`augment.strengthened`); None: 1. The same
    numbers are drawn whatever it is.
    """
    drawn = _draw(seed, step, count, TABLE)
    if strength is None:
        return drawn
    for value in sorted(set(strength.tolist()) - {1.0}):
        stronger = _draw(seed, step, count, dict(strengthened([*COLOUR, *CAMERA], value)))
        drawn = Photometry(
            *(torch.where(strength == value, new, old) for new, old in zip(stronger, drawn, strict=True))
        )
    return drawn


def _draw(seed: int, step: int, count: int, table: dict[str, dict[str, Any]]) -> Photometry:
    generator = generator_at(seed, "photometry", step)
    chance, amount = torch.rand(5, count, generator=generator), torch.rand(8, count, generator=generator)
    lit, hued, blurred, noisy, coded = (each < table[name]["p"] for name, each in zip(table, chance, strict=True))
    light, hue = table["RandomBrightnessContrast"], table["HueSaturationValue"]

    def between(row: int, low: float, high: float) -> Tensor:
        return low + (high - low) * amount[row]

    def around(row: int, limit: float) -> Tensor:
        return between(row, -limit, limit)

    worst, best = table["ImageCompression"]["quality_range"]
    return Photometry(
        contrast=1 + lit * around(0, light["contrast_limit"]),
        brightness=lit * around(1, light["brightness_limit"]),
        hue=hued * around(2, hue["hue_shift_limit"]) * (math.pi / 90),  # OpenCV's 8-bit hue counts in 2 degrees
        saturation=hued * around(3, hue["sat_shift_limit"]) / 255,
        value=hued * around(4, hue["val_shift_limit"]) / 255,
        blur=blurred * between(5, *table["GaussianBlur"]["sigma_limit"]),
        noise=noisy * between(6, *table["GaussNoise"]["std_range"]),
        quality=coded * between(7, worst, best + 1).floor(),  # whole numbers, both ends included
        seed=torch.randint(2**62, (count,), generator=generator),
    )


@torch.no_grad()
def apply(batch: MattingBatch, drawn: Photometry) -> MattingBatch:
    """The batch with image, foreground and background changed; rows that `drawn` leaves alone keep their bits.

    batch: on any device. drawn: of these rows (a rank's slice of what `draw` gave). Raises ValueError if it is of
    another number of rows.
    """
    if len(drawn.seed) != len(batch.image):
        raise ValueError(f"photometry of {len(drawn.seed)} samples for a batch of {len(batch.image)}")
    return _camera(_colour(batch, drawn), drawn)


def _colour(batch: MattingBatch, drawn: Photometry) -> MattingBatch:
    contrast, brightness, *hsv = (torch.cat([values, values]) for values in drawn[:5])
    lit, hued = (contrast != 1) | (brightness != 0), torch.stack(hsv).any(0)
    both = torch.cat([batch.foreground, batch.background])
    both = _on(lit, both, lambda colour, at: adjust_light(colour, contrast[at], brightness[at]))
    both = _on(hued, both, lambda colour, at: shift_hsv(colour, *(values[at] for values in hsv)))
    front, back = both.chunk(2)
    return _composited(batch._replace(foreground=front, background=back), (lit | hued).chunk(2)[0])


def _camera(batch: MattingBatch, drawn: Photometry) -> MattingBatch:
    blurred, noisy, coded = drawn.blur > 0, drawn.noise > 0, drawn.quality > 0
    image = _on(blurred, batch.image, lambda image, at: blur(image, drawn.blur[at]))
    image = _on(noisy, image, lambda image, at: add_noise(image, drawn.noise[at], drawn.seed[at]))
    image = _on(coded, image, lambda image, at: jpeg_codec_differentiable(image, drawn.quality[at]).clamp(0, 1))
    change = image - batch.image  # exactly 0 in rows that meet no camera
    front, back = ((colour + change).clamp(0, 1) for colour in (batch.foreground, batch.background))
    return _composited(batch._replace(foreground=front, background=back), blurred | noisy | coded)


def _composited(batch: MattingBatch, chosen: Tensor) -> MattingBatch:
    image = batch.background + batch.alpha * (batch.foreground - batch.background)
    return batch._replace(image=torch.where(_spread(chosen, image).bool(), image, batch.image))


def _on(chosen: Tensor, pictures: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`pictures` with change(rows, their numbers) in the rows that `chosen` (N,) names. It and they are on the CPU."""
    at = chosen.nonzero()[:, 0]
    if not len(at):
        return pictures
    there, changed = at.to(pictures.device, non_blocking=True), pictures.clone()
    changed[there] = change(pictures[there], at)
    return changed


def _spread(values: Tensor, pictures: Tensor) -> Tensor:
    """(N,) on the CPU -> (N, 1, 1, 1) beside the pictures, without waiting for what their device still has to do."""
    return values.to(pictures, non_blocking=True)[:, None, None, None]


def adjust_light(colour: Tensor, contrast: Tensor, brightness: Tensor) -> Tensor:
    """clip(contrast x + brightness) of (N, 3, H, W) in [0, 1], each factor (N,)."""
    return adjust_brightness(adjust_contrast(colour, contrast, clip_output=False), brightness)


def shift_hsv(colour: Tensor, hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Colours (N, 3, H, W) in [0, 1] with (N,) added to their hue (radians), saturation and value. Grey stays grey."""
    h, s, v = rgb_to_hsv(colour).split(1, dim=1)
    h = (h + _spread(hue, colour)) % (2 * math.pi)
    s = torch.where(s < GREY, s, (s + _spread(saturation, colour)).clamp(0, 1))
    v = (v + _spread(value, colour)).clamp(0, 1)
    return hsv_to_rgb(torch.cat([h, s, v], dim=1)).clamp(0, 1)


def blur(image: Tensor, sigma: Tensor) -> Tensor:
    """(N, 3, H, W) blurred by Gaussians of sigma (N,) pixels, below 1; reflected at the border."""
    return gaussian_blur2d(image, TAPS, sigma[:, None].expand(-1, 2))


def add_noise(image: Tensor, deviation: Tensor, seed: Tensor) -> Tensor:
    """(N, 3, H, W) with independent normal noise of deviation (N,), each sample's from its own seed (N,), clipped."""
    generator, noise = torch.Generator(image.device), torch.empty_like(image)
    for own, number in zip(noise, seed.tolist(), strict=True):
        own.normal_(generator=generator.manual_seed(number))
    return (image + _spread(deviation, image) * noise).clamp(0, 1)
