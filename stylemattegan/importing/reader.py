"""Reads a snapshot of the official StyleGAN3 code, or of forks with its classes, as arguments and arrays.

`python -m` of it is the child of `stylematte.untrusted.apart`. Nothing is built here, and torch is not imported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from stylematte.errors import WeightsError
from stylematte.untrusted.apart import Plain, serve
from stylematte.untrusted.contents import Contents, StoragesInside
from stylematte.untrusted.limits import DEPTH
from stylematte.untrusted.machine import Machine, Record
from stylematte.untrusted.names import described, shown
from stylemattegan.importing.arguments import discriminator_arguments, generator_arguments

PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
G_POSITIONAL = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "mapping_kwargs")
D_POSITIONAL = ("c_dim", "img_resolution", "img_channels", "architecture", "channel_base", "channel_max")
D_PARTS = re.compile(r"b[0-9]{1,5}|mapping")
"""A fork's further discriminators (frozen feature networks) are not part of this one."""


class Module(NamedTuple):
    """A network of the official code, or a plain torch.nn module: its class's name and what it holds."""

    name: str
    attributes: dict[Any, Any]


def read(data: memoryview) -> Plain:
    """about: {"G", "D", "G_ema": arguments in our names, "augment_p"}; arrays: float32, "G.mapping.w_avg" and so on.

    Raises WeightsError, Damaged for what is not a StyleGAN3 of 3 or 4 channels.
    """
    if data[:1] != b"\x80":
        what = "a zip archive (of torch.save?)" if data[:2] == b"PK" else "not a pickle of protocol 2 or later"
        raise WeightsError(f"{what}; expected a snapshot such as network-snapshot.pkl")
    tree = Machine(data).run()
    contents = Contents(len(data), StoragesInside())
    try:
        return _plain(contents, tree)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"not laid out as a snapshot of the official code ({shown(error, 100)})") from None


def _plain(contents: Contents, tree: Any) -> Plain:
    if isinstance(tree, (tuple, list)) and any("tflib" in described(part) for part in tree[:10]):
        raise WeightsError("a StyleGAN2 snapshot of the TensorFlow code; expected StyleGAN3")
    entries = contents.mapping(tree)
    missing = [name for name in ("G", "D", "G_ema") if not isinstance(entries.get(name), Record)]
    if missing:
        raise WeightsError(f"holds no {', no '.join(missing)}; expected a snapshot with G, D and G_ema")
    about: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name in ("G", "D", "G_ema"):
        module = module_of(contents, entries[name])
        arguments, state = (_discriminator if name == "D" else _generator)(contents, module, name)
        about[name] = arguments
        arrays |= {f"{name}.{key}": _weights(f"{name}.{key}", value) for key, value in state.items()}
    return Plain({**about, "augment_p": _augment_p(contents, entries)}, arrays)


def module_of(contents: Contents, record: Any) -> Module:
    if isinstance(record, Record) and record.origin == PERSISTENT:
        meta = contents.mapping(record.args[0])  # module_src, a program, is left where it is
        name, state = meta.get("class_name"), meta.get("state")
        return Module(shown(name) if isinstance(name, str) else described(name), contents.mapping(state))
    if isinstance(record, Record):
        return Module(shown(record.origin), contents.mapping(record.state))
    raise WeightsError(f"holds {described(record)} where a network was expected")


def _arguments(contents: Contents, module: Module, positional: tuple[str, ...]) -> dict[str, Any]:
    """What it was built with, nested dictionaries as plain ones."""
    first = module.attributes.get("_init_args", ())
    if not isinstance(first, (tuple, list)):
        raise TypeError(f"_init_args is {described(first)}")
    given = dict(zip(positional, first, strict=False)) | contents.mapping(module.attributes.get("_init_kwargs", {}))
    return {k: contents.mapping(v) if isinstance(v, (Record, dict)) else v for k, v in given.items()}


def tensors(contents: Contents, module: Module, wanted: Callable[[str], bool]) -> Iterator[tuple[str, np.ndarray]]:
    """The state dict: parameters and persistent buffers, those of inner modules with dotted names.

    wanted: which inner modules of the outermost. Each module is read once; one that is met again is refused.
    """
    left = [("", module, 0)]
    met: set[int] = set()
    while left:
        prefix, module, depth = left.pop()
        for kind in ("_parameters", "_buffers"):
            for name, value in contents.mapping(module.attributes.get(kind, {})).items():
                found = contents.tensor(value) if depth or wanted("") else None
                if found is not None:
                    yield f"{prefix}{shown(name)}", found
        for name, value in contents.mapping(module.attributes.get("_modules", {})).items():
            if value is None or not (depth or wanted(str(name))):
                continue
            if id(value) in met or depth == DEPTH:
                raise WeightsError(f"holds the network {shown(prefix + shown(name))} within itself, twice or too deep")
            met.add(id(value))
            left.append((f"{prefix}{shown(name)}.", module_of(contents, value), depth + 1))


def _generator(contents: Contents, module: Module, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    synthesis = contents.mapping(module.attributes.get("_modules", {})).get("synthesis")
    inner = module_of(contents, synthesis).attributes.get("_modules", {}) if synthesis is not None else {}
    layers = [shown(layer) for layer in contents.mapping(inner)]
    if "b4" in layers:
        raise WeightsError(f"a StyleGAN2 generator (its blocks are {', '.join(layers[:3])} ...); expected StyleGAN3")
    if "input" not in layers or len(layers) < 3:
        raise WeightsError(f"{name} is a {module.name} without StyleGAN3's layers; expected StyleGAN3")
    arguments = generator_arguments(_arguments(contents, module, G_POSITIONAL))
    state = dict(tensors(contents, module, lambda part: True))
    # a fork may fix the channels in its code, so the last layer's weights know better than the arguments
    channels = _channels(state.get(f"synthesis.{layers[-1]}.weight"), 0)
    return arguments | {"img_channels": channels}, state


def _discriminator(contents: Contents, module: Module, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    arguments = discriminator_arguments(_arguments(contents, module, D_POSITIONAL)) | {"freeze_layers": 0}
    state = dict(tensors(contents, module, lambda part: bool(D_PARTS.fullmatch(part))))
    channels = _channels(state.get(f"b{arguments.get('img_resolution')}.fromrgb.weight"), 1)
    return arguments | {"img_channels": channels}, state


def _channels(weight: np.ndarray | None, axis: int) -> int:
    if weight is None or weight.ndim != 4:
        raise WeightsError("its layers have other names than StyleGAN3's; expected a snapshot of the official code")
    if weight.shape[axis] not in (3, 4):
        raise WeightsError(f"makes pictures of {weight.shape[axis]} channels; expected 3 (RGB) or 4 (RGBA)")
    return int(weight.shape[axis])


def _weights(name: str, value: np.ndarray) -> np.ndarray:
    """Of float32, all finite; running means of squares above 0. Raises WeightsError."""
    if value.dtype.kind != "f":
        raise WeightsError(f"{shown(name)} holds numbers of type {value.dtype}; expected floating point")
    with np.errstate(over="ignore", invalid="ignore"):
        value = value.astype(np.float32, copy=False)
        total = value.sum(dtype=np.float64)  # which float32 cannot overflow, and which takes no memory
    if not math.isfinite(total):
        raise WeightsError(f"{shown(name)} holds values that are no numbers (NaN, infinite); training had failed")
    if name.endswith(".magnitude_ema") and not (value > 0).all():
        raise WeightsError(f"{shown(name)}, a mean of squares, is not above 0")
    return value


def _augment_p(contents: Contents, entries: dict[Any, Any]) -> float | None:
    pipe = entries.get("augment_pipe")
    if not isinstance(pipe, Record):
        return None
    p = contents.tensor(contents.mapping(module_of(contents, pipe).attributes.get("_buffers", {})).get("p"))
    if p is None:
        return None
    if p.size != 1 or p.dtype.kind != "f" or not math.isfinite(p.item()):
        raise WeightsError("its augment_pipe.p is not one finite number")
    return float(p.item())


if __name__ == "__main__":
    serve(read)
