"""The numbers of a run as a table: one row per round and domain, for programs and for a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loop.report.data import FIGURES, Distances, Round, Run, Sieve
from loop.report.formats import num
from loop.report.read import read_run

HEADERS = [
    *("round", "domain", "kind", *FIGURES, "n", "zero_SAD", "constant_SAD", "frechet", "kid", "fitted_frechet"),
    *("labels_kept", "labels_refused", "pairs_kept", "pairs_refused", "accepted", "current"),
]


def round_table(run_dir: Path) -> tuple[list[str], list[list[Any]]]:
    """(HEADERS, one row per round and domain) of plain JSON values; None where nothing is known yet."""
    run = read_run(Path(run_dir))
    return list(HEADERS), [_row(run, round_, domain) for round_ in run.rounds for domain in run.domains]


def _row(run: Run, round_: Round, domain: str) -> list[Any]:
    score, distances = round_.scores.get(domain), round_.distances.get(domain, Distances())
    row: list[Any] = [round_.number, domain, score.kind if score else None]
    row += [score.get(name) if score else None for name in FIGURES]
    row.append(score.pictures if score else None)
    row += [score.get(name) if score else None for name in ("zero_SAD", "constant_SAD")]
    row += [distances.frechet, distances.kid, distances.fitted_frechet]
    row += [*_kept_and_refused(round_.labels.get(domain)), *_kept_and_refused(round_.pairs.get(domain))]
    return [*row, None if round_.verdict is None else round_.accepted, run.accepted is round_]


def _kept_and_refused(sieve: Sieve | None) -> tuple[int | None, int | None]:
    return (None, None) if sieve is None else (sieve.kept, sieve.total - sieve.kept)


def print_round_table(run_dir: Path) -> None:
    """The round table for a terminal; a narrow one gets fewer figures."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)  # a pipe has no width of its own; 80 columns would cut the numbers
    figures = ["SAD", "MSE", "Grad", "frechet"] if console.width < 110 else [*FIGURES, "frechet", "kid"]
    table = Table(title=Path(run_dir).resolve().name, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("round", "domain", "truth", *figures, "labels", "pairs", "verdict"):
        table.add_column(name, justify="left" if name in ("domain", "truth", "verdict") else "right", no_wrap=True)
    headers, rows = round_table(run_dir)
    previous = None
    for values in rows:
        row = dict(zip(headers, values, strict=True))
        if previous not in (None, row["round"]):
            table.add_section()
        previous = row["round"]
        cells = [str(row["round"]), row["domain"], row["kind"] or "–", *(num(row[name]) for name in figures)]
        table.add_row(*cells, _share(row, "labels"), _share(row, "pairs"), _verdict(row))
    console.print(table)


def _share(row: dict[str, Any], name: str) -> str:
    kept, refused = row[f"{name}_kept"], row[f"{name}_refused"]
    return "–" if kept is None else f"{kept}/{kept + refused}"


def _verdict(row: dict[str, Any]) -> str:
    if row["accepted"] is None:
        return "[dim]not decided yet[/]"
    word = "[green]accepted[/]" if row["accepted"] else "[red]refused[/]"
    return f"{word}, current" if row["current"] else word
