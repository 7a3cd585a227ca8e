"""`stylematte verify RUN`: reads every byte of a run's results and checkpoints, and says what is damaged."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loop.runs.verify import verify

DAMAGED = 3
"""Exit code."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    found = verify(args.run)
    if args.json:
        print(json.dumps({"run": str(args.run), **found._asdict()}, indent=2))
        return DAMAGED if found.damaged else 0
    for line in found.damaged:
        print(line)
    read = f"{found.results} results, {found.kept} earlier ones and {found.checkpoints} checkpoints read"
    print(f"{read}: {len(found.damaged) or 'nothing is'} damaged")
    if found.at_work:
        print("the run is at work, so its checkpoints were not read")
    if found.damaged:
        print(f"`stylematte run {args.run}` keeps what is damaged below kept/ and makes it again")
    return DAMAGED if found.damaged else 0
