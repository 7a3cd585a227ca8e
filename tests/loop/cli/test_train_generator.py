"""The curve that `stylematte train-generator` leaves: a line a snapshot, a chart, the nearest one named."""

from pathlib import Path

import pytest
import torch

from loop.cli.main import main
from loop.runs.generator_curve import best, draw_curve
from stylematte.imagefile import write_rgba
from stylematte.jsonl import read_jsonl
from stylemattegan.generator_folder import load_folder


def write_discs(folder: Path, count: int) -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    for number in range(count):
        alpha = ((y - 16).hypot(x - 16) < 6 + number % 8).float()[None]
        write_rgba(folder / f"{number:03d}.png", torch.cat([torch.full((3, 32, 32), number / count), alpha]))


def test_a_curve_of_the_snapshots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_discs(tmp_path / "discs", 128)
    run = tmp_path / "run"
    words = ["generator.fit.steps=4", "generator.fit.tick=1", "generator.fit.snapshots=4", "generator.fit.batch=4"]
    words += ["generator.select_images=64", f"run.dir={run}"]
    assert main(["train-generator", "configs/tiny.yaml", "--cutouts", str(tmp_path / "discs"), *words]) == 0
    rows = read_jsonl(run / "curves" / "discs" / "curve.jsonl")
    assert [row["kimg"] for row in rows] == pytest.approx([0.004, 0.008, 0.012, 0.016])
    nearest = best(rows)
    assert nearest["frechet"] == min(row["frechet"] for row in rows) > 0
    assert load_folder(Path(nearest["folder"])).folder == Path(nearest["folder"])
    said = capsys.readouterr().out
    assert f"nearest of 4 snapshots: Frechet distance {nearest['frechet']:.4g} at {nearest['kimg']:g} kimg" in said
    page = (run / "curves" / "discs" / "curve.html").read_text()
    assert page.count("<circle") == 8
    assert "two halves of the cut-outs" in page
    assert (run / "curves" / "discs" / "sheet.png").is_file()
    made = run / "rounds" / "00" / "discs" / "fit_generator"
    assert draw_curve(made, tmp_path / "again", 64) == rows
    assert draw_curve(made, tmp_path / "few", 32) == []
    assert not (tmp_path / "few").exists()
