"""A matter on disk: `matter.safetensors` (its tensors) and `matter.json` (how to build it, and where it is from).

The same two files under the names of the Hugging Face hub, `model.safetensors` and `config.json`, are read as well.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from stylematte.errors import ConfigError, WeightsError
from stylematte.networks.variants import build_matter

TENSORS, DESCRIPTION = "matter.safetensors", "matter.json"
HUB_TENSORS, HUB_DESCRIPTION = "model.safetensors", "config.json"
FORMAT = 1


def save_matter(folder: str | Path, network: nn.Module, meta: dict[str, Any]) -> None:
    """Write `network` to `folder` (made if missing). meta: any JSON; equal input gives equal bytes."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}, folder / TENSORS)
    description = {"format": FORMAT, "network": network.config, "meta": meta}
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")


def matter_files(folder: str | Path) -> tuple[Path, Path]:
    """The files of tensors and description in a matter folder: ours, or the hub's where only they are."""
    folder = Path(folder)
    hub = (folder / HUB_DESCRIPTION).is_file() and not (folder / DESCRIPTION).is_file()
    names = (HUB_TENSORS, HUB_DESCRIPTION) if hub else (TENSORS, DESCRIPTION)
    return folder / names[0], folder / names[1]


def read_description(folder: str | Path) -> dict[str, Any]:
    """The contents of matter.json: {"format", "network", "meta"}; WeightsError if it is not one."""
    path = matter_files(folder)[1]
    try:
        description = json.loads(path.read_text())
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file; expected a matter folder with {TENSORS} and {DESCRIPTION}") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(description, dict) or not isinstance(description.get("network"), dict):
        raise WeightsError(f"{path}: has no 'network'; expected the file that save_matter writes")
    if description.get("format") != FORMAT:
        raise WeightsError(f"{path}: format {description.get('format')!r}, this version reads {FORMAT}")
    return description


def load_matter(folder: str | Path, device: str = "cpu") -> Any:
    """The network in eval mode on `device`: whichever of `variants.VARIANTS` the file names.

    Nothing is downloaded and no code in the files is run.
    """
    path, description = matter_files(folder)
    config = read_description(folder)["network"]
    try:
        # the backbone's weights are in our file: the one they first came from need not exist any more
        network = build_matter({**config, "backbone_weights": None})
    except (TypeError, ConfigError) as error:
        raise WeightsError(f"{description}: 'network' does not describe a StyleMatte: {error}") from error
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file; expected it beside {description.name}") from None
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a safetensors file: {error}") from error
    _check(path, network.state_dict(), tensors)
    network.load_state_dict(tensors)
    return network.to(device).eval()


def _check(path: Path, expected: dict[str, Any], given: dict[str, Any]) -> None:
    """Raise WeightsError, naming the first tensors, unless both hold the same names and shapes."""
    missing = sorted(expected.keys() - given.keys())
    extra = sorted(given.keys() - expected.keys())
    shape = sorted(k for k in expected.keys() & given.keys() if expected[k].shape != given[k].shape)
    parts = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("unknown", extra), ("of another shape", shape))
        if names
    ]
    if parts:
        raise WeightsError(f"{path}: tensors do not fit the network described beside it: {'; '.join(parts)}")
