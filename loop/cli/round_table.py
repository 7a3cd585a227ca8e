"""The table of a run's rounds on a terminal, and below it what the run gained over its control, in 80 columns."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loop.report.data import FIGURES, Run
from loop.report.formats import num, signed
from loop.report.gain import gain_sentences
from loop.report.read import read_run
from loop.report.table import HEADERS, table_rows

NARROW = 80
WIDE = 125
"""Columns from which on a terminal gets every figure."""
CONTROL = ("control", "change", "interval")
TEXT = ("domain", "truth", "verdict")


def print_round_table(run_dir: Path) -> None:
    """The table of rounds and the gain over the control. A terminal under 125 columns gets fewer figures; so does a
    pipe, which has no width of its own. Where names are too long for either, each row is two lines."""
    run, console = read_run(Path(run_dir)), Console()
    room = console.width if console.is_terminal else NARROW
    unlimited = Console(width=1000)
    for columns in (*([_columns(run, True)] if room >= WIDE else []), _columns(run, False)):
        table = _table(run, columns)
        if unlimited.measure(table).maximum <= room:
            (console if console.is_terminal else Console(width=room)).print(table)
            break
    else:
        print("\n".join([run.name, *_two_lines_a_row(run, _columns(run, False))]))
    print_gain(run)


def _two_lines_a_row(run: Run, columns: list[str]) -> list[str]:
    lines = []
    for values in table_rows(run):
        row = dict(zip(HEADERS, values, strict=True))
        cells = {name: Text.from_markup(_cell(row, name)).plain for name in columns}
        lines.append(f"round {cells['round']}  {cells['domain']}  {cells['verdict']}")
        figures = ", ".join(f"{name} {cell}" for name, cell in cells.items() if name not in ("round", *TEXT))
        lines += textwrap.wrap(figures, NARROW, initial_indent="    ", subsequent_indent="    ")
    return lines


def print_gain(run: Run) -> None:
    """The sentences of `gain_sentences` in lines of 80; what follows the first is indented."""
    for number, line in enumerate(gain_sentences(run)):
        print(textwrap.fill(line, NARROW, initial_indent="  " if number else "", subsequent_indent="    "))


def _columns(run: Run, wide: bool) -> list[str]:
    if wide:
        figures = [*FIGURES, *(CONTROL if run.has_control else ()), "frechet", "kid"]
        return ["round", "domain", "truth", *figures, "labels", "pairs", "verdict"]
    figures = ["SAD", *CONTROL] if run.has_control else ["SAD", "MSE", "Grad", "frechet"]
    return ["round", "domain", *figures, *(() if run.has_control else ("labels",)), "pairs", "verdict"]


def _table(run: Run, columns: list[str]) -> Table:
    table = Table(title=run.name, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, justify="left" if name in TEXT else "right", no_wrap=True)
    previous = None
    for values in table_rows(run):
        row = dict(zip(HEADERS, values, strict=True))
        if previous not in (None, row["round"]):
            table.add_section()
        previous = row["round"]
        table.add_row(*(_cell(row, name) for name in columns))
    return table


def _cell(row: dict[str, Any], name: str) -> str:
    if name in ("labels", "pairs"):
        return _share(row, name)
    if name in CONTROL:
        return _against_control(row)[CONTROL.index(name)]
    if name == "verdict":
        return _verdict(row)
    if name == "truth":
        return row["kind"] or "–"
    return str(row[name]) if name in ("round", "domain") else num(row[name])


def _against_control(row: dict[str, Any]) -> tuple[str, str, str]:
    """The control's SAD in this round, the change to it, and the interval of the change."""
    change, low, high = (row[f"against_control{end}"] for end in ("", "_low", "_high"))
    if change is None:
        return num(row["control_SAD"]), "–", "–"
    return num(row["control_SAD"]), signed(change), f"{100 * low:+.1f} … {100 * high:+.1f}".replace("-", "−")


def _share(row: dict[str, Any], name: str) -> str:
    kept, refused = row[f"{name}_kept"], row[f"{name}_refused"]
    return "–" if kept is None else f"{kept}/{kept + refused}"


def _verdict(row: dict[str, Any]) -> str:
    """best: accepted, and the matter that leaves the run."""
    if row["accepted"] is None:
        return "[dim]open[/]"
    if row["current"]:
        return "[bold green]best[/]"
    return "[green]accepted[/]" if row["accepted"] else "[red]refused[/]"
