"""How a photo is shown to a network: the options that `matte` and `evaluate` share, and the options they amount to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from stylematte.config import NetworkConfig
    from stylematte.inference.predict import InferenceOptions

PIECE = 4096 * 4096
"""The most pixels a network sees in one piece: more would take tens of GiB."""
LEAST = 32
"""Pixels of a side that a network can be asked for."""


class BadOption(ValueError):
    exit_code = 2


def add_inference_options(parser: argparse.ArgumentParser) -> None:
    seen = parser.add_mutually_exclusive_group()
    seen.add_argument(
        "--size", type=int, help="longest side the network sees; 0: the photo's own (default: what it was trained at)"
    )
    seen.add_argument("--max-side", type=int, help="the same for larger photos; smaller ones stay as they are")
    seen.add_argument("--tile", type=int, help="see the whole resolution in square tiles of that many pixels")
    parser.add_argument("--overlap", type=int, help="pixels that neighbouring tiles share and blend (default: 64)")
    parser.add_argument("--flip", action="store_true", help="mean with the mirrored photo's alpha: twice the time")


def check_inference_options(args: argparse.Namespace) -> None:
    """Raise BadOption unless the options of `add_inference_options` make sense."""
    for name in ("size", "max_side", "tile"):
        value = getattr(args, name)
        if value is not None and value < LEAST and not (name == "size" and value == 0):
            raise BadOption(f"--{name.replace('_', '-')} {value}: must be at least {LEAST} pixels")
    if args.overlap is not None and args.tile is None:
        raise BadOption("--overlap is of tiles: give --tile, too")
    if args.tile is not None and not 0 <= _overlap(args) < args.tile:
        raise BadOption(f"--overlap {_overlap(args)}: must be at least 0 and less than --tile {args.tile}")


def _overlap(args: argparse.Namespace) -> int:
    return int(min(64, args.tile // 4) if args.overlap is None else args.overlap)


def inference_options(args: argparse.Namespace, network: NetworkConfig, trained_at: int) -> InferenceOptions:
    """network: its configuration, as matter.json has it."""
    from stylematte.inference.predict import InferenceOptions, options_for

    if args.tile is not None:
        return InferenceOptions(tile=args.tile, overlap=_overlap(args), flip=args.flip)
    if args.max_side is not None:
        return InferenceOptions(args.max_side, flip=args.flip)
    return options_for(network, trained_at, args.size)._replace(flip=args.flip)


def check_piece(path: Path, image: Tensor, options: InferenceOptions) -> None:
    """Raise BadPicture if the network would see more than PIECE pixels of image (3, H, W) at once."""
    from stylematte.imagefile import BadPicture

    height, width = image.shape[-2:]
    scale = 1.0 if options.size is None else options.size / max(height, width)
    pixels = height * width * (scale if options.enlarge else min(1.0, scale)) ** 2
    if options.tile is None and pixels > PIECE:
        cure = "give a smaller --max-side, or --tile 1024"
        raise BadPicture(path, f"{pixels:.0f} pixels for the network, at most {PIECE} in one piece: {cure}")


def read_trimap_of(path: Path, photo: Path, image: Tensor) -> Tensor:
    """The trimap (1, H, W) in `path`, of image's size. Raises BadPicture."""
    from stylematte.imagefile import BadPicture, read_trimap

    trimap = read_trimap(path)
    if trimap.shape[-2:] != image.shape[-2:]:
        own, wanted = (f"{picture.shape[-1]} x {picture.shape[-2]}" for picture in (trimap, image))
        raise BadPicture(path, f"is {own}, the photo {photo.name} is {wanted}: a trimap has its photo's size")
    return trimap
