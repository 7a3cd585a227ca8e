"""Small pieces of HTML that the report's sections share: section, table, verdict, picture."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from loop.report.data import Verdict
from loop.report.embed import data_uri

SMALL = 40_000  # bytes of a small picture that is embedded unchanged


def section(anchor: str, title: str, note: str, body: str) -> str:
    small = f'<p class="soft">{note}</p>' if note else ""
    return f'<section id="{anchor}"><h2>{title}</h2>{small}{body}</section>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text cells, escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{labelled([f'<td>{escape(cell)}</td>' for cell in row], heads)}</tr>" for row in rows)
    return f'<table class="stack plain"><thead><tr>{head}</tr></thead>{body}</table>'


def labelled(cells: Sequence[str], heads: Sequence[str]) -> str:
    """The cells of a row, each with the head of its column, which a narrow page shows before it: rows become stacks."""
    pairs = zip(cells, heads, strict=True)
    return "".join(cell.replace("<td", f'<td data-h="{escape(head)}"', 1) for cell, head in pairs)


def sheet(path: Path, caption: str, most: int = 1200) -> str:
    """A contact sheet as a figure, shown at up to twice its size; nothing when there is none."""
    found = data_uri(path, most)
    if found is None:
        return ""
    uri, width = found
    picture = (
        f'<img src="{uri}" alt="{escape(caption)}" style="width:min(100%,{min(2 * width, most)}px)" loading="lazy">'
    )
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def tile(path: Path | None, name: str, most: int = 256) -> str:
    """One small picture with its name below; an empty frame when it is missing."""
    found = data_uri(path, most, SMALL) if path is not None else None
    return frame(found[0] if found else None, name)


def frame(uri: str | None, name: str) -> str:
    """A picture that is embedded already with its name below; an empty frame when there is none."""
    body = f'<img src="{uri}" alt="{escape(name)}" loading="lazy">' if uri else '<span class="gone">–</span>'
    return f'<div class="tile">{body}<small>{escape(name)}</small></div>'


def tag(verdict: Verdict | None) -> str:
    """The verdict as a coloured word."""
    if verdict is None:
        return '<span class="tag">not decided yet</span>'
    return '<span class="tag yes">accepted</span>' if verdict.accepted else '<span class="tag no">refused</span>'


def why(verdict: Verdict | None) -> str:
    """The reason without its first word: the coloured tag beside it says that."""
    reason = verdict.reason if verdict is not None else ""
    for word in ("Accepted: ", "Refused: "):
        reason = reason.removeprefix(word)
    return escape(reason[:1].upper() + reason[1:])
