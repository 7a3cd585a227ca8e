"""The report's sections on the fits: what each logged, which of them stopped early, how long every step took."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from loop.report.charts import Line, legend, line_chart
from loop.report.data import Points, Run
from loop.report.elements import section
from loop.report.formats import clock

MOST_CHARTS = 18  # of one fit


def curves_section(run: Run) -> str:
    """Small multiples: one chart per logged number of each fit, the rounds laid over each other."""
    parts = [_fit(name, by_round) for name, by_round in sorted(run.curves.items())]
    stopped = [(f"{r.number:02d}/{step}", why) for r in run.rounds for step, why in r.stopped.items()]
    parts += [f'<p><span class="tag no">stopped</span> {escape(s)}: {escape(why)}</p>' for s, why in stopped]
    return section("curves", "Fits", "What each fit logged, by optimizer step.", "".join(parts)) if parts else ""


def _fit(fit: str, by_round: dict[int, dict[str, Points]]) -> str:
    names = sorted(
        {name for metrics in by_round.values() for name in metrics} - {"epoch"},
        key=lambda name: ("loss" not in name.lower(), name),
    )
    charts = "".join(
        line_chart(name, [Line(f"round {r}", metrics.get(name, []), r) for r, metrics in sorted(by_round.items())])
        for name in names[:MOST_CHARTS]
    )
    keys = legend([(f"round {r}", r, False) for r in sorted(by_round)])
    return f'<h3>{escape(fit)}</h3>{keys}<div class="charts">{charts}</div>'


def covered_seconds(spans: Sequence[tuple[float, float]]) -> float:
    """How long at least one of the (begin, end) spans was under way."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def timing_section(run: Run) -> str:
    """Seconds of each finished step, in the plan's order."""
    steps = [(f"{r.number:02d}/{step}", seconds) for r in run.rounds for step, seconds in r.seconds.items()]
    if not steps:
        return ""
    longest = max(s for _, s in steps) or 1.0
    wall = covered_seconds([(r.ended[step] - r.seconds[step], r.ended[step]) for r in run.rounds for step in r.ended])
    body = "".join(
        f'<tr><td>{escape(step)}</td><td class="n">{clock(seconds)}</td>'
        f'<td class="wide"><div class="bar"><i class="time" style="width:{seconds / longest:.1%}"></i></div></td></tr>'
        for step, seconds in steps
    )
    note = f"{clock(wall)} by the clock in {len(steps)} finished steps; those that ran side by side count once."
    return section("time", "Time", note, f'<table class="plain">{body}</table>')
