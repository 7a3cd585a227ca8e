"""The report's worst and median held-out mattes: photo, truth, alpha and a map of the error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from loop.report.data import Picture, Round, Run
from loop.report.elements import Tile, tile
from loop.report.embed import error_uri
from loop.report.figures import figure, folder
from loop.report.templates import render

WORST = 8
MEDIAN = 4
WIDE = 256  # pixels
MATTES_NOTE = (
    f"Of each domain the {WORST} held-out pictures with the highest SAD, which rule the means, and the {MEDIAN} about "
    "the median. Error: |truth − alpha|, black where it is 0, pale where it is 1:"
)


def mattes_section(run: Run) -> Markup:
    """Those of the best round, and of the newest one when that is another."""
    newest = next((round_ for round_ in reversed(run.rounds) if round_.pictures), None)
    chosen = {round_.number: round_ for round_ in (run.best, newest) if round_ is not None}
    rounds = [
        {
            "number": round_.number,
            "which": "best" if run.best is round_ else "newest",
            "domains": [_domain(round_, domain) for domain in run.domains],
        }
        for round_ in chosen.values()
        if round_.pictures
    ]
    return render("mattes.html", note=MATTES_NOTE, rounds=rounds) if rounds else Markup("")


def worst_and_median(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Picture]]:
    """The WORST with the highest SAD, the first the highest; and MEDIAN about the middle that are none of these."""
    ranked = sorted(pictures, key=lambda each: -each.sad)
    start = max(WORST, (len(ranked) - MEDIAN) // 2)
    return ranked[:WORST], ranked[start : start + MEDIAN]


def _domain(round_: Round, domain: str) -> dict[str, Any]:
    worst, median = worst_and_median([each for each in round_.pictures if each.domain == domain])
    rows = [(word, [_card(round_, each) for each in shown]) for word, shown in (("worst", worst), ("median", median))]
    return {"name": domain, "rows": [row for row in rows if row[1]]}


def _card(round_: Round, picture: Picture) -> dict[str, Any]:
    shown = ("photo", picture.photo), ("truth", picture.truth), ("alpha", picture.prediction)
    error = error_uri(picture.truth, picture.prediction, WIDE) if picture.truth and picture.prediction else None
    file = f"{folder(round_.number, 'evaluate')}/per_picture.jsonl"
    return {
        "tiles": [*(tile(path, name, WIDE) for name, path in shown), Tile(error, "error")],
        "sad": figure(picture.sad, file, f"{picture.id}:SAD"),
        "zero": figure(picture.zero_sad, file, f"{picture.id}:zero_SAD"),
        "id": picture.id,
        "kind": picture.kind,
    }
