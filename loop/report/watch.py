"""The report's table of the collapse watch: diversity, alphas and agreement of each round and domain. "" when empty."""

from __future__ import annotations

from markupsafe import Markup

from loop.report.data import Round, Run
from loop.report.figures import Figure, figure, stage
from loop.report.templates import render

WATCH_NOTE = (
    "What the generator drew against its training set; a threshold of watch.* stops the run. Spread is the standard "
    "deviation of thumbnails over that of real ones, near 0 where all pictures are one; at psi 1: of the same seeds "
    "untruncated. Precision, recall and coverage are in the features of round 0's matter. Of alphas: generated / "
    "real. Foreground: the matter's mean on photos / that of labelled pictures."
)
ALONE = {
    "spread": "Spread",
    "untruncated_spread": "at psi 1",
    "precision": "Precision",
    "recall": "Recall",
    "coverage": "Coverage",
}
BESIDE_REAL = {"width": "Width", "soft": "Soft share", "holes": "Holes", "area": "Area"}
LAST = {"disagreement": "Disagreement", "refused": "Refused"}
HEADS = (*ALONE.values(), *BESIDE_REAL.values(), *LAST.values(), "Foreground", "Confidence")


def watch_section(run: Run) -> Markup:
    """A row for each round and domain that was watched."""
    rows = [
        {"round": round_.number, "domain": domain, "cells": _cells(round_, domain)}
        for round_ in run.rounds
        for domain in run.domains
        if domain in round_.watch
    ]
    return render("watch.html", note=WATCH_NOTE, heads=HEADS, rows=rows) if rows else Markup("")


def _cells(round_: Round, domain: str) -> list[list[Figure]]:
    """One figure a cell, or two with a stroke between."""
    of_watch = [[_read(round_, domain, name)] for name in ALONE]
    of_watch += [[_read(round_, domain, name), _read(round_, domain, f"real_{name}")] for name in BESIDE_REAL]
    of_watch += [[_read(round_, domain, name)] for name in LAST]
    foreground = [_read(round_, domain, name, "label") for name in ("foreground", "true_foreground")]
    return [*of_watch, foreground, [_read(round_, domain, "confidence", "label")]]


def _read(round_: Round, domain: str, name: str, step: str = "watch") -> Figure:
    file = stage(round_.number, f"{domain}/{step}")
    return figure(round_.watch[domain].get(name), file, f"metrics/{name}")
