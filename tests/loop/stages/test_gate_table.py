"""The table of precision and recall of the gate on pairs (docs/selection.md), made with a tiny run's matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.selection import THRESHOLDS, by_artefact, cases, table


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
