"""How much a network computes for one picture: multiply-adds, values of its feature maps, weights.

G's and D's are counted from how they are designed (Karras et al. 2020 and 2021), a matter's by running one on a small
picture, since its backbone may be anything that timm has.
"""

from __future__ import annotations

from typing import NamedTuple

from stylematte.config import NetworkConfig
from stylemattegan.config import GeneratorNetworkConfig
from stylemattegan.networks.schedule import bands, layers

CHANNELS = 4
PROBE = 256
"""Side of the picture that a matter is run on; what it does grows with the area (not so in a plain ViT's attention)."""


class Work(NamedTuple):
    """Of one picture forward."""

    macs: float
    """Multiply-adds of convolutions and matrix products."""
    values: float
    """Values that are made on the way, for G those of the finer grid of its non-linearity."""
    kept: float
    """Values that are kept for the backward pass."""
    parameters: float
    layers: int


def generator_work(network: GeneratorNetworkConfig, size: int) -> Work:
    """Of StyleGAN3-T's synthesis. size: of the picture. Raises ValueError for an impossible network."""
    signal = bands(
        size,
        CHANNELS,
        network.channel_base,
        network.channel_max,
        network.num_layers,
        network.num_critical,
        network.first_cutoff,
        network.first_stopband,
        margin_size=network.margin_size,
    )
    first = signal[0]
    macs, parameters = float(first.channels**2 * first.size**2), float(first.channels**2)
    values = kept = 0.0
    plan = layers(signal)
    for layer in plan:
        weights = layer.source.channels * layer.target.channels * layer.kernel**2
        convolved = (layer.source.size + layer.kernel - 1) ** 2
        macs += weights * convolved
        parameters += weights + network.w_dim * layer.source.channels
        kept += layer.source.channels * layer.source.size**2 + layer.target.channels * convolved
        if not layer.is_torgb:
            values += layer.target.channels * ((layer.target.size - 1) * layer.down + layer.down_taps) ** 2
    return Work(macs, values, kept, parameters, len(plan))


def discriminator_work(network: GeneratorNetworkConfig, size: int) -> Work:
    """Of StyleGAN2's residual discriminator. size: of the picture."""

    def channels(side: int) -> int:
        return min(network.d_channel_base // side, network.d_channel_max)

    side, last = size, channels(4)
    macs, values, parameters, depth = CHANNELS * channels(size) * size**2, channels(size) * size**2, 0, 2
    while side > 4:
        mid, out, half = channels(side), channels(side // 2), side // 2
        macs += 9 * mid**2 * side**2 + 10 * mid * out * half**2
        values += 3 * mid * side**2 + 3 * out * half**2
        parameters += 9 * mid**2 + 10 * mid * out
        side, depth = half, depth + 3
    final = 25 * last**2
    return Work(macs + 9 * last**2 * 16 + 16 * last**2, values, values, parameters + final, depth)


def matter_work(network: NetworkConfig, size: int) -> Work:
    """Of a matter's alpha. It is run once with random weights, at most PROBE pixels wide."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from stylematte.networks.variants import build_matter

    with torch.random.fork_rng(devices=[]):
        built = build_matter(network).train()
    side = min(size, PROBE)
    saved: dict[int, torch.Tensor] = {}
    weights = {p.untyped_storage().data_ptr() for p in built.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage().data_ptr()
        if storage not in weights:
            saved[storage] = tensor
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        built(torch.zeros(1, 3, side, side))
    area = (size / side) ** 2
    kept = float(sum(tensor.untyped_storage().nbytes() // tensor.element_size() for tensor in saved.values()))
    parameters = sum(parameter.numel() for parameter in built.parameters())
    depth = sum(not list(module.children()) for module in built.modules())
    return Work(counter.get_total_flops() / 2 * area, kept * area, kept * area, parameters, depth)
