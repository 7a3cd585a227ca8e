"""A number on the page together with where it was read: the file in the run folder and the key in it.

The page carries both (`<data value data-file data-key>`), so that every figure can be compared with its record, by a
test or by a reader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from loop.report.data import Change, Sieve
from loop.report.formats import num, signed

COUNT_KEPT, COUNT_ALL = "kept", "*"
"""Keys of figures that are counted in an index.jsonl: rows that were kept, and all."""


class Figure(NamedTuple):
    """key: of a JSON object its names with "/" between; of a .jsonl file "ID:name", or a count of its rows."""

    text: str
    value: float | int | None
    file: str
    key: str


class KeptOf(NamedTuple):
    """So many of so many rows of an index."""

    kept: Figure
    total: Figure


class ChangeFigures(NamedTuple):
    """A relative change and the ends of its interval."""

    value: Figure
    low: Figure
    high: Figure


def figure(value: float | int | None, file: str, key: str, form: Callable[[Any], str] = num) -> Figure:
    """A dash where there is no value."""
    return Figure("–" if value is None else form(value), value, file, key)


def stage(round_: int, step: str) -> str:
    """The record of a stage: "rounds/01/portraits/select/stage.json"."""
    return f"{folder(round_, step)}/stage.json"


def folder(round_: int, step: str) -> str:
    return f"rounds/{round_:02d}/{step}"


def kept_of(sieve: Sieve | None, round_: int, step: str) -> KeptOf | None:
    """Of the rows of a stage's index.jsonl."""
    if sieve is None:
        return None
    file = f"{folder(round_, step)}/index.jsonl"
    return KeptOf(figure(sieve.kept, file, COUNT_KEPT), figure(sieve.total, file, COUNT_ALL))


def change_figures(change: Change, file: str, key: str) -> ChangeFigures:
    """key: of the object that has relative_change, low and high."""
    return ChangeFigures(
        figure(change.value, file, f"{key}/relative_change", signed),
        figure(change.low, file, f"{key}/low", signed),
        figure(change.high, file, f"{key}/high", signed),
    )
