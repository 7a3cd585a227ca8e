"""`stylematte plan CONFIG|RUN`: the steps of a configuration or a run, what is to be made and why.

Also what `run` will read of the data folders; exit code 3 where it could not start.
With --devices, --on or --measured also how long it will take, and how much memory and disk.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from loop.cli.console import wide_console, wrapped
from loop.config.found import found as found_data
from loop.runs.status import Outlook, outlook
from stylematte.errors import ConfigError

if TYPE_CHECKING:
    from loop.forecast.forecast import Forecast


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="a YAML file, or a run folder")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for example run.rounds=3")
    parser.add_argument("--devices", type=int, help="forecast the run with so many devices for each fit")
    parser.add_argument("--on", metavar="HARDWARE", help="of the forecast: cpu, h200, h100, a100, rtx4090, ...")
    parser.add_argument("--measured", type=Path, metavar="RUN", help="a run whose measured seconds scale the forecast")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    found = outlook(args.config, [*args.overrides, *_devices(args.devices)])
    data = found_data(found.config)
    # What a finished run was made of may be gone.
    code = 3 if data.problems and any(step.state != "fresh" for step in found.steps) else 0
    forecast = _forecast(args, found) if args.devices or args.on or args.measured else None
    if args.json:
        steps = [{"step": s.step, "state": s.state, "why": s.why, "work": s.work} for s in found.steps]
        disk = {"run_bytes": found.run_bytes, "free_bytes": found.free_bytes}
        shown = {"run": str(found.run), "steps": steps, "disk": disk, "data": data.lines(), "problems": data.problems}
        print(json.dumps({**shown, **({"forecast": forecast._asdict()} if forecast else {})}, indent=2))
        return code
    console = wide_console()
    console.print(str(found.run), highlight=False)
    widest = max(len(step.step) for step in found.steps)
    colours = {"fresh": "green", "stale": "yellow", "missing": "cyan"}
    for step in found.steps:
        state = f"[{colours.get(step.state, 'dim')}]{step.state:<8}[/]"
        console.print(f"{step.step:<{widest}}  {state}  {step.work}".rstrip(), highlight=False)
        if step.state not in ("fresh", "missing", "running"):
            console.print(wrapped(f"    {step.why}", "    "), highlight=False, markup=False)
    states = Counter(step.state for step in found.steps)
    console.print(", ".join(f"{count} {state}" for state, count in states.items()))
    console.print(f"disk: the run holds {found.run_bytes / 1e6:.0f} MB, {found.free_bytes / 1e9:.1f} GB are free")
    if forecast is not None:
        from loop.cli.forecast_table import print_forecast

        print_forecast(console, forecast, found.planned)
    for line in data.lines():
        console.print(f"data: {line}")
    for line in data.problems:
        console.print(f"[red]`run` could not start:[/] {line}")
    return code


def _devices(count: int | None) -> list[str]:
    """Raises ConfigError."""
    if count is None:
        return []
    if count < 1:
        raise ConfigError(f"--devices {count}: expected 1 or more")
    return [f"launch.devices={count}", *(["launch.kind=torchrun"] if count > 1 else [])]


def _forecast(args: argparse.Namespace, found: Outlook) -> Forecast:
    """Raises ConfigError."""
    from loop.forecast.forecast import forecast
    from loop.forecast.hardware import NAMES, assumed, hardware
    from loop.runs.folder import check_run

    name = (args.on or assumed(found.config)).lower()
    if name not in NAMES:
        raise ConfigError(f"--on {args.on}: expected one of {', '.join(NAMES)}")
    if args.measured:
        check_run(args.measured)
    finished = {step.step: step.seconds for step in found.steps if step.state == "fresh" and step.seconds is not None}
    return forecast(found.config, found.planned, hardware(name), finished, args.measured)
