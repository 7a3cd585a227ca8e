"""Where a picture is in a generator: W+, an in-plane transform and a feature-space offset; and the way back to pixels.

StyleGAN3 has no noise inputs, so what W+ cannot say an offset says: it is added to the features after one layer
(feature space F of Kang et al. 2021, "GAN Inversion for Out-of-Range Images").
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from stylematte.errors import WeightsError
from stylemattegan.networks.generator import Generator


class Code(NamedTuple):
    """N pictures as a generator has them."""

    w: Tensor
    """(N, num_ws, w_dim): W+, one style for each layer; slot 0 is the Fourier features'."""
    pose: Tensor
    """(N, 3): angle in radians, counter-clockwise; x to the right and y down, in picture widths."""
    offset: Tensor | None = None
    """(N, C, h, w), added to the features after layer `layer`; None: nothing is."""
    layer: int = 0
    """Index into `synthesis.layer_names`."""

    def rows(self, index: slice | Tensor) -> Code:
        """Some of the pictures."""
        offset = None if self.offset is None else self.offset[index]
        return Code(self.w[index], self.pose[index], offset, self.layer)

    def detached(self) -> Code:
        return Code(
            self.w.detach(), self.pose.detach(), None if self.offset is None else self.offset.detach(), self.layer
        )


def code_of(w: Tensor) -> Code:
    """Of styles w (N, num_ws, w_dim) and nothing else: a generator's own pictures."""
    return Code(w, torch.zeros(len(w), 3, device=w.device))


def joined(codes: list[Code]) -> Code:
    """The pictures of all of them, which have offsets at the same layer or none."""
    offsets = [code.offset for code in codes if code.offset is not None]
    return Code(
        torch.cat([code.w for code in codes]),
        torch.cat([code.pose for code in codes]),
        torch.cat(offsets) if offsets else None,
        codes[0].layer,
    )


def demand_rgba(generator: Generator) -> None:
    """Raise WeightsError for a generator that this cannot be done with."""
    if generator.img_channels != 4:
        raise WeightsError(
            f"the generator makes pictures of {generator.img_channels} channels; expected 4, colour and alpha "
            "(import-generator --rgba adds alpha to an official one)"
        )


def transforms(pose: Tensor) -> Tensor:
    """pose (N, 3) -> (N, 3, 3) for `SynthesisInput`: the inverse of the turn and the shift wanted of the picture."""
    cosine, sine = pose[:, 0].cos(), pose[:, 0].sin()
    x, y = pose[:, 1], pose[:, 2]
    nothing, one = torch.zeros_like(x), torch.ones_like(x)
    rows = (
        (cosine, -sine, -(cosine * x - sine * y)),
        (sine, cosine, -(sine * x + cosine * y)),
        (nothing, nothing, one),
    )
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def features(generator: Generator, code: Code) -> Tensor:
    """The features (N, C, h, w) after layer `code.layer`, before any offset."""
    x = generator.synthesis.input(code.w[:, 0], transforms(code.pose))
    for index in range(code.layer + 1):
        x = _layer(generator, index)(x, code.w[:, index + 1])
    return x


def encoded(generator: Generator, code: Code, upto: Tensor | None = None) -> Tensor:
    """The generator's pictures (N, 4, R, R) in its own encoding, unclipped.

    upto: what `features` gives, where it is known: only the layers behind it are computed.
    """
    if code.offset is None and upto is None and not code.pose.requires_grad and not code.pose.any():
        return generator.synthesis(code.w).float()
    x = features(generator, code) if upto is None else upto
    x = x if code.offset is None else x + code.offset.to(x.dtype)
    for index in range(code.layer + 1, len(generator.synthesis.layer_names)):
        x = _layer(generator, index)(x, code.w[:, index + 1])
    return x.float() * generator.synthesis.output_scale


def cutouts(pictures: Tensor, straight: bool = False) -> Tensor:
    """A generator's encoding (N, 4, H, W) -> colour times alpha about grey, in [-1, 1], and alpha in [0, 1].

    Clipped to what can be; the gradient passes as if it were not, so that a value outside finds its way back.
    straight: see `stylemattegan.sample.shown`.
    """
    alpha = _clipped((pictures[:, 3:] + 1) / 2, torch.tensor(0.0), torch.tensor(1.0))
    colour = pictures[:, :3] * alpha if straight else pictures[:, :3]
    bound = alpha.detach()
    return torch.cat([_clipped(colour, -bound, bound), alpha], 1)


def over(cutout: Tensor, background: Tensor | float) -> Tensor:
    """`cutouts` (N, 4, H, W) over a background (N, 3, H, W) -> (N, 3, H, W): (alpha + colour) / 2 + (1 - alpha) B."""
    colour, alpha = cutout[:, :3], cutout[:, 3:]
    return (alpha + colour) / 2 + (1 - alpha) * background


def to_straight(cutout: Tensor) -> Tensor:
    """`cutouts` -> straight RGBA in [0, 1], as `rgba.unpremultiply_about_grey` does."""
    colour, alpha = cutout[:, :3], cutout[:, 3:]
    straight = 0.5 + colour / (2 * alpha.clamp_min(1 / 255))
    straight = torch.where(alpha < 1 / 255, torch.full_like(straight, 0.5), straight)
    return torch.cat([straight.clamp(0, 1), alpha], 1)


def from_straight(rgba: Tensor) -> Tensor:
    """Inverse of `to_straight`."""
    return torch.cat([rgba[:, 3:] * (2 * rgba[:, :3] - 1), rgba[:, 3:]], 1)


def _clipped(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return x + (torch.minimum(torch.maximum(x, low.to(x)), high.to(x)) - x).detach()


def _layer(generator: Generator, index: int) -> torch.nn.Module:
    layer: torch.nn.Module = getattr(generator.synthesis, generator.synthesis.layer_names[index])
    return layer
