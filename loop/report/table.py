"""The numbers of a run as a table: one row per round and domain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loop.report.data import FIGURES, Control, Distances, Round, Run, Sieve
from loop.report.read import read_run

HEADERS = [
    *("round", "domain", "kind", *FIGURES, "n", "zero_SAD", "constant_SAD", "frechet", "kid", "fitted_frechet"),
    *("labels_kept", "labels_refused", "pairs_kept", "pairs_refused", "accepted", "current"),
    *("control_SAD", "against_control", "against_control_low", "against_control_high"),
]


def round_table(run_dir: Path) -> tuple[list[str], list[list[Any]]]:
    """(HEADERS, one row per round and domain) of plain JSON values; None where nothing is known yet."""
    run = read_run(Path(run_dir))
    return list(HEADERS), table_rows(run)


def table_rows(run: Run) -> list[list[Any]]:
    """The rows of `round_table`. current: of the matter that leaves the run. against_control: in the same round."""
    return [_row(run, round_, domain) for round_ in run.rounds for domain in run.domains]


def _row(run: Run, round_: Round, domain: str) -> list[Any]:
    score, distances = round_.scores.get(domain), round_.distances.get(domain, Distances())
    row: list[Any] = [round_.number, domain, score.kind if score else None]
    row += [score.get(name) if score else None for name in FIGURES]
    row.append(score.pictures if score else None)
    row += [score.get(name) if score else None for name in ("zero_SAD", "constant_SAD")]
    row += [distances.frechet, distances.kid, distances.fitted_frechet]
    row += [*_kept_and_refused(round_.labels.get(domain)), *_kept_and_refused(round_.pairs.get(domain))]
    row += [None if round_.verdict is None else round_.accepted, run.best is round_]
    return [*row, *_against_control(round_.control or Control({}), domain)]


def _against_control(control: Control, domain: str) -> tuple[float | None, ...]:
    """The control's SAD in this round, the relative change to it, and the change's interval."""
    score, found = control.scores.get(domain), control.same_round.get(domain)
    change = (None, None, None) if found is None else (found.change.value, found.change.low, found.change.high)
    return score.get("SAD") if score else None, *change


def _kept_and_refused(sieve: Sieve | None) -> tuple[int | None, int | None]:
    return (None, None) if sieve is None else (sieve.kept, sieve.total - sieve.kept)
