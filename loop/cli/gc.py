"""`stylematte gc RUN`: lists and removes what a run keeps beside its results.

These are earlier results, made with other options, which come back when the options do; and the scratch of fits that
were stopped and then not gone on with because the options changed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from loop.config.fingerprints import fingerprints
from loop.config.load import load_config
from loop.engine.kept import Kept, kept, remove
from loop.engine.lock import one_writer
from loop.engine.step import Step
from loop.plan import plan
from loop.runs.folder import is_run
from stylematte.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--dry-run", action="store_true", help="list it, remove nothing")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    if not is_run(args.run):
        raise DataError(f"{args.run}: not a run folder (no config.yaml and rounds/ in it)")
    found = collect(args.run, dry_run=args.dry_run)
    if args.json:
        rows = [{**one._asdict(), "path": str(one.path)} for one in found]
        size = sum(one.bytes for one in found)
        print(json.dumps({"run": str(args.run), "kept": rows, "bytes": size, "removed": not args.dry_run}, indent=2))
        return 0
    if found:
        _print_table(args.run, found)
    print(summary(found, args.dry_run))
    return 0


def collect(run_dir: Path, dry_run: bool = False) -> list[Kept]:
    """What the run in `run_dir` keeps; removed unless `dry_run`. Raises RunLocked while a run writes there."""
    with one_writer(run_dir):
        found = kept(run_dir, _plan(run_dir))
        if not dry_run:
            remove(run_dir, found)
    return found


def _plan(run_dir: Path) -> list[Step]:
    config = load_config(run_dir / "config.yaml", check=False)
    return plan(config, fingerprints(config, run_dir))


def summary(found: Sequence[Kept], dry_run: bool) -> str:
    """For example "removed 3 earlier results and 1 unfinished step, 120.5 MB"."""
    results = sum(one.kind == "result" for one in found)
    parts = [_count(results, "earlier result"), _count(len(found) - results, "unfinished step")]
    size = sum(one.bytes for one in found) / 1e6
    verb = "would remove" if dry_run else "removed"
    return f"{verb} {' and '.join(part for part in parts if part)}, {size:.1f} MB" if found else "nothing is kept"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}" if number else ""


def _print_table(run_dir: Path, found: Sequence[Kept]) -> None:
    from rich.table import Table

    from loop.cli.console import wide_console

    table = Table("step", "key", "kind", "finished", "seconds", "MB", title=str(run_dir))
    for one in found:
        seconds = "" if one.seconds is None else f"{one.seconds:.1f}"
        table.add_row(one.step, one.key, one.kind, one.finished, seconds, f"{one.bytes / 1e6:.1f}")
    wide_console().print(table)
