"""`stylematte run CONFIG [key=value ...]`: co-train a matter and its generators; the same command resumes."""

from __future__ import annotations

import argparse
import json
import sys
import time

from loop.cli.announce import Announcer
from loop.cli.console import wrapped
from loop.cli.round_table import print_round_table
from loop.cli.run_arguments import add_config_arguments, add_redo
from loop.runs.redo import duration
from loop.runs.run import bring_up_to_date, configured
from loop.tracking.sweep import trial
from loop.tracking.wandb_run import sync_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser, "run.rounds=3")
    add_redo(parser)
    parser.add_argument("--json", action="store_true", help="the table of rounds, machine-readable")


def main(args: argparse.Namespace) -> int:
    started = time.monotonic()

    def agree(listing: str, seconds: float) -> bool:
        print(listing, file=sys.stderr, flush=True)
        return bool(args.redo) or (not args.json and _says_yes(seconds))

    config, folder = configured(args.config, args.words)
    if trial():  # of a sweep: no two trials may share a folder
        folder = folder / str(trial())
        config.run.dir = str(folder)
    with Announcer() as announce:
        run = bring_up_to_date(config, folder, agree, announce, _print_line)
    if args.json:
        print(json.dumps({"report": str(run.report), "gain": run.gain, "rounds": run.rounds}, indent=2))
        return 0
    print_round_table(run.folder)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    print(f"done in {minutes} min {seconds} s\nreport: {run.report}")
    sync = sync_command(run.folder)
    if sync:
        print(f"to W&B: {sync}")
    return 0


def _print_line(line: str) -> None:
    print(wrapped(line), file=sys.stderr, flush=True)


def _says_yes(seconds: float) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"make them again ({duration(seconds)})? The present ones are kept. [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
