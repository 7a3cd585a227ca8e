"""The generator `composite`: sets of foregrounds and alphas, as matting data sets are released."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from stylematte.data.drawn.dataset import draw
from stylematte.errors import BadPicture, ConfigError, DataError
from stylematte.generators.directory import found_files
from stylematte.generators.files import PHOTOS
from stylematte.imagefile import read_alpha, read_rgb
from stylematte.rgba_generator import RGBASample, Unusable
from stylematte.sampling import position_seed

FOREGROUNDS = ("fg", "foreground", "foregrounds")
ALPHAS = ("alpha", "alphas", "matte", "mattes", "mask")


class Composite:
    """folder: holds {fg,foreground}/NAME and {alpha,matte,mask}/NAME, at any depth; or drawn: a subject that is drawn.

    drawn ("portrait" or "animal"), in place of a folder: flawless cut-outs made by code, `size` pixels a side.
    """

    name = "composite"

    def __init__(
        self, folder: str | None = None, licence: str = "unknown", drawn: str | None = None, size: int = 128
    ) -> None:
        if (folder is None) == (drawn is None):
            raise ConfigError("generator composite: give folder=..., or drawn=portrait or animal, and not both")
        self.folder = Path(folder).expanduser() if folder else None
        self.drawn, self.size, self.licence = drawn, size, "CC0-1.0" if drawn else licence
        self.pairs = foreground_pairs(self.folder) if self.folder else []

    @property
    def count(self) -> int | None:
        return None if self.drawn else len(self.pairs)

    def sample(self, n: int, seed: int = 0, prompts: Sequence[str] | None = None) -> Iterator[RGBASample | Unusable]:
        last = seed + n if self.count is None else min(seed + n, self.count)
        for position in range(seed, last):
            yield self._drawn(position) if self.drawn else self._read(position)

    def _drawn(self, position: int) -> RGBASample:
        picture = draw(self.drawn, position_seed("composite", position), self.size)  # type: ignore[arg-type]
        rgba = torch.cat([picture.foreground, picture.alpha])
        return RGBASample(rgba, f"{position:07d}", position, model=f"drawn {self.drawn}", licence=self.licence)

    def _read(self, position: int) -> RGBASample | Unusable:
        assert self.folder is not None
        fore, matte = self.pairs[position]
        name = fore.relative_to(self.folder).as_posix()
        try:
            colour, alpha = read_rgb(fore), read_alpha(matte)
        except BadPicture as error:
            return Unusable(name, position, error.reason)
        if colour.shape[1:] != alpha.shape[1:]:
            sizes = f"{alpha.shape[2]} x {alpha.shape[1]}, its foreground {colour.shape[2]} x {colour.shape[1]}"
            return Unusable(name, position, f"its alpha is {sizes}")
        digest = hashlib.sha256(fore.read_bytes() + matte.read_bytes()).hexdigest()
        return RGBASample(torch.cat([colour, alpha]), name, position, digest=digest, licence=self.licence)


def foreground_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """(foreground, alpha) of each name that has both, in the order of the names. Raises DataError if there is none."""
    files = found_files(folder, PHOTOS)
    fronts = {_key(file): file for file in files if file.parent.name.lower() in FOREGROUNDS}
    mattes = {_key(file): file for file in files if file.parent.name.lower() in ALPHAS}
    pairs = [(fronts[key], mattes[key]) for key in sorted(fronts.keys() & mattes.keys())]
    if not pairs:
        raise DataError(f"{folder}: no foreground with an alpha; expected fg/NAME.png and alpha/NAME.png below it")
    return pairs


def _key(file: Path) -> str:
    """What a foreground and its alpha have in common: the folder above, and the name before the ending."""
    return (file.parent.parent / file.stem).as_posix()
