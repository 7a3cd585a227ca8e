"""The options of `matte` and `evaluate` on how a photo is shown to a network."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from stylematte.errors import ConfigError

if TYPE_CHECKING:
    from stylematte.inference.options import AskedOptions


def add_inference_options(parser: argparse.ArgumentParser, own_size: bool = False) -> None:
    """Their names are the fields of AskedOptions. own_size: --size 0 stands for the photo's own."""
    seen = parser.add_mutually_exclusive_group()
    own = "; 0: the photo's own" if own_size else ""
    seen.add_argument(
        "--size", type=int, help=f"longest side the network sees{own} (default: by what it was trained at)"
    )
    seen.add_argument("--max-side", type=int, help="the same for larger photos; smaller ones stay as they are")
    seen.add_argument("--tile", type=int, help="see the whole resolution in square tiles of that many pixels")
    parser.add_argument("--overlap", type=int, help="pixels that neighbouring tiles share and blend (default: 64)")
    parser.add_argument("--flip", action="store_true", help="mean with the mirrored photo's alpha: twice the time")


def asked_options(args: argparse.Namespace, own_size: bool = False) -> AskedOptions:
    """The options among `args`. Raises ConfigError for what cannot be meant."""
    from stylematte.inference.options import LEAST, AskedOptions

    asked = AskedOptions(args.size, args.max_side, args.tile, args.overlap, args.flip)
    asked.check()
    if args.size == 0 and not own_size:
        raise ConfigError(f"--size 0: must be at least {LEAST} pixels; --max-side 100000 shows photos as they are")
    return asked
