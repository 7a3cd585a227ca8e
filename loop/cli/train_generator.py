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
    from loop.runs.generator_curve import best, draw_curve  # torch, which --help does without

    out = folder / "curves" / made.folder.parent.name
    rows = draw_curve(made.folder, out, config.generator.select_images)
    if args.json:
        about = {"run": str(folder), "generator": str(made.folder), "curve": rows}
        print(json.dumps(about, indent=2))
        return 0
    if rows:
        nearest = best(rows)
        said = f"Frechet distance {nearest['frechet']:.4g} at {nearest['kimg']:g} kimg, "
        said += f"{rows[-1]['frechet']:.4g} at the end"
        print(f"nearest of {len(rows)} snapshots: {said}: {nearest['folder']}\ncurve: {out / 'curve.html'}")
    else:
        print("no curve: it takes 64 cut-outs, and generator.select_images of 64")
    print(f"generator: {made.folder}\nstylematte sample {made.folder} -o OUT")
    return 0
