"""`stylematte import-generator FILE.pkl -o DIR`: an official StyleGAN3 snapshot -> a generator folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stylemattegan.importing.to_folder import ImportedGenerator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, help="network-snapshot.pkl of the official StyleGAN3 code, or StyleMatteGAN's"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="new folder, for sample and generator.init_from")
    parser.add_argument(
        "--rgba",
        action="store_true",
        help="give RGB networks an alpha: the same pictures, opaque, for the loop",
    )
    parser.add_argument(
        "--fp16", action="store_true", help="on a GPU, keep the file's float16 layers; else all is float32"
    )
    parser.add_argument("--json", action="store_true", help="say what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    from stylemattegan.importing.to_folder import import_snapshot

    made = import_snapshot(args.file.expanduser(), args.out.expanduser().absolute(), rgba=args.rgba, fp16=args.fp16)
    if args.json:
        about = {"generator": str(args.out), **made.meta, "parameters": made.parameters, "config": made.config}
        print(json.dumps(about, indent=2))
    else:
        _print(made, args.file, args.out)
    return 0


def _print(made: ImportedGenerator, file: Path, out: Path) -> None:
    G = made.config["G"]
    size, classes = G["img_resolution"], f", {G['c_dim']} classes" if G["c_dim"] else ""
    kind = "R" if G["use_radial_filters"] else "T"
    channels = "RGB with an alpha added" if made.meta["rgba_added"] else {3: "RGB", 4: "RGBA"}[G["img_channels"]]
    print(f"{file} -> {out}: StyleGAN3-{kind}, {size} x {size}, {channels}{classes}")
    print(f"G has {made.parameters['G']:,} parameters, D {made.parameters['D']:,}")
    print(made.meta["licence"])
    print(f"stylematte sample {out} -o OUT")
    if G["img_channels"] == 3:
        print("The loop needs an alpha: --rgba adds one.")
    elif not G["c_dim"]:
        print(f"stylematte run CONFIG data.size={size} generator.init_from.DOMAIN={out}")
