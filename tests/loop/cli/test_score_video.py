"""Every command of docs/video-metrics.md as it stands there; `score-video --json`; the page's lines of Python."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from loop.cli.main import main
from stylematte.data.drawn.dataset import write_manifest_folder
from stylematte.imagefile import write_rgb, write_rgba

PAGE = (Path(__file__).parents[3] / "docs/video-metrics.md").read_text()
COMMANDS = re.findall(r"^    stylematte (.*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands name, and what the first of them makes."""
    root = tmp_path_factory.mktemp("video")
    cutout = torch.ones(4, 40, 30)
    cutout[3, :10] = 0
    write_rgba(root / "cutouts/cup.png", cutout)
    write_rgb(root / "scenes/wall.png", torch.rand(3, 30, 40))
    write_manifest_folder(root / "data", 32, alpha=1, pseudo_alpha=1, none=1, backgrounds=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for making in (COMMANDS[0], COMMANDS[3]):
            assert main(shlex.split(making)) == 0
    for clip in (path for path in (root / "clips").iterdir() if path.is_dir()):
        shutil.copytree(clip / "alpha", root / "mattes" / clip.name)
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_page(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert main(shlex.split(command)) == 0


def test_a_video_is_its_frames(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert main([*shlex.split(COMMANDS[4]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean"] == {"MAD": 0, "MSE": 0, "Grad": 0, "Conn": 0, "dtSSD": 0}
    (folder / "filmed/animal-0000/alpha/000004.png").rename(folder / "last.png")
    assert main(["score-video", "filmed/animal-0000/alpha.mkv", "filmed/animal-0000"]) == 3
    assert "alpha.mkv: 5 frames, its truth filmed/animal-0000/alpha has 4" in capsys.readouterr().err
    (folder / "last.png").rename(folder / "filmed/animal-0000/alpha/000004.png")


def test_json_and_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["score-video", str(folder / "mattes"), str(folder / "clips")]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 4
    assert found["mean"] == {"MAD": 0, "MSE": 0, "Grad": 0, "Conn": 0, "dtSSD": 0}
    assert found["clips"]["animal-0001"]["dtSSD"] == 0
    assert main(words) == 0
    assert "mean of 4" in capsys.readouterr().out
    assert main(["score-video", str(folder / "mattes/animal-0000"), str(folder / "clips")]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_what_cannot_be_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["make-clips", "animal", "-o", str(tmp_path / "a"), "--motion", "-1", "--shutter", "2"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "stylematte: motion=-1.0: expected a number from 0.0 to 10.0",
        "stylematte: shutter=2.0: expected a number from 0.0 to 1.0",
    ]


def test_the_lines_of_python() -> None:
    (lines,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    alphas = torch.rand(3, 1, 1, 8, 8)
    exec(lines, {"frames": [(alpha, alpha) for alpha in alphas]})
