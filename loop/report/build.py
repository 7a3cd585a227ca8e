"""The report: one self-contained HTML page, made of a run's files at any time, also while the run goes on."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable
from pathlib import Path

from markupsafe import Markup

from loop.engine.execute import Event
from loop.report import fits, gallery, headline, inputs, lineage, mattes, needs, pairs, rounds, watch
from loop.report.data import Run
from loop.report.read import read_run
from loop.report.templates import render
from stylematte.atomic import replace_file
from stylematte.errors import DataError

SECTIONS: dict[str, tuple[str, Callable[[Run], Markup]]] = {
    "needs": ("Needs you", needs.needs_section),
    "rounds": ("Rounds", rounds.rounds_section),
    "verdicts": ("Verdicts", rounds.verdicts_section),
    "watch": ("Collapse watch", watch.watch_section),
    "generated": ("Generated", gallery.generated_section),
    "pairs": ("Pairs", pairs.pairs_section),
    "enhanced": ("Enhanced", gallery.enhanced_section),
    "mattes": ("Mattes", mattes.mattes_section),
    "probes": ("Probes", gallery.probes_section),
    "curves": ("Fits", fits.curves_section),
    "data": ("Data", inputs.data_section),
    "lineage": ("Lineage", lineage.lineage_section),
    "time": ("Time", fits.timing_section),
    "provenance": ("Provenance", lineage.provenance_section),
    "config": ("Configuration", inputs.config_section),
}
"""Anchor -> (title in the menu, what makes its HTML, "" when there is nothing to show)."""

SHARE = 20
"""Times that a page took to make pass before it is made again while the run goes on."""


def build_report(run_dir: Path, out: Path | None = None) -> Path:
    """Write `out`, or else run_dir/report.html, and return its path.

    Rounds that are missing or under way are left out. Raises DataError when `run_dir` holds no run, or when the page
    cannot be written there.
    """
    target = Path(run_dir) / "report.html" if out is None else Path(out)
    text = page(read_run(Path(run_dir)))
    try:
        replace_file(target, text)  # `report` may write beside a `run`
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        cure = "name another file with -o" if out is not None else "the run cannot be written; give -o FILE.html"
        raise DataError(f"{target}: cannot be written ({error.strerror}): {cure}") from error
    return target


class GrowingReport:
    """A listener for `execute`: the page is made again after a step, in at most a twentieth of the run's time."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir, self.next = run_dir, 0.0

    def __call__(self, event: Event) -> None:
        began = time.monotonic()
        if event.kind not in ("done", "restored", "shared") or began < self.next:
            return
        with contextlib.suppress(Exception):  # the page is made at the end, too, and says there what is wrong
            build_report(self.run_dir)
        now = time.monotonic()
        self.next = now + SHARE * (now - began)


def page(run: Run) -> str:
    """The whole page as HTML, its pictures embedded."""
    bodies = {anchor: make(run) for anchor, (_, make) in SECTIONS.items()}
    return render(
        "page.html",
        title=run.name,
        lead=headline.lead(run),
        links=[(anchor, SECTIONS[anchor][0]) for anchor, body in bodies.items() if body],
        body=headline.tiles(run) + Markup("\n").join(body for body in bodies.values() if body),
    )
