"""Builds a network from its configuration: `stylematte.config.VARIANTS` names the class, which is imported here.

A network is a class made of one dataclass of options. It has `config` (that dataclass), `forward(image (N, 3, H, W)) ->
alpha (N, 1, H, W)` for any H and W, and `encode(image) -> maps`, finest first. If its options say `takes_trimap`, the
forward pass takes `trimap` (N, 1, H, W), too, and `semantic=True` where the options have `semantic_head`.
"""

from __future__ import annotations

import importlib

from torch import nn

from stylematte.config import NetworkConfig, variant


def build_matter(config: NetworkConfig) -> nn.Module:
    """The network that `config` describes. Raises ValueError, and what its class raises.

    The parameters are drawn from torch's global generator.
    """
    registered = variant(config.variant)
    if type(config) is not registered.options:
        raise ValueError(
            f"variant {config.variant!r} with {type(config).__name__}: expected {registered.options.__name__}"
        )
    module, _, name = registered.network.partition(":")
    return getattr(importlib.import_module(module), name)(config)
