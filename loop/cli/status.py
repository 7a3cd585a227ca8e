"""`stylematte status RUN`: what a run does now, which steps are done, how long they took, their metrics."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loop.cli.live_lines import NARROW, live_lines
from loop.cli.round_table import print_gain
from loop.engine.live import read_live
from loop.report.formats import clock
from loop.report.gain import gain_sentences
from loop.report.read import read_run
from loop.runs.folder import check_run
from loop.runs.status import StepState, status
from loop.runs.verify import damaged_results

LOOK, LINES_EVERY = 1.0, 30.0
"""Seconds between two looks of --watch, and between two outputs where it writes to no terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--watch", action="store_true", help="show what it does until it ends")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    if args.watch:
        check_run(args.run)
        _watch(args.run, args.json)
        return 0
    found = status(args.run)
    damaged = damaged_results(args.run)
    if args.json:
        steps = [
            {"step": s.step, "state": s.state, "seconds": s.seconds, "metrics": _line(s.metrics)} for s in found.steps
        ]
        shown = {"run": str(args.run), "writer": found.writer, "gain": gain_sentences(read_run(args.run))}
        live = asdict(found.live) if found.live is not None else None
        print(json.dumps({**shown, "live": live, "steps": steps, "damaged": damaged}, indent=2))
        return 0
    for step in found.steps:
        print("\n".join(_rows(step)))
    fresh = sum(step.state == "fresh" for step in found.steps)
    writer = found.writer
    running = f"running as process {writer['pid']} on {writer['host']}" if writer else "not running"
    print(f"{fresh} of {len(found.steps)} steps done; {running}")
    if found.live is not None and found.live.state != "finished":
        print("\n".join(live_lines(found.live)))
    print_gain(read_run(args.run))
    for line in damaged:
        print(f"stylematte: {line}", file=sys.stderr)
    return 0


def _rows(step: StepState) -> list[str]:
    """A step on one line, and what it measured (or why it is not fresh) below."""
    seconds = clock(step.seconds) if step.seconds else ""
    rows = [f"{step.step:<34} {step.state:<8} {seconds:>12}"]
    text = _line(step.metrics) or ("" if step.state in ("missing", "waits") else step.why)
    return rows + textwrap.wrap(text, NARROW, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def _watch(run: Path, as_json: bool) -> None:
    """Until the loop ends: a display on a terminal, else some lines now and then; with --json a record a line."""
    display, shown, printed = None, "", -LINES_EVERY
    if sys.stdout.isatty() and not as_json:
        from rich.live import Live as Display

        display = Display(refresh_per_second=4)
        display.start()
    try:
        while True:
            live = read_live(run)
            over = live is None or live.state not in ("running", "stopping")
            lines = "\n".join(live_lines(live)) if live is not None else f"{run}: nothing has run here yet"
            if display is not None:
                display.update(lines)
            elif lines != shown and (over or time.monotonic() - printed >= LINES_EVERY):
                print(json.dumps(asdict(live)) if as_json and live is not None else lines, flush=True)
                shown, printed = lines, time.monotonic()
            if over:
                return
            time.sleep(LOOK)
    except KeyboardInterrupt:
        return
    finally:
        if display is not None:
            display.stop()


def _line(metrics: dict[str, Any]) -> str:
    """A step's metrics on one line: why it ended as it did, else its numbers, and SAD or its change by domain."""
    for key in ("reason", "diverged"):
        if metrics.get(key):
            return str(metrics[key])
    flat = {key: value for key, value in metrics.items() if isinstance(value, (int, float, str))}
    for key in ("SAD", "against_control"):
        flat |= {f"{key} {name}": v[key] for name, v in metrics.items() if isinstance(v, dict) and key in v}
    return ", ".join(f"{key} {value}" for key, value in flat.items())
