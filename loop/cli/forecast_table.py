"""A forecast as it is printed by `stylematte plan`: hours by stage and round, memory, disk, assumptions."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from loop.cli.console import wrapped
from loop.engine.step import Step
from loop.forecast.forecast import Forecast

ABREAST = 5
"""Rounds beside each other: so many fit 80 columns."""


def print_forecast(console: Console, found: Forecast, steps: Sequence[Step]) -> None:
    rounds = sorted({step.round for step in steps})
    for first in range(0, len(rounds), ABREAST):
        console.print(_table(found, steps, rounds, rounds[first : first + ABREAST]))
    console.print(f"in all {duration(found.wall)}, of which {duration(found.remaining)} are left")
    limit = f" of {found.memory_limit / 1e9:.0f} GB" if found.memory_limit else ""
    for stage, size in found.memory.items():
        over = ": TOO MUCH, lower its batch" if found.memory_limit and size > found.memory_limit else ""
        console.print(f"memory of {stage}, each device: {size / 1e9:.1f} GB{limit}{over}")
    console.print(f"disk of all results: {found.disk / 1e9:.1f} GB")
    console.print("It rests on:")
    for line in found.assumptions:
        console.print(wrapped(f"- {line}"), soft_wrap=True, highlight=False)


def _table(found: Forecast, steps: Sequence[Step], rounds: Sequence[int], shown: Sequence[int]) -> Table:
    """Of some rounds; the last column is of all."""
    heads = (f"round {round_}" for round_ in shown)
    table = Table("stage", *heads, "all", title="forecast, domains added up", box=box.SIMPLE_HEAD)
    for stage in dict.fromkeys(step.stage for step in steps):
        cells = {round_: _sum(found, steps, stage, round_) for round_ in rounds}
        row = (duration(cells[round_]) if cells[round_] else "" for round_ in shown)
        table.add_row(stage, *row, duration(sum(cells.values())))
    return table


def duration(seconds: float) -> str:
    """For example 2.5 h, 12 min, 40 s."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _sum(found: Forecast, steps: Sequence[Step], stage: str, round_: int) -> float:
    return sum(found.seconds[step.id] for step in steps if step.stage == stage and step.round == round_)
