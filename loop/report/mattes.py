"""The report's worst and median held-out mattes: photo, truth, alpha and a map of the error."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from loop.report.data import Picture, Round, Run
from loop.report.elements import frame, section, tile
from loop.report.embed import error_uri
from loop.report.formats import num

WORST = 8
MEDIAN = 4
WIDE = 256  # pixels
MATTES_NOTE = (
    f"Of each domain the {WORST} held-out pictures with the highest SAD, which rule the means, and the {MEDIAN} about "
    'the median. Error: |truth − alpha|, black where it is 0, pale where it is 1 <i class="heat"></i>.'
)


def mattes_section(run: Run) -> str:
    """Those of the best round, and of the newest one when that is another."""
    newest = next((round_ for round_ in reversed(run.rounds) if round_.pictures), None)
    shown = {round_.number: round_ for round_ in (run.best, newest) if round_ is not None}
    parts = []
    for index, round_ in enumerate(shown.values()):
        body = "".join(_domain(round_, domain) for domain in run.domains)
        which = "best" if run.best is round_ else "newest"
        head = f"<details{'' if index else ' open'}><summary>round {round_.number} ({which})</summary>"
        parts.append(f"{head}{body}</details>" if body else "")
    return section("mattes", "Worst and median mattes", MATTES_NOTE, "".join(parts)) if any(parts) else ""


def worst_and_median(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Picture]]:
    """The WORST with the highest SAD, the first the highest; and MEDIAN about the middle that are none of these."""
    ranked = sorted(pictures, key=lambda each: -each.sad)
    start = max(WORST, (len(ranked) - MEDIAN) // 2)
    return ranked[:WORST], ranked[start : start + MEDIAN]


def _domain(round_: Round, domain: str) -> str:
    worst, median = worst_and_median([each for each in round_.pictures if each.domain == domain])
    parts = [_row("worst", worst), _row("median", median)]
    return f"<h3>{escape(domain)}</h3>{''.join(parts)}" if worst else ""


def _row(word: str, pictures: Sequence[Picture]) -> str:
    cards = "".join(_card(each) for each in pictures)
    return f'<p class="over">{word}</p><div class="cards mattes">{cards}</div>' if cards else ""


def _card(picture: Picture) -> str:
    shown = ("photo", picture.photo), ("truth", picture.truth), ("alpha", picture.prediction)
    tiles = "".join(tile(path, name, WIDE) for name, path in shown)
    error = error_uri(picture.truth, picture.prediction, WIDE) if picture.truth and picture.prediction else None
    text = f"<b>SAD {num(picture.sad)}</b> · all-zero {num(picture.zero_sad)}"
    return (
        f'<div class="card"><div class="four">{tiles}{frame(error, "error")}</div>{text}'
        f'<div class="id">{escape(picture.id)} · truth: {escape(picture.kind)}</div></div>'
    )
