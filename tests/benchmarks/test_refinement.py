"""The two benchmarks of refinement and selection run, and their tables have the columns that the pages quote."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.refine import quality
from benchmarks.selection import cases, table
from tests.stylematte.test_refine import figure


def test_refinement_beside_two_plainer_ways(capsys: pytest.CaptureFixture[str]) -> None:
    quality([figure()[::2, ::2]], seeds=1)
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "core, haze" in line]
    before, clipped, largest, refined = (float(value) for value in rows[0][1:5])
    assert refined < 0.2 * before
    assert refined < min(clipped, largest)


def test_a_gate_of_everything_has_full_recall(capsys: pytest.CaptureFixture[str]) -> None:
    found = cases([figure()[::2, ::2]], seeds=6)
    table(found, good=0.03)
    first = capsys.readouterr().out.splitlines()[2]
    good = np.mean([case.raw < 0.03 for case in found])
    assert first == f"| none, raw alphas | 100% | {good:.1%} | 100.0% |"
