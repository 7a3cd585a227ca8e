"""stylematte score: worst first, the mean with its interval, CSV, trimaps, and one line for every mistake."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from loop.cli.main import main
from stylematte.evaluate.table import mean_interval
from stylematte.imagefile import write_alpha, write_trimap


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Twelve truths of ones, 10 x 20, and predictions that miss by 1/255, 2/255 …"""
    trimap = torch.ones(1, 10, 20)
    trimap[:, :5] = 0.5
    for number in range(12):
        write_alpha(tmp_path / f"truth/p{number:02d}.png", torch.ones(1, 10, 20))
        write_alpha(tmp_path / f"pred/p{number:02d}_alpha.png", torch.full((1, 10, 20), 1 - (number + 1) / 255))
        write_trimap(tmp_path / f"trimap/p{number:02d}_trimap.png", trimap)
    return tmp_path


def score(folder: Path, *more: str) -> int:
    return main(["score", str(folder / "pred"), str(folder / "truth"), *more])


def test_json_and_csv_are_worst_first_with_mean_and_interval(folders, capsys):
    assert score(folders, "--json", "--csv", str(folders / "new/s.csv")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed["pictures"]) == printed["worst"] + [f"p{number:02d}" for number in (3, 2, 1, 0)]
    assert printed["worst"][0] == "p11"
    assert printed["pictures"]["p11"]["SAD"] == pytest.approx(200 * 12 / 255 / 1000)
    assert printed["mean"]["MAD"] == pytest.approx(6.5 / 255)
    low, high = printed["interval"]["MAD"]
    half = 1.96 * np.std(np.arange(12)) / 12**0.5 / 255  # the normal approximation of the bootstrap
    assert (low, high) == pytest.approx((6.5 / 255 - half, 6.5 / 255 + half), rel=0.02)
    with (folders / "new/s.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["picture"] for row in rows] == list(printed["pictures"])
    assert float(rows[0]["SAD"]) == printed["pictures"]["p11"]["SAD"]


def test_the_table_ends_with_the_mean(folders, capsys):
    assert score(folders, "--trimap", str(folders / "trimap")) == 0
    out = capsys.readouterr().out
    assert out.index("p11") < out.index("p00") < out.index("mean of 12") < out.index("95 % to")
    assert "SAD-FG" in out


def test_trimap_adds_the_unknown_region(folders, capsys):
    assert score(folders, "--trimap", str(folders / "trimap"), "--json") == 0
    row = json.loads(capsys.readouterr().out)["pictures"]["p00"]
    assert row["SAD-T"] == row["SAD-FG"] == pytest.approx(100 / 255 / 1000)
    assert row["SAD-BG"] == 0


def test_intervals_of_few_and_of_one():
    from scipy.stats import ttest_1samp

    values = [1.0, 2.0, 4.0]
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((max(0, interval.low), interval.high))
    assert mean_interval([1.0]) is None
    assert mean_interval(list(range(20))) == mean_interval(list(reversed(range(20))))


def test_mistakes_are_one_line(folders, capsys):
    cases = []
    write_alpha(folders / "pred/p00_alpha.png", torch.ones(1, 10, 21))
    cases.append(("21 x 10 pixels, its truth 20 x 10; resize the prediction", ()))
    write_alpha(folders / "trimap/p00_trimap.png", torch.full((1, 10, 20), 0.3))
    cases.append(("a trimap has 0, 128 and 255 only", ("--trimap", str(folders / "trimap"))))
    cases.append(("must all be files or all be folders", ("--trimap", str(folders / "trimap/p00_trimap.png"))))
    cases.append(("no trimap for 12 of 12 predictions", ("--trimap", str(folders))))
    for says, words in cases:
        assert score(folders, *words) == 3
        (line,) = capsys.readouterr().err.splitlines()
        assert says in line
    (folders / "pred/p00_alpha.png").unlink()
    (folders / "pred/p00.png").write_bytes(b"")
    assert score(folders) == 3
    assert "p00.png: the file is empty" in capsys.readouterr().err
    (folders / "pred/p01.png").write_bytes(b"")
    assert score(folders) == 3
    assert "p01.png and p01_alpha.png are both of the picture p01" in capsys.readouterr().err
    (folders / "pred/p01_alpha.png").rename(folders / "pred/other.png")
    assert score(folders) == 3
    assert "no truth for 1 of 13 predictions (other.png)" in capsys.readouterr().err
