"""One page about a run, and the same numbers as a table. Reads files only, at any time, also while the run goes on."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from loop.engine.files import write_atomically
from loop.report import gallery, page
from loop.report.data import FIGURES, Run, read_run

SECTIONS: dict[str, tuple[str, Callable[[Run], str]]] = {
    "rounds": ("Rounds", page.rounds_section),
    "verdicts": ("Verdicts", page.verdicts_section),
    "generated": ("Generated", gallery.generated_section),
    "kept": ("Kept pairs", gallery.kept_section),
    "worst": ("Worst mattes", gallery.worst_section),
    "probes": ("Probes", gallery.probes_section),
    "curves": ("Fits", page.curves_section),
    "data": ("Data", page.data_section),
    "time": ("Time", page.timing_section),
    "config": ("Configuration", page.config_section),
}

HEADERS = [
    *("round", "domain", "kind", *FIGURES, "n", "zero_SAD", "constant_SAD", "frechet", "kid", "fitted_frechet"),
    *("labels_kept", "labels_refused", "pairs_kept", "pairs_refused", "accepted", "current"),
]


def build_report(run_dir: Path) -> Path:
    """Write run_dir/report.html, one self-contained page, and return its path.

    Rounds that are missing or under way are left out. Raises ValueError when `run_dir` holds no run.
    """
    run = read_run(Path(run_dir))
    bodies = {anchor: make(run) for anchor, (_, make) in SECTIONS.items()}
    links = (f'<a href="#{anchor}">{SECTIONS[anchor][0]}</a>' for anchor, body in bodies.items() if body)
    text = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8")).substitute(
        title=escape(run.name),
        lead=page.lead(run),
        nav="".join(links),
        body=page.tiles(run) + "\n".join(body for body in bodies.values() if body),
    )
    target = Path(run_dir) / "report.html"
    write_atomically(target, text)  # whoever has the page open never sees half of it
    return target


def round_table(run_dir: Path) -> tuple[list[str], list[list[Any]]]:
    """(HEADERS, one row per round and domain) of plain JSON values; None where nothing is known yet."""
    run = read_run(Path(run_dir))
    rows = []
    for round_ in run.rounds:
        accepted = None if round_.verdict is None else bool(round_.verdict.get("accepted"))
        for domain in run.domains:
            score, judged = round_.scores.get(domain, {}), round_.judged.get(domain, {})
            row: list[Any] = [round_.number, domain, score.get("kind")]
            row += [score.get(name) for name in (*FIGURES, "n", "zero_SAD", "constant_SAD")]
            row += [judged.get(name) for name in ("frechet", "kid", "fitted_frechet")]
            for sieve in (round_.labels.get(domain), round_.pairs.get(domain)):
                row += [sieve.kept, sum(sieve.refused.values())] if sieve else [None, None]
            rows.append([*row, accepted, run.accepted is round_])
    return list(HEADERS), rows


def print_round_table(run_dir: Path) -> None:
    """The round table for a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)  # a pipe has no width of its own; 80 columns would cut the numbers
    narrow = console.width < 110
    figures = [name for name in (*FIGURES, "frechet", "kid") if not narrow or name in ("SAD", "MSE", "Grad", "frechet")]
    table = Table(title=Path(run_dir).resolve().name, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("round", "domain", "truth", *figures, "labels", "pairs", "verdict"):
        table.add_column(name, justify="left" if name in ("domain", "truth", "verdict") else "right", no_wrap=True)
    headers, rows = round_table(run_dir)
    for place, values in enumerate(rows):
        row = dict(zip(headers, values, strict=True))
        if place and rows[place - 1][0] != row["round"]:
            table.add_section()
        cells = [str(row["round"]), row["domain"], row["kind"] or "–", *(page.num(row[name]) for name in figures)]
        table.add_row(*cells, _share(row, "labels"), _share(row, "pairs"), _verdict(row))
    console.print(table)


def _share(row: dict[str, Any], name: str) -> str:
    kept, refused = row[f"{name}_kept"], row[f"{name}_refused"]
    return "–" if kept is None else f"{kept}/{kept + refused}"


def _verdict(row: dict[str, Any]) -> str:
    if row["accepted"] is None:
        return "[dim]not judged yet[/]"
    word = "[green]accepted[/]" if row["accepted"] else "[red]refused[/]"
    return f"{word}, current" if row["current"] else word
