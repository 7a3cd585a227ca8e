"""Every command of the README is run as it stands there, on the tiny run; every file it names exists."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from loop.cli.main import main
from stylematte.data.drawn.dataset import write_manifest_folder
from stylematte.imagefile import read_rgba, write_alpha, write_rgb, write_trimap
from stylematte.trimap import from_mask

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
COMMANDS = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("stylematte ")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands name: a photo, mattes with their truth, a data root."""
    folder = tmp_path_factory.mktemp("readme")
    generator = torch.Generator().manual_seed(0)
    for name in ("photo.jpg", "photos/one/a.jpg"):
        write_rgb(folder / name, torch.rand(3, 50, 40, generator=generator))
    for name in ("mattes/photo_alpha.png", "truth/photo.png"):
        (folder / name).parent.mkdir()
        alpha = torch.zeros(1, 50, 40)
        alpha[:, 10:, 8:30] = 1
        write_alpha(folder / name, alpha)
    write_trimap(folder / "trimaps/photo.png", from_mask(alpha))
    write_manifest_folder(folder / "data", 32)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, tiny_run: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    words = shlex.split(command.replace("runs/quickstart", str(tiny_run)).replace("/path/to/data", str(place / "data")))
    words = [str(ROOT / word) if word.startswith("configs/") else word for word in words[1:]]
    if words[0] == "run":
        words[0] = "plan"  # the long ones are planned here; CI runs the demo itself
    assert main(words) == 0


def test_the_python_lines(tiny_run: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (lines,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(lines.replace("runs/quickstart", str(tiny_run)), {})
    assert read_rgba(place / "cutout.png").shape == (4, 50, 40)


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 9


def test_the_two_commands_of_a_fresh_machine_are_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_files_it_names_exist() -> None:
    named = re.findall(r"`((?:loop|stylematte|stylemattegan|configs|tests|benchmarks|docs)/[\w/-]*(?:\.\w+)?)`", README)
    named += re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert len(named) >= 6
    assert not [name for name in named if not (ROOT / name).exists()]
