"""How a fit begins: networks with weights of the seed alone, or those of a former fit, and what of D is held fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from stylematte.sampling import position_seed
from stylemattegan.networks.discriminator import ConvLayer, Discriminator
from stylemattegan.networks.generator import Generator
from stylemattegan.networks.weights import load_all

DECAYS = ("magnitude_ema_beta", "w_avg_beta")


def build(network: dict[str, Any], resolution: int, batch: int, seed: int) -> tuple[Generator, Discriminator]:
    """G and D with weights that depend on the seed alone. network: fields of GeneratorNetworkConfig."""
    kwargs = dict(network)
    d_kwargs = {name.removeprefix("d_"): kwargs.pop(name) for name in network if name.startswith("d_")}
    # The half-life in pictures becomes a decay per step.
    kwargs["magnitude_ema_beta"] = 0.5 ** (batch / kwargs.pop("magnitude_ema_nimg"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(position_seed(seed, "generator weights"))
        generator = Generator(img_resolution=resolution, img_channels=4, **kwargs)
        return generator, Discriminator(img_resolution=resolution, img_channels=4, **d_kwargs)


def load_former(
    folder: str, generator: Generator, discriminator: Discriminator
) -> tuple[Generator, Discriminator, Generator, dict[str, Any]]:
    """G, D, G_ema and meta of a former fit, with the present decays of their running means.

    Raises ValueError if they were built otherwise than `generator` and `discriminator`.
    """
    g, d, g_ema, meta = load_all(Path(folder))
    for name, old, new in (("generator", g, generator), ("discriminator", d, discriminator)):
        for key, value in new.config.items():
            if key not in DECAYS and old.config.get(key, value) != value:
                raise ValueError(
                    f"{folder}: {name} was built with {key}={old.config[key]}, the configuration says {value}: "
                    "use the former value or start without it"
                )
    for network in (g, g_ema):
        for decay in DECAYS:
            network.config[decay] = generator.config[decay]
            for layer in network.modules():
                if hasattr(layer, decay):
                    setattr(layer, decay, generator.config[decay])
    return g, d, g_ema, meta


def first_convolutions(discriminator: nn.Module, count: int) -> list[nn.Parameter]:
    """Weights and biases of D's first `count` convolutions, counted from the picture: fromrgb, conv0, conv1, skip of
    each block (freeze-D: Mo et al. 2020). Raises ValueError if it has fewer."""
    layers = [layer for layer in discriminator.modules() if isinstance(layer, ConvLayer)]
    if count > len(layers):
        raise ValueError(f"generator.fit.freeze_d={count}: this discriminator has {len(layers)} convolutions")
    return [parameter for layer in layers[:count] for parameter in layer.parameters()]
