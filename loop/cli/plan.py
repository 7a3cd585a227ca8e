"""stylematte plan CONFIG|RUN"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path

from loop.config.fingerprints import fingerprints
from loop.config.load import load_config
from loop.config.schema import Config
from loop.engine.execute import freshness
from loop.engine.step import Step, step_folder
from loop.plan import plan
from loop.runfolder import is_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="a YAML file, or a run folder")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="for example run.rounds=3")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    path = args.config / "config.yaml" if is_run(args.config) else args.config
    config = load_config(path, args.overrides, check=not is_run(args.config) or bool(args.overrides))
    run_dir = args.config if is_run(args.config) else Path(config.run.dir)
    steps = plan(config, fingerprints(config, run_dir))
    rows = [
        {"step": step.id, "state": _plainly(run_dir, step.id, state), "why": why, "work": work(config, step)}
        for step, state, why in freshness(run_dir, steps)
    ]
    disk = {"run_bytes": _size(run_dir), "free_bytes": shutil.disk_usage(_existing(run_dir)).free}
    if args.json:
        print(json.dumps({"run": str(run_dir), "steps": rows, "disk": disk}, indent=2))
        return 0
    from rich.table import Table

    from loop.cli.console import wide_console

    table = Table("step", "state", "work", "why", title=str(run_dir))
    colours = {"fresh": "green", "stale": "yellow", "missing": "cyan"}
    for row in rows:
        colour = colours.get(row["state"], "dim")
        table.add_row(row["step"], f"[{colour}]{row['state']}[/]", row["work"], row["why"])
    console = wide_console()
    console.print(table)
    states = Counter(row["state"] for row in rows)
    console.print(", ".join(f"{count} {state}" for state, count in states.items()))
    console.print(f"disk: the run holds {disk['run_bytes'] / 1e6:.0f} MB, {disk['free_bytes'] / 1e9:.1f} GB are free")
    return 0


def _plainly(run_dir: Path, step_id: str, state: str) -> str:
    """A step that waits for another and was never made is missing."""
    made = (step_folder(run_dir, step_id) / "stage.json").is_file()
    return state if made or state != "waits" else "missing"


def work(config: Config, step: Step) -> str:
    """How much one step has to do, in its own unit."""
    matter = config.matter.later if step.round else config.matter.first
    generator = config.generator.fit
    return {
        "fit_matter": f"{matter.steps} steps x {matter.batch}",
        "fit_generator": f"{generator.steps * generator.batch / 1000:g} kimg",
        "select_generator": f"{config.generator.select_images} pictures",
        "synthesize": f"{config.synthesize.count} pictures",
        "select": f"{config.synthesize.count} candidates",
    }.get(step.stage, "")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
