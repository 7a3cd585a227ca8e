"""An experiment's summary on disk: table.md for people, table.json for programs, plot.svg for a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from loop.engine.files import write_atomically
from loop.experiments.experiment import Experiment, Row
from loop.experiments.summary import Summary, summary
from loop.report.charts import Span, interval_chart

COLUMNS = ("group", "arm", "mean", "of the seeds", "change", "95 % interval", "p", "pictures", "seeds", "detectable")
STYLE = """<style>
svg { background: #fff; } text { fill: #61656d; font: 10.5px sans-serif; } .ct, .lab { fill: #1d1f23; font-size: 12px; }
.m { text-anchor: middle; } .grid { stroke: #e4e2dc; } .zero { stroke: #61656d; stroke-width: 1.3; }
.span { stroke-width: 3; } .c0 { stroke: #2c6bd1; fill: #2c6bd1; } .c1 { stroke: #d2691e; fill: #d2691e; }
.c2 { stroke: #17926e; fill: #17926e; } .c3 { stroke: #9048c4; fill: #9048c4; } .c4 { stroke: #c2365f; fill: #c2365f; }
.c5 { stroke: #6f7c2a; fill: #6f7c2a; }
</style>"""
"""The report's colours: charts name classes, and a file of its own has to say what they are."""


def write_summary(experiment: Experiment, folder: Path) -> Summary:
    """Read all finished runs below `folder` and write what they show; the same runs give the same bytes."""
    found = summary(experiment, folder)
    write_atomically(folder / "table.md", markdown(experiment, found))
    rows = [asdict(row) for row in found.rows]
    about = {"experiment": experiment.name, "question": experiment.question, "control": experiment.control}
    whole = {**about, "rows": rows, "stopped": found.stopped, "sentences": found.sentences}
    write_atomically(folder / "table.json", json.dumps(whole, indent=1) + "\n")
    drawn = plot(experiment, found.rows)
    if drawn:
        write_atomically(folder / "plot.svg", drawn)
    return found


def markdown(experiment: Experiment, found: Summary) -> str:
    """The question, what the data support, and one table for each metric."""
    lines = [f"# {experiment.name}", "", experiment.question, ""]
    lines += [f"- {line}" for line in found.sentences]
    lines += [f"- A fit was stopped: {run}: {reason}" for run, reason in found.stopped.items()]
    for metric in dict.fromkeys(row.metric for row in found.rows):
        lines += ["", f"## {metric}", "", f"Lower is better; change against {experiment.control}.", ""]
        lines += [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
        lines += [_line(cells(row, experiment.control)) for row in found.rows if row.metric == metric]
    return "\n".join(lines) + "\n"


def cells(row: Row, control: str) -> list[str]:
    """The row as text, in the order of COLUMNS."""
    change = "" if row.change is None else f"{row.change:+.1%}"
    interval = "" if row.low is None or row.high is None else f"{row.low:+.1%} to {row.high:+.1%}"
    reach = "" if row.detectable is None else f"{row.detectable:.1%}"
    seeds = " ".join(f"{value:.4g}" for value in row.of_seeds)
    counts = [str(row.pictures), str(len(row.seeds))]
    p = "" if row.p is None else f"{row.p:.2g}"
    return [row.group, row_name(row, control), f"{row.mean:.4g}", seeds, change, interval, p, *counts, reach]


def row_name(row: Row, control: str) -> str:
    """The arm, and what it is compared with where that is not the control."""
    return row.arm if row.against in (None, control) else f"{row.arm} against {row.against}"


def plot(experiment: Experiment, rows: Sequence[Row]) -> str:
    """The headline metric's changes with their intervals as one SVG file; empty without a change."""
    shown = [row for row in rows if row.metric == experiment.headline and experiment.shown(row.group)]
    groups = list(dict.fromkeys(row.group for row in shown))
    spans = [
        Span(
            f"{row_name(row, experiment.control)}, {row.group}", row.low, row.change, row.high, groups.index(row.group)
        )
        for row in shown
        if row.change is not None and row.low is not None and row.high is not None
    ]
    chart = str(interval_chart(f"{experiment.headline} against {experiment.control}", spans, width=760))  # plain text
    head, _, rest = chart.partition(">")
    return head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1) + ">" + STYLE + rest if chart else ""


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"
