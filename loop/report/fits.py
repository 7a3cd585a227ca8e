"""The report's sections on the fits: what each logged, which of them stopped early, how long every step took."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from loop.report.charts import Line, line_chart
from loop.report.data import Points, Run
from loop.report.figures import figure, folder, stage
from loop.report.formats import clock
from loop.report.templates import render

MOST_CHARTS = 18  # of one fit


def curves_section(run: Run) -> Markup:
    """Small multiples: one chart per logged number of each fit, the rounds laid over each other."""
    fits = [_fit(name, by_round) for name, by_round in sorted(run.curves.items())]
    stopped = [(f"{r.number:02d}/{step}", why) for r in run.rounds for step, why in r.stopped.items()]
    return render("fits.html", fits=fits, stopped=stopped) if fits or stopped else Markup("")


def _fit(fit: str, by_round: dict[int, dict[str, Points]]) -> dict[str, Any]:
    names = sorted(
        {name for metrics in by_round.values() for name in metrics} - {"epoch"},
        key=lambda name: ("loss" not in name.lower(), name),
    )
    step = fit.replace(" · ", "/")

    def line(name: str, round_: int) -> Line:
        file = f"{folder(round_, step)}/metrics.jsonl"
        return Line(f"round {round_}", by_round[round_].get(name, []), round_, False, file, name)

    rounds = sorted(by_round)
    charts = [line_chart(name, list(map(partial(line, name), rounds))) for name in names[:MOST_CHARTS]]
    return {"name": fit, "keys": [(f"round {r}", r, False) for r in rounds], "charts": charts}


def covered_seconds(spans: Sequence[tuple[float, float]]) -> float:
    """How long at least one of the (begin, end) spans was under way."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def timing_section(run: Run) -> Markup:
    """Seconds of each finished step, in the plan's order."""
    steps = [(r.number, step, seconds) for r in run.rounds for step, seconds in r.seconds.items()]
    if not steps:
        return Markup("")
    longest = max(seconds for _, _, seconds in steps) or 1.0
    wall = covered_seconds([(r.ended[step] - r.seconds[step], r.ended[step]) for r in run.rounds for step in r.ended])
    rows = [
        {
            "step": f"{number:02d}/{step}",
            "seconds": figure(seconds, stage(number, step), "seconds", clock),
            "share": round(100 * seconds / longest, 1),
        }
        for number, step, seconds in steps
    ]
    return render("time.html", wall=clock(wall), rows=rows)
