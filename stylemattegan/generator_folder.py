"""A trained generator, found and loaded: pictures by seeds from a run, an export or a generator folder.

generator = stylemattegan.load("runs/portraits", domain="portraits")
rgba = generator.sample(seeds=range(1, 9), psi=0.7)        # (8, 4, H, W), straight RGBA in [0, 1]
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylematte.errors import ConfigError, DataError
from stylematte.records import demand_whole
from stylematte.rounds import files_of_rounds
from stylemattegan.networks.generator import Generator
from stylemattegan.networks.weights import load_generator
from stylemattegan.sample import latents, official_latents, psi_for_seed, sample, transform_matrix, transformed

OWN, OFFICIAL = "own", "official"


def generator_folders(path: Path) -> dict[str, Path]:
    """Domain -> folder with generator.json: the selected one of each domain of a run, or those of an export."""
    found: dict[str, Path] = {}
    for file in files_of_rounds(path, "*/select_generator/generator.json"):
        found[file.parent.parent.name] = file.parent
    for file in sorted(path.glob("generators/*/generator.json")):
        found[file.parent.name] = file.parent
    if (path / "generator.json").is_file():
        found[path.name] = path
    return found


@dataclass(frozen=True)
class LoadedGenerator:
    """G_ema in eval mode, and how its pictures are to be read."""

    network: Generator
    folder: Path
    straight: bool
    """Colour and alpha are each by itself: an imported one's, unless alpha was added here."""
    seeds_of: str
    """Whose seeds it usually takes: OFFICIAL (imported) or OWN."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the weights."""
        return hashlib.sha256((self.folder / "G_ema.safetensors").read_bytes()).hexdigest()

    def sample(
        self,
        seeds: Sequence[int],
        psi: float | tuple[float, float] = 0.7,
        *,
        cutoff: int | None = None,
        label: int | None = None,
        seeds_of: str | None = None,
        translate: tuple[float, float] = (0.0, 0.0),
        rotate: float = 0.0,
        batch: int = 16,
    ) -> Tensor:
        """(N, 4, H, W) straight RGBA in [0, 1] on the CPU, a picture per seed.

        psi: truncation, or (low, high): each seed has its own in between. cutoff: truncate the first so many layers
        only. label: class of a conditional generator, from 0. translate: (x, y) in picture widths, to the right and
        down; rotate: degrees, counter-clockwise. Raises ConfigError.
        """
        options = self.options(label, cutoff, seeds_of)
        interval = psi if isinstance(psi, tuple) else (psi, psi)
        try:
            psis = [psi_for_seed(seed, interval) for seed in seeds]
            with transformed(self.network, transform_matrix(translate, rotate)):
                return sample(self.network, seeds, psis, batch, **options)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def options(self, label: int | None, cutoff: int | None, seeds_of: str | None = None) -> dict[str, Any]:
        """What `stylemattegan.sample.sample` and `walk` take of these. Raises ConfigError."""
        classes, layers = self.network.c_dim, self.network.num_ws
        if classes and label is None:
            raise ConfigError(f"the generator is conditional: give --class 0 to {classes - 1}")
        if label is not None and not 0 <= label < classes:
            has = f"classes 0 to {classes - 1}" if classes else "no classes"
            raise ConfigError(f"--class {label}: the generator has {has}")
        if cutoff is not None and not 0 <= cutoff <= layers:
            raise ConfigError(f"--cutoff {cutoff}: the generator has {layers} layers, give 0 to {layers}")
        return {
            "cutoff": cutoff,
            "label": None if label is None else [float(index == label) for index in range(classes)],
            "draw": official_latents if (seeds_of or self.seeds_of) == OFFICIAL else latents,
            "straight": self.straight,
        }


def load(
    path: str | os.PathLike[str], domain: str | None = None, device: str | torch.device = "cpu"
) -> LoadedGenerator:
    """The generator of a run (the selected one), an export or a generator folder; domain: which, if there are several.

    Raises DataError, WeightsError.
    """
    path = Path(path).expanduser()
    found = generator_folders(path)
    if domain is not None:
        found = {name: folder for name, folder in found.items() if name == domain}
    if len(found) != 1:
        has = f"generators for {', '.join(found)}: name one as the domain" if found else f"no {_wanted(domain)} there"
        raise DataError(f"{path}: {has}; expected a run after round 1, an export, or a generator folder")
    return load_folder(next(iter(found.values())), device)


def load_folder(folder: Path, device: str | torch.device = "cpu") -> LoadedGenerator:
    """The generator in a folder with generator.json; a result of a run must be what was made. Raises WeightsError."""
    demand_whole(folder)
    network = load_generator(folder).to(device)
    return LoadedGenerator(network, folder, is_straight(folder), OFFICIAL if "official" in _meta(folder) else OWN)


def is_straight(folder: Path) -> bool:
    """Whether its pictures are colour and alpha each by itself: an imported one's, unless alpha was added here."""
    meta = _meta(folder)
    return "official" in meta and not meta.get("rgba_added")


def _meta(folder: Path) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads((folder / "generator.json").read_text()).get("meta", {})
    return meta


def _wanted(domain: str | None) -> str:
    return f"generator for '{domain}'" if domain else "generator"
