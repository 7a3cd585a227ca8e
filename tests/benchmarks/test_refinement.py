"""The two benchmarks of refinement and selection run, and their tables have the columns that the pages quote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.refine import quality
from benchmarks.selection import THRESHOLDS, by_artefact, cases, table
from tests.stylematte.test_refine import figure


def test_refinement_beside_two_plainer_ways(capsys: pytest.CaptureFixture[str]) -> None:
    quality([figure()[::2, ::2]], seeds=1)
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "core, haze" in line]
    before, clipped, largest, refined = (float(value) for value in rows[0][1:5])
    assert refined < 0.2 * before
    assert refined < min(clipped, largest)


def test_a_gate_of_everything_has_full_recall_and_a_stricter_one_keeps_less(tiny_run: Path) -> None:
    found = cases(tiny_run, None, seeds=2, size=32)
    assert len(found) == 16
    assert all(case.raw < 0.01 for case in found if not case.artefacts)
    rows = dict(line.removeprefix("| ").split(" | ", 1) for line in table(found, good=0.03)[2:])
    good = np.mean([case.raw < 0.03 for case in found])
    assert rows["none, raw"] == f"100% | {good:.1%} | 100.0% |"
    kept = [int(rows[f"shape and disagreement <= {most}, raw"].partition("%")[0]) for most in THRESHOLDS]
    assert kept == sorted(kept)
    assert kept[-1] <= int(rows["shape, raw"].partition("%")[0])
    pairs = sum(int(line.split(" | ")[1]) for line in by_artefact(found, 0.03, 0.05)[2:])
    assert pairs == sum(len(case.artefacts) < 2 for case in found)
