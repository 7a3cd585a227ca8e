"""stylematte status RUN"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loop.config.fingerprints import fingerprints
from loop.config.load import load_config
from loop.engine.execute import freshness
from loop.engine.lock import holder
from loop.plan import plan
from loop.runfolder import NoSuchArtefact, is_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    if not is_run(args.run):
        raise NoSuchArtefact(f"{args.run}: not a run folder (no config.yaml and rounds/ in it)")
    config = load_config(args.run / "config.yaml", check=False)
    steps = plan(config, fingerprints(config, args.run))
    states = [(step, state) for step, state, _ in freshness(args.run, steps)]
    rows = []
    for step, state in states:
        record = args.run / "rounds" / step.id / "stage.json"
        finished = json.loads(record.read_text()) if record.is_file() else {}
        rows.append({"step": step.id, "state": state, "seconds": finished.get("seconds"), **_told(finished)})
    writer = holder(args.run)
    if args.json:
        print(json.dumps({"run": str(args.run), "writer": writer, "steps": rows}, indent=2))
        return 0
    from rich.table import Table

    from loop.cli.console import wide_console

    table = Table("step", "state", "seconds", "told", title=str(args.run))
    for row in rows:
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        table.add_row(row["step"], row["state"], seconds, row["told"])
    console = wide_console()
    console.print(table)
    fresh = sum(state == "fresh" for _, state in states)
    running = f"running as process {writer['pid']} on {writer['host']}" if writer else "not running"
    console.print(f"{fresh} of {len(states)} steps done; {running}")
    return 0


def _told(record: dict) -> dict[str, str]:
    metrics = record.get("metrics", {})
    for key in ("reason", "diverged"):
        if metrics.get(key):
            return {"told": str(metrics[key])}
    flat = {key: value for key, value in metrics.items() if isinstance(value, (int, float, str))}
    sad = {name: value["SAD"] for name, value in metrics.items() if isinstance(value, dict) and "SAD" in value}
    return {
        "told": ", ".join(
            f"{key} {value}" for key, value in {**flat, **{f"SAD {k}": v for k, v in sad.items()}}.items()
        )
    }
