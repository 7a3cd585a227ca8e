"""Inline SVG for the report: curves and intervals. Colours come from the page's CSS classes, so dark mode works."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

COLOURS = 6  # .c0 … .c5 in report.html
ROW = 24  # pixels between two intervals


class Line(NamedTuple):
    """One curve: its legend text, its (x, y) points in x order, its colour class number."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False


class Span(NamedTuple):
    """One interval with its middle."""

    label: str
    low: float
    value: float
    high: float
    colour: int


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


def line_chart(title: str, lines: Sequence[Line], width: int = 330, height: int = 170, dots: bool = False) -> str:
    """A small chart with its title and axes; the y range is that of the values. Empty when no line has a point."""
    lines = [line._replace(points=_thin(line.points)) for line in lines if line.points]
    if not lines:
        return ""
    x0, x1 = _range([x for line in lines for x, _ in line.points], pad=0.0)
    y0, y1 = _range([y for line in lines for _, y in line.points], pad=0.06)
    frame = Frame(46, width - 10, 24, height - 20, x0, x1, y0, y1)
    parts = [f'<text class="ct" x="{frame.left}" y="14">{escape(title)}</text>', *_axes(frame, height)]
    for line in lines:
        parts += _curve(frame, line, dots)
    return _svg(width, height, title, parts)


def _axes(frame: Frame, height: int) -> list[str]:
    parts = []
    for tick in _ticks(frame.y0, frame.y1, 5):
        _, y = frame.pixel(frame.x0, tick)
        parts.append(f'<line class="grid" x1="{frame.left}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick e" x="{frame.left - 5}" y="{y + 3.5:.1f}">{_short(tick)}</text>')
    for tick in _ticks(frame.x0, frame.x1, 4, whole=True):
        x, _ = frame.pixel(tick, frame.y0)
        parts.append(f'<text class="tick m" x="{x:.1f}" y="{height - 5}">{_short(tick)}</text>')
    return parts


def _curve(frame: Frame, line: Line, dots: bool) -> list[str]:
    spots = [frame.pixel(x, y) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    colour = f"c{line.colour % COLOURS}"
    style = f"line {colour}" + (" dashed" if line.dashed else "")
    parts = [f'<polyline class="{style}" points="{path}"><title>{escape(line.label)}</title></polyline>']
    if (dots or len(spots) == 1) and not line.dashed:
        parts += [
            f'<circle class="dot {colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.2">'
            f"<title>{escape(line.label)}: {value:.4g}</title></circle>"
            for (x, y), (_, value) in zip(spots, line.points, strict=True)
        ]
    return parts


def legend(entries: Sequence[tuple[str, int, bool]]) -> str:
    """(text, colour class number, dashed) as one line of HTML."""
    keys = []
    for text, colour, dashed in entries:
        style = f"swatch c{colour % COLOURS}" + (" dashed" if dashed else "")
        keys.append(f'<span class="key"><i class="{style}"></i>{escape(text)}</span>')
    return f'<p class="legend">{"".join(keys)}</p>'


def interval_chart(title: str, spans: Sequence[Span], limit: float | None, width: int = 640) -> str:
    """Relative changes with their intervals, one a row; zero is a solid line, `limit` (the margin) a dashed one."""
    spans = [span for span in spans if all(map(math.isfinite, (span.low, span.value, span.high)))]
    if not spans:
        return ""
    height = 26 + ROW * len(spans) + 24
    marks = [0.0] + ([limit] if limit is not None else [])
    x0, x1 = _range([v for span in spans for v in (span.low, span.high)] + marks, pad=0.06)
    frame = Frame(190, width - 110, 26, height - 20, x0, x1, 0.0, 1.0)
    parts = [f'<text class="ct" x="8" y="14">{escape(title)}</text>']
    for tick in _ticks(x0, x1, 5):
        x, _ = frame.pixel(tick, 0.0)
        parts.append(_upright(frame, tick, "grid"))
        parts.append(f'<text class="tick m" x="{x:.1f}" y="{height - 5}">{_percent(tick, 0)}</text>')
    parts.append(_upright(frame, 0.0, "zero"))
    if limit is not None:
        parts.append(_upright(frame, limit, "limit"))
    for index, span in enumerate(spans):
        parts += _interval(frame, span, frame.top + ROW * (index + 0.5))
    return _svg(width, height, title, parts)


def _upright(frame: Frame, value: float, style: str) -> str:
    """A line over the whole height at `value`."""
    x, _ = frame.pixel(value, 0.0)
    return f'<line class="{style}" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.top}" y2="{frame.bottom}"/>'


def _interval(frame: Frame, span: Span, y: float) -> list[str]:
    low, middle, high = (frame.pixel(value, 0.0)[0] for value in (span.low, span.value, span.high))
    style = f"c{span.colour % COLOURS}"
    return [
        f'<text class="lab" x="8" y="{y + 4:.1f}">{escape(span.label)}</text>',
        f'<line class="span {style}" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>',
        f'<circle class="dot {style}" cx="{middle:.1f}" cy="{y}" r="4.5"/>',
        f'<text class="tick" x="{frame.right + 12}" y="{y + 4:.1f}">{_percent(span.value, 1)}</text>',
    ]


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width} {height}" style="max-width:{width}px" role="img" aria-label="{escape(title)}">'
    return head + "".join(parts) + "</svg>"


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


def _thin(points: Sequence[tuple[float, float]], most: int = 300) -> list[tuple[float, float]]:
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
