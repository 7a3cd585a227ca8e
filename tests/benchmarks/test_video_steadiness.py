"""The steadiness benchmark runs on a tiny clip and keeps its rows; baselines and changes are what they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.video_steadiness import ALONE, PIPELINE, gather, median_of_three, smoothed, table
from stylematte.config import BackboneConfig, FpnConfig
from stylematte.inference.matter import load
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import save_matter
from stylematte.video.clips import ClipOptions
from stylematte.video.make_clips import Sources
from stylematte.video.metrics import CLIP_FIGURES


def test_baselines() -> None:
    alphas = [np.full((1, 1), value) for value in (0.0, 1.0, 0.0, 0.5)]
    assert [float(alpha) for alpha in np.ravel(smoothed(alphas))] == pytest.approx([0, 0.6, 0.24, 0.396])
    assert np.ravel(median_of_three(alphas)).tolist() == [0, 0, 0.5, 0.5]
    assert np.ravel(median_of_three(alphas[:1])).tolist() == [0]


def test_rows_and_table(tmp_path: Path) -> None:
    save_matter(tmp_path / "matter", build_matter(FpnConfig(backbone=BackboneConfig("mobilenetv3_small_050"))), {})
    options = [ClipOptions(frames=3, size=(64, 64), subframes=1)]
    rows = gather(load(tmp_path / "matter"), Sources(["animal"], 1), options, tmp_path / "rows.jsonl")
    assert set(rows[0]["ways"]) == {ALONE, "smoothed", "median of three", PIPELINE}
    assert gather(None, Sources(["animal"], 1), options, tmp_path / "rows.jsonl") == rows  # type: ignore[arg-type]


def test_changes_are_against_the_matter_alone() -> None:
    ways = {way: dict.fromkeys(CLIP_FIGURES, value) for way, value in ((ALONE, 0.2), (PIPELINE, 0.1))}
    lines: list[str] = []
    table([{"clip": f"a{n}", "subject": "animal", "seed": n % 3, "ways": ways} for n in range(12)], lines.append)
    assert lines[2] == "| animal | frame by frame | 200 | 200 | 0.2 | 0.2 | 0.2 |  |  |  |  |  |"
    changes = "-50.0% | -50.0% to -50.0% | -50.0% | -50.0% to -50.0% | -50.0%/-50.0% -50.0%/-50.0% -50.0%/-50.0% |"
    assert lines[3] == f"| animal | pipeline | 100 | 100 | 0.1 | 0.1 | 0.1 | {changes}"
