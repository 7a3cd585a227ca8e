"""The report's sections on the fits: what each logged, which of them stopped early, how long every step took."""

from __future__ import annotations

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


def timing_section(run: Run) -> str:
    """Seconds of each finished step."""
    steps = [(f"{r.number:02d}/{step}", seconds) for r in run.rounds for step, seconds in sorted(r.seconds.items())]
    if not steps:
        return ""
    longest, total = max(s for _, s in steps) or 1.0, sum(s for _, s in steps)
    body = "".join(
        f'<tr><td>{escape(step)}</td><td class="n">{clock(seconds)}</td>'
        f'<td class="wide"><div class="bar"><i class="time" style="width:{seconds / longest:.1%}"></i></div></td></tr>'
        for step, seconds in steps
    )
    return section("time", "Time", f"{clock(total)} in {len(steps)} finished steps.", f"<table>{body}</table>")
