"""What the report's sections share beside their templates: embedded pictures with captions, a verdict's reason."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from loop.report.data import Verdict
from loop.report.embed import data_uri

SMALL = 40_000  # bytes of a small picture that is embedded unchanged


class Sheet(NamedTuple):
    """A contact sheet in the page: its data URI, its caption, and the pixels across that it is shown at."""

    uri: str
    caption: str
    width: int


class Tile(NamedTuple):
    """A small picture with its name below; without a URI an empty frame."""

    uri: str | None
    name: str


def sheet(path: Path, caption: str, most: int = 1080) -> Sheet | None:
    """Shown at up to twice its size; None when there is none."""
    found = data_uri(path, most)
    return None if found is None else Sheet(found[0], caption, min(2 * found[1], most))


def tile(path: Path | None, name: str, most: int = 256) -> Tile:
    found = data_uri(path, most, SMALL) if path is not None else None
    return Tile(found[0] if found else None, name)


def why(verdict: Verdict | None) -> str:
    """The reason without its first word: the coloured tag beside it says that."""
    reason = verdict.reason if verdict is not None else ""
    for word in ("Accepted: ", "Refused: "):
        reason = reason.removeprefix(word)
    return reason[:1].upper() + reason[1:]
