"""The benchmark of refinement runs, and its table has the columns that the page quotes."""

from __future__ import annotations

import pytest

from benchmarks.refine import quality
from tests.stylematte.test_refine import figure


def test_refinement_beside_two_plainer_ways(capsys: pytest.CaptureFixture[str]) -> None:
    quality([figure()[::2, ::2]], seeds=1)
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "core, haze" in line]
    before, clipped, largest, refined = (float(value) for value in rows[0][1:5])
    assert refined < 0.2 * before
    assert refined < min(clipped, largest)
