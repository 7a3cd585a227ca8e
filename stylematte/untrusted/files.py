"""Reads tensors of local files: safetensors, whose header is looked at first, and torch.save's, in a process apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from stylematte.errors import WeightsError
from stylematte.untrusted.apart import demand_file, read_apart
from stylematte.untrusted.limits import HEADER, RESULT
from stylematte.untrusted.names import shown


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; its values are not looked at. Raises WeightsError, which names the file."""
    path = Path(path)
    try:
        _demand_header(path)
        tensors = load_file(path)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    except Exception as error:  # what the header says may be wrong for any of the library's steps
        raise WeightsError(f"{path}: not a safetensors file or truncated ({shown(error, 100)})") from None
    odd = next((name for name in tensors if not name.isprintable() or len(name) > 500), None)
    if odd is not None:
        raise WeightsError(f"{path}: holds a tensor under the name {shown(odd)}: expected a short word")
    return dict(tensors)


def read_metadata(path: str | Path) -> dict[str, str]:
    """What a safetensors file says of itself. Raises WeightsError, which names the file."""
    try:
        _demand_header(Path(path))
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    except Exception as error:
        raise WeightsError(f"{path}: not a safetensors file or truncated ({shown(error, 100)})") from None


def _demand_header(path: Path) -> None:
    size = demand_file(path)
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > min(HEADER, size - 8):
        raise WeightsError(f"not a safetensors file or truncated (a header of {header:,} bytes)")


def read_checkpoint(path: str | Path, wrappers: Sequence[str] = ()) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, kind of each thing that is none) of a file of torch.save. Nothing in it is run.

    wrappers: keys under which trainers put the tensors, outermost first. Raises WeightsError, which names the file.
    """
    with read_apart("stylematte.untrusted.checkpoints", Path(path), json.dumps(list(wrappers))) as (about, file):
        return dict(load_file(file)), dict(about["others"])


def read_description(path: Path) -> Any:
    """The JSON of a small file beside weights. Raises FileNotFoundError, OSError, ValueError."""
    if path.stat().st_size > RESULT or not path.is_file():
        raise ValueError("no small plain file")
    return json.loads(path.read_text(), parse_int=_whole)


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)
