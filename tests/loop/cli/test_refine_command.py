"""`stylematte refine`: what it writes, what it says of each picture, what it refuses; and the page about it."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch

from loop.cli.main import main
from stylematte.imagefile import read_alpha, read_rgba, write_alpha, write_rgba
from tests.stylematte.test_refine import figure

PAGE = Path(__file__).parents[3] / "docs/refinement.md"
COMMANDS = re.findall(r"^    (stylematte refine .*)$", PAGE.read_text(), re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    alpha = torch.from_numpy(figure())[None]
    spoilt = (alpha + 0.04 * (1 - alpha)).clamp(0, 1)
    spoilt[:, 150:153, 100:103] = 0
    write_alpha(tmp_path / "alphas/hazy.png", spoilt)
    write_alpha(tmp_path / "alphas/ghost.png", 0.7 * alpha)
    colour = torch.full((3, 256, 256), 0.4) * (spoilt > 0)
    write_rgba(tmp_path / "alphas/cutout.png", torch.cat([colour, spoilt]))
    return tmp_path


def test_pictures_figures_and_verdicts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["refine", str(folder / "alphas"), "-o", str(folder / "out")]
    assert main([*words, "--json"]) == 0
    rows = {Path(row["picture"]).stem: row for row in json.loads(capsys.readouterr().out)["done"]}
    assert {name: row["rule"] for name, row in rows.items()} == {"cutout": None, "ghost": "glass", "hazy": None}
    assert {file.name for file in (folder / "out").iterdir()} == {"cutout.png", "hazy.png", "index.jsonl", "sheet.png"}
    assert rows["hazy"]["background_leak"] == pytest.approx(0.04, abs=0.01)
    refined, truth = read_alpha(folder / "out/hazy.png")[0], torch.from_numpy(figure())
    assert (refined - truth).abs().max() < 0.05
    cutout = read_rgba(folder / "out/cutout.png")
    assert cutout[:, 151, 101].tolist() == pytest.approx([0.4, 0.4, 0.4, 1.0], abs=1 / 255)  # a filled hole has colour
    assert main([*words[:-1], str(folder / "all"), "--keep-refused"]) == 0
    assert "3 of 3 alphas written" in capsys.readouterr().out


def test_what_cannot_be_meant(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refine", str(folder / "alphas"), "-o", str(folder / "alphas")]) == 2
    assert "is the folder of the pictures" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_page(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert main(shlex.split(command)[1:]) == 0
