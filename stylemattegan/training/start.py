"""How a fit begins: networks with weights of the seed alone, or those of an earlier fit; what of D is frozen."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from stylematte.sampling import position_seed
from stylemattegan.config import GeneratorNetworkConfig
from stylemattegan.networks.discriminator import ConvLayer, Discriminator
from stylemattegan.networks.generator import Generator
from stylemattegan.networks.weights import build_networks, load_all, read_description

DECAYS = ("magnitude_ema_beta", "w_avg_beta")
CHANNELS = 4


class Networks(NamedTuple):
    """G and D as they were built, before any fit."""

    G: Generator
    D: Discriminator


class Start(NamedTuple):
    """What the first step finds. augment_p: the augmentation probability that an earlier fit reached."""

    G: Generator
    D: Discriminator
    G_ema: Generator
    augment_p: float


def build(network: GeneratorNetworkConfig, resolution: int, batch: int, seed: int) -> Networks:
    """G and D with weights that depend on the seed alone. batch: the global one.

    Raises ValueError where the numbers cannot make networks of this resolution.
    """
    with _seeded(seed):
        G = Generator(
            z_dim=network.z_dim,
            w_dim=network.w_dim,
            img_resolution=resolution,
            img_channels=CHANNELS,
            mapping_layers=network.mapping_layers,
            channel_base=network.channel_base,
            channel_max=network.channel_max,
            num_layers=network.num_layers,
            num_critical=network.num_critical,
            first_cutoff=network.first_cutoff,
            first_stopband=network.first_stopband,
            margin_size=network.margin_size,
            magnitude_ema_beta=_decay(network, batch),
            w_avg_beta=network.w_avg_beta,
        )
        D = Discriminator(
            img_resolution=resolution,
            img_channels=CHANNELS,
            channel_base=network.d_channel_base,
            channel_max=network.d_channel_max,
        )
        return Networks(G, D)


def build_like(folder: Path, network: GeneratorNetworkConfig, resolution: int, batch: int, seed: int) -> Networks:
    """As `build`, of the architecture of the generator in `folder`; of `network` the running means' decays alone.

    Raises WeightsError.
    """
    about = read_description(folder)
    size = {"img_resolution": resolution, "img_channels": CHANNELS}
    decays = {"magnitude_ema_beta": _decay(network, batch), "w_avg_beta": network.w_avg_beta}
    with _seeded(seed):
        return Networks(*build_networks(folder, about.generator | size | decays, about.discriminator | size))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(position_seed(seed, "generator weights"))
        yield


def _decay(network: GeneratorNetworkConfig, batch: int) -> float:
    """Of the magnitude EMA: its half-life in pictures as a decay per step."""
    return 0.5 ** (batch / network.magnitude_ema_nimg)


def first_start(networks: Networks) -> Start:
    """From the weights that the networks were built with."""
    return Start(*networks, _averaged(copy.deepcopy(networks.G)), 0.0)


def later_start(folder: Path, networks: Networks) -> Start:
    """From the weights of an earlier fit in `folder`, with the present decays of their running means.

    Raises WeightsError, and ValueError if they were built otherwise than `networks`.
    """
    g, d, g_ema, meta = load_all(folder)
    for name, old, new in (("generator", g, networks.G), ("discriminator", d, networks.D)):
        for key, value in new.config.items():
            if key not in DECAYS and old.config.get(key, value) != value:
                raise ValueError(
                    f"{folder}: {name} was built with {key}={old.config[key]}, the configuration says {value}: "
                    "use the previous value or start without it"
                )
    for network in (g, g_ema):
        for decay in DECAYS:
            network.config[decay] = networks.G.config[decay]
            for layer in network.modules():
                if hasattr(layer, decay):
                    setattr(layer, decay, networks.G.config[decay])
    return Start(g, d, _averaged(g_ema), meta.get("augment_p") or 0.0)


def _averaged(generator: Generator) -> Generator:
    """As G_ema is kept: without gradients, in eval mode."""
    return generator.requires_grad_(False).eval()


def first_convolutions(discriminator: nn.Module, count: int) -> list[nn.Parameter]:
    """Weights and biases of D's first `count` convolutions, counted from the picture: fromrgb, conv0, conv1, skip of
    each block (freeze-D: Mo et al. 2020, arXiv 2002.10964). Raises ValueError if it has fewer."""
    layers = [layer for layer in discriminator.modules() if isinstance(layer, ConvLayer)]
    if count > len(layers):
        raise ValueError(f"generator.fit.freeze_d={count}: this discriminator has {len(layers)} convolutions")
    return [parameter for layer in layers[:count] for parameter in layer.parameters()]
