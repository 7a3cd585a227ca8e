"""Reads the authors' checkpoints: tensors only, names of transformers 4 or later, everything checked before it is used.

A checkpoint is data from a stranger: nothing in it is run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylematte.config import ReleasedConfig
from stylematte.errors import WeightsError
from stylematte.networks.released.keys import IGNORED, TWINS, Target, released_keys, renamed, to_ours
from stylematte.networks.released.network import ReleasedStyleMatte
from stylematte.untrusted.files import read_checkpoint, read_safetensors
from stylematte.untrusted.filling import demand_numbers
from stylematte.untrusted.names import shown

EXPECTED = "expected the authors' stylematte_pure.pth or stylematte_synth.pth"
WRAPPERS = ("state_dict", "model")
AUTHORS = ReleasedConfig(channels=256)
"""What their weights fit."""
OPTIONAL = "fpn.conv_fusion.1.num_batches_tracked"


def read_released(path: str | Path) -> ReleasedStyleMatte:
    """The released network with the weights in `path` (.pth or .safetensors), in eval mode. Raises WeightsError."""
    given = read_tensors(Path(path))
    table = released_keys(AUTHORS)
    state = {OPTIONAL: torch.tensor(0), **_with_old_names(given, table)}
    _check_names(path, state, table)
    ours = _to_ours(path, state, table)
    with torch.device("meta"):
        wanted = ReleasedStyleMatte(AUTHORS).state_dict()
    _check_values(path, ours, wanted, table)
    network = ReleasedStyleMatte(AUTHORS).eval()
    network.load_state_dict(ours)
    return network


def read_tensors(path: Path) -> dict[str, Any]:
    """The dict in `path`, out of the wrappers that trainers put around it: tensors, and the kind of what is none."""
    try:
        if path.suffix == ".safetensors":
            return dict(read_safetensors(path))
        tensors, others = read_checkpoint(path, WRAPPERS)
    except WeightsError as error:
        raise WeightsError(f"{error}; {EXPECTED}") from None
    return {**tensors, **others}


def _with_old_names(state: dict[str, Any], table: dict[str, Target]) -> dict[str, Any]:
    """Names of transformers 4, whatever wrote them, without a data-parallel wrapper's prefix and constants."""
    back = {renamed(key): key for key in table}
    stripped = {key.removeprefix("module."): value for key, value in state.items()}
    kept = {key: value for key, value in stripped.items() if not any(part in key for part in IGNORED)}
    return {back.get(key, key): value for key, value in kept.items()}


def _check_names(path: str | Path, state: dict[str, Any], table: dict[str, Target]) -> None:
    twins = {twin + kind for twin in TWINS for kind in ("weight", "bias")}
    needed = [key for key in table if key != OPTIONAL]
    missing = [key for key in needed if key not in state]
    unknown = [key for key in state if key not in table and key not in twins]
    if missing or unknown:
        found = [(missing, f"of {len(needed)} tensors missing"), (unknown, "unknown")]
        wrong = "; ".join(f"{len(names)} {what} ({_first(names)})" for names, what in found if names)
        raise WeightsError(f"{path}: not StyleMatte's weights: {wrong}; {EXPECTED}")
    odd = [key for key in [*table, *(twins & state.keys())] if not isinstance(state[key], Tensor)]
    if odd:
        raise WeightsError(f"{path}: {odd[0]} is {state[odd[0]]}, not a tensor; {EXPECTED}")
    for twin in sorted(twins & state.keys()):
        first = state[f"fpn.smooth_conv.0.{twin.rsplit('.', 1)[1]}"]
        if first.shape != state[twin].shape or not torch.equal(first, state[twin]):
            raise WeightsError(f"{path}: {twin} differs from smooth_conv.0, the released ones are one; {EXPECTED}")


def _to_ours(path: str | Path, state: dict[str, Tensor], table: dict[str, Target]) -> dict[str, Tensor]:
    try:
        return to_ours(state, table)
    except RuntimeError as error:
        raise WeightsError(f"{path}: query, key and value do not fit together ({error}); {EXPECTED}") from error


def _check_values(
    path: str | Path, ours: dict[str, Tensor], wanted: dict[str, Tensor], table: dict[str, Target]
) -> None:
    theirs = {name: key for key, (name, _) in reversed(table.items())}
    for name, value in ours.items():
        if value.shape != wanted[name].shape:
            shapes = f"{tuple(value.shape)}, expected {tuple(wanted[name].shape)}"
            raise WeightsError(f"{path}: {theirs[name]} has shape {shapes}; {EXPECTED}")
        try:
            demand_numbers({theirs[name]: wanted[name]}, {theirs[name]: value})
        except WeightsError as error:
            raise WeightsError(f"{path}: {error}; download the file again") from None


def _first(names: Iterable[str], count: int = 3) -> str:
    names = list(names)
    return ", ".join(shown(name) for name in names[:count]) + (", ..." if len(names) > count else "")
