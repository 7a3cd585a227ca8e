"""`stylematte rollback RUN ROUND`: take a run back to the end of a round; what came after it is kept aside."""

from __future__ import annotations

import argparse
from pathlib import Path

from loop.runs.rollback import roll_back


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder in which nothing runs")
    parser.add_argument("round", type=int, help="the last round that stays; `run` draws the later ones anew")


def main(args: argparse.Namespace) -> int:
    put_aside = roll_back(args.run, args.round)
    print(f"{args.run} is at the end of round {args.round}; {len(put_aside)} results are kept until `stylematte gc`")
    return 0
