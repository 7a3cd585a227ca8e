"""Writes and reads a matter on disk: `matter.safetensors` (its tensors) and `matter.json` (how to build it, and where
it is from).

The same two files under the names of the Hugging Face hub, `model.safetensors` and `config.json`, are read as well.
matter.json is {"format": 2, "network": the options of its variant, "meta": any JSON}. Format 1, with the options in one
flat dictionary, is still read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from stylematte.config import NetworkConfig, network_from_plain
from stylematte.errors import WeightsError
from stylematte.fields import to_plain
from stylematte.networks.normalisation import saved_normalisation
from stylematte.networks.variants import build_matter
from stylematte.rounds import DESCRIPTION, HUB_DESCRIPTION, HUB_TENSORS, TENSORS
from stylematte.untrusted import files
from stylematte.untrusted.filling import demand_numbers, skeleton
from stylematte.untrusted.names import shown, shown_value

FORMAT = 2
LARGEST = 2**16
"""Of the numbers that describe a network."""


def save_matter(folder: str | Path, network: nn.Module, meta: dict[str, Any]) -> None:
    """Write a network of `build_matter` to `folder` (made if missing). meta: any JSON. Equal input, equal bytes."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    (folder / TENSORS).write_bytes(save(tensors))  # safetensors' own save_file writes 0600, whatever the umask says
    plain = to_plain(network.config)
    # They are in our file: where they first came from need not exist any more, what they were normalised by must.
    plain["backbone"]["weights"] = None
    plain["backbone"] = {name: value for name, value in plain["backbone"].items() if name not in ("mean", "std")}
    plain["backbone"] |= saved_normalisation(network.config.backbone)
    description = {"format": FORMAT, "network": plain, "meta": meta}
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")


def matter_files(folder: str | Path) -> tuple[Path, Path]:
    """The files of tensors and description in a matter folder: ours, or the hub's where only they are."""
    folder = Path(folder)
    hub = (folder / HUB_DESCRIPTION).is_file() and not (folder / DESCRIPTION).is_file()
    names = (HUB_TENSORS, HUB_DESCRIPTION) if hub else (TENSORS, DESCRIPTION)
    return folder / names[0], folder / names[1]


def read_description(folder: str | Path) -> dict[str, Any]:
    """The contents of matter.json in today's format: {"format", "network", "meta"}; WeightsError if it is not one."""
    path = matter_files(folder)[1]
    try:
        description = files.read_description(path)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file; expected a matter folder with {TENSORS} and {DESCRIPTION}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: not readable as JSON: {shown(error, 200)}") from error
    if not isinstance(description, dict) or not isinstance(description.get("network"), dict):
        raise WeightsError(f"{path}: has no 'network'; expected the file that save_matter writes")
    if description.get("format") not in (1, FORMAT):
        raise WeightsError(
            f"{path}: format {shown_value(description.get('format'))}, this version reads 1 and {FORMAT}"
        )
    if description["format"] == 1:
        description = {**description, "format": FORMAT, "network": from_format_1(description["network"])}
    return description


def from_format_1(flat: dict[str, Any]) -> dict[str, Any]:
    """The network's options as format 1 had them, flat and without a variant for the first one, in format 2."""
    rest = {key: value for key, value in flat.items() if not key.startswith("backbone")}
    backbone = {"name": flat.get("backbone"), "weights": None, "kwargs": flat.get("backbone_kwargs") or {}}
    return {"variant": "fpn", **rest, "backbone": backbone}


def read_network_config(folder: str | Path) -> NetworkConfig:
    """The options of the matter in `folder`, as the dataclass of its variant. Raises WeightsError.

    Its tensors are beside it: other weights that it may name are not looked at.
    """
    try:
        config = network_from_plain(read_description(folder)["network"])
        config.backbone.weights = None
        return config
    except ValueError as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{matter_files(folder)[1]}: 'network' does not describe a StyleMatte: {error}") from error


def load_matter(folder: str | Path, device: str = "cpu") -> Any:
    """The network in eval mode on `device`: whichever variant the file names. Raises WeightsError.

    Nothing is downloaded and no code in the files is run.
    """
    path, description = matter_files(folder)
    config = read_network_config(folder)
    _demand_bounds(description, to_plain(config))
    if not path.exists():
        raise WeightsError(f"{path}: no such file; expected it beside {description.name}")
    tensors = files.read_safetensors(path)
    try:
        wanted = skeleton(lambda: build_matter(config), len(tensors))
    except WeightsError as error:
        raise WeightsError(f"{description}: {error}") from None
    _check(path, wanted, tensors)
    try:
        demand_numbers(wanted, tensors)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}; take the weights of another round or step") from None
    network = build_matter(config)
    network.load_state_dict(tensors)
    return network.to(device).eval()


def _demand_bounds(path: Path, plain: Any) -> None:
    """Raise WeightsError for a number that no network is built with, wherever it stands in the description."""
    left = [plain]
    while left:
        value = left.pop()
        if isinstance(value, (dict, list, tuple)):
            left.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, (int, float)) and not -LARGEST <= value <= LARGEST:
            raise WeightsError(f"{path}: holds the number {shown_value(value)}; expected at most {LARGEST:,}")


def _check(path: Path, expected: dict[str, Any], given: dict[str, Any]) -> None:
    """Raise WeightsError, naming the first tensors, unless both hold the same names and shapes."""
    missing = sorted(expected.keys() - given.keys())
    extra = sorted(given.keys() - expected.keys())
    shape = sorted(k for k in expected.keys() & given.keys() if expected[k].shape != given[k].shape)
    parts = [
        f"{len(names)} {what} ({', '.join(map(shown, names[:3]))}{', ...' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("unknown", extra), ("of another shape", shape))
        if names
    ]
    if parts:
        raise WeightsError(f"{path}: tensors do not fit the network described beside it: {'; '.join(parts)}")
