"""stylematte trimap PHOTO|FOLDER --from mask|alpha|matter -o OUT"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.cli.photos import left_out_line, matter_at, matter_folder, photos_in, shown, thumbnail, to_longest_side
from stylematte.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

    Made = tuple[Tensor, Tensor]  # what the trimap was made of, to show (1 or 3 channels), and the trimap (1, H, W)

SHEET = "sheet.png"
SHEET_MOST, SHEET_COLUMNS = 24, 8
SHARES = ("background", "unknown", "foreground")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pictures", type=Path, help="a picture, or a folder: masks, alphas (or RGBA), or photos")
    parser.add_argument(
        "--from", dest="source", choices=("mask", "alpha", "matter"), required=True, help="what the pictures are: "
        "masks, alphas, or photos on which a matter's own confident regions become the trimap"
    )  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, required=True, help=f"folder for NAME.png and {SHEET}")
    parser.add_argument("--matter", type=Path, help="with --from matter: a run, an export, or a matter folder")
    parser.add_argument(
        "--radius", type=float, help="half of the unknown band, in units of sqrt(the subject's area): 0 to 1 "
        "(default: 0.05 from masks, 0.02 from alphas, 0.03 from a matter)"
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="list what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    if args.radius is not None and not 0 <= args.radius <= 1:
        raise ConfigError(f"--radius {args.radius}: expected a share of the subject's size from 0 to 1, like 0.05")
    if args.matter and args.source != "matter":
        raise ConfigError(f"--matter goes with --from matter, not with --from {args.source}")
    files = _named(args.pictures, args.source)
    _check_out(args.out, files)
    make = _maker(args)
    from stylematte.errors import BadPicture
    from stylematte.imagefile import write_trimap
    from stylematte.trimap import problem, shares

    written: list[Any] = []
    left_out: list[Any] = []
    strip: list[Tensor] = []
    for name, file in shown(files.items(), "making trimaps", len(files)):
        try:
            seen, trimap = make(file)
            reason = problem(trimap)
            if reason:
                raise BadPicture(file, f"its trimap would be of no use: {reason}")
        except BadPicture as error:
            left_out.append({"picture": str(file), "reason": str(error)})
            print(f"stylematte: left out {error}", file=sys.stderr)
            continue
        write_trimap(args.out / f"{name}.png", trimap)
        parts = dict(zip(SHARES, shares(trimap[None])[0].tolist(), strict=True))
        written.append({"picture": str(file), "trimap": str(args.out / f"{name}.png"), **parts})
        if len(strip) < 2 * SHEET_MOST:
            strip += [thumbnail(seen), thumbnail(trimap)]
    if not written:
        raise DataError(f"{args.pictures}: no trimap could be made of {len(files)} pictures")
    _tell(args, strip, written, left_out)
    return 0


def _tell(args: argparse.Namespace, strip: list[Tensor], written: list[Any], left_out: list[Any]) -> None:
    from stylematte.imagefile import contact_sheet, write_rgb

    write_rgb(args.out / SHEET, contact_sheet(strip, SHEET_COLUMNS))
    if args.json:
        print(json.dumps({"written": written, "left_out": left_out}, indent=2))
        return
    mean = " · ".join(f"{sum(row[kind] for row in written) / len(written):.1%} {kind}" for kind in SHARES)
    print(f"{len(written)} trimaps in {args.out} ({mean}), shown on {args.out / SHEET}" + left_out_line(left_out))


def _named(path: Path, source: str) -> dict[str, Path]:
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
    from stylematte.errors import BadPicture
    from stylematte.imagefile import read_trimap

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


def _maker(args: argparse.Namespace) -> Callable[[Path], Made]:
    """Picture file -> (what to show, trimap)."""
    from stylematte.imagefile import read_alpha
    from stylematte.trimap import from_alpha, from_mask

    radius = {} if args.radius is None else {"relative_radius": args.radius}
    if args.source == "matter":
        return _by_matter(matter_folder(args.matter), radius)
    trimap_of = from_mask if args.source == "mask" else from_alpha

    def make(file: Path) -> Made:
        given = read_alpha(file)
        return given, trimap_of(given, **radius)

    return make


def _by_matter(folder: Path, radius: dict[str, float]) -> Callable[[Path], Made]:
    from stylematte.imagefile import read_rgb, resize
    from stylematte.rgba import trimap_of_shares
    from stylematte.trimap import from_matter

    network, size = matter_at(folder)

    def make(file: Path) -> Made:
        """The matter sees the photo at the size it was trained at; known at photo size is what is known all around."""
        photo = read_rgb(file)
        trimap, _ = from_matter(network, to_longest_side(photo, size)[None], **radius)
        back, front = (resize((trimap[0] == value).float(), (photo.shape[1], photo.shape[2])) for value in (0, 1))
        return photo, trimap_of_shares(back, front)

    return make
