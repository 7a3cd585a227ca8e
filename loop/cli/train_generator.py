"""`stylematte train-generator CONFIG --cutouts FOLDER [key=value ...]`: the generator alone, a step of a run folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loop.cli.announce import Announcer
from loop.cli.run_arguments import add_config_arguments, add_redo
from loop.runs.run import configured, fit_generator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser, "generator.fit.steps=2000")
    parser.add_argument(
        "--cutouts",
        type=Path,
        help="a folder of RGBA pictures (default: round 1's labels of the run, whose matter is fitted first)",
    )
    parser.add_argument("--domain", help="of the run, if it has several and no --cutouts are given")
    add_redo(parser)
    parser.add_argument("--json", action="store_true", help="where the generator is, machine-readable")


def main(args: argparse.Namespace) -> int:
    config, folder = configured(args.config, args.words)
    config.run.dir = str(folder)
    with Announcer() as announce:
        made = fit_generator(config, domain=args.domain, cutouts=args.cutouts, redo=args.redo, on_event=announce)
    if args.json:
        print(json.dumps({"run": str(folder), "generator": str(made.folder)}, indent=2))
        return 0
    print(f"generator: {made.folder}\nstylematte sample {made.folder} -o OUT")
    return 0
