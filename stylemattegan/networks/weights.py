"""A generator on disk: G, D and the averaged G_ema as safetensors, and generator.json with what rebuilds them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from stylematte.errors import WeightsError
from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.generator import Generator

DESCRIPTION = "generator.json"
Network = TypeVar("Network", bound=nn.Module)


def save_generator(folder: Path, G: Generator, D: Discriminator, G_ema: Generator, meta: dict[str, Any]) -> None:
    """Write G, D, G_ema (.safetensors) and generator.json, the latter last. `meta` must be JSON."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in (("G", G), ("D", D), ("G_ema", G_ema)):
        state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
        save_file(state, folder / f"{name}.safetensors")
    text = json.dumps({"generator": G.config, "discriminator": D.config, "meta": meta}, indent=1, sort_keys=True)
    (folder / DESCRIPTION).write_text(text + "\n")


def is_generator(folder: Path) -> bool:
    """Whether `save_generator` has written here."""
    return (Path(folder) / DESCRIPTION).is_file()


def copy_generator(folder: Path, target: Path) -> None:
    """The files of `save_generator` from one folder to another that exists, the description last."""
    for file in [*sorted(Path(folder).glob("*.safetensors")), Path(folder) / DESCRIPTION]:
        shutil.copyfile(file, Path(target) / file.name)


def load_generator(folder: Path) -> Generator:
    """G_ema on the CPU, in eval mode, its parameters frozen."""
    G_ema = _load(folder, "G_ema", Generator, _describe(folder)["generator"])
    return G_ema.eval().requires_grad_(False)


def load_all(folder: Path) -> tuple[Generator, Discriminator, Generator, dict[str, Any]]:
    """(G, D, G_ema, meta) on the CPU: G and D in training mode, G_ema as `load_generator` gives it."""
    about = _describe(folder)
    G = _load(folder, "G", Generator, about["generator"])
    D = _load(folder, "D", Discriminator, about["discriminator"])
    return G, D, load_generator(folder), about["meta"]


def network_arguments(folder: Path, fitted: dict[str, Any]) -> dict[str, Any]:
    """How the folder's networks are built, as fields of GeneratorNetworkConfig and more; D's begin with d_.

    The half-lives of running means belong to a fit: they are taken from `fitted`.
    """
    about, size = _describe(folder), ("img_resolution", "img_channels")
    generator = {k: v for k, v in about["generator"].items() if k not in (*size, "magnitude_ema_beta")}
    discriminator = {f"d_{k}": v for k, v in about["discriminator"].items() if k not in size}
    return {**generator, **discriminator, **{name: fitted[name] for name in ("magnitude_ema_nimg", "w_avg_beta")}}


def licence_note(folder: Path) -> dict[str, str]:
    """What generator.json says of the weights' licence, for the generator.json of what is fitted from them."""
    licence = _describe(folder)["meta"].get("licence")
    return {"licence": licence} if licence else {}


def _describe(folder: Path) -> dict[str, Any]:
    path = Path(folder) / DESCRIPTION
    try:
        about = json.loads(path.read_text())
    except FileNotFoundError:
        raise WeightsError(f"{path} is missing: {folder} is not a generator folder") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(about, dict) or any(not isinstance(about.get(k), dict) for k in ("generator", "discriminator")):
        raise WeightsError(f"{path} lacks the entries generator and discriminator: save_generator did not write it")
    about.setdefault("meta", {})
    return about


def _load(folder: Path, name: str, kind: type[Network], config: dict[str, Any]) -> Network:
    path = Path(folder) / f"{name}.safetensors"
    try:
        network = kind(**config)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{folder}/{DESCRIPTION}: cannot build {kind.__name__}: {error}") from None
    try:
        network.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise WeightsError(f"{path} is missing") from None
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a safetensors file or is truncated: {str(error).splitlines()[0]}") from None
    except RuntimeError as error:
        what = " ".join(str(error).split())
        raise WeightsError(f"{path} does not fit {DESCRIPTION}: {what[:200]}") from None
    return network
