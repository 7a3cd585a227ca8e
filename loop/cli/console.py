"""What verbs print with: tables at a sensible width, counts of what was left out, warnings of the libraries."""

from __future__ import annotations

import logging
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

NARROW = 80


def wide_console() -> Console:
    """For tables: a terminal has its own width, a pipe gets one at which nothing is cut."""
    console = Console()
    return console if console.is_terminal else Console(width=2 * NARROW)


def wrapped(text: str, indent: str = "  ") -> str:
    """In lines of 80 columns; what follows the first is indented. Paths and commands are not broken."""
    return textwrap.fill(text, NARROW, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def left_out_line(left_out: Sequence[object]) -> str:
    return f"; {len(left_out)} left out" if left_out else ""


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """What the libraries log as "stylematte" is printed on standard error, a line each that begins with our name."""
    log, handler = logging.getLogger("stylematte"), _Lines(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(f"stylematte: {record.getMessage()}", file=sys.stderr, flush=True)
