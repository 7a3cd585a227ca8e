"""The geometry of the report's charts: curves as SVG, intervals as rows of HTML, and as SVG for files of their own.

Colours come from the page's CSS classes, so dark mode works. Curves carry their values, which the page's script shows
under the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from loop.report.figures import Figure, figure
from loop.report.formats import signed
from loop.report.templates import render

COLOURS = 6  # .c0 … .c5 in style.css
LETTER = 6.3
"""Pixels of a letter of a label, in the mean."""
ROW = 24  # pixels between two intervals
MOST = 200  # points of a curve


class Line(NamedTuple):
    """One curve: its legend text, its (x, y) points in x order, its colour class number, and where it was read."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False
    file: str = ""
    key: str = ""


class Span(NamedTuple):
    """One interval with its middle, and where it was read."""

    label: str
    low: float
    value: float
    high: float
    colour: int
    file: str = ""
    key: str = ""


class Frame(NamedTuple):
    """The plotted part of a chart in pixels, and the values at its edges."""

    left: float
    right: float
    top: float
    bottom: float
    x0: float
    x1: float
    y0: float
    y1: float

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        across, up = (x - self.x0) / (self.x1 - self.x0), (y - self.y0) / (self.y1 - self.y0)
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)


class IntervalRow(NamedTuple):
    """An interval in percent of its track."""

    label: str
    colour: int
    left: float
    width: float
    middle: float
    value: Figure
    low: Figure
    high: Figure


class Intervals(NamedTuple):
    """Relative changes with their intervals, one a row; positions in percent of the track."""

    title: str
    rows: list[IntervalRow]
    ticks: list[dict[str, Any]]
    zero: float
    limit: float | None


def line_chart(
    title: str, lines: Sequence[Line], axis: str = "step", width: int = 330, height: int = 170, dots: bool = False
) -> Markup:
    """A small chart with its title and axes; the y range is that of the values. Empty when no line has a point.

    axis: what x is, for the values under the pointer.
    """
    lines = [line._replace(points=thin(line.points)) for line in lines if line.points]
    if not lines:
        return Markup("")
    x0, x1 = _range([x for line in lines for x, _ in line.points], pad=0.0)
    y0, y1 = _range([y for line in lines for _, y in line.points], pad=0.06)
    frame = Frame(46, width - 10, 24, height - 20, x0, x1, y0, y1)
    ups = [{"at": round(frame.pixel(x0, tick)[1], 1), "text": _short(tick)} for tick in _ticks(y0, y1, 5)]
    acrosses = [{"at": round(frame.pixel(tick, y0)[0], 1), "text": _short(tick)} for tick in _ticks(x0, x1, 4, True)]
    curves = [_curve(frame, line, dots) for line in lines]
    size = {"width": width, "height": height, "frame": frame}
    return render("line_chart.html", title=title, axis=axis, ups=ups, acrosses=acrosses, curves=curves, **size)


def _curve(frame: Frame, line: Line, dots: bool) -> dict[str, Any]:
    spots = [frame.pixel(x, y) for x, y in line.points]
    dotted = (dots or len(spots) == 1) and not line.dashed
    return {
        **line._asdict(),
        "colour": line.colour % COLOURS,
        "path": " ".join(f"{x:.1f},{y:.1f}" for x, y in spots),
        "xs": " ".join(f"{x:.10g}" for x, _ in line.points),
        "ys": " ".join(f"{y:.4g}" for _, y in line.points),
        "dots": [
            {"x": round(x, 1), "y": round(y, 1), "text": f"{value:.4g}"}
            for (x, y), (_, value) in zip(spots if dotted else (), line.points, strict=False)
        ],
    }


def intervals(title: str, spans: Sequence[Span], limit: float | None) -> Intervals | None:
    """Rows of HTML, readable at any width; zero is a solid line, `limit` (the margin) a dashed one. None when empty."""
    spans = _finite(spans)
    if not spans:
        return None
    x0, x1 = _range(
        [v for span in spans for v in (span.low, span.high)] + [0.0, *([] if limit is None else [limit])], 0.06
    )

    def at(value: float) -> float:
        return round(100 * (value - x0) / (x1 - x0), 2)

    rows = [
        IntervalRow(
            span.label,
            span.colour % COLOURS,
            at(span.low),
            round(at(span.high) - at(span.low), 2),
            at(span.value),
            figure(span.value, span.file, f"{span.key}/relative_change", signed),
            figure(span.low, span.file, f"{span.key}/low", signed),
            figure(span.high, span.file, f"{span.key}/high", signed),
        )
        for span in spans
    ]
    ticks = [{"left": at(tick), "text": _percent(tick, 0)} for tick in _ticks(x0, x1, 5)]
    return Intervals(title, rows, ticks, at(0.0), None if limit is None else at(limit))


def interval_chart(title: str, spans: Sequence[Span], width: int = 640) -> Markup:
    """The same as SVG, for a file of its own, wider where labels are long; zero is a solid line."""
    spans = _finite(spans)
    if not spans:
        return Markup("")
    height = 26 + ROW * len(spans) + 24
    x0, x1 = _range([v for span in spans for v in (span.low, span.high)] + [0.0], pad=0.06)
    left = max(190.0, 16 + LETTER * max(len(span.label) for span in spans))
    width = round(width + left - 190)
    frame = Frame(left, width - 110, 26, height - 20, x0, x1, 0.0, 1.0)

    def at(value: float) -> float:
        return round(frame.pixel(value, 0.0)[0], 1)

    rows = []
    for index, span in enumerate(spans):
        y = frame.top + ROW * (index + 0.5)
        ends = {"low": at(span.low), "middle": at(span.value), "high": at(span.high)}
        text = {"y": y, "text_y": y + 4, "label": span.label, "value": _percent(span.value, 1)}
        rows.append({"colour": span.colour % COLOURS, **ends, **text})
    ticks = [{"at": at(tick), "text": _percent(tick, 0)} for tick in _ticks(x0, x1, 5)]
    size = {"width": width, "height": height, "frame": frame}
    return render("interval_chart.svg", title=title, ticks=ticks, zero=at(0.0), rows=rows, **size)


def _finite(spans: Sequence[Span]) -> list[Span]:
    return [span for span in spans if all(map(math.isfinite, (span.low, span.value, span.high)))]


def _range(values: Sequence[float], pad: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        return low - (abs(low) or 1.0) * 0.5, high + (abs(high) or 1.0) * 0.5
    return low - pad * (high - low), high + pad * (high - low)


def _ticks(low: float, high: float, about: int, whole: bool = False) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) between low and high."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def thin(points: Sequence[tuple[float, float]], most: int = MOST) -> list[tuple[float, float]]:
    """At most about `most` points, each the mean of its neighbours, so that a long fit stays a small page."""
    every = math.ceil(len(points) / most) if points else 1
    blocks = (points[start : start + every] for start in range(0, len(points), every))
    return [(block[-1][0], sum(y for _, y in block) / len(block)) for block in blocks]


def _percent(share: float, digits: int) -> str:
    return f"{100 * share:+.{digits}f} %".replace("-", "−") if abs(share) > 1e-12 else "0 %"


def _short(value: float) -> str:
    if abs(value) >= 10000:
        return f"{value / 1000:.4g}k"
    return f"{value:.3g}" if abs(value) > 1e-12 else "0"
