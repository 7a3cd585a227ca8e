"""A folder of masks, alphas or photos -> a folder of trimaps, and a sheet that shows them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor

from stylematte.errors import BadPicture, ConfigError, DataError
from stylematte.imagefile import read_alpha, read_rgb, read_trimap, resize, write_rgb, write_trimap
from stylematte.inference.matter import Matter
from stylematte.inference.photos import LeftOut, photos_in
from stylematte.rgba import trimap_of_shares
from stylematte.sheets import contact_sheet, thumbnail, to_longest_side
from stylematte.trimap import from_alpha, from_mask, from_matter, problem, shares

log = logging.getLogger("stylematte")

Source = Literal["mask", "alpha", "matter"]
SHEET = "sheet.png"
SHEET_MOST, SHEET_COLUMNS = 24, 8
SHARES = ("background", "unknown", "foreground")

Made = tuple[Tensor, Tensor]
"""What a trimap was made of, to show (1 or 3 channels), and the trimap (1, H, W)."""


class WrittenTrimap(NamedTuple):
    """shares: of the picture, by SHARES."""

    picture: Path
    trimap: Path
    shares: dict[str, float]


class Trimaps(NamedTuple):
    written: list[WrittenTrimap]
    left_out: list[LeftOut]

    def mean_shares(self) -> dict[str, float]:
        return {kind: sum(row.shares[kind] for row in self.written) / len(self.written) for kind in SHARES}


def write_trimaps(
    pictures: Path,
    source: Source,
    out: Path,
    *,
    load_matter: Callable[[], Matter] | None = None,
    radius: float | None = None,
    track: Callable[[Iterable[tuple[str, Path]]], Iterable[tuple[str, Path]]] = iter,
) -> Trimaps:
    """Write NAME.png for each picture, and sheet.png, into `out`.

    pictures: a picture or a folder of masks, alphas (or RGBA), or photos on which a matter's own confident regions
    become the trimap. load_matter: gives that matter; called once nothing else is in the way. radius: half of the
    unknown band, in units of sqrt(the subject's area); None: 0.05 from masks, 0.02 from alphas, 0.03 from a matter.
    Pictures whose trimap would be of no use are left out. Raises ConfigError, and DataError if none is left.
    """
    if radius is not None and not 0 <= radius <= 1:
        raise ConfigError(f"--radius {radius}: expected a share of the subject's size from 0 to 1, like 0.05")
    files = _named(pictures, source)
    _check_out(out, files)
    make = _maker(source, load_matter, {} if radius is None else {"relative_radius": radius})
    result, strip = Trimaps([], []), list[Tensor]()
    for name, file in track(list(files.items())):
        try:
            seen, trimap = make(file)
            reason = problem(trimap)
            if reason:
                raise BadPicture(file, f"its trimap would be of no use: {reason}")
        except BadPicture as error:
            result.left_out.append(LeftOut(file, str(error)))
            log.warning("left out %s", error)
            continue
        target = out / f"{name}.png"
        write_trimap(target, trimap)
        parts = dict(zip(SHARES, shares(trimap[None])[0].tolist(), strict=True))
        result.written.append(WrittenTrimap(file, target, parts))
        if len(strip) < 2 * SHEET_MOST:
            strip += [thumbnail(seen), thumbnail(trimap)]
    if not result.written:
        raise DataError(f"{pictures}: no trimap could be made of {len(files)} pictures")
    write_rgb(out / SHEET, contact_sheet(strip, SHEET_COLUMNS))
    return result


def _named(path: Path, source: Source) -> dict[str, Path]:
    """Photo name -> file. `stylematte matte` writes NAME_alpha.png and NAME_cutout.png: the first speaks for NAME."""
    files, ending = photos_in(path), f"_{source}"
    named: dict[str, Path] = {}
    for file in files:
        name = file.stem.removesuffix(ending)
        if name.endswith("_cutout") and file.with_name(name.removesuffix("_cutout") + "_alpha.png") in files:
            continue
        if name in named or name == Path(SHEET).stem:
            raise ConfigError(f"{file}: its trimap {name}.png would overwrite another file; rename the picture")
        named[name] = file
    return named


def _check_out(out: Path, files: dict[str, Path]) -> None:
    """Refuse to write over anything but trimaps, before any work."""
    sources = {file.resolve() for file in files.values()}
    for name in files:
        target = out / f"{name}.png"
        if target.resolve() in sources:
            raise ConfigError(f"{target} is one of the pictures: choose another folder for -o")
        if not target.exists():
            continue
        try:
            read_trimap(target)
        except BadPicture:
            raise ConfigError(f"{target} exists and is no trimap: choose another folder for -o") from None


def _maker(
    source: Source, load_matter: Callable[[], Matter] | None, radius: dict[str, float]
) -> Callable[[Path], Made]:
    """Picture file -> (what to show, trimap)."""
    if source == "matter":
        if load_matter is None:
            raise ConfigError("trimaps from a matter need one: give it with --matter")
        return _by_matter(load_matter(), radius)
    trimap_of = from_mask if source == "mask" else from_alpha

    def make(file: Path) -> Made:
        given = read_alpha(file)
        return given, trimap_of(given, **radius)

    return make


def _by_matter(matter: Matter, radius: dict[str, float]) -> Callable[[Path], Made]:
    def make(file: Path) -> Made:
        """The matter sees the photo at the size it was trained at; known at photo size is what is known all around."""
        photo = read_rgb(file)
        trimap, _ = from_matter(matter.network, to_longest_side(photo, matter.trained_at)[None], **radius)
        back, front = (resize((trimap[0] == value).float(), (photo.shape[1], photo.shape[2])) for value in (0, 1))
        return photo, trimap_of_shares(back, front)

    return make
