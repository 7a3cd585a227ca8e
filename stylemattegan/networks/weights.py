"""A generator on disk: G, D and the averaged G_ema as safetensors, and generator.json with what rebuilds them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from safetensors.torch import save
from torch import Tensor, nn

from stylematte.errors import WeightsError
from stylematte.untrusted import files
from stylematte.untrusted.names import shown
from stylemattegan.networks.checked import build, build_filled, demand_fit
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
        (folder / f"{name}.safetensors").write_bytes(save(state))  # save_file writes 0600, whatever the umask says
    text = json.dumps({"generator": G.config, "discriminator": D.config, "meta": meta}, indent=1, sort_keys=True)
    (folder / DESCRIPTION).write_text(text + "\n")


def save_start_weights(folder: Path, target: Path) -> None:
    """Write what a fit can go on from and little else: G_ema and D of `folder`, their parameters in float16.

    A quarter of the space. Buffers keep their type, for filters of 16 bits would let aliases through. Adam's moments
    were never kept, and G begins as its own average. Raises WeightsError.
    """
    about = read_description(folder)
    networks = {"G_ema": load_generator(folder), "D": _load(folder, "D", Discriminator, about.discriminator)}
    target.mkdir(parents=True, exist_ok=True)
    for name, network in networks.items():
        halved = {key for key, _ in network.named_parameters()}
        state = {k: (v.half() if k in halved else v).contiguous() for k, v in network.state_dict().items()}
        (target / f"{name}.safetensors").write_bytes(save(state))
    shutil.copyfile(folder / DESCRIPTION, target / DESCRIPTION)


def is_generator(folder: Path) -> bool:
    """Whether `save_generator` has written here."""
    return (Path(folder) / DESCRIPTION).is_file()


def copy_generator(folder: Path, target: Path) -> None:
    """The files of `save_generator` from one folder to another that exists, the description last."""
    for file in [*sorted(Path(folder).glob("*.safetensors")), Path(folder) / DESCRIPTION]:
        shutil.copyfile(file, Path(target) / file.name)


@dataclass(frozen=True)
class Description:
    """generator.json: the keyword arguments that rebuild `Generator` and `Discriminator`, and notes on the weights."""

    generator: dict[str, Any]
    discriminator: dict[str, Any]
    meta: dict[str, Any]
    """Of a fit: round, kimg, augment_p; of an import: where from, licence."""


def read_description(folder: Path) -> Description:
    """Raises WeightsError where there is none, or none written by `save_generator`."""
    path = Path(folder) / DESCRIPTION
    try:
        about = files.read_description(path)
    except FileNotFoundError:
        raise WeightsError(f"{path} is missing: {folder} is not a generator folder") from None
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read as JSON: {shown(error, 200)}") from None
    if not isinstance(about, dict) or any(not isinstance(about.get(k), dict) for k in ("generator", "discriminator")):
        raise WeightsError(f"{path} lacks the entries generator and discriminator: save_generator did not write it")
    return Description(about["generator"], about["discriminator"], about.get("meta", {}))


def build_networks(
    folder: Path, generator: dict[str, Any], discriminator: dict[str, Any]
) -> tuple[Generator, Discriminator]:
    """G and D of these arguments, with weights of torch's present seed.

    Raises WeightsError if they cannot be, or, before they take memory, if `folder` holds tensors of other shapes.
    """
    networks = ((_learned_from(folder), Generator, generator), ("D", Discriminator, discriminator))
    for name, kind, arguments in networks:
        tensors = _tensors(folder, name)
        with _refusals(folder, name, kind):
            demand_fit(kind, arguments, tensors)
    return build(Generator, generator), build(Discriminator, discriminator)


def load_generator(folder: Path) -> Generator:
    """G_ema on the CPU, in eval mode, its parameters frozen."""
    G_ema = _load(folder, "G_ema", Generator, read_description(folder).generator)
    return G_ema.eval().requires_grad_(False)


def load_all(folder: Path) -> tuple[Generator, Discriminator, Generator, dict[str, Any]]:
    """(G, D, G_ema, meta) on the CPU: G and D in training mode, G_ema as `load_generator` gives it.

    Of start weights, which have no G, it is another G_ema.
    """
    about = read_description(folder)
    G = _load(folder, _learned_from(folder), Generator, about.generator)
    D = _load(folder, "D", Discriminator, about.discriminator)
    return G, D, load_generator(folder), about.meta


def licence_note(folder: Path) -> dict[str, str]:
    """What generator.json says of the weights' licence, for the generator.json of what is fitted from them."""
    licence = read_description(folder).meta.get("licence")
    return {"licence": licence} if licence else {}


def _learned_from(folder: Path) -> str:
    """The file that G is read from: start weights have G_ema alone."""
    return "G" if _file(folder, "G").exists() or not _file(folder, "G_ema").exists() else "G_ema"


def _tensors(folder: Path, name: str) -> dict[str, Tensor]:
    path = _file(folder, name)
    if not path.exists():
        raise WeightsError(f"{path} is missing")
    return files.read_safetensors(path)


def _load(folder: Path, name: str, kind: type[Network], config: dict[str, Any]) -> Network:
    tensors = _tensors(folder, name)
    with _refusals(folder, name, kind):
        return build_filled(kind, config, tensors)


def _file(folder: Path, name: str) -> Path:
    return Path(folder) / f"{name}.safetensors"


@contextmanager
def _refusals(folder: Path, name: str, kind: type[Network]) -> Iterator[None]:
    """Errors of a network that cannot be built or does not fit, with the file in question."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{_file(folder, name)} does not fit {DESCRIPTION}: {error}") from None
    except ValueError as error:
        raise WeightsError(f"{folder}/{DESCRIPTION}: cannot build {kind.__name__}: {error}") from None
