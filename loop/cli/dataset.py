"""`stylematte dataset SOURCE -o NEW.zip|NEW`: a folder or ZIP of pictures -> a data set of squares for a generator."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from loop.cli.bars import bar
from stylematte.errors import ConfigError

NAMED = 5
"""So many pictures that were left out are named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a folder or ZIP of pictures, searched to the bottom")
    parser.add_argument("-o", "--out", type=Path, required=True, help="new .zip or folder, in the layout of StyleGAN")
    parser.add_argument("--resolution", help="256, or 512x384 (width x height); a power of two (default: as they are)")
    parser.add_argument(
        "--crop",
        choices=("center", "wide", "none", "subject"),
        default="none",
        help="center: the middle square. wide: the middle of the shape of --resolution 512x384, with bars to a square. "
        "subject: RGBA cut-outs framed about what is not transparent. none: the whole picture, stretched (default)",
    )
    parser.add_argument("--channels", choices=("as-is", "rgb", "rgba"), default="as-is", help="(default: as-is)")
    parser.add_argument("--classes", action="store_true", help="folder names become labels (default: dataset.json's)")
    parser.add_argument("--most", type=int, help="take the first so many pictures by name")
    parser.add_argument("--json", action="store_true", help="what was written and left out, machine-readable")


def main(args: argparse.Namespace) -> int:
    size = _size(args.resolution, args.crop)
    if args.most is not None and args.most < 2:
        raise ConfigError(f"--most {args.most}: a data set needs at least 2 pictures")
    from stylemattegan.dataset_tool import make_dataset

    made = make_dataset(
        args.source,
        args.out,
        size,
        args.crop,
        channels=args.channels,
        folders_are_classes=args.classes,
        most=args.most,
        track=bar("cropping and resizing"),
    )
    if args.json:
        left_out = [{"picture": name, "reason": reason} for name, reason in made.left_out]
        print(json.dumps({"out": str(args.out), "written": made.written, "left_out": left_out}, indent=2))
        return 0
    for name, reason in made.left_out[:NAMED]:
        print(f"left out {name}: {reason}")
    more = f", {len(made.left_out)} left out" if made.left_out else ""
    print(f"{made.written} pictures in {args.out}{more}")
    return 0


def _size(text: str | None, crop: str) -> tuple[int, int] | None:
    """(height, width) of --resolution."""
    if text is None:
        if crop in ("wide", "subject"):
            raise ConfigError(f"--crop {crop} needs --resolution, for example {'512x384' if crop == 'wide' else '256'}")
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if match is None:
        raise ConfigError(f"--resolution {text}: expected for example 256, or 512x384 (width x height)")
    width, height = int(match[1]), int(match[2] or match[1])
    if width < 4 or width & (width - 1):
        raise ConfigError(f"--resolution {text}: {width} is no power of two; take 64, 128, 256, 512 or 1024")
    if height != width and crop != "wide":
        raise ConfigError(f"--resolution {text}: a data set has squares; only --crop wide takes a height of its own")
    if not 1 <= height <= width:
        raise ConfigError(f"--resolution {text}: expected a width of at least the height")
    return height, width
