"""The table of figures that `score` and `evaluate` print."""

from __future__ import annotations

from rich.table import Table

from loop.cli.console import wide_console
from stylematte.evaluate.table import Scores


def print_table(scores: Scores, title: str = "", most: int = 0) -> None:
    """The table on stdout: the mean and its interval last; `most` pictures (0: all) above them."""
    figures = list(scores.mean)
    table = Table(title=title or None)
    table.add_column("picture, worst first", overflow="fold")
    for figure in figures:
        table.add_column(figure, justify="right", no_wrap=True)
    pictures = list(scores.pictures.items())
    for name, row in pictures[: most or None]:
        table.add_row(name, *(_number(row[figure]) for figure in figures))
    if most and len(pictures) > most:
        table.add_row(f"… {len(pictures) - most} more", *("" for _ in figures))
    table.add_section()
    table.add_row(f"mean of {scores.n}", *(_number(scores.mean[figure]) for figure in figures))
    intervals = [interval for interval in scores.interval.values() if interval is not None]
    if intervals:
        table.add_row("95 % from", *(_number(low) for low, _ in intervals))
        table.add_row("95 % to", *(_number(high) for _, high in intervals))
    wide_console().print(table)


def _number(value: float) -> str:
    return f"{value:.5g}"
