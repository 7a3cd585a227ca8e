"""Every one-liner of docs/python.md is run as it stands there: one process runs all, each with names of its own."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import loop
from stylematte.errors import ConfigError, DataError
from stylematte.imagefile import write_alpha, write_rgb, write_rgba

ROOT = Path(__file__).parents[2]
LINES = [line for line in (ROOT / "docs" / "python.md").read_text().splitlines() if line.startswith("python -c ")]
TINY = ROOT / "configs" / "tiny.yaml"


def write_cutouts(folder: Path, count: int = 6) -> None:
    """Discs of one colour each, RGBA of 40 x 50."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    for number in range(count):
        alpha = ((y - 20).hypot(x - 25) < 8 + number).float()[None]
        colour = torch.full((3, 40, 50), number / count)
        write_rgba(folder / f"{number}.png", torch.cat([colour, alpha]))


@pytest.fixture(scope="module")
def place(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the lines name."""
    folder = tmp_path_factory.mktemp("python")
    (folder / "runs").mkdir()
    (folder / "runs" / "quickstart").symlink_to(tiny_run)
    (folder / "configs").symlink_to(ROOT / "configs")
    write_rgb(folder / "photo.jpg", torch.rand(3, 50, 40, generator=torch.Generator().manual_seed(0)))
    for name, value in (("mattes/photo_alpha.png", 1.0), ("truth/photo.png", 0.0)):
        write_alpha(folder / name, torch.full((1, 50, 40), value))
    write_cutouts(folder / "cutouts")
    return folder


# For each line its text, or how it ended.
RUNNER = """
import contextlib, io, json, sys, traceback
for code in json.load(sys.stdin):
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, {"__name__": "__main__"})
    except BaseException:
        printed = io.StringIO("failed: " + traceback.format_exc())
    print(json.dumps(printed.getvalue().strip()), flush=True)
"""


@pytest.fixture(scope="module")
def said(place: Path) -> list[str]:
    """What the lines print, run in `place`."""
    codes = []
    for line in LINES:
        python, option, code = shlex.split(line)
        assert (python, option) == ("python", "-c")
        codes.append(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", RUNNER]
    done = subprocess.run(
        words, cwd=place, env=environment, input=json.dumps(codes), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_there_are_seven() -> None:
    assert len(LINES) == 7


@pytest.mark.parametrize("number", range(7))
def test_line(number: int, place: Path, said: list[str]) -> None:
    printed = said[number]
    assert not printed.startswith("failed: "), printed
    check = (
        lambda: Image.open(place / "alpha.png").size == (40, 50) and Image.open(place / "alpha.png").mode == "L",
        lambda: Image.open(place / "cutout.png").mode == "RGBA",
        lambda: float(printed) == 2.0,  # 50 x 40 pixels, each wrong by 1, in thousands
        lambda: printed == "torch.Size([4, 4, 32, 32])",
        lambda: (place / printed / "matter.safetensors").is_file() and printed == "runs/matter/rounds/00/accept",
        lambda: (place / printed / "G_ema.safetensors").is_file() and "runs/hats/rounds/00/cutouts" in printed,
        lambda: float(printed) > 0,
    )
    assert check[number]()


@pytest.mark.usefixtures("said")
def test_a_matter_alone_is_the_runs_own_round_0(tiny_run: Path, place: Path) -> None:
    alone, of_run = (run / "rounds/00/accept/matter.safetensors" for run in (place / "runs/matter", tiny_run))
    assert alone.read_bytes() == of_run.read_bytes()
    assert not (place / "runs/matter/rounds/01").exists()


def test_a_generator_of_a_runs_labels_is_the_runs_own(tiny_run: Path) -> None:
    generator = loop.fit_generator(tiny_run, domain="animals")
    assert generator.folder == tiny_run / "rounds/01/animals/select_generator"
    with pytest.raises(ConfigError, match=r"domain cars: expected one of data\.domains, portraits, animals"):
        loop.fit_generator(tiny_run, domain="cars")


def test_what_is_no_cutout_is_left_out_or_refused(tmp_path: Path) -> None:
    write_rgb(tmp_path / "photos" / "a.png", torch.rand(3, 8, 8))
    words = (TINY, f"run.dir={tmp_path / 'run'}")
    with pytest.raises(Exception, match="0 of 1 files are RGBA cut-outs, a generator needs 2 or more") as caught:
        loop.fit_generator(*words, cutouts=tmp_path / "photos")
    assert "stylematte.errors.DataError" in caught.value.kinds
    with pytest.raises(DataError, match="no accepted matter"):
        __import__("stylematte").load(tmp_path)
