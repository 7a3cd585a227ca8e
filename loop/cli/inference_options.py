"""The options of `matte` and `evaluate` on how a photo is shown to a network."""

from __future__ import annotations

import argparse


def add_inference_options(parser: argparse.ArgumentParser) -> None:
    """Their names are the fields of stylematte.inference.options.AskedOptions."""
    seen = parser.add_mutually_exclusive_group()
    seen.add_argument(
        "--size", type=int, help="longest side the network sees; 0: the photo's own (default: what it was trained at)"
    )
    seen.add_argument("--max-side", type=int, help="the same for larger photos; smaller ones stay as they are")
    seen.add_argument("--tile", type=int, help="see the whole resolution in square tiles of that many pixels")
    parser.add_argument("--overlap", type=int, help="pixels that neighbouring tiles share and blend (default: 64)")
    parser.add_argument("--flip", action="store_true", help="mean with the mirrored photo's alpha: twice the time")
