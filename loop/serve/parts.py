"""The parts of a run's report, for a page that takes them one by one and again when they have changed.

The loop writes report.html after each step; here it is taken apart, so that showing a run costs next to nothing.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

from loop.report.templates import source

SECTION = re.compile(r'<section id="([\w-]+)">(.*?)</section>', re.DOTALL)
TITLE = re.compile(r"<h2>(.*?)</h2>", re.DOTALL)
LEAD = re.compile(r'<p class="lead">(.*?)</p>', re.DOTALL)
TILES = re.compile(r'<div class="tiles">.*?(?=<section|<footer)', re.DOTALL)


class Part(NamedTuple):
    anchor: str
    title: str
    html: str
    digest: str
    """Of `html`."""


class Parts(NamedTuple):
    lead: str
    parts: dict[str, Part]

    def listing(self) -> dict[str, Any]:
        """Without the texts."""
        return {
            "lead": self.lead,
            "parts": [{"anchor": p.anchor, "title": p.title, "digest": p.digest} for p in self.parts.values()],
        }


def read_parts(run: Path) -> Parts:
    """Of RUN/report.html; nothing where it is not written yet."""
    try:
        text = (run / "report.html").read_text(encoding="utf-8")
    except OSError:
        return Parts("", {})
    lead, tiles = LEAD.search(text), TILES.search(text)
    found = [_part("tiles", "Best matter", tiles[0])] if tiles else []
    for section in SECTION.finditer(text):
        title = TITLE.search(section[2])
        found.append(_part(section[1], title[1] if title else section[1], section[0]))
    return Parts(lead[1] if lead else "", {part.anchor: part for part in found})


def _part(anchor: str, title: str, html: str) -> Part:
    return Part(anchor, title, html, hashlib.sha256(html.encode()).hexdigest()[:16])


def report_style() -> str:
    """The style sheet of the report, which the pages share."""
    return source("style.css")
