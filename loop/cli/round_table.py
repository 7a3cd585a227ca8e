"""The table of a run's rounds on a terminal: a narrow one gets fewer figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from loop.report.data import FIGURES
from loop.report.formats import num
from loop.report.table import round_table


def print_round_table(run_dir: Path) -> None:
    """The round table for a terminal; a narrow one gets fewer figures."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)  # a pipe has no width of its own; 80 columns would cut the numbers
    figures = ["SAD", "MSE", "Grad", "frechet"] if console.width < 110 else [*FIGURES, "frechet", "kid"]
    table = Table(title=Path(run_dir).resolve().name, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("round", "domain", "truth", *figures, "labels", "pairs", "verdict"):
        table.add_column(name, justify="left" if name in ("domain", "truth", "verdict") else "right", no_wrap=True)
    headers, rows = round_table(run_dir)
    previous = None
    for values in rows:
        row = dict(zip(headers, values, strict=True))
        if previous not in (None, row["round"]):
            table.add_section()
        previous = row["round"]
        cells = [str(row["round"]), row["domain"], row["kind"] or "–", *(num(row[name]) for name in figures)]
        table.add_row(*cells, _share(row, "labels"), _share(row, "pairs"), _verdict(row))
    console.print(table)


def _share(row: dict[str, Any], name: str) -> str:
    kept, refused = row[f"{name}_kept"], row[f"{name}_refused"]
    return "–" if kept is None else f"{kept}/{kept + refused}"


def _verdict(row: dict[str, Any]) -> str:
    if row["accepted"] is None:
        return "[dim]not decided yet[/]"
    word = "[green]accepted[/]" if row["accepted"] else "[red]refused[/]"
    return f"{word}, current" if row["current"] else word
