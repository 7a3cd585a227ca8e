"""Imports snapshots of the official StyleGAN3 code, and of forks with its classes, as our networks.

Parameter and buffer names are equal; what differs is how the arguments are nested. See docs/generator-import.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from stylematte.errors import WeightsError
from stylemattegan.importing.pickles import Module, Record, described, mapping, read_pickle, tensor
from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.generator import Generator

G_POSITIONAL = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "mapping_kwargs")
D_POSITIONAL = ("c_dim", "img_resolution", "img_channels", "architecture", "channel_base", "channel_max")
DEFAULTS = {"num_fp16_res": 4}
"""Of the official code, where ours is another."""
ONLY = {"activation": "lrelu", "resample_filter": [1, 3, 3, 1], "fp16_channels_last": False}
"""Arguments of inner blocks that ours have not: any other value is refused."""
INNER = {
    ("generator", "mapping_kwargs"): {"num_layers": "mapping_layers", "w_avg_beta": "w_avg_beta"},
    ("discriminator", "mapping_kwargs"): {"num_layers": "mapping_layers"},
    ("discriminator", "block_kwargs"): {"freeze_layers": "freeze_layers"},
    ("discriminator", "epilogue_kwargs"): {n: n for n in ("mbstd_group_size", "mbstd_num_channels")},
}


class Snapshot(NamedTuple):
    """Networks on the CPU, and what else the file says: augment_p, resolution, channels."""

    G: Generator
    D: Discriminator
    G_ema: Generator
    meta: dict[str, Any]


def generator_arguments(official: Mapping[str, Any]) -> dict[str, Any]:
    """Ours from the official ones. Raises WeightsError for one that ours has not."""
    return _arguments("generator", official)


def discriminator_arguments(official: Mapping[str, Any]) -> dict[str, Any]:
    """Ours from the official ones. Raises WeightsError for one that ours has not."""
    return _arguments("discriminator", official)


def _arguments(kind: str, official: Mapping[str, Any]) -> dict[str, Any]:
    ours = dict(DEFAULTS)
    for name, value in official.items():
        inner = INNER.get((kind, name))
        if inner is None:
            ours[name] = value
            continue
        for key, given in (value or {}).items():
            if key in inner:
                ours[inner[key]] = given
            elif key not in ONLY or given != ONLY[key]:
                raise WeightsError(f"its {kind} was built with {name}.{key}={given!r}, which ours has not")
    for name, value in ours.items():
        if not isinstance(value, (bool, int, float, str, type(None))):
            raise WeightsError(f"its {kind} was built with {name} = {described(value)}; expected a number or a word")
    return ours


def read_snapshot(path: Path, fp16: bool = True) -> Snapshot:
    """G, D and G_ema of a snapshot. fp16=False: without its layers in float16, which only a GPU has.

    Raises WeightsError in one line for what is not a StyleGAN3 of 3 or 4 channels.
    """
    tree = read_pickle(path)
    try:
        parts = _parts(tree)
        precision = {} if fp16 else {"num_fp16_res": 0}
        G, G_ema = (_generator(parts[name], name, precision) for name in ("G", "G_ema"))
        D = _discriminator(parts["D"], precision)
        for name in ("img_resolution", "img_channels", "c_dim"):
            if not getattr(G, name) == getattr(D, name) == getattr(G_ema, name):
                raise WeightsError(f"its networks differ in {name}: {getattr(G, name)} and {getattr(D, name)}")
        augment_p = _augment_p(tree)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())[:100]
        raise WeightsError(f"{path}: not laid out as a snapshot of the official code ({why})") from None
    meta = {"resolution": G.img_resolution, "channels": G.img_channels, "augment_p": augment_p}
    return Snapshot(G.train(), D.train(), G_ema.eval().requires_grad_(False), meta)


def _parts(tree: Any) -> dict[str, Module]:
    if isinstance(tree, (tuple, list)) and any("tflib" in described(part) for part in tree):
        raise WeightsError("a StyleGAN2 snapshot of the TensorFlow code; expected StyleGAN3")
    if not isinstance(tree, dict):
        tree = mapping(tree)
    missing = [name for name in ("G", "D", "G_ema") if not isinstance(tree.get(name), Record)]
    if missing:
        raise WeightsError(f"holds no {', no '.join(missing)}; expected a snapshot with G, D and G_ema")
    return {name: Module(tree[name]) for name in ("G", "D", "G_ema")}


def _generator(module: Module, name: str, changed: dict[str, Any]) -> Generator:
    synthesis = module.part("_modules").get("synthesis")
    layers = list(Module(synthesis).part("_modules")) if synthesis is not None else []
    if "b4" in layers:
        raise WeightsError(f"a StyleGAN2 generator (its blocks are {', '.join(layers[:3])} ...); expected StyleGAN3")
    if "input" not in layers or len(layers) < 3:
        raise WeightsError(f"{name} is a {module.name} without StyleGAN3's layers; expected StyleGAN3")
    arguments = generator_arguments(module.arguments(G_POSITIONAL))
    # a fork may fix the channels in its code, so the last layer's weights know better than the arguments
    state = dict(module.tensors())
    channels = _channels(state.get(f"synthesis.{layers[-1]}.weight"), 0)
    return _filled(Generator, arguments | changed | {"img_channels": channels}, state, name)


def _discriminator(module: Module, changed: dict[str, Any]) -> Discriminator:
    arguments = discriminator_arguments(module.arguments(D_POSITIONAL)) | {"freeze_layers": 0}
    state = dict(module.tensors())
    channels = _channels(state.get(f"b{arguments.get('img_resolution')}.fromrgb.weight"), 1)
    # a fork's further discriminators (frozen feature networks) are not part of this one
    known = {key: value for key, value in state.items() if re.match(r"b\d+\.|mapping\.", key)}
    return _filled(Discriminator, arguments | changed | {"img_channels": channels}, known, "D")


def _channels(weight: Tensor | None, axis: int) -> int:
    if weight is None or weight.ndim != 4:
        raise WeightsError("its layers have other names than StyleGAN3's; expected a snapshot of the official code")
    if weight.shape[axis] not in (3, 4):
        raise WeightsError(f"makes pictures of {weight.shape[axis]} channels; expected 3 (RGB) or 4 (RGBA)")
    return int(weight.shape[axis])


def _filled(kind: type[Any], arguments: dict[str, Any], state: dict[str, Tensor], name: str) -> Any:
    try:
        network: nn.Module = kind(**arguments)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{name} cannot be built: {' '.join(str(error).split())}") from None
    wanted = network.state_dict()
    for key in sorted(wanted.keys() | state.keys()):
        if key not in state or key not in wanted:
            how = "lacks" if key in wanted else "has an unknown"
            raise WeightsError(f"{name} {how} {key}; expected StyleGAN3's tensors")
        if state[key].shape != wanted[key].shape:
            raise WeightsError(f"{name}.{key} has shape {tuple(state[key].shape)}, expected {tuple(wanted[key].shape)}")
    network.load_state_dict(state)
    return network


def _augment_p(tree: Any) -> float | None:
    pipe = tree.get("augment_pipe") if isinstance(tree, dict) else None
    if not isinstance(pipe, Record):
        return None
    p = tensor(Module(pipe).part("_buffers").get("p"))
    return None if p is None else float(p)
