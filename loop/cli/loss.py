"""stylematte loss ddc IMAGE ALPHA [TRIMAP]: a debugging verb for the losses that need no alpha label."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

VARIANTS = ("ddc", "scaled", "hinge")
BORDERS = ("zero", "replicate", "exclude")


class BadInput(ValueError):
    exit_code = 3


class BadUsage(ValueError):
    exit_code = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    losses = parser.add_subparsers(dest="loss", metavar="LOSS", required=True)
    text = "directional distance consistency: similar colours, similar alphas; value, floor, excess and a heat map"
    sub = losses.add_parser("ddc", help=text, description=f"{text[0].upper()}{text[1:]}.")
    sub.add_argument("image", type=Path, help="the photo")
    sub.add_argument("alpha", type=Path, help="the matte to judge, of the photo's size")
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
    out = _out(args)
    from stylematte.imagefile import read_alpha, read_rgb, write_rgb

    image, alpha = read_rgb(args.image)[None], read_alpha(args.alpha)[None]
    _same_size(args.alpha, alpha, args.image, image)
    trimap = _trimap(args, image) if args.trimap else None
    numbers, heat = _measure(args, image, alpha, trimap)
    from stylematte.evaluate.loss_picture import draw

    told = ", ".join(f"{name} {numbers[name]:.5f}" for name in ("value", "floor", "excess"))
    outside = (trimap[0] != 0.5) if trimap is not None and args.region == "unknown" else None
    write_rgb(out, draw(image[0], alpha[0], heat[0], outside, f"{args.variant}: {told}"))
    if args.json:
        print(json.dumps({**numbers, "picture": str(out)}, indent=2))
    else:
        _print(numbers, out)
    return 0


def _measure(args: argparse.Namespace, image: Tensor, alpha: Tensor, trimap: Tensor | None) -> tuple[dict, Tensor]:
    """What is printed, and the excess of every pixel (1, 1, H, W)."""
    import torch
    from rich.console import Console

    from stylematte.config import DdcBorder, DdcConfig, DdcRegion, DdcVariant
    from stylematte.losses.ddc import Sweep, ddc_maps, known_region

    config = DdcConfig(
        DdcVariant(args.variant), args.window, args.neighbours, DdcBorder(args.border), not args.no_self,
        DdcRegion(args.region),
    )  # fmt: skip
    options: dict[str, Any] = {name: getattr(args, name) for name in ("variant", "window", "neighbours", "border")}
    options |= {"include_self": not args.no_self, "region": args.region, "stable_ties": args.stable_ties}
    try:
        with Console(stderr=True).status("comparing colours"):  # two to three seconds for a million pixels
            value_map, floor_map = ddc_maps(image, alpha, trimap, config, Sweep(args.stable_ties))
    except ValueError as error:
        raise BadUsage(str(error)) from None
    unknown = torch.zeros_like(alpha, dtype=torch.bool) if trimap is None else trimap == 0.5
    region = unknown if args.region == "unknown" else torch.ones_like(unknown)
    value, floor = (float(part[region].double().mean()) for part in (value_map, floor_map))
    heat = value_map - floor_map
    numbers: dict[str, Any] = {**options, "value": value, "floor": floor, "excess": value - floor}
    if trimap is not None:
        numbers["unknown_share"] = float(unknown.float().mean())
        numbers["excess_unknown"] = float(heat[unknown].mean())
        numbers["known_error"] = float(known_region(alpha, trimap))
    return numbers, heat


def _print(numbers: dict[str, Any], out: Path) -> None:
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
    print(f"means per pixel and neighbour (the paper's weight for them is 10); where it hurts: {out}")


def _out(args: argparse.Namespace) -> Path:
    out: Path = args.out or Path(f"{args.image.stem}_ddc.png")
    if out.suffix.lower() != ".png":
        raise BadUsage(f"-o {out}: the heat map is written as .png")
    if out.is_dir():
        raise BadUsage(f"-o {out}: is a folder; name a file in it")
    for given in (args.image, args.alpha, args.trimap):
        if given is not None and given.exists() and out.exists() and out.samefile(given):
            raise BadUsage(f"-o {out}: would overwrite what is read; choose another name")
    return out


def _same_size(path: Path, picture: Tensor, image_path: Path, image: Tensor) -> None:
    if picture.shape[-2:] != image.shape[-2:]:
        (height, width), (h, w) = picture.shape[-2:], image.shape[-2:]
        raise BadInput(f"{path}: {width} x {height} pixels, {image_path.name} has {w} x {h}; bring both to one size")


def _trimap(args: argparse.Namespace, image: Tensor) -> Tensor:
    """(1, 1, H, W) of exactly 0, 1/2 and 1."""
    from stylematte.imagefile import read_trimap
    from stylematte.trimap import problem

    trimap = read_trimap(args.trimap)
    _same_size(args.trimap, trimap, args.image, image)
    reason = problem(trimap)
    if reason:
        raise BadInput(f"{args.trimap}: {reason}")
    return trimap[None]
