"""Charts: where points land, when there is nothing to draw, and round numbers on the axes."""

from __future__ import annotations

import re

import pytest

from loop.report.charts import Line, Span, _ticks, interval_chart, intervals, line_chart


def test_chart_geometry() -> None:
    chart = line_chart("t", [Line("a", [(0, 0.0), (10, 1.0)], 0)], width=100 + 56, height=100 + 44)
    found = re.search(r'points="([\d.]+),([\d.]+) ([\d.]+),([\d.]+)"', chart)
    assert found is not None
    x0, y0, x1, y1 = map(float, found.groups())
    assert (x0, x1) == (46, 146)
    assert y1 < y0  # up is more
    assert line_chart("t", [Line("a", [], 0)]) == ""
    assert line_chart("t", [Line("one", [(3, 2.0)], 0)]).count("<circle") == 1
    assert 'data-x="0 10" data-y="0 1"' in chart  # what the script shows under the pointer


def test_rows_of_intervals_are_percent_of_their_track() -> None:
    chart = intervals("t", [Span("a", -0.1, 0.0, 0.1, 7, "f", "k")], 0.05)
    assert chart is not None
    (row,) = chart.rows
    assert chart.zero == row.middle == 50.0
    assert row.left + row.width / 2 == pytest.approx(50.0)
    assert row.width == pytest.approx(100 * 0.2 / (1.12 * 0.2), abs=0.01)  # 6 % are free at each end
    assert chart.limit == pytest.approx(50 + row.width / 4, abs=0.01)
    assert (row.colour, row.value.text, row.low.text, row.low.key) == (1, "+0.0 %", "−10.0 %", "k/low")
    assert intervals("t", [Span("a", 0.0, float("inf"), float("inf"), 0)], None) is None


def test_an_interval_lies_about_its_middle() -> None:
    chart = interval_chart("t", [Span("a", -0.1, 0.0, 0.1, 0)], width=640)
    low, high = map(float, re.findall(r'class="span c0" x1="([\d.]+)" x2="([\d.]+)"', chart)[0])
    zero = float(re.findall(r'class="zero" x1="([\d.]+)"', chart)[0])
    assert low + high == pytest.approx(2 * zero)
    assert zero == pytest.approx(190 + (640 - 110 - 190) / 2)
    assert interval_chart("t", [Span("a", 0.0, float("inf"), float("inf"), 0)]) == ""


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.3, 0.02), (9, 399), (1e-6, 3e-6), (0, 2)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = _ticks(low, high, 4)
    assert 2 <= len(ticks) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


def test_a_long_label_ends_before_its_interval() -> None:
    label = "all-roads-refined against photos-and-cutouts, portraits"
    chart = interval_chart("t", [Span(label, -0.1, 0.0, 0.1, 0)], width=640)
    starts = [float(x) for x in re.findall(r'class="span c0" x1="([0-9.]+)"', chart)]
    assert starts[0] > 8 + 6 * len(label)
    assert f"0 0 {round(640 + 16 + 6.3 * len(label) - 190)} " in chart
