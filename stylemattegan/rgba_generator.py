"""The generator `stylemattegan`: our own network as an `RGBAGenerator`, from a generator folder, an export or a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from stylematte.errors import ConfigError, DataError
from stylematte.rgba_generator import RGBASample, Unusable
from stylemattegan.generator_folder import LoadedGenerator, generator_folders, load_folder
from stylemattegan.sample import psi_for_seed


class StyleMatteGAN:
    """folder: a run, an export or a generator folder. domain: which, where it has several. psi: (low, high).

    licence: of the pictures, which is that of what the generator learned from. Raises DataError, ConfigError.
    """

    name = "stylemattegan"

    def __init__(
        self,
        folder: str,
        domain: str | None = None,
        psi: Sequence[float] = (0.7, 1.0),
        licence: str = "unknown",
        batch: int = 16,
    ) -> None:
        if len(psi) != 2 or not 0 < psi[0] <= psi[1]:
            raise ConfigError(f"generator stylemattegan: psi={list(psi)}, expected [low, high] above 0")
        found = generator_folders(Path(folder).expanduser())
        chosen = {name: path for name, path in found.items() if domain in (None, name)}
        if len(chosen) != 1:
            there = ", ".join(found) or "none"
            raise DataError(f"{folder}: expected one generator, name it with domain=...; there are: {there}")
        self.generator: LoadedGenerator = load_folder(next(iter(chosen.values())))
        self.psi, self.licence, self.batch = (float(psi[0]), float(psi[1])), licence, batch
        self.digest = self.generator.digest

    @property
    def count(self) -> int | None:
        return None

    def sample(self, n: int, seed: int = 0, prompts: Sequence[str] | None = None) -> Iterator[RGBASample | Unusable]:
        for start in range(seed, seed + n, self.batch):
            seeds = list(range(start, min(start + self.batch, seed + n)))
            for position, rgba in zip(seeds, self.generator.sample(seeds, self.psi, batch=self.batch), strict=True):
                yield RGBASample(
                    rgba,
                    f"{position:07d}",
                    position,
                    model="stylemattegan",
                    digest=self.digest,
                    licence=self.licence,
                    hints={"premultiplied": False},
                    figures={"psi": round(psi_for_seed(position, self.psi), 6)},
                )
