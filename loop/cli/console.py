"""Where tables are printed: a terminal has its own width, a pipe gets one at which nothing is cut."""

from __future__ import annotations

from rich.console import Console


def wide_console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=160)
