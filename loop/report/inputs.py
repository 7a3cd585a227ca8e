"""The report's sections on what went in: pictures used and left out, cut-outs kept and refused, the configuration."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from loop.report.data import Run, Sieve
from loop.report.figures import COUNT_ALL, figure, kept_of, stage
from loop.report.templates import render

SPLITS = ("train", "heldout")
MOST_LEFT_OUT = 200  # files named on the page


def data_section(run: Run) -> Markup:
    """Pictures per domain, kind and split; what was left out and why; what labelling and selection refused."""
    rows = [
        {"domain": domain, "kind": kind, "counts": [_count(domain, kind, splits, split) for split in SPLITS]}
        for domain, kinds in run.counts.items()
        for kind, splits in kinds.items()
    ]
    sieves = _sieves(run)
    if not (rows or run.left_out or sieves):
        return Markup("")
    total = figure(len(run.left_out), "rounds/00/prepare/left_out.jsonl", COUNT_ALL)
    return render("data.html", rows=rows, left_out=run.left_out, most=MOST_LEFT_OUT, total=total, sieves=sieves)


def _count(domain: str, kind: str, splits: dict[str, int], split: str) -> Any:
    """A split that has none is not in the record."""
    key = f"metrics/counts/{domain}/{kind}/{split}"
    return figure(splits[split], stage(0, "prepare"), key) if split in splits else None


def _sieves(run: Run) -> list[dict[str, Any]]:
    return [
        _sieve(round_.number, title, domain, step, sieve)
        for round_ in run.rounds
        for title, step, sieves in (
            ("labels", "label", round_.labels),
            ("refined cut-outs", "refine_cutouts", round_.refined),
            ("pairs", "select", round_.pairs),
            ("enhanced", "enhance", round_.enhanced),
        )
        for domain, sieve in sieves.items()
    ]


def _sieve(number: int, title: str, domain: str, step: str, sieve: Sieve) -> dict[str, Any]:
    return {
        "round": number,
        "domain": domain,
        "title": title,
        "kept": kept_of(sieve, number, f"{domain}/{step}"),
        "share": round(100 * sieve.kept / (sieve.total or 1), 1),
        "why": ", ".join(f"{rule} {count}" for rule, count in sieve.refused.items()) or "none",
    }


def config_section(run: Run) -> Markup:
    """config.yaml, folded."""
    return render("config.html", text=run.config_text) if run.config_text else Markup("")
