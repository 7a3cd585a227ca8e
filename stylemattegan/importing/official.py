"""Imports snapshots of the official StyleGAN3 code, and of forks with its classes, as our networks.

Parameter and buffer names are equal; what differs is how the arguments are nested. See docs/generator-import.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load_file
from torch import Tensor

from stylematte.errors import WeightsError
from stylematte.untrusted.apart import read_apart
from stylematte.untrusted.names import shown
from stylemattegan.networks.checked import Network, build_filled
from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.generator import Generator


class Snapshot(NamedTuple):
    """Networks on the CPU, and what else the file says: augment_p, resolution, channels."""

    G: Generator
    D: Discriminator
    G_ema: Generator
    meta: dict[str, Any]


def read_snapshot(path: Path, fp16: bool = True) -> Snapshot:
    """G, D and G_ema of a snapshot. fp16=False: without its layers in float16, which only a GPU has.

    It is read in a process of its own, within bounds. Raises WeightsError in one line for what is not a StyleGAN3 of 3
    or 4 channels, holds weights that are no numbers, or asks for more than a snapshot of its size needs.
    """
    path = Path(path)
    with read_apart("stylemattegan.importing.reader", path) as (about, file):
        state = load_file(file)
        try:
            G, G_ema = (_filled(Generator, about[name], state, name, fp16) for name in ("G", "G_ema"))
            D = _filled(Discriminator, about["D"], state, "D", fp16)
            for name in ("img_resolution", "img_channels", "c_dim"):
                if not getattr(G, name) == getattr(D, name) == getattr(G_ema, name):
                    raise WeightsError(f"its networks differ in {name}: {getattr(G, name)} and {getattr(D, name)}")
        except WeightsError as error:
            raise WeightsError(f"{shown(path, 1000)}: {error}") from None
    meta = {"resolution": G.img_resolution, "channels": G.img_channels, "augment_p": about["augment_p"]}
    return Snapshot(G.train(), D.train(), G_ema.eval().requires_grad_(False), meta)


def _filled(
    kind: type[Network], arguments: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str, fp16: bool
) -> Network:
    state = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
    precision = {} if fp16 else {"num_fp16_res": 0}
    try:
        return build_filled(kind, {**arguments, **precision}, state)
    except WeightsError as error:
        text = str(error)
        raise WeightsError(f"{name}{' ' if text.startswith(('lacks', 'has', 'describes')) else '.'}{text}") from None
    except ValueError as error:
        raise WeightsError(f"{name} cannot be built: {error}") from None
