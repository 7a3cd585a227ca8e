"""`stylematte plan CONFIG|RUN`: the steps of a configuration or a run, what is to be made and why."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from loop.cli.console import wide_console
from loop.runs.status import outlook


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="a YAML file, or a run folder")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for example run.rounds=3")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    found = outlook(args.config, args.overrides)
    if args.json:
        steps = [{"step": s.step, "state": s.state, "why": s.why, "work": s.work} for s in found.steps]
        disk = {"run_bytes": found.run_bytes, "free_bytes": found.free_bytes}
        print(json.dumps({"run": str(found.run), "steps": steps, "disk": disk}, indent=2))
        return 0
    from rich.table import Column, Table

    table = Table("step", "state", "work", Column("why", overflow="fold"), title=str(found.run))
    colours = {"fresh": "green", "stale": "yellow", "missing": "cyan"}
    for step in found.steps:
        table.add_row(step.step, f"[{colours.get(step.state, 'dim')}]{step.state}[/]", step.work, step.why)
    console = wide_console()
    console.print(table)
    states = Counter(step.state for step in found.steps)
    console.print(", ".join(f"{count} {state}" for state, count in states.items()))
    console.print(f"disk: the run holds {found.run_bytes / 1e6:.0f} MB, {found.free_bytes / 1e9:.1f} GB are free")
    return 0
