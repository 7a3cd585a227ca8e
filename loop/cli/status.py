"""`stylematte status RUN`: which steps of a run are done, how long they took, their metrics."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from loop.cli.console import wide_console
from loop.cli.round_table import print_gain
from loop.report.gain import gain_sentences
from loop.report.read import read_run
from loop.runs.status import status
from loop.runs.verify import damaged_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    found = status(args.run)
    damaged = damaged_results(args.run)
    if args.json:
        steps = [
            {"step": s.step, "state": s.state, "seconds": s.seconds, "metrics": _line(s.metrics)} for s in found.steps
        ]
        shown = {"run": str(args.run), "writer": found.writer, "gain": gain_sentences(read_run(args.run))}
        print(json.dumps({**shown, "steps": steps, "damaged": damaged}, indent=2))
        return 0
    from rich.table import Column, Table

    table = Table("step", "state", "seconds", Column("metrics", overflow="fold"), title=str(args.run))
    for step in found.steps:
        table.add_row(step.step, step.state, f"{step.seconds:.1f}" if step.seconds else "", _line(step.metrics))
    console = wide_console()
    console.print(table)
    fresh = sum(step.state == "fresh" for step in found.steps)
    writer = found.writer
    running = f"running as process {writer['pid']} on {writer['host']}" if writer else "not running"
    console.print(f"{fresh} of {len(found.steps)} steps done; {running}")
    print_gain(read_run(args.run))
    for line in damaged:
        print(f"stylematte: {line}", file=sys.stderr)
    return 0


def _line(metrics: dict[str, Any]) -> str:
    """A step's metrics on one line: why it ended as it did, else its numbers, and SAD or its change by domain."""
    for key in ("reason", "diverged"):
        if metrics.get(key):
            return str(metrics[key])
    flat = {key: value for key, value in metrics.items() if isinstance(value, (int, float, str))}
    for key in ("SAD", "against_control"):
        flat |= {f"{key} {name}": v[key] for name, v in metrics.items() if isinstance(v, dict) and key in v}
    return ", ".join(f"{key} {value}" for key, value in flat.items())
