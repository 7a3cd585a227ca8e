"""`stylematte import-weights FILE.pth -o DIR`: the authors' checkpoint -> a matter folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="stylematte_pure.pth or stylematte_synth.pth, as downloaded")
    parser.add_argument("-o", "--out", type=Path, required=True, help="new folder, for --matter of other verbs")
    parser.add_argument("--json", action="store_true", help="say what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    from stylematte.networks.import_released import import_released

    made = import_released(args.file.expanduser(), args.out.expanduser())
    if args.json:
        about = {key: str(value) if isinstance(value, Path) else value for key, value in made._asdict().items()}
        print(json.dumps({**about, "source": str(args.file)}, indent=2))
        return 0
    print(f"{args.file} -> {made.matter}: StyleMatte as released, {made.parameters:,} parameters")
    print(made.licence)
    print(f"stylematte matte PHOTO -o OUT --matter {made.matter}")
    return 0
