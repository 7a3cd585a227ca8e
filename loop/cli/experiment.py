"""stylematte experiment [NAME [CONFIG] [key=value ...]]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from loop.cli.announce import Bars
from loop.cli.console import wide_console
from loop.engine.execute import Event
from loop.experiments import Experiment, experiments, named, run
from loop.experiments.execute import Job
from loop.experiments.summary import Summary
from loop.experiments.tables import COLUMNS, cells
from stylematte.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="without a name: the list of experiments")
    parser.add_argument("words", nargs="*", metavar="[CONFIG] key=value", help="of all arms, such as data.root=FOLDER")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each arm, with run.seed=0, 1, ... (default 3)")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="runs side by side (default 1)")
    parser.add_argument("--arms", default="", metavar="A,B", help="these arms alone")
    parser.add_argument("--sizes", default="", metavar="N,M", help="arms of these sizes (capacity)")
    parser.add_argument("-o", "--out", type=Path, help="the experiment's folder (default experiments/NAME)")
    parser.add_argument("--json", action="store_true", help="the table, machine-readable")


def main(args: argparse.Namespace) -> int:
    if args.name is None:
        print_list()
        return 0
    experiment = named(args.name)
    if args.sizes:
        experiment = experiment.of_sizes(_sizes(args.sizes))
    has_config = bool(args.words) and "=" not in args.words[0]
    config, words = (args.words[0], args.words[1:]) if has_config else (None, args.words)
    arms = [arm for arm in args.arms.split(",") if arm]
    out = args.out or Path("experiments") / experiment.name
    progress = Progress((len(arms) or len(experiment.arms)) * args.seeds, args.at_once > 1)
    try:
        found = run(
            experiment, config, words, seeds=args.seeds, arms=arms, out=out, at_once=args.at_once, listen=progress
        )
    finally:
        progress.bars.close()
    if args.json:
        print((out / "table.json").read_text(), end="")
        return 0
    print_summary(experiment, found)
    print(f"table: {out / 'table.md'}\nplot: {out / 'plot.svg'}")
    return 0


def _sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--sizes {text}: expected for example 50,200,800") from None


class Progress:
    """The listener that prints: a line when a run begins, a line for each of its steps, bars for what runs apart.

    Of runs side by side every line says whose it is, and there are no bars.
    """

    def __init__(self, runs: int, beside: bool) -> None:
        self.runs, self.beside = runs, beside
        self.bars = Bars()
        self.begun: list[tuple[str, int]] = []

    def __call__(self, job: Job, event: Event) -> None:
        if (job.arm, job.seed) not in self.begun:
            self.begun.append((job.arm, job.seed))
            print(f"run {len(self.begun)} of {self.runs}: {job.arm}, seed {job.seed}", file=sys.stderr, flush=True)
        if event.kind == "progress":
            if not self.beside:
                self.bars.show(event)
            return
        if event.kind in {"done", "failed", "stopped"}:
            self.bars.end(event.step.id)
        if event.kind != "fresh":
            whose = f"{job.arm}, seed {job.seed} " if self.beside else ""
            print(f"  {whose}{event.line()}", file=sys.stderr, flush=True)


def print_list() -> None:
    from rich.table import Table

    table = Table("experiment", "question", "arms")
    for experiment in experiments().values():
        table.add_row(experiment.name, experiment.question, ", ".join(experiment.arms))
    wide_console().print(table)


def print_summary(experiment: Experiment, found: Summary) -> None:
    """The headline metric's table and what it supports."""
    from rich.table import Table

    table = Table(*COLUMNS, title=f"{experiment.headline}: {experiment.question}", title_justify="left")
    for row in found.rows:
        if row.metric == experiment.headline and experiment.shown(row.group):
            table.add_row(*cells(row, experiment.control))
    console = wide_console()
    console.print(table)
    for line in [*found.sentences, *(f"a fit was stopped: {which}: {why}" for which, why in found.stopped.items())]:
        console.print(line, highlight=False, soft_wrap=True)
