"""The tables that W&B gets of a round: held-out pictures with the worst mattes, and kept and refused pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loop.report.data import Round, Run
from loop.report.mattes import worst_and_median
from loop.report.pairs import candidates
from loop.report.read import read_run
from loop.tracking.entries import Table

WORST = ["photo", "truth", "alpha", "error", "SAD", "all-zero SAD", "id"]
PAIRS = ["cut-out", "alpha", "kept", "reason", "disagreement", "id"]


def round_tables(run_dir: Path, number: int) -> dict[str, Table]:
    """ "DOMAIN/worst" and "DOMAIN/pairs" of one round, as the report shows them; none where there is nothing."""
    run = read_run(run_dir)
    found: dict[str, Table] = {}
    for round_ in run.rounds:
        if round_.number == number:
            for domain in run.domains:
                found[f"{domain}/worst"] = Table(WORST, _worst(round_, domain))
                found[f"{domain}/pairs"] = Table(PAIRS, _pairs(run, round_, domain))
    return {name: table for name, table in found.items() if table.rows}


def _worst(round_: Round, domain: str) -> list[list[Any]]:
    worst, _ = worst_and_median([each for each in round_.pictures if each.domain == domain])
    return [
        [
            _picture(each.photo),
            _picture(each.truth),
            _picture(each.prediction),
            {"error_of": str(each.prediction), "truth": str(each.truth)},
            each.sad,
            each.zero_sad,
            each.id,
        ]
        for each in worst
    ]


def _pairs(run: Run, round_: Round, domain: str) -> list[list[Any]]:
    kept, refused = candidates(run, round_, domain) if domain in round_.pairs else ([], [])
    return [
        [
            {"picture": str(each.rgba)},
            {"alpha_of": str(each.rgba)},
            is_kept,
            "" if is_kept else each.reason,
            each.disagreement,
            each.id,
        ]
        for is_kept, group in ((True, kept), (False, refused))
        for each in group
    ]


def _picture(path: Path | None) -> dict[str, str] | None:
    return None if path is None else {"picture": str(path)}
