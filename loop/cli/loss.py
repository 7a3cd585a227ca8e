"""`stylematte loss ddc IMAGE ALPHA [TRIMAP]`: a loss that needs no alpha label on one picture, and where it hurts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

VARIANTS = ("ddc", "scaled", "hinge")
BORDERS = ("zero", "replicate", "exclude")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    losses = parser.add_subparsers(dest="loss", metavar="LOSS", required=True)
    text = "directional distance consistency: similar colours, similar alphas; value, floor, excess and a heat map"
    sub = losses.add_parser("ddc", help=text, description=f"{text[0].upper()}{text[1:]}.")
    sub.add_argument("image", type=Path, help="the photo")
    sub.add_argument("alpha", type=Path, help="the matte to measure, of the photo's size")
    sub.add_argument("trimap", type=Path, nargs="?", help="black, mid-grey and white; needed for --region unknown")
    sub.add_argument("-o", "--out", type=Path, help="PNG that shows where it hurts (default: IMAGE_ddc.png, here)")
    sub.add_argument("--variant", choices=VARIANTS, default="ddc", help="default: ddc, the paper's")
    sub.add_argument("--window", type=int, default=11, help="side of the neighbourhood in pixels (default 11)")
    sub.add_argument("--neighbours", type=int, default=11, help="how many nearest colours (default 11)")
    sub.add_argument("--border", choices=BORDERS, default="zero", help="what lies outside the picture (default zero)")
    sub.add_argument("--no-self", action="store_true", help="a pixel is no neighbour of itself")
    sub.add_argument("--region", choices=("all", "unknown"), default="all", help="pixels of the mean (default all)")
    sub.add_argument("--stable-ties", action="store_true", help="the same neighbours on every machine")
    sub.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    from rich.console import Console

    from stylematte.config import DdcBorder, DdcConfig, DdcRegion, DdcVariant
    from stylematte.evaluate.loss_of_picture import ddc_of_picture

    config = DdcConfig(
        variant=DdcVariant(args.variant),
        window=args.window,
        neighbours=args.neighbours,
        border=DdcBorder(args.border),
        include_self=not args.no_self,
        region=DdcRegion(args.region),
    )
    out = args.out or Path(f"{args.image.stem}_ddc.png")
    with Console(stderr=True).status("comparing colours"):  # two to three seconds for a million pixels
        found = ddc_of_picture(args.image, args.alpha, out, args.trimap, config, args.stable_ties)
    if args.json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        _print(found.to_json())
    return 0


def _print(numbers: dict[str, Any]) -> None:
    from rich.table import Table

    from loop.cli.console import wide_console

    columns = {
        "value": "value",
        "floor": "floor (constant matte)",
        "excess": "excess",
        "excess_unknown": "excess where unknown",
        "known_error": "error where known",
    }
    shown = {key: title for key, title in columns.items() if key in numbers}
    table = Table("variant", "region", *shown.values())
    table.add_row(numbers["variant"], numbers["region"], *(f"{numbers[key]:.5f}" for key in shown))
    wide_console().print(table)
    print(f"means per pixel and neighbour (the paper's weight for them is 10); where it hurts: {numbers['picture']}")
