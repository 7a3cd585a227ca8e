"""`stylematte report RUN`: one self-contained HTML page about a run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from loop.cli.round_table import print_round_table
from loop.report.build import build_report
from loop.report.compare import build_comparison
from loop.report.strip import build_strip
from loop.report.table import round_table
from loop.runs.folder import check_run
from loop.runs.verify import damaged_results
from stylematte.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, nargs="?", help="a run folder")
    parser.add_argument(
        "--compare", type=Path, nargs=2, metavar=("RUN1", "RUN2"), help="two runs on one page, compare.html in RUN2"
    )
    parser.add_argument("-o", "--out", type=Path, metavar="FILE.html", help="(default: report.html in the run)")
    parser.add_argument("--strip", type=Path, metavar="FILE.png", help="also write one picture of the whole run")
    parser.add_argument("--json", action="store_true", help="the table of rounds, machine-readable")


def main(args: argparse.Namespace) -> int:
    if args.compare:
        return _compare(args)
    if args.run is None:
        raise DataError("expected a run folder, or --compare RUN1 RUN2")
    check_run(args.run)
    for line in damaged_results(args.run):
        print(f"stylematte: {line}", file=sys.stderr)
    page = build_report(args.run, args.out)
    if args.strip:
        build_strip(args.run, args.strip)
    if args.json:
        headers, rows = round_table(args.run)
        print(
            json.dumps(
                {"report": str(page), "rounds": [dict(zip(headers, row, strict=True)) for row in rows]}, indent=2
            )
        )
        return 0
    print_round_table(args.run)
    print(f"report: {page}")
    return 0


def _compare(args: argparse.Namespace) -> int:
    if args.run is not None or args.strip or args.json:
        raise DataError("--compare takes its two runs and -o: no other run, --strip or --json")
    one, two = args.compare
    for run in (one, two):
        check_run(run)
    print(f"comparison: {build_comparison(one, two, args.out or two / 'compare.html')}")
    return 0
