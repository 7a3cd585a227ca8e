"""Pickles as the official code writes them, made of our networks: with its module and class names, without its code."""

from __future__ import annotations

import pickle
import sys
import types
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stylemattegan.networks import Discriminator, Generator

OURS = {"mapping_layers", "w_avg_beta", "mbstd_group_size", "mbstd_num_channels", "freeze_layers"}
TINY = dict(z_dim=8, w_dim=8, img_resolution=16, channel_base=64, channel_max=4, num_layers=4, margin_size=2)


class EasyDict(dict):
    __module__ = "dnnlib.util"


def _reconstruct_persistent_obj(meta: Any) -> None:
    raise AssertionError("only named in pickles, never called")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class Persistent:
    """Pickled as the official persistence hook does it."""

    def __init__(self, class_name: str, state: dict, source: str = "# source removed\n") -> None:
        meta = dict(type="class", version=6, module_src=source, class_name=class_name, state=state)
        self.meta = EasyDict(meta)

    def __reduce__(self):
        return _reconstruct_persistent_obj, (self.meta,)


def official(network: nn.Module, kwargs: dict | None = None, name: str | None = None, source: str = "") -> Persistent:
    """A module of ours under the official names; plain torch modules likewise."""
    children = {key: official(child, source=source) for key, child in network.named_children()}
    state = dict(
        training=False,
        _parameters=OrderedDict((k, p) for k, p in network._parameters.items()),
        _buffers=OrderedDict(network._buffers),
        _modules=OrderedDict(children),
        _init_args=(),
        _init_kwargs=EasyDict(kwargs or {}),
    )
    return Persistent(name or type(network).__name__, state, source)


def kwargs_of(network: Generator | Discriminator) -> dict:
    """Its arguments, nested as the official code has them."""
    config = network.config
    plain = {k: v for k, v in config.items() if k not in OURS}
    plain["mapping_kwargs"] = EasyDict(num_layers=config["mapping_layers"])
    if isinstance(network, Generator):
        plain["mapping_kwargs"]["w_avg_beta"] = config["w_avg_beta"]
        return plain
    plain["block_kwargs"] = EasyDict(freeze_layers=config["freeze_layers"])
    plain["epilogue_kwargs"] = EasyDict({k: config[k] for k in ("mbstd_group_size", "mbstd_num_channels")})
    return plain


def networks(channels: int = 3, **changes: Any) -> tuple[Generator, Discriminator, Generator]:
    torch.manual_seed(0)
    made = [Generator(**(TINY | changes), img_channels=channels) for _ in range(2)]
    for G in made:
        for name, buffer in G.named_buffers():
            if name.endswith(("w_avg", "magnitude_ema")):
                buffer.uniform_(0.5, 2)
        getattr(G.synthesis, G.synthesis.layer_names[-1]).bias.data.normal_()
    size, c_dim = made[0].img_resolution, made[0].c_dim
    D = Discriminator(size, channels, c_dim=c_dim, channel_base=64, channel_max=4)
    return made[0], D, made[1]


def tree_of(G: Generator, D: Discriminator, G_ema: Generator, source: str = "") -> dict[str, Any]:
    parts = {"G": G, "D": D, "G_ema": G_ema}
    tree = {key: official(net, kwargs_of(net), source=source) for key, net in parts.items()}
    return {**tree, "augment_pipe": None, "training_set_kwargs": EasyDict(path="/somewhere.zip", resolution=16)}


@contextmanager
def official_modules():
    """Modules of these names, so that pickle finds the classes above in them while it writes."""
    names = ("dnnlib", "dnnlib.util", "torch_utils", "torch_utils.persistence")
    made: dict[str, Any] = {name: types.ModuleType(name) for name in names}
    made["dnnlib.util"].EasyDict = EasyDict
    made["torch_utils.persistence"]._reconstruct_persistent_obj = _reconstruct_persistent_obj
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


def write_snapshot(path: Path, tree: Any, protocol: int = 4) -> Path:
    with official_modules():
        path.write_bytes(pickle.dumps(tree, protocol))
    return path
