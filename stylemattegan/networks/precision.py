"""The number type that a layer computes in: 16 bits in the finest octaves where so chosen, else that of its input.

As in the official StyleGAN3 (`num_fp16_res`) the layers cast their input themselves, without autocast, so a CPU and a
GPU round at the same places. What sums over many numbers stays float32: mapping, Fourier features, demodulation,
running means, D's last block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

OCTAVES = 4
"""Finest octaves that compute in 16 bits, the official code's num_fp16_res."""
HALVES = (torch.float16, torch.bfloat16)


class HalfLayer(nn.Module):
    """A layer that may compute in 16 bits. octave: 0 at the picture's resolution, 1 at half of it, and so on."""

    octave: int = 0
    half: torch.dtype | None = None
    """float16 or bfloat16; None: in that of its input."""


def working_dtype(half: torch.dtype | None, x: Tensor) -> torch.dtype:
    """bfloat16 if that is wanted; float16 if x lies on a GPU, too (no CPU here is faster with it); else float32, or
    float64 as x is."""
    if half is torch.bfloat16 or (half is torch.float16 and x.device.type == "cuda"):
        return half
    return torch.float32 if x.dtype in HALVES else x.dtype


def set_half(network: nn.Module, half: torch.dtype | None, octaves: int = OCTAVES) -> None:
    """Let the layers of the finest `octaves` compute in `half`, and all others in float32. None: all of them."""
    for layer in network.modules():
        if isinstance(layer, HalfLayer):
            layer.half = half if layer.octave < octaves else None


@contextmanager
def all_in_float32(*networks: nn.Module) -> Iterator[None]:
    """Within, no layer of the networks computes in 16 bits."""
    layers = [layer for network in networks for layer in network.modules() if isinstance(layer, HalfLayer)]
    before = [layer.half for layer in layers]
    for layer in layers:
        layer.half = None
    try:
        yield
    finally:
        for layer, half in zip(layers, before, strict=True):
            layer.half = half
