"""Turns an RGB generator and discriminator into RGBA ones that give the same pictures and the same logits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.generator import Generator

OPAQUE = 1.0
"""Alpha in the [-1, 1] encoding of a picture without a matte. Colours are encoded times their alpha, so at any other
value the pictures would change: at -1, transparent, there would be none."""


def generator_to_rgba(G: Generator) -> Generator:
    """G with a fourth output, opaque everywhere at first: ToRGB's new row is 0 and its bias gives alpha 1."""
    _demand_rgb(G)
    new = _like(G)
    old_name, new_name = (f"synthesis.{network.synthesis.layer_names[-1]}." for network in (G, new))
    state = {}
    for key, value in G.state_dict().items():
        if key == f"{old_name}weight":
            value = torch.cat([value, torch.zeros_like(value[:1])])
        elif key == f"{old_name}bias":
            value = torch.cat([value, value.new_full([1], OPAQUE / G.synthesis.output_scale)])
        state[key.replace(old_name, new_name)] = value
    new.load_state_dict(state)
    return new.train(G.training).requires_grad_(next(G.parameters()).requires_grad)


def discriminator_to_rgba(D: Discriminator) -> Discriminator:
    """D with a fourth input whose weights are 0 at first: the same logits whatever the alpha."""
    _demand_rgb(D)
    new = _like(D)
    state = {k: _blind(v) if k.endswith("fromrgb.weight") else v for k, v in D.state_dict().items()}
    new.load_state_dict(state)
    return new.train(D.training)


def _blind(weight: Tensor) -> Tensor:
    """fromrgb's (O, 3, 1, 1) as (O, 4, 1, 1). The layer divides by the root of its inputs' number, now 4."""
    return torch.cat([weight * math.sqrt(4 / 3), torch.zeros_like(weight[:, :1])], dim=1)


def _demand_rgb(network: Generator | Discriminator) -> None:
    if network.img_channels != 3:
        raise ValueError(f"{type(network).__name__} has {network.img_channels} channels; only RGB (3) can become RGBA")


def _like(network: Generator | Discriminator) -> Generator | Discriminator:
    return type(network)(**{**network.config, "img_channels": 4})
