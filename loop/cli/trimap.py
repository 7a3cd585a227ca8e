"""`stylematte trimap PICTURE|FOLDER --from mask|alpha|matter -o OUT`: what is surely subject, surely not, unknown."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loop.cli.bars import bar
from loop.cli.console import left_out_line
from loop.runs.folder import newest_run
from loop.runs.verify import sound
from stylematte.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pictures", type=Path, help="a picture, or a folder: masks, alphas (or RGBA), or photos")
    parser.add_argument(
        "--from", dest="source", choices=("mask", "alpha", "matter"), required=True, help="what the pictures are: "
        "masks, alphas, or photos on which a matter's own confident regions become the trimap"
    )  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for NAME.png and sheet.png")
    parser.add_argument("--matter", type=Path, help="with --from matter: a run, an export, or a matter folder")
    parser.add_argument(
        "--radius", type=float, help="half of the unknown band, in units of sqrt(the subject's area): 0 to 1 "
        "(default: 0.05 from masks, 0.02 from alphas, 0.03 from a matter)"
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="list what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    if args.matter and args.source != "matter":
        raise ConfigError(f"--matter goes with --from matter, not with --from {args.source}")
    from stylematte.data.trimap_files import SHEET, write_trimaps
    from stylematte.inference.matter import load, matter_folder

    done = write_trimaps(
        args.pictures,
        args.source,
        args.out,
        load_matter=lambda: load(sound(matter_folder(args.matter or newest_run()))),
        radius=args.radius,
        track=bar("making trimaps"),
    )
    if args.json:
        written = [{"picture": str(each.picture), "trimap": str(each.trimap), **each.shares} for each in done.written]
        left_out = [{"picture": str(path), "reason": reason} for path, reason in done.left_out]
        print(json.dumps({"written": written, "left_out": left_out}, indent=2))
        return 0
    mean = " · ".join(f"{share:.1%} {kind}" for kind, share in done.mean_shares().items())
    line = f"{len(done.written)} trimaps in {args.out} ({mean}), shown on {args.out / SHEET}"
    print(line + left_out_line(done.left_out))
    return 0
