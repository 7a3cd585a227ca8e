"""`stylematte train CONFIG [key=value ...]`: the matter alone, round 0 of the run; `stylematte run` goes on from it."""

from __future__ import annotations

import argparse
import json

from loop.cli.announce import Announcer
from loop.cli.round_table import print_round_table
from loop.cli.run_arguments import add_config_arguments, add_redo
from loop.config.schema import Config
from loop.engine.record import StageRecord
from loop.engine.step import step_folder
from loop.report.build import build_report
from loop.runs.run import configured, train_matter

STEP = "00/fit_matter"
VALIDATIONS = 10
"""Of a new run whose configuration asks for none."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser, "matter.first.validations=20")
    add_redo(parser)
    parser.add_argument("--json", action="store_true", help="where the matter is and how it came about")


def main(args: argparse.Namespace) -> int:
    config, folder = configured(args.config, args.words)
    config.run.dir = str(folder)
    if not (folder / "config.yaml").is_file():
        _validate(config)
    with Announcer() as announce:
        matter = train_matter(config, redo=args.redo, on_event=announce)
    record, validation = StageRecord.load(step_folder(folder, STEP)), step_folder(folder, STEP) / "validation"
    metrics = {} if record is None else record.metrics
    report = build_report(folder)
    if args.json:
        about = {"run": str(folder), "matter": str(matter.folder), "report": str(report), **metrics}
        print(json.dumps(about, indent=2))
        return 0
    print_round_table(folder)
    if "best_step" in metrics:
        best = f"held-out SAD {metrics['best_SAD']:.5g} at step {metrics['best_step']}"
        print(f"best of the fit: {best}, {metrics['last_SAD']:.5g} at its end: {validation / 'best'}")
        print(f"curve and mattes: {validation / 'curve.jsonl'}, {validation / 'sheet.png'}")
    print(f"matter: {matter.folder}\nreport: {report}\nthe loop goes on with: stylematte run {folder}")
    return 0


def _validate(config: Config) -> None:
    """A new run gets a curve; what is asked for stays, and a fit of no steps has none."""
    first = config.matter.first
    if not first.validations:
        first.validations = min(VALIDATIONS, first.steps // first.tick)
